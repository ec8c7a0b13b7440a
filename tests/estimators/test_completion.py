import pickle
import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMapper, Ratings
from sklearn_annoser.metrics import individual_ccc_score
from tests.planted import ENROLLED, REST, corpora, quick, trained

SOURCE, TARGET = corpora()
ENROLLMENT = TARGET.ratings[ENROLLED]
X, Y = TARGET.X[REST], TARGET.ratings[REST]
BLEND = {"strategy": "blend", "calibration": "affine", "n_bootstrap": 0, "n_folds": 0, "random_state": 0}


@pytest.fixture(scope="module")
def source():
    return trained()


@pytest.fixture(scope="module")
def mapper(source):
    return AnnotatorMapper(source, **BLEND).fit(TARGET.X[ENROLLED], ENROLLMENT)


def nothing(y=Y):
    return y.keep_ratings(np.zeros(y.n_ratings, dtype=bool))


def by_others(y, scale=None):
    """Rename the annotators to known ones, who then rate what the new ones rated."""
    known = SOURCE.ratings.annotators[: y.n_annotators]
    return Ratings(y.indptr, y.codes, y.values, annotators=known, outputs=y.outputs, scale=scale)


# ---------------------------------------------------------------------- what comes out


def test_it_is_all_ratings_by_all_annotators_and_those_given_stay(mapper):
    done = mapper.complete(X, Y)
    given = np.isfinite(Y.to_dense())
    for each in (done.ratings, done.low, done.high):
        assert isinstance(each, Ratings)
        assert each.to_dense().shape == (len(X), 12, 2)
        assert np.isfinite(each.to_dense()).all()
        assert each.outputs == Y.outputs
        assert each.annotators.tolist() == mapper.annotators_.tolist()
        np.testing.assert_array_equal(each.to_dense()[given], Y.to_dense()[given])
    width = done.high.to_dense() - done.low.to_dense()
    assert (width[~given] > 0).all()
    assert (done.low.to_dense() <= done.ratings.to_dense()).all()
    assert (done.ratings.to_dense() <= done.high.to_dense()).all()


@pytest.mark.parametrize("strategy", ["joint", "blend", "all"])
@pytest.mark.parametrize("calibration", [None, "affine"])
def test_without_ratings_it_is_predict_annotators(source, strategy, calibration):
    options = BLEND | {"strategy": strategy, "calibration": calibration}
    mapper = AnnotatorMapper(source, **options).fit(TARGET.X[ENROLLED], ENROLLMENT)
    done = mapper.complete(X, nothing())
    np.testing.assert_allclose(done.ratings.to_dense(), mapper.predict_annotators(X), atol=1e-6)


def test_ones_own_ratings_alone_change_nothing_else(mapper):
    own = Y.keep_annotators(["target_003"])
    found, predicted = mapper.complete(X, own).ratings.to_dense(), mapper.predict_annotators(X)
    rated = own.rows
    np.testing.assert_allclose(np.delete(found[:, 3], rated, 0), np.delete(predicted[:, 3], rated, 0), atol=1e-6)
    assert np.abs(np.delete(found[rated], 3, 1) - np.delete(predicted[rated], 3, 1)).min() > 0


def test_a_high_rating_of_an_item_raises_what_others_would_give_it(mapper):
    one = Y.keep_ratings((Y.rows == 7) & (Y.codes == Y.codes[Y.rows == 7][0]))
    high = one.with_values(SOURCE.ratings.values.max(axis=0, keepdims=True))
    before, after = mapper.complete(X, nothing()), mapper.complete(X, high)
    others = np.arange(12) != one.codes[0]
    assert (after.ratings.to_dense()[7, others] > before.ratings.to_dense()[7, others]).all()


def test_others_ratings_of_items_with_effects_help(mapper):
    rng = np.random.RandomState(0)
    effect = rng.normal(scale=0.4, size=(len(X), 1, 1))
    truth = mapper.predict_annotators(X) + effect + rng.normal(scale=0.1, size=(len(X), 12, 2))
    hidden = Ratings.from_dense(truth[:, :6], annotators=mapper.annotators_[:6], outputs=Y.outputs)
    shown = Ratings.from_dense(truth[:, 6:], annotators=mapper.annotators_[6:], outputs=Y.outputs)
    scores = []
    for y in (nothing(), shown):
        done = mapper.complete(X, y)
        scores.append(individual_ccc_score(hidden, done.ratings.keep_annotators(mapper.annotators_[:6])))
    assert scores[1] > scores[0] + 0.05


def test_intervals_hold_as_many_ratings_as_they_say(mapper):
    half = np.random.RandomState(0).uniform(size=Y.n_ratings) < 0.5
    held = Y.keep_ratings(~half)
    for level in (0.5, 0.8):
        done = mapper.complete(X, Y.keep_ratings(half), level=level)
        low, high = (each.to_dense()[held.rows, held.codes] for each in (done.low, done.high))
        assert np.mean((low <= held.values) & (held.values <= high)) == pytest.approx(level, abs=0.15)


def test_names_labels_and_scale_stay(mapper):
    labels = [f"clip {row}" for row in range(len(X))]
    names = {"annotators": Y.annotators, "outputs": Y.outputs[::-1], "samples": labels, "scale": (-1, 1)}
    within = Y.with_values(np.clip(Y.values, -1, 1))
    scaled = Ratings(Y.indptr, Y.codes, within.values[:, ::-1], **names)
    done, plain = mapper.complete(X, scaled), mapper.complete(X, within)
    for one, other in zip((done.ratings, done.low, done.high), (plain.ratings, plain.low, plain.high), strict=True):
        assert one.samples.tolist() == labels
        assert one.outputs == mapper.outputs_
        np.testing.assert_array_equal(one.scale, [[-1, 1], [-1, 1]])
        np.testing.assert_allclose(one.to_dense(), np.clip(other.to_dense(), -1, 1), atol=1e-12)


def test_an_output_that_is_missing_is_filled_in_and_the_other_kept(mapper):
    values = Y.values.copy()
    values[::2, 0] = np.nan
    partial = Y.with_values(values)
    done = mapper.complete(X, partial).ratings.to_dense()
    assert np.isfinite(done).all()
    np.testing.assert_array_equal(done[Y.rows, Y.codes, 1], Y.values[:, 1])
    assert (done[Y.rows, Y.codes, 0][::2] != Y.values[::2, 0]).all()


# ---------------------------------------------------------------------- laws


def test_the_order_of_samples_does_not_matter(mapper):
    rows = np.random.RandomState(0).permutation(len(X))
    one, other = mapper.complete(X, Y), mapper.complete(X[rows], Y[rows])
    np.testing.assert_allclose(other.low.to_dense(), one.low.to_dense()[rows], atol=1e-6)
    np.testing.assert_allclose(other.ratings.to_dense(), one.ratings.to_dense()[rows], atol=1e-6)


def test_the_order_of_annotators_does_not_matter(mapper):
    order = np.random.RandomState(0).permutation(Y.n_annotators)
    shuffled = Ratings.from_dense(Y.to_dense()[:, order], annotators=Y.annotators[order], outputs=Y.outputs)
    one, other = mapper.complete(X, Y), mapper.complete(X, shuffled)
    np.testing.assert_allclose(other.ratings.to_dense(), one.ratings.to_dense(), atol=1e-9)


def test_ratings_on_another_scale_are_completed_alike():
    def moved(ratings):
        return ratings.with_values(50 + 20 * ratings.values)

    found = []
    for change in (lambda ratings: ratings.with_values(ratings.values), moved):
        model = quick().fit(SOURCE.X, change(SOURCE.ratings))
        mapper = AnnotatorMapper(model, **BLEND).fit(TARGET.X[ENROLLED], change(ENROLLMENT))
        found.append(mapper.complete(X, change(Y)))
    for name in ("ratings", "low", "high"):
        plain, large = (getattr(each, name).to_dense() for each in found)
        np.testing.assert_allclose(large, 50 + 20 * plain, atol=1e-2)


def test_a_pickled_mapper_completes_and_suggests_alike(mapper):
    again = pickle.loads(pickle.dumps(mapper))
    assert again.complete(X, Y).ratings == mapper.complete(X, Y).ratings
    assert again.suggest_ratings(X, Y, 3).equals(mapper.suggest_ratings(X, Y, 3))


def test_a_pipeline_completes_as_its_parts_do():
    model = make_pipeline(StandardScaler(), quick()).fit(SOURCE.X, SOURCE.ratings)
    whole = AnnotatorMapper(model, **BLEND).fit(TARGET.X[ENROLLED], ENROLLMENT)
    scale = model[0].transform
    part = AnnotatorMapper(model[-1], **BLEND).fit(scale(TARGET.X[ENROLLED]), ENROLLMENT)
    y = by_others(Y)
    np.testing.assert_allclose(
        whole.complete(X, y).ratings.to_dense(), part.complete(scale(X), y).ratings.to_dense(), atol=1e-6
    )


# ---------------------------------------------------------------------- who rates


def test_known_annotators_are_predicted_by_their_own_heads_and_strangers_are_warned_of(source, mapper):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known = mapper.complete(X, by_others(Y)).ratings.to_dense()
    assert np.abs(known - mapper.predict_annotators(X)).max() > 0.01
    strange = Ratings(Y.indptr, Y.codes, Y.values, annotators=[f"x{code}" for code in range(12)], outputs=Y.outputs)
    with pytest.warns(UserWarning, match="neither enrolled nor known"):
        mapper.complete(X, strange)
    options = BLEND | {"on_unknown": "raise"}
    strict = AnnotatorMapper(source, **options).fit(TARGET.X[ENROLLED], ENROLLMENT)
    with pytest.raises(ValueError, match="neither enrolled nor known"):
        strict.complete(X, strange)


def test_fine_tuned_mappers_complete(source):
    mapper = AnnotatorMapper(source, **BLEND, fine_tune="all").fit(TARGET.X[ENROLLED], ENROLLMENT)
    assert np.isfinite(mapper.complete(X, by_others(Y)).ratings.to_dense()).all()


def test_nobody_is_completed_who_is_not_trusted(source):
    options = BLEND | {"n_folds": 5, "min_expected_score": 0.99, "fallback": "nan"}
    mapper = AnnotatorMapper(source, **options).fit(TARGET.X[ENROLLED], ENROLLMENT)
    with pytest.raises(ValueError, match="not trusted"):
        mapper.complete(X, Y)
    kept = mapper.set_params(fallback="consensus").fit(TARGET.X[ENROLLED], ENROLLMENT)
    np.testing.assert_allclose(kept.complete(X, nothing()).ratings.to_dense(), kept.predict_annotators(X), atol=1e-6)


@pytest.mark.parametrize("door", ["complete", "suggest_ratings"])
def test_errors(source, mapper, door):
    with pytest.raises(NotFittedError):
        getattr(AnnotatorMapper(source), door)(X, Y)
    with pytest.raises(TypeError, match="y must be Ratings"):
        getattr(mapper, door)(X, Y.values)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        getattr(mapper, door)(X[:-1], Y)
    with pytest.raises(ValueError, match="outputs"):
        getattr(mapper, door)(X, Y.with_outputs(Y.values[:, :1], ["activation"]))


def test_the_level_is_a_probability(mapper):
    with pytest.raises(ValueError, match="level"):
        mapper.complete(X, Y, level=1.1)


# ---------------------------------------------------------------------- which ratings would tell most


def test_suggested_ratings_are_missing_ones_each_once_the_best_first(mapper):
    asked = mapper.suggest_ratings(X, Y, 30)
    assert asked.columns.tolist() == ["annotator", "sample", "gain"]
    assert not asked.duplicated(["annotator", "sample"]).any()
    given = set(zip(Y.annotators[Y.codes], Y.rows, strict=True))
    assert given.isdisjoint(zip(asked["annotator"], asked["sample"], strict=True))
    assert (asked["gain"].to_numpy() > 0).all()
    assert asked["gain"].iloc[0] == asked["gain"].max()


def test_of_equal_items_the_one_with_fewer_ratings_is_suggested(mapper):
    same = np.repeat(X[:1], 6, axis=0)
    known = SOURCE.ratings.annotators[:3]
    rated = np.where(np.arange(6)[:, None] == 4, [0.0, np.nan, np.nan], [0.0, 0.1, -0.1])
    y = Ratings.from_dense(np.repeat(rated[:, :, None], 2, axis=2), annotators=known, outputs=Y.outputs)
    assert mapper.suggest_ratings(same, y, 1)["sample"].tolist() == [4]


def test_of_equal_persons_the_one_with_fewer_ratings_is_suggested(source):
    rows, values = ENROLLMENT.of("target_000")
    frame = np.full((len(rows), 2, 2), np.nan)
    frame[:, 0], frame[:5, 1] = values, values[:5]
    y = Ratings.from_dense(frame, annotators=["many", "few"], outputs=Y.outputs)
    mapper = AnnotatorMapper(source, **BLEND).fit(TARGET.X[ENROLLED][rows], y)
    mapper._persons.deviation[:] = 1.0  # else they are not equal: the spread of few ratings is another
    none = nothing(Ratings.from_dense(np.zeros((len(X), 2, 2)), annotators=["many", "few"], outputs=Y.outputs))
    assert mapper.suggest_ratings(X, none, 1)["annotator"].tolist() == ["few"]


def test_no_more_ratings_are_suggested_than_are_missing(mapper):
    asked = mapper.suggest_ratings(X[:2], Y[:2], 24 - Y[:2].n_ratings)
    assert np.isfinite(asked["gain"]).all()
    with pytest.raises(ValueError, match="at most the number of ratings that are missing"):
        mapper.suggest_ratings(X[:2], Y[:2], 25 - Y[:2].n_ratings)
