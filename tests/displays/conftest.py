import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.datasets import make_corpora

mpl.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    keys = [
        (strategy, output, f"ann_{annotator}", draw)
        for strategy in ("random", "mapped")
        for output in ("activation", "valence")
        for annotator in range(4)
        for draw in range(3)
    ]
    frame = pd.DataFrame(keys, columns=["strategy", "output", "annotator", "draw"])
    return frame.assign(ccc=rng.uniform(0, 1, size=len(frame)))


@pytest.fixture
def sized():
    """Results of two strategies, three sizes and four runs."""
    rng = np.random.default_rng(0)
    rows = [
        (strategy, output, size, annotator, seed, f"source {rng.integers(30)}", rng.normal(0.5, 0.1))
        for strategy in ("random", "mapped")
        for output in ("activation", "valence")
        for size in (20, "all", 5)
        for annotator in ("ann", "bob", "a very long name of an annotator")
        for seed in range(4)
    ]
    columns = ["strategy", "output", "n_enrollment", "annotator", "seed", "source", "ccc"]
    return pd.DataFrame(rows, columns=columns).assign(level="individual")


@pytest.fixture(scope="session")
def model():
    source, _ = make_corpora(n_samples=200, n_annotators=8, random_state=0)
    settings = {"n_hidden": 8, "lr": 0.02, "max_epochs": 2, "random_state": 0}
    return AnnotatorMappedRegressor(**settings).fit(source.X, source.ratings), source
