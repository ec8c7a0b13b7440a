"""Run the size of MSP-Podcast 1.11 on simulated features: seconds and peak memory of each step.

    python benchmarks/scale.py

134,492 utterances x 1,536 float32 features (826 MB), 12,913 annotators, about 769,000 ratings of two outputs with a
long-tailed count per annotator. One epoch of training with validation, ways to enrol 500 new annotators with 30 ratings
each, `predict` over all utterances, and a walk over the predictions of all annotators for a tenth of them.
Peak memory is the process's own: features, everything that the package makes, and what the libraries take when they
have done no more than fit a tiny corpus, which the table names.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from simulate import long_tailed_ratings
from tables import print_table

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper, Ratings

N_SAMPLES, N_FEATURES, N_ANNOTATORS, PER_SAMPLE = 134_492, 1_536, 12_913, 769_000 / 134_492
N_TARGETS, N_ENROLLED = 500, 30
MAPPINGS: dict[str, dict[str, Any]] = {
    "map 500 annotators": {},
    "the same with confidence": {"n_bootstrap": 100},
    "the same with a forecast": {"n_folds": 5},
    "blend 500 annotators": {"strategy": "blend"},
}


def peak_megabytes() -> float:
    """Return the most memory that the process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_features() -> np.ndarray:
    """Return features drawn in blocks, so that making them costs no memory beyond their own."""
    rng = np.random.default_rng(0)
    X = np.empty((N_SAMPLES, N_FEATURES), dtype=np.float32)
    for start in range(0, N_SAMPLES, 256):
        block = X[start : start + 256]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32)
    return X


def fit_something_tiny() -> None:
    """Load all that the libraries load."""
    rng = np.random.default_rng(0)
    tiny = AnnotatorMappedRegressor(n_hidden=8, max_epochs=2, random_state=0)
    tiny.fit(rng.normal(size=(64, 4)), Ratings.from_dense(rng.normal(size=(64, 3))))
    AnnotatorMapper(tiny).fit(rng.normal(size=(64, 4)), Ratings.from_dense(rng.normal(size=(64, 3))))


def enrollment(rng: np.random.Generator, n_samples: int = N_SAMPLES, n_targets: int = N_TARGETS) -> Ratings:
    """Return ratings of all samples by new annotators who rated 30 each."""
    rows = np.concatenate([rng.choice(n_samples, N_ENROLLED, replace=False) for _ in range(n_targets)])
    table = pd.DataFrame(
        {
            "sample": rows,
            "annotator": np.repeat(np.arange(n_targets), N_ENROLLED),
            "activation": rng.uniform(-1, 1, len(rows)),
            "valence": rng.uniform(-1, 1, len(rows)),
        }
    )
    return Ratings.from_long(table, outputs=["activation", "valence"], samples=np.arange(n_samples), scale=(-1, 1))


def main() -> None:
    steps: dict[str, dict[str, float]] = {}

    def timed(name: str, do: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = do()
        steps[name] = {"seconds": time.perf_counter() - start, "peak MB": peak_megabytes()}
        return result

    timed("libraries at rest", fit_something_tiny)
    model = AnnotatorMappedRegressor(max_epochs=1, pretrain_epochs=0, random_state=0, verbose=1)
    X = timed("features", make_features)
    ratings = timed("ratings", lambda: long_tailed_ratings(N_SAMPLES, N_ANNOTATORS, PER_SAMPLE, n_outputs=2, seed=0))
    timed("fit, one epoch", lambda: model.fit(X, ratings))
    new = enrollment(np.random.default_rng(1))
    bare: dict[str, Any] = {"calibration": "affine", "n_bootstrap": 0, "n_folds": 0, "random_state": 0}
    for name, changes in MAPPINGS.items():
        timed(name, partial(AnnotatorMapper(model, **(bare | changes)).fit, X, new))
    timed("predict all", lambda: model.predict(X))

    def walk() -> float:
        blocks = (predictions for _, predictions in model.iter_predict_annotators(X[: N_SAMPLES // 10]))
        return sum(float(predictions.mean()) for predictions in blocks)

    timed("walk all annotators, a tenth", walk)
    print_table(f"{ratings!r}", pd.DataFrame(steps).T.rename_axis("step"), digits=1)
    libraries, features, peak = steps["libraries at rest"]["peak MB"], X.nbytes / 2**20, peak_megabytes()
    print(f"\nfeatures: {features:.0f} MB; ratings: {ratings.nbytes / 2**20:.0f} MB")
    print(f"peak / features: {peak / features:.2f}; without the libraries: {(peak - libraries) / features:.2f}")


if __name__ == "__main__":
    main()
