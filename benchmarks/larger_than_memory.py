"""Train on, map from and predict features on disk that are larger than the memory that the process may take.

    python benchmarks/larger_than_memory.py [--samples 60000] [--features 1792] [--dtype float64] [--folder /tmp]

A file of simulated features, by default 60,000 x 1,792 of float64 (820 MB), is written to a temporary folder and
mapped. One epoch of training with validation, a blend of 50 new annotators with its forecast, and predictions of all
samples. Memory is anonymous memory (RssAnon in /proc/self/status, Linux), which the kernel cannot drop as it can pages
of the file. It is looked at every few milliseconds; what the libraries hold after a tiny corpus is taken off.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command_line import command_line
from scale import enrollment, fit_something_tiny
from simulate import long_tailed_ratings
from tables import print_table

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper

N_ANNOTATORS, PER_SAMPLE, N_TARGETS = 1000, 5.7, 50


def anonymous_megabytes() -> float:
    """Return the memory of the process that no file stands behind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


class Watch:
    """The most memory that there is while it runs."""

    def __init__(self) -> None:
        self.peak, self.ended = 0.0, False
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        """Look at the memory every few milliseconds."""
        while not self.ended:
            self.peak = max(self.peak, anonymous_megabytes())
            time.sleep(0.005)

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended = True
        self.thread.join()


def write_features(path: Path, n_samples: int, n_features: int, dtype: str) -> np.ndarray:
    """Write features in blocks, and return them mapped, read-only."""
    rng = np.random.default_rng(0)
    X = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(n_samples, n_features))
    for start in range(0, n_samples, 1024):
        block = X[start : start + 1024]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32)
    X.flush()
    return np.load(path, mmap_mode="r")


def main() -> None:
    parser = command_line(__doc__, samples=60000, features=1792)
    parser.add_argument("--dtype", default="float64", help="what the file holds (default: %(default)s)")
    parser.add_argument("--folder", default=None, help="where the file is written (default: the system's)")
    options = parser.parse_args()
    fit_something_tiny()
    at_rest, steps = anonymous_megabytes(), {}

    def timed(name: str, do: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        with Watch() as watch:
            result = do()
        steps[name] = {"seconds": time.perf_counter() - start, "peak MB": watch.peak - at_rest}
        return result

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        X = write_features(Path(folder) / "features.npy", options.samples, options.features, options.dtype)
        ratings = long_tailed_ratings(options.samples, N_ANNOTATORS, PER_SAMPLE, n_outputs=2, seed=0)
        new = enrollment(np.random.default_rng(1), options.samples, N_TARGETS)
        model = AnnotatorMappedRegressor(max_epochs=1, pretrain_epochs=0, random_state=0)
        mapper = AnnotatorMapper(model, strategy="blend", calibration="affine", random_state=0)
        timed("fit, one epoch", lambda: model.fit(X, ratings))
        timed("blend with forecast", lambda: mapper.fit(X, new))
        timed("predict all", lambda: model.predict(X))
        timed("map and predict all", lambda: mapper.predict(X, annotator=0))
        size = X.nbytes / 2**20
    table = pd.DataFrame(steps).T.rename_axis("step")
    print_table(f"{options.samples} x {options.features} of {options.dtype}", table, digits=1)
    peak = max(step["peak MB"] for step in steps.values())
    print(f"\nfeatures on disk: {size:.0f} MB, as float32 {4 * options.samples * options.features / 2**20:.0f} MB")
    print(f"peak of anonymous memory beyond the libraries / features on disk: {peak / size:.2f}")


if __name__ == "__main__":
    main()
