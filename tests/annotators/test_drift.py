"""Drift: against scipy's slopes, and what was planted."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from sklearn_annoser import Ratings
from sklearn_annoser.annotators import annotator_drift
from tests.annotators.gaps import alone, one_output_unrated, with_gaps
from tests.cases import dense, ragged


def test_a_slope_is_that_of_scipy_from_first_to_last():
    ratings = dense(60, 4)
    table = annotator_drift(ratings, min_ratings=5)
    values = ratings.to_dense()
    for code in range(4):
        others = np.delete(values, code, axis=1).mean(axis=1)
        expected = stats.linregress(np.linspace(0, 1, 60), values[:, code] - others)
        assert table["slope"][code] == pytest.approx(expected.slope)
        error = (table["high"][code] - table["low"][code]) / 2 / stats.t.ppf(0.975, 33)
        assert error == pytest.approx(expected.stderr, rel=0.3)  # the jackknife's, and its degrees of freedom
    assert_allclose(table["p_corrected"], stats.false_discovery_control(table["p"]))


def test_the_error_is_that_of_leaving_each_group_out():
    ratings, groups = dense(40, 3), np.repeat(np.arange(8), 5)
    table = annotator_drift(ratings, groups=groups, min_ratings=8)
    values = ratings.to_dense()
    x, y = np.linspace(0, 1, 40), values[:, 0] - values[:, 1:].mean(axis=1)
    slopes = np.array([stats.linregress(x[groups != g], y[groups != g]).slope for g in range(8)])
    whole = stats.linregress(x, y).slope
    squares = np.array([((x[groups == g] - x.mean()) ** 2).sum() for g in range(8)])
    df = squares.sum() ** 2 / (squares**2).sum() - 1
    error = np.sqrt(7 / 8 * ((slopes - whole) ** 2).sum())
    assert table["high"][0] - table["slope"][0] == pytest.approx(stats.t.ppf(0.975, df) * error)
    assert table["p"][0] == pytest.approx(2 * stats.t.sf(abs(whole) / error, df))


def crowd(n_samples, n_annotators, n_raters, seed, drift=0.0):
    """Ratings in the order of the samples by a crowd whose first member drifts by `drift` from first to last."""
    rng = np.random.default_rng(seed)
    who = rng.random((n_samples, n_annotators)).argsort(axis=1) < n_raters
    values = rng.normal(size=(n_samples, 1)) + 0.7 * rng.normal(size=(n_samples, n_annotators))
    values[:, 0] += drift * np.linspace(0, 1, n_samples)
    return Ratings.from_dense(np.where(who, values, np.nan))


def test_a_planted_drift_is_found_and_only_that():
    table = annotator_drift(crowd(600, 30, 6, 0, drift=1.5))
    assert table.loc[table["drifts"], "annotator"].tolist() == [0]
    assert table["low"][0] < 1.5 < table["high"][0]


def test_without_drift_chance_finds_one_as_rarely_as_it_says():
    found = [annotator_drift(crowd(200, 12, 5, seed))["drifts"].any() for seed in range(100)]
    assert np.mean(found) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)


def test_correlation_within_groups_is_no_drift():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    found = {"with": [], "without": []}
    for _ in range(20):
        taste = rng.normal(size=(40, 5))[groups]
        ratings = Ratings.from_dense(taste + rng.normal(size=(400, 5)))
        found["with"].append(annotator_drift(ratings, groups=groups)["drifts"].any())
        found["without"].append(annotator_drift(ratings)["drifts"].any())
    assert np.mean(found["with"]) <= 0.2 < 0.6 < np.mean(found["without"])


def test_the_order_may_be_of_ratings_of_samples_or_times():
    ratings = ragged(60, 4, seed=2)
    by_sample = np.random.default_rng(0).permutation(60)
    one = annotator_drift(ratings, by_sample, min_ratings=5)
    other = annotator_drift(ratings, by_sample[ratings.rows] * 10.0, min_ratings=5)
    times = pd.Timestamp("2020-01-01") + pd.to_timedelta(by_sample, unit="D")
    pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(one, annotator_drift(ratings, times, min_ratings=5))
    back = annotator_drift(ratings, -by_sample, min_ratings=5)
    assert_allclose(back["slope"], -one["slope"])
    sorted_samples = annotator_drift(ratings[np.argsort(by_sample)], min_ratings=5)
    assert_allclose(sorted_samples["slope"], one["slope"])


def test_what_has_no_slope_has_p_1_and_what_has_no_error_is_certain():
    at_once = annotator_drift(dense(40, 3), np.zeros(40))
    assert at_once["slope"].isna().all()
    assert (at_once["p_corrected"] == 1).all()
    values = np.zeros((40, 2))
    assert (annotator_drift(Ratings.from_dense(values))["p"] == 1).all()
    assert annotator_drift(dense(12, 3)).empty
    assert annotator_drift(dense(12, 3)).columns.tolist() == at_once.columns.tolist()


def test_nobody_drifts_alone():
    assert annotator_drift(Ratings.from_rows(np.arange(40.0), "ann")).empty


@pytest.mark.parametrize(
    "as_given",
    [
        lambda times: times,
        lambda times: list(times.to_pydatetime()),
        lambda times: times.astype(object).to_numpy(),
        pd.Series,
    ],
)
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_times_sort_in_whatever_form_they_come(zone, as_given):
    ratings = Ratings.from_dense(np.random.default_rng(0).normal(size=(60, 3)))
    times = pd.date_range("2024-10-26", periods=60, freq="h", tz=zone)[::-1]  # an hour comes twice in Berlin
    expected = annotator_drift(ratings, np.arange(60)[::-1])
    pd.testing.assert_frame_equal(annotator_drift(ratings, as_given(times)), expected)


@pytest.mark.parametrize("name", ["activation", "valence"])
def test_each_output_drifts_by_what_was_rated_of_it(name):
    ratings = with_gaps()
    own = alone(ratings, name)
    own = own[np.diff(own.indptr) > 0]
    found, expected = (annotator_drift(some, min_ratings=10) for some in (ratings, own))
    found = found[found["output"] == name].reset_index(drop=True)
    columns = ["annotator", "n_ratings", "slope", "low", "high", "p"]
    pd.testing.assert_frame_equal(found[columns], expected[columns])
    assert found["p"].lt(1).all()


def test_an_output_that_nobody_rated_does_not_drift():
    assert set(annotator_drift(one_output_unrated())["output"]) == {"activation"}


def test_errors_say_what_is_expected():
    ratings = dense()
    with pytest.raises(TypeError, match="ratings must be Ratings, got ndarray"):
        annotator_drift(np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"order must have one value for each of the 48 ratings, or of the 12 samples"):
        annotator_drift(ratings, np.arange(5))
    with pytest.raises(ValueError, match="groups must have one label for each of the 12 samples, got 5"):
        annotator_drift(ratings, groups=np.arange(5))
    with pytest.raises(ValueError, match="min_ratings must be >= 4, got 3"):
        annotator_drift(ratings, min_ratings=3)


def test_missing_times_are_refused():
    ratings = with_gaps()
    times = np.full(len(ratings), np.datetime64("2024-01-01"))
    times[3] = np.datetime64("NaT")
    with pytest.raises(ValueError, match=r"1 of 60 are missing \(NaT\)"):
        annotator_drift(ratings, times)
