"""Features of any real dtype, in any memory order, also on disk: nothing is copied whole, and no digit differs."""

import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils import check_array

from sklearn_annoser import (
    AnnotatorCommittee,
    AnnotatorMappedClassifier,
    AnnotatorMappedRegressor,
    AnnotatorMapper,
    Ratings,
)
from sklearn_annoser._features import Features, is_streamed, select_rows
from sklearn_annoser.mapping import learn_own_content, learn_prior
from sklearn_annoser.mapping._calibrate import calibrate_heads
from sklearn_annoser.network import MultiHeadNet

RNG = np.random.RandomState(0)
N, N_FEATURES = 120, 6
X = RNG.randint(-40, 40, size=(N, N_FEATURES)).astype(np.float32)  # which all dtypes hold
RATINGS = Ratings.from_dense(np.clip(X[:, :3] / 40 + 0.1 * RNG.normal(size=(N, 3)), -1, 1), scale=(-1, 1))
NEW = RATINGS.keep_annotators(RATINGS.annotators[:2])
LABELS = Ratings.from_dense((X[:, :3] > 0).astype(int), classes=True)
WEIGHT = np.where(np.arange(N) % 7 == 0, 0.0, 1.0)
SETTINGS = {"n_hidden": 4, "lr": 0.02, "max_epochs": 2, "pretrain_epochs": 1, "random_state": 0}


def on_disk(X, path):
    """Return an array that is mapped from a file, read-only."""
    np.save(path, X)
    return np.load(path, mmap_mode="r")


LAYOUTS = {
    "C": lambda X, path: X,
    "Fortran": lambda X, path: np.asfortranarray(X),
    "every other column": lambda X, path: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards": lambda X, path: np.ascontiguousarray(X[::-1])[::-1],
    "on disk": on_disk,
    "on disk, Fortran": lambda X, path: on_disk(np.asfortranarray(X), path),
}
DTYPES = ["float64", "float16", ">f4", "longdouble", "int16"]
KINDS = [("float32", layout) for layout in LAYOUTS] + [(dtype, "C") for dtype in DTYPES]
KINDS += [("float64", "on disk"), ("float16", "on disk"), ("float64", "on disk, Fortran")]


def of_regressor(X):
    """Return what regressor and mapper learn of X and say of it, trained on and fine-tuned too."""
    model = AnnotatorMappedRegressor(**SETTINGS, warm_start=True, early_stopping=False)
    model.fit(X, RATINGS, sample_weight=WEIGHT)
    found = [model.heads_, model.fit(X, RATINGS).heads_, model.partial_fit(X, RATINGS).heads_]
    found += [model.predict_annotators(X), model.prior_.second, [model.score(X, RATINGS), model.n_features_in_]]
    mapper = AnnotatorMapper(model, calibration="affine", fine_tune="all", random_state=0).fit(X, NEW)
    found += [mapper.heads_, mapper.predict(X), mapper.to_regressor().fit(X, NEW).heads_, [mapper.n_features_in_]]
    return [*found, model.suggest_enrollment(X, 5)]


def of_committee(X):
    """Return the same of a committee, with validation samples and a blend."""
    model = AnnotatorCommittee(**SETTINGS, n_members=2, n_consensus_members=1)
    model.fit(X, RATINGS, groups=np.arange(N) // 2)
    mapper = AnnotatorMapper(model, strategy="blend", random_state=0).fit(X, NEW)
    found = [model.heads_, model.predict(X), model.prior_.second, model.net_.module_.content, mapper.heads_]
    found += [mapper.complete(X, RATINGS).ratings.values, mapper.predict_ratings(X, NEW).values]
    model.select_annotator(X[:20], RATINGS.values[RATINGS.codes == 0][:20])
    return [*found, model.predict(X), model.partial_fit(X, RATINGS).heads_]


def of_classifier(X):
    """Return what a classifier learns of X and says of it."""
    model = AnnotatorMappedClassifier(**SETTINGS).fit(X, LABELS, sample_weight=WEIGHT)
    found = [model.heads_, model.predict_proba_annotators(X), [model.score(X, LABELS), model.n_features_in_]]
    model.select_annotator(X[:20], (X[:20, 0] > 0).astype(int), strategy="blend")
    return [*found, model.predict(X), AnnotatorMappedClassifier(**SETTINGS).fit(X, (X[:, 0] > 0).astype(int)).heads_]


LEARNERS = {"regressor": of_regressor, "committee": of_committee, "classifier": of_classifier}


@pytest.fixture(scope="module")
def expected():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # training of two epochs
        return {name: learn(X) for name, learn in LEARNERS.items()}


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize(("dtype", "layout"), KINDS)
def test_dtype_and_memory_order_change_no_digit(dtype, layout, name, expected, tmp_path):
    given = LAYOUTS[layout](X.astype(dtype), tmp_path / "X.npy")
    before = given.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = LEARNERS[name](given)
    for mine, theirs in zip(found, expected[name], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("bad", ["NaN", "infinity", "too large", "infinity, then NaN"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_numbers_that_are_not_finite_are_refused_as_scikit_learn_does(layout, bad, tmp_path, monkeypatch):
    monkeypatch.setattr("sklearn_annoser._features.BLOCK_VALUES", 20 * N_FEATURES)  # several blocks
    wrong = X.astype(np.float64)
    wrong[50, 3] = {"NaN": np.nan, "infinity": -np.inf, "too large": 1e39}.get(bad, np.inf)
    if "then" in bad:
        wrong[100, 0] = np.nan
    wrong = LAYOUTS[layout](wrong, tmp_path / "X.npy")
    model = AnnotatorMappedRegressor(**SETTINGS).fit(X, RATINGS.as_consensus())
    mapper = AnnotatorMapper(model, on_unknown="consensus").fit(X, NEW)
    for estimator in (model, mapper):
        with np.errstate(over="ignore"), pytest.raises(ValueError, match="contains") as of_scikit_learn:
            check_array(wrong, dtype=np.float32, input_name="X", estimator=estimator)
        doors = [estimator.predict, lambda X, door=estimator: clone(door).fit(X, RATINGS)]
        for door in doors[: 2 if estimator is model else 1]:
            with np.errstate(over="ignore"), pytest.raises(ValueError, match="contains") as error:
                door(wrong)
            assert str(error.value) == str(of_scikit_learn.value)


def test_what_is_wrong_with_the_shape_is_told_before_anything_is_read():
    model = AnnotatorMappedRegressor(**SETTINGS).fit(X.astype(float), RATINGS.as_consensus())
    assert model.n_features_in_ == N_FEATURES
    assert not hasattr(model, "feature_names_in_")
    with pytest.raises(ValueError, match="X has 5 features, but AnnotatorMappedRegressor is expecting 6"):
        model.predict(np.full((9, 5), np.nan))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        model.predict(np.zeros(9))
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        model.predict(np.zeros((0, 6)))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X.astype(float), RATINGS[:-1])


def test_float32_in_rows_is_used_as_it_is():
    unaligned = np.frombuffer(b" " + X.tobytes(), dtype=np.uint8)[1:].view(np.float32).reshape(X.shape)
    assert not any(is_streamed(each) for each in (X, X[3:], X.tolist(), X.astype(object), np.ma.array(X)))
    assert all(is_streamed(each) for each in (X.T, X.astype(float), X.astype(">f4"), X > 0, unaligned))


def test_rows_of_rows_are_the_same_rows():
    double = X.astype(np.float64)
    once = select_rows(double, np.arange(N) % 2 == 0)
    twice = select_rows(once, np.array([5, 1, 1]))
    assert (len(once), twice.shape) == (N // 2, (3, N_FEATURES))
    assert twice.stored is double
    for rows in (slice(0, 2), slice(2, 9), np.array([2, 0])):
        got = twice[rows]
        assert got.dtype == np.float32
        assert got.flags.c_contiguous
        np.testing.assert_array_equal(got, X[::2][[5, 1, 1]][rows])


def test_a_net_streams_too(tmp_path):
    double = on_disk(X.astype(np.float64), tmp_path / "X.npy")
    net = MultiHeadNet(max_epochs=1, module__n_hidden=4)
    assert isinstance(net.get_dataset(double, RATINGS).X, Features)
    assert np.shares_memory(net.get_dataset(double, RATINGS).X.stored, double)


def peak_of(do):
    """Return the most memory that something takes, in MB."""
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["float64", "Fortran", "on disk"])
def test_nothing_is_copied_whole(kind, tmp_path):
    wide = np.random.RandomState(0).normal(size=(8000, 500))  # 16 MB as float32
    y = Ratings.from_rows(np.sign(wide[:, 0]), np.arange(8000) % 2, scale=(-1, 1))
    weight = np.where(np.arange(8000) < 4, 0.0, 1.0)
    kinds = {"float64": wide, "Fortran": np.asfortranarray(wide, dtype=np.float32)}
    features = kinds[kind] if kind in kinds else on_disk(wide.astype(np.float16), tmp_path / "X.npy")
    model = AnnotatorMappedRegressor(n_hidden=4, max_epochs=1, pretrain_epochs=0, batch_size=512, random_state=0)
    mapper = AnnotatorMapper(model, n_bootstrap=0, n_folds=0)
    doors = [
        lambda: model.fit(features, y, sample_weight=weight),
        lambda: model.predict(features),
        lambda: mapper.fit(features, y),
        lambda: mapper.predict(features, annotator=0),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert max(map(peak_of, doors)) < 12


def test_many_ratings_take_a_few_columns_not_their_hidden_features():
    rng, n, n_annotators = np.random.RandomState(0), 60_000, 400
    hidden, heads = rng.normal(size=(n // 2, 1, 128)).astype(np.float32), rng.normal(size=(n_annotators, 1, 129))
    who, values = np.arange(n) % n_annotators, np.sign(rng.normal(size=n))
    ratings = Ratings(np.arange(0, n + 1, 2), who, values, annotators=np.arange(n_annotators))
    prior = learn_prior([hidden], heads.mean(axis=0), ratings, ratings)

    def hidden_of(rows):
        return (hidden[part] for part in np.array_split(rows, 30))

    columns, looked_at = 30 * values.nbytes / 2**20, 20_000 * 128 * 8 / 2**20
    assert peak_of(lambda: calibrate_heads(hidden, heads, ratings, prior)) < columns
    assert peak_of(lambda: learn_own_content(hidden_of, heads, prior, ratings)) < columns + looked_at
