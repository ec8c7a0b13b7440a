import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.preprocessing import StandardScaler

from sklearn_annoser.network import _ridge
from sklearn_annoser.network._ridge import PENALTIES, fit_ridge, fit_tuned_ridge


def problem(n_samples, n_features, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features)) * rng.uniform(0.1, 10, n_features) + rng.normal(size=n_features)
    y = X[:, :2] @ rng.normal(size=(2, 2)) + 3 * rng.normal(size=(n_samples, 2)) + 1
    return X.astype(np.float32), y


def nearest_of_sklearn(X, y, weight):
    """Return coefficients of scikit-learn's ridge for every penalty, each (n_features + 1,), scales undone."""
    weight = weight / weight.mean()
    scaler = StandardScaler().fit(X.astype(np.float64), sample_weight=weight)
    Z = scaler.transform(X.astype(np.float64))
    gram = (Z * weight[:, None]).T @ Z
    values = np.linalg.eigvalsh(gram)
    values = values[values > 1e-6 * values[-1]]
    for penalty in PENALTIES * values.mean():
        model = Ridge(alpha=penalty).fit(Z, y, sample_weight=weight)
        coef = model.coef_ / scaler.scale_
        yield np.append(coef, model.intercept_ - scaler.mean_ @ coef)


@pytest.mark.parametrize(
    "shape", [(300, 20), (30, 50), (200, 3)], ids=["more samples", "more features", "few features"]
)
def test_it_is_scikit_learns_ridge_with_missing_outputs_and_weights(shape, monkeypatch):
    monkeypatch.setattr(_ridge, "BLOCK_ROWS", 64)
    X, y = problem(*shape)
    y[::7, 1] = np.nan
    weight = np.random.default_rng(1).uniform(0.5, 2, len(X))
    found = fit_ridge(X, y, weight)
    for output in range(2):
        given = np.isfinite(y[:, output])
        theirs = list(nearest_of_sklearn(X[given], y[given, output], weight[given]))
        assert min(np.abs(each - found[:, output]).max() / np.abs(each).max() for each in theirs) < 1e-5


def test_the_penalty_is_near_the_best_of_leave_one_out():
    X, y = problem(80, 40)
    found = fit_ridge(X, y)
    Z = StandardScaler().fit_transform(X.astype(np.float64))
    best = RidgeCV(alphas=PENALTIES * 80).fit(Z, y[:, 0])
    fresh = problem(5000, 40)[0]
    mine = fresh.astype(np.float64) @ found[:-1, 0] + found[-1, 0]
    theirs = best.predict((fresh - X.mean(0)) / X.std(0))
    assert np.corrcoef(mine, theirs)[0, 1] > 0.97


def test_scales_of_features_and_copies_of_weights_do_not_matter():
    X, y = problem(100, 8)
    scale = np.float32(2) ** np.arange(-4, 4)
    np.testing.assert_allclose(
        fit_ridge(X * scale, y)[:-1] * scale[:, None], fit_ridge(X, y)[:-1], rtol=1e-3, atol=1e-5
    )
    np.testing.assert_allclose(fit_ridge(X, y, np.full(100, 7.0)), fit_ridge(X, y), rtol=1e-4, atol=1e-6)


def test_a_sample_of_weight_zero_is_not_there():
    X, y = problem(60, 5)
    weight = np.ones(60)
    weight[40:] = 0
    np.testing.assert_array_equal(fit_ridge(X, y, weight), fit_ridge(X[:40], y[:40]))


def test_constants_and_single_samples_are_predicted_by_the_mean():
    X, y = problem(20, 4)
    np.testing.assert_allclose(fit_ridge(np.ones_like(X), y), np.vstack([np.zeros((4, 2)), y.mean(0)]), atol=1e-6)
    np.testing.assert_allclose(fit_ridge(X[:1], y[:1]), np.vstack([np.zeros((4, 2)), y[:1]]), rtol=1e-6)
    y[:, 1] = np.nan
    assert (fit_ridge(X, y)[:, 1] == 0).all()
    X[:, 2] = 5
    assert fit_ridge(X, y)[2, 0] == 0


def test_features_may_be_read_only_and_on_disk(tmp_path):
    X, y = problem(200, 6)
    np.save(tmp_path / "X.npy", X)
    np.testing.assert_array_equal(fit_ridge(np.load(tmp_path / "X.npy", mmap_mode="r"), y), fit_ridge(X, y))


def halves(n_samples, n_splits):
    orders = [np.random.default_rng(seed).permutation(n_samples) for seed in range(n_splits)]
    return [(np.sort(order[n_samples // 2 :]), np.sort(order[: n_samples // 2])) for order in orders]


@pytest.mark.parametrize("shape", [(300, 20), (60, 50)])
def test_the_tuned_penalty_is_the_best_of_scikit_learns_on_the_validation_samples(shape, monkeypatch):
    monkeypatch.setattr(_ridge, "BLOCK_ROWS", 64)
    X, y = problem(*shape)
    y[::7, 1] = np.nan
    weight = np.random.default_rng(1).uniform(0.5, 2, len(X))
    splits = halves(len(X), 2)
    found, told = fit_tuned_ridge(X, y, weight, splits)
    for output in range(2):
        given = np.isfinite(y[:, output])
        errors, predicted = 0, np.zeros((2, len(PENALTIES), len(X)))
        for number, (train, valid) in enumerate(splits):
            train = train[given[train]]
            for place, coef in enumerate(nearest_of_sklearn(X[train], y[train, output], weight[train])):
                predicted[number, place, valid] = X[valid].astype(np.float64) @ coef[:-1] + coef[-1]
            misses = (predicted[number, :, valid].T - y[valid, output]) ** 2
            errors = errors + np.nansum(weight[valid] * misses, axis=1)
        best = np.argmin(errors)
        expected = list(nearest_of_sklearn(X[given], y[given, output], weight[given]))[best]
        np.testing.assert_allclose(found[:, output], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
        times = np.sum([np.isin(np.arange(len(X)), valid) for _, valid in splits], axis=0)
        assert (np.isnan(told[:, output]) == (times == 0)).all()
        mean = predicted[:, best].sum(0)[times > 0] / times[times > 0]
        np.testing.assert_allclose(told[times > 0, output], mean, rtol=1e-3, atol=1e-3)


def test_samples_that_are_alike_do_not_make_the_tuned_penalty_weak():
    X, y = problem(2030, 40)
    fresh, truth = X[30:], y[30:]
    X, y, group = np.repeat(X[:30], 4, axis=0), np.repeat(y[:30], 4, axis=0), np.repeat(np.arange(30), 4)
    X = X + np.random.default_rng(0).normal(size=X.shape).astype(np.float32) * 0.01
    splits = [(np.flatnonzero(~chosen), np.flatnonzero(chosen)) for chosen in (group % 3 == k for k in range(3))]
    errors = [
        ((fresh @ coef[:-1] + coef[-1] - truth) ** 2).mean()
        for coef in (fit_tuned_ridge(X, y, None, splits)[0], fit_ridge(X, y))
    ]
    assert errors[0] < 0.9 * errors[1]


def test_an_output_that_no_validation_sample_has_is_predicted_by_about_its_mean():
    X, y = problem(40, 5)
    y[20:, 1] = np.nan
    found, _ = fit_tuned_ridge(X, y, None, [(np.arange(20), np.arange(20, 40))])
    spread = (X[:20] @ found[:-1, 1]).std()
    assert spread < 0.01 * y[:20, 1].std()
