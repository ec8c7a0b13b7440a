"""Print how large the files of models are: a mapper, and one person's model, of one network and of a committee.

    python benchmarks/file_sizes.py

768 features, 1,000 known annotators, two outputs; ten new annotators with 20 ratings each. How well the networks are
trained does not matter: one epoch.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from simulate import long_tailed_ratings
from sklearn.frozen import FrozenEstimator
from tables import print_table

from sklearn_annoser import AnnotatorCommittee, AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.sharing import save

N_SAMPLES, N_FEATURES, N_ANNOTATORS, N_NEW = 4_000, 768, 1_000, 10


def megabytes(model: Any, folder: Path) -> float:
    """Return the size of a model's file."""
    return save(model, folder / "model.skops").stat().st_size / 1e6


def main() -> None:
    X = np.random.default_rng(0).normal(size=(N_SAMPLES, N_FEATURES)).astype(np.float32)
    known = long_tailed_ratings(N_SAMPLES, N_ANNOTATORS, 5.7, n_outputs=2, seed=0)
    new = long_tailed_ratings(N_NEW * 20, N_NEW, 1, n_outputs=2, seed=1)
    settings = {"max_epochs": 1, "pretrain_epochs": 1, "random_state": 0}
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for model in (AnnotatorMappedRegressor(**settings), AnnotatorCommittee(**settings)):
            mapper = AnnotatorMapper(FrozenEstimator(model.fit(X, known))).fit(X[: len(new)], new)
            person = mapper.of(mapper.annotators_[0])
            rows[type(model).__name__] = {
                "mapper, MB": megabytes(mapper, Path(folder)),
                "person, MB": megabytes(person, Path(folder)),
            }
    print_table("Files", pd.DataFrame(rows).T.rename_axis("of"), digits=1)


if __name__ == "__main__":
    main()
