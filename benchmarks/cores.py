"""Time the encoders on one core and on several: by threads, by processes, by the workers of a Dask or Ray cluster.

    python benchmarks/cores.py [--whisper FOLDER] [--cores 2] [--every 5] [--rounds 3]

Every `--every`-th utterance of speechocean762 that has audio, decoded from its files, by Whisper tiny.en. Seconds pass
on the clock, so that the machine should have nothing else to do. "First" and "next" are calls with one file a core: in
the first of all workers load the model, the next show what every call costs. "For hours" leaves that out: how many
times as fast a corpus is for which it does not count. "Share of ideal" is that, divided by the cores; 1 is the best.
The rounds of all alternate.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from command_line import command_line
from data import data_folder
from tables import print_table

from sklearn_annoser import SpeechEncoder

Cluster = Callable[[int], AbstractContextManager[Any]]


@contextmanager
def dask(cores: int) -> Iterator[None]:
    """Start a local Dask cluster, and let joblib use it."""
    from dask.distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=cores, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster), joblib.parallel_config(backend="dask"):
        yield


@contextmanager
def ray(cores: int) -> Iterator[None]:
    """Start a local Ray, and let joblib use it."""
    import ray as package
    from ray.util.joblib import register_ray

    package.init(num_cpus=cores, include_dashboard=False, log_to_driver=False)
    register_ray()
    try:
        with joblib.parallel_config(backend="ray", n_jobs=cores):
            yield
    finally:
        package.shutdown()


def ways(cores: int) -> dict[str, tuple[int, int | None, Cluster]]:
    """Return threads of torch, processes, and where these run, by name."""

    def here(cores: int) -> AbstractContextManager[Any]:
        return nullcontext()

    return {
        "one core": (1, None, here),
        "threads": (cores, None, here),
        "processes": (1, cores, here),
        "Dask": (1, cores, dask),
        "Ray": (1, cores, ray),
    }


def main() -> None:
    parser = command_line(__doc__, cores=2, every=5, rounds=3)
    parser.add_argument("--whisper", default="openai/whisper-tiny.en")
    options = parser.parse_args()
    root = data_folder() / "speechocean762"
    items = pd.read_csv(root / "items.csv", dtype={"item_id": str})
    files = [str(root / "audio" / f"{item}.flac") for item in items.loc[items["has_audio"].astype(bool), "item_id"]]
    files = files[:: options.every]
    calls: dict[str, dict[str, list[float]]] = {name: {} for name in ("first", "next", "seconds")}
    vectors: dict[str, np.ndarray] = {}
    for round_ in range(options.rounds):
        for name, (n_threads, n_jobs, cluster) in ways(options.cores).items():
            torch.set_num_threads(n_threads)
            encoder = SpeechEncoder(options.whisper, n_jobs=n_jobs).fit(files)
            with ExitStack() as stack:
                try:
                    stack.enter_context(cluster(options.cores))
                except ImportError as error:
                    if not round_:
                        print(f"{name}: left out, {error}")
                    continue
                for call, some in (
                    ("first", files[: options.cores]),
                    ("next", files[-options.cores :]),
                    ("seconds", files),
                ):
                    start = time.perf_counter()
                    vectors[name] = encoder.transform(some)
                    calls[call].setdefault(name, []).append(time.perf_counter() - start)
    first, again, seconds = (pd.DataFrame(each) for each in calls.values())
    longer = seconds - again
    for_hours = longer.rdiv(longer["one core"], axis=0).median()
    table = pd.DataFrame(
        {
            "first": first.iloc[0],
            "next": again.median(),
            "seconds": seconds.median(),
            "times as fast": seconds.rdiv(seconds["one core"], axis=0).median(),
            "for hours": for_hours,
            "share of ideal": for_hours / options.cores,
            "off": {name: f"{np.abs(each - vectors['one core']).max():.0e}" for name, each in vectors.items()},
        }
    )
    table.loc["one core", "share of ideal"] = 1.0
    print_table(f"{len(files)} files on {options.cores} cores", table.rename_axis("way"), digits=2)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    main()
