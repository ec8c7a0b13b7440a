import numpy as np
import pytest
from sklearn.decomposition import PCA

from sklearn_annoser.network import _content
from sklearn_annoser.network._content import fit_content


def features(n_samples, n_features):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(n_samples, n_features)) * rng.uniform(0.1, 3, n_features) + 2).astype(np.float32)


@pytest.mark.parametrize("shape", [(300, 20), (30, 50), (300, 200)])
def test_they_are_principal_components_of_a_total_variance_of_one(shape, monkeypatch):
    monkeypatch.setattr(_content, "BLOCK_ROWS", 64)
    X = features(*shape)
    rows = np.flatnonzero(np.arange(len(X)) % 5)
    found = fit_content(X, rows, 12)
    assert found.dtype == np.float32
    mine = X @ found[:-1] + found[-1]
    theirs = PCA(12, svd_solver="full").fit(X[rows].astype(np.float64)).transform(X)
    theirs /= np.sqrt(theirs[rows].var(axis=0).sum())
    np.testing.assert_allclose(np.abs(mine), np.abs(theirs), atol=1e-4)
    assert mine[rows].var(axis=0).sum() == pytest.approx(1, rel=1e-4)
    assert (found[:-1].max(axis=0) >= -found[:-1].min(axis=0)).all()  # the sign is that of the largest weight


@pytest.mark.parametrize("shape", [(300, 8), (6, 50)])
def test_there_are_no_more_than_the_rank(shape):
    X = features(*shape)
    X[:, 3] = X[:, 1] + X[:, 2]
    X[:, 4] = 7
    assert fit_content(X, np.arange(len(X))).shape == (shape[1] + 1, min(shape[1] - 2, shape[0] - 1))
    assert fit_content(np.ones_like(X), np.arange(len(X))).shape == (shape[1] + 1, 0)
    assert fit_content(X[:1], np.arange(1)).shape == (shape[1] + 1, 0)


def test_features_may_be_on_disk(tmp_path):
    X, rows = features(200, 6), np.arange(200)
    np.save(tmp_path / "X.npy", X)
    found = fit_content(np.load(tmp_path / "X.npy", mmap_mode="r"), rows)
    np.testing.assert_array_equal(found, fit_content(X, rows))
