"""Processes that write files, killed at a random moment; the same command then comes to the same end."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMappedRegressor, BertEncoder
from sklearn_annoser.datasets import make_corpora, write_iemocap, write_msp_improv, write_msp_podcast, write_muse
from sklearn_annoser.reproduce import reproduce, write_random_encoders
from sklearn_annoser.reproduce._files import STALE_SECONDS, fill_folder

from .judge import Trial
from .sounds import HOME, models

PATIENCE = 60  # seconds for a command; machines may be busy
CONTEXT = multiprocessing.get_context("fork")  # the packages are loaded already
TEXTS = [f"{a} {b} {c}" for a in "abcdef" for b in "ghijkl" for c in "mnop"]


def write_corpora(out: Path, model: str) -> None:
    """Write invented corpora and tiny encoders, as the demonstration does."""
    fill_folder(out / "corpora", _fill)
    write_random_encoders(out / "models")


def _fill(folder: Path) -> None:
    for write in (write_msp_podcast, write_msp_improv, write_iemocap, write_muse):
        write(folder / write.__name__, n_utterances=40, audio=False)


def run_experiment(out: Path, model: str) -> None:
    """Run the paper's experiment on a tiny corpus."""
    source, target = make_corpora(n_samples=120, n_features=4, n_annotators=4, n_targets=3, n_raters=3, random_state=0)
    reproduce(
        source,
        {"IEMOCAP": target},
        estimator=make_pipeline(StandardScaler(), AnnotatorMappedRegressor(n_hidden=4, lr=0.02, max_epochs=2)),
        out=out / "experiment",
        strategies={"mapped": ("source", {})},
        enrollment=(5, "all"),
        n_folds=2,
        min_ratings=5,
        seeds=(0,),
    )


def make_vectors(out: Path, model: str) -> None:
    """Make vectors with a cache."""
    vectors = BertEncoder(model, cache_dir=out / "vectors", batch_tokens=64).fit_transform(TEXTS)
    np.save(out / "result.npy", vectors.round(4) + 0.0)


COMMANDS: dict[str, Callable[[Path, str], None]] = {
    each.__name__: each for each in (write_corpora, run_experiment, make_vectors)
}


def started(command: str, out: Path) -> Any:
    """Start a command in a process of its own."""
    out.mkdir(exist_ok=True)
    process = CONTEXT.Process(target=_work, args=(command, out, models()[1]))
    process.start()
    return process


def _work(command: str, out: Path, model: str) -> None:
    """Run a command, one thread, and leave without the parent's goodbyes."""
    torch.set_num_threads(1)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    code = 1
    try:
        COMMANDS[command](out, model)
        code = 0
    finally:
        os._exit(code)


@cache
def undisturbed(command: str) -> tuple[dict[str, str], float]:
    """Return the files of a command that nobody kills, and the seconds that it takes."""
    HOME.append(folder := tempfile.TemporaryDirectory(prefix="torture-whole-"))
    models()
    start = time.perf_counter()
    process = started(command, Path(folder.name))
    process.join(PATIENCE)
    return contents(Path(folder.name)), time.perf_counter() - start


def contents(out: Path) -> dict[str, str]:
    """Return a digest of each file, but for a cache's own, which differ by who wrote first, and pictures and pages."""
    paths = (path for path in sorted(out.rglob("*")) if path.is_file() and "vectors" not in path.parts)
    return {
        str(path.relative_to(out)): hashlib.blake2b(path.read_bytes()).hexdigest() if path.suffix in EXACT else ""
        for path in paths
    }


EXACT = {".csv", ".json", ".txt", ".npy", ".safetensors", ""}


def killed(trial: Trial) -> None:
    """Check that a command after a kill, or two, ends as one that nobody kills, and leaves nothing lying about."""
    trial.must_work = True
    command = trial.pick(COMMANDS)
    expected, seconds = undisturbed(command)
    trial.check(expected, f"{command} does not work at all")
    out = trial.folder / "out"
    for _ in range(int(trial.pick([1, 1, 2]))):
        process = started(command, out)
        delay = float(trial.rng.uniform(0, 1.1)) * seconds
        trial.kind += f"{command} killed after {delay:.3f} of {seconds:.3f} s; "
        process.join(delay)
        process.kill()
        process.join()
    age(out)
    process = started(command, out)
    process.join(PATIENCE)
    is_over = process.exitcode is not None
    process.kill()
    process.join()
    trial.check(is_over and process.exitcode == 0, f"the same command ended with {process.exitcode}")
    found = contents(out)
    others = sorted(name for name in set(found) | set(expected) if found.get(name) != expected.get(name))
    trial.check(not others, f"other files than without a kill: {others[:5]}")


def age(out: Path) -> None:
    """Let the time pass after which what is half-written belongs to nobody."""
    before = time.time() - 2 * STALE_SECONDS
    for path in out.rglob("*"):
        os.utime(path, (before, before))
