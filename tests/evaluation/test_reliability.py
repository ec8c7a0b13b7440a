"""Forecasts against what came: tables of coverage and of risk."""

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser import AnnotatorMapper, Ratings
from sklearn_annoser.evaluation import check_forecasts, coverage_table, risk_coverage
from sklearn_annoser.metrics import annotator_ccc
from tests.planted import corpora, quick, trained

_, TARGET = corpora()


@pytest.fixture(scope="module")
def results():
    mapper = AnnotatorMapper(trained(), strategy="blend")
    return check_forecasts(mapper, TARGET.X, TARGET.ratings, enrollment=(10, 20), n_draws=3, random_state=0)


def test_there_is_a_row_for_every_forecast_and_level(results):
    n_annotators = TARGET.ratings.n_annotators
    assert len(results) == 3 * 2 * n_annotators * 2 * 3
    assert set(results["level"]) == {0.5, 0.8, 0.95}
    assert (results["low"] < results["expected"]).all()
    assert (results["expected"] < results["high"]).all()
    counts = dict(zip(TARGET.ratings.annotators, TARGET.ratings.counts(), strict=True))
    assert (results["n_unseen"] == results["annotator"].map(counts) - 20).all()


def test_levels_and_sizes_share_their_test_ratings(results):
    per_level = results.groupby(["draw", "n_enrollment", "annotator", "output"])["ccc"].nunique()
    assert (per_level == 1).all()
    widths = results.assign(width=results["high"] - results["low"]).groupby("level")["width"].mean()
    assert widths.is_monotonic_increasing


def test_forecasts_tell_good_annotators_from_bad_ones(results):
    one = results[(results["level"] == 0.8) & (results["n_enrollment"] == 20)]
    assert np.corrcoef(one["expected"], one["ccc"])[0, 1] > 0.2


def test_the_same_seed_gives_the_same_forecasts(results):
    mapper = AnnotatorMapper(trained(), strategy="blend")
    again = check_forecasts(mapper, TARGET.X, TARGET.ratings, enrollment=(10, 20), n_draws=3, random_state=0)
    pd.testing.assert_frame_equal(again, results)


def test_coverage_counts_what_the_intervals_hold():
    results = pd.DataFrame(
        {"ccc": [0.1, 0.5, 0.5, 0.9], "low": 0.4, "high": 0.6, "level": [0.5, 0.5, 0.8, 0.8], "n_enrollment": 20}
    )
    np.testing.assert_array_equal(coverage_table(results), [[0.5, 0.5]])
    assert coverage_table(results).columns.tolist() == ["0.5", "0.8"]


def test_risk_is_the_mean_of_the_most_promising():
    results = pd.DataFrame({"ccc": [0.1, 0.5, 0.3], "expected": [0.3, 0.1, 0.2], "level": 0.8})
    curve = risk_coverage(results)
    np.testing.assert_allclose(curve["coverage"], [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(curve["ccc"], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(risk_coverage(results, by="ccc")["ccc"], [0.5, 0.4, 0.3])


def test_too_few_ratings_are_refused():
    with pytest.raises(ValueError, match=r"no annotator has \d+ ratings: \d+ to enrol with and four to score on"):
        check_forecasts(AnnotatorMapper(trained()), TARGET.X, TARGET.ratings, enrollment=(5000,))
    with pytest.raises(ValueError, match="n_reserved must be >= 20, got 10"):
        check_forecasts(AnnotatorMapper(trained()), TARGET.X, TARGET.ratings, n_reserved=10)


def test_the_scores_are_those_of_the_metric():
    mapper = AnnotatorMapper(trained(), strategy="all")
    results = check_forecasts(mapper, TARGET.X, TARGET.ratings, enrollment=(1,), n_draws=1)
    predicted = trained().predict_annotators(TARGET.X).mean(axis=1)
    spread = TARGET.ratings.with_values(predicted[TARGET.ratings.rows].astype(np.float32))
    near = annotator_ccc(TARGET.ratings, spread)["activation"].to_numpy()
    mine = results[(results["output"] == "activation") & (results["level"] == 0.8)]["ccc"].to_numpy()
    np.testing.assert_allclose(mine, near, atol=0.1)  # without the one rating that enrolled


def test_annotators_without_a_ccc_are_left_out():
    values = TARGET.ratings.values.copy()
    values[TARGET.ratings.codes == 0, 0] = np.nan
    gaps = TARGET.ratings.with_values(values)
    results = check_forecasts(AnnotatorMapper(trained()), TARGET.X, gaps, n_draws=2, random_state=0)
    first = results[results["annotator"] == gaps.annotators[0]]
    assert set(first["output"]) == {gaps.outputs[1]}
    assert coverage_table(results).notna().all(axis=None)
    assert risk_coverage(results)["ccc"].notna().all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"mapper": trained()}, TypeError, "mapper must be an AnnotatorMapper, got AnnotatorMappedRegressor"),
        (
            {"mapper": AnnotatorMapper(trained(), fine_tune="all")},
            ValueError,
            "forecasts are of mappings: the mapper's fine_tune must be None, got 'all'",
        ),
        ({"n_draws": 0}, ValueError, "n_draws must be >= 1, got 0"),
        ({"enrollment": 2.7}, TypeError, "enrollment must be an integer, got 2.7"),
        ({"levels": 1.5}, ValueError, "levels must be .* <= 1, got 1.5"),
        ({"X": TARGET.X[:-1]}, ValueError, "inconsistent numbers of samples"),
        ({"ratings": TARGET.ratings.values}, TypeError, "ratings must be Ratings, got ndarray"),
        (
            {"ratings": TARGET.ratings.with_outputs(TARGET.ratings.values[:, ::-1], ["valence", "arousal"])},
            ValueError,
            "'valence' is where 'activation' should be",
        ),
    ],
)
def test_bad_input_is_refused(change, error, message):
    given = {"mapper": AnnotatorMapper(trained()), "X": TARGET.X, "ratings": TARGET.ratings} | change
    with pytest.raises(error, match=message):
        check_forecasts(**given)


def test_ratings_on_another_scale_are_refused():
    own, other = (
        Ratings.from_rows(TARGET.ratings.consensus().clip(*scale), "ann", scale=scale) for scale in ((-1, 1), (1, 7))
    )
    with pytest.raises(ValueError, match=r"ratings are on the scale .*rescaled"):
        check_forecasts(AnnotatorMapper(quick(max_epochs=1).fit(TARGET.X, own)), TARGET.X, other)


def test_a_single_level_will_do():
    results = check_forecasts(
        AnnotatorMapper(trained()), TARGET.X, TARGET.ratings, n_draws=1, levels=0.8, random_state=0
    )
    assert set(results["level"]) == {0.8}
