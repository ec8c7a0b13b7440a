"""The protocols of the benchmarks on the real corpora, and the rivals on simulated raters."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FOLDER = Path(os.environ.get("SKLEARN_ANNOSER_DATA", Path(__file__).parents[2] / "shared" / "data"))
PAIRS = {"speech": 5, "text": 1, "expressive": 16, "odour": 1, "odour-within": 1}


@pytest.fixture(autouse=True)
def beside_the_benchmarks(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real corpora: {FOLDER} is not there")
@pytest.mark.parametrize("name", PAIRS)
def test_who_is_new_and_what_is_scored_is_not_in_the_source(name):
    from data import PROTOCOLS, read_pairs

    protocol, pairs = PROTOCOLS[name], read_pairs(name, seed=1)
    assert len(pairs) == PAIRS[name]
    for source, target in pairs:
        assert not set(source.ratings.annotators) & set(target.ratings.annotators)
        assert not set(source.ratings.samples) & set(target.ratings.samples)
        assert "groups" not in source or not set(source.groups) & set(target.groups)
        assert target.ratings.counts().min() >= protocol.n_reserved + 2
        assert source.X.shape[1] == target.X.shape[1]
        assert np.isfinite(source.X).all()
        by_known = target.get("by_known")
        assert by_known is None or not set(by_known.annotators) & set(target.ratings.annotators)


def simulated(n_raters=12, n_samples=160, n_features=5, seed=0):
    """Return features, and ratings of raters who share a taste, and have their own offsets."""
    from _rivals.known import Table

    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_samples, n_features)) / np.sqrt(n_features)
    rows, codes = (grid.ravel() for grid in np.indices((n_samples, n_raters)))
    shared, own = X @ rng.normal(size=n_features), rng.normal(scale=0.5, size=n_raters)
    values = shared[rows] + own[codes] + rng.normal(scale=0.3, size=len(rows))
    return X, Table(rows, codes, values)


@pytest.mark.parametrize(
    "name", ["own ridge", "matched consensus", "Gaussian process", "boosting", "collaborative filtering"]
)
def test_a_rival_that_is_tuned_on_known_raters_serves_a_new_one(name):
    from _rivals.known import Episode, learn_known
    from _rivals.tuning import ccc
    from rivals import RIVALS

    X, table = simulated()
    new, others = table.only(table.codes == 11), table.only(table.codes < 11)
    source, target = others.only(others.rows < 100), new.only(new.rows >= 100)
    by_known = others.only(others.rows >= 100)
    by_known = by_known._replace(rows=by_known.rows - 100)
    known = learn_known(X[:100], source, X[100:], by_known, groups=None, sizes=(10,))
    predict = RIVALS[name](known)
    few, rest = target.rows[:10] - 100, target.rows[10:] - 100
    predicted = predict(Episode(known.new, 10, few, target.values[:10], rest))[: len(rest)]
    assert ccc(target.values[10:], predicted) > 0.6


def test_nothing_is_filtered_where_known_raters_have_not_rated_the_target():
    from _rivals.factors import collaborative_filtering
    from _rivals.known import learn_known

    X, table = simulated(n_raters=4)
    known = learn_known(X, table, X, None, groups=None, sizes=(5,))
    assert collaborative_filtering(known) is None
