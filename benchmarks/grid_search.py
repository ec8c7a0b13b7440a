"""Time GridSearchCV over Ratings with one worker and with two, and count the threads that the workers use.

python benchmarks/grid_search.py [--rounds 3]
"""

from __future__ import annotations

import os
import time

import pandas as pd
import torch
from command_line import command_line
from joblib import Parallel, delayed
from sklearn.model_selection import GridSearchCV, GroupKFold
from tables import print_table

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.metrics import individual_ccc_scorer


def worker_threads() -> int:
    """Return the number of torch threads of the process that runs this."""
    return torch.get_num_threads()


def main() -> None:
    options = command_line(__doc__, rounds=3).parse_args()
    source, _ = make_corpora(random_state=0)
    model = AnnotatorMappedRegressor(max_epochs=10, early_stopping=False, random_state=0)
    grid = {"lr": [3e-3, 1e-2], "dropout": [0.1, 0.3]}

    def seconds(n_jobs: int) -> float:
        search = GridSearchCV(model, grid, cv=GroupKFold(3), scoring=individual_ccc_scorer, n_jobs=n_jobs, refit=False)
        start = time.perf_counter()
        search.fit(source.X, source.ratings, groups=source.groups)
        return time.perf_counter() - start

    threads = max(Parallel(n_jobs=2)(delayed(worker_threads)() for _ in range(4)))  # this starts the workers, too
    seconds(2)
    times = pd.DataFrame([{f"n_jobs={n}, s": seconds(n) for n in (1, 2)} for _ in range(options.rounds)])
    times["ratio"] = times["n_jobs=1, s"] / times["n_jobs=2, s"]
    print_table("GridSearchCV, 12 fits", times.agg(["median", "min", "max"]).rename_axis("over rounds"), digits=2)
    print(f"\ncores: {os.cpu_count()}; torch threads in each of 2 workers: {threads}")


if __name__ == "__main__":
    main()
