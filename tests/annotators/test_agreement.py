"""Agreement: published examples, plain twins, and what was planted."""

import sys
from fractions import Fraction
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from sklearn_annoser import Ratings
from sklearn_annoser.annotators import MEASURES, agreement_table, annotator_agreement, pairwise_ccc
from tests import oracles
from tests.annotators.gaps import alone, one_output_unrated, with_gaps
from tests.cases import CASES, dense, one_annotator

CCC_ICC = MEASURES[:4]
LEVELS = ("interval", "ordinal", "nominal")
# Shrout and Fleiss (1979), table 2: six targets by four judges; table 4: ICC(1,1) = .17, ICC(1,4) = .44.
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def measured(ratings, measure, **settings):
    """Return the value of one measure of the first output."""
    table = agreement_table(ratings, measures=[measure], **({"n_bootstrap": 0, "min_common": 2} | settings))
    return table.loc[ratings.outputs[0], "value"].loc[measure]


def samples_of(ratings, output=0):
    """Return the values of each sample as plain lists."""
    ends = zip(ratings.indptr[:-1], ratings.indptr[1:], strict=True)
    return [ratings.values[start:end, output].tolist() for start, end in ends]


# ---------------------------------------------------------------------- twins


def plain_icc(samples, average):
    """One-way random ICC from sums of squares, one rating after the other."""
    samples = [sample for sample in samples if sample]
    everything = [value for sample in samples for value in sample]
    n, total = len(samples), len(everything)
    grand = sum(everything) / total
    between = sum(len(sample) * (sum(sample) / len(sample) - grand) ** 2 for sample in samples) / (n - 1)
    within = sum((v - sum(sample) / len(sample)) ** 2 for sample in samples for v in sample) / (total - n)
    k = (total - sum(len(sample) ** 2 for sample in samples) / total) / (n - 1)
    return (between - within) / (between if average else between + (k - 1) * within)


def plain_alpha(samples, level):
    """Krippendorff's alpha as printed: observed over expected disagreement of pairs of values."""
    samples = [sample for sample in samples if len(sample) > 1]
    everything = sorted(value for sample in samples for value in sample)

    def difference(a, b):
        if level == "nominal":
            return a != b
        if level == "interval":
            return (a - b) ** 2
        low, high = min(a, b), max(a, b)
        between = sum(low <= value <= high for value in everything)
        return (between - (everything.count(low) + everything.count(high)) / 2) ** 2 if low != high else 0

    n = len(everything)
    observed = sum(
        difference(sample[i], sample[j]) / (len(sample) - 1)
        for sample in samples
        for i in range(len(sample))
        for j in range(len(sample))
        if i != j
    )
    expected = sum(difference(a, b) for i, a in enumerate(everything) for j, b in enumerate(everything) if i != j)
    return 1 - (n - 1) * observed / expected


MANY = {name: ratings for name, ratings in CASES.items() if (np.diff(ratings.indptr) > 1).sum() > 1}


def test_icc_is_that_of_shrout_and_fleiss():
    ratings = Ratings.from_dense(JUDGES)
    assert round(measured(ratings, "icc_single"), 2) == 0.17
    assert round(measured(ratings, "icc_average"), 2) == 0.44
    # Between: 56.208 / 5 = 11.242; within: 112.75 / 18 = 6.264.
    assert measured(ratings, "icc_average") == pytest.approx(1 - (112.75 / 18) / (56.2083333333 / 5))


@pytest.mark.parametrize("name", MANY)
def test_icc_and_alpha_are_those_of_plain_twins(name):
    ratings = MANY[name]
    samples = samples_of(ratings)
    for level in LEVELS:
        assert measured(ratings, f"alpha_{level}") == pytest.approx(plain_alpha(samples, level), rel=1e-10)
    assert measured(ratings, "icc_single") == pytest.approx(plain_icc(samples, average=False), rel=1e-10)
    assert measured(ratings, "icc_average") == pytest.approx(plain_icc(samples, average=True), rel=1e-10)


def drawn(seed):
    """Draw ratings of two outputs with gaps, ties and samples that nobody rated, on a scale of its own."""
    rng = np.random.default_rng(seed)
    shape = (rng.integers(2, 9), rng.integers(2, 6), 2)
    values = rng.integers(rng.integers(2, 8), size=shape) * rng.choice([0.1, 1.0, 250.0]) + rng.choice([-3.0, 0.0, 1e6])
    values[rng.random(shape) < rng.choice([0.0, 0.3, 0.6])] = np.nan
    values[rng.random(shape[:2]) < rng.choice([0.0, 0.3])] = np.nan
    return Ratings.from_dense(values, outputs=["activation", "valence"])


def or_nan(measure, *args):
    """Return a measure, NaN if there is nothing to divide by."""
    try:
        return float(measure(*args))
    except ZeroDivisionError:
        return np.nan


@pytest.mark.parametrize("seeds", [range(0, 25), range(25, 50)])
def test_agreement_on_drawn_ratings_is_that_of_plain_twins(seeds):
    n_measured = 0
    for seed in seeds:
        ratings = drawn(seed)
        table = agreement_table(ratings, measures=[*MEASURES, "alpha_nominal"], n_bootstrap=0)["value"]
        for output, name in enumerate(ratings.outputs):
            samples = [[Fraction(each) for each in sample if each == each] for sample in samples_of(ratings, output)]
            expected = {f"alpha_{level}": or_nan(plain_alpha, samples, level) for level in LEVELS}
            expected["icc_single"] = or_nan(plain_icc, samples, False)
            expected["icc_average"] = or_nan(plain_icc, samples, True)
            found = table.loc[name].loc[list(expected)].to_numpy()
            assert found == pytest.approx(list(expected.values()), rel=1e-6, abs=1e-7, nan_ok=True), seed
            n_measured += np.isfinite(found).sum()
    assert n_measured > 5 * len(seeds)  # of ten


@pytest.mark.parametrize("name", MANY)
def test_pairs_are_those_of_a_double_loop(name):
    ratings = MANY[name]
    table = pairwise_ccc(ratings, min_common=3).set_index(["annotator", "other"])
    expected = {}
    for one, other in combinations(ratings.annotators.tolist(), 2):
        (rows, values), (others, theirs) = ratings.of(one), ratings.of(other)
        common, mine, their = np.intersect1d(rows, others, return_indices=True)
        if len(common) >= 3:
            first, second = values.reshape(len(values), -1)[mine], theirs.reshape(len(theirs), -1)[their]
            expected[one, other] = [len(common), *(oracles.ccc(a, b) for a, b in zip(first.T, second.T, strict=True))]
    assert table.index.tolist() == list(expected)
    assert_allclose(table.to_numpy(), np.array(list(expected.values())).reshape(table.shape), rtol=1e-10, atol=1e-12)
    assert measured(ratings, "pairwise_ccc", min_common=3) == pytest.approx(
        table[ratings.outputs[0]].mean(), nan_ok=True
    )


@pytest.mark.parametrize("name", MANY)
def test_the_others_are_those_of_a_loop(name):
    ratings = MANY[name]
    table = annotator_agreement(ratings)
    long = ratings.with_values(ratings.values.astype(np.float64)).to_long()
    for who, line in table.iterrows():
        pairs = []
        for sample, value in long.loc[long["annotator"] == who, ["sample", ratings.outputs[0]]].to_numpy():
            others = long.loc[(long["sample"] == sample) & (long["annotator"] != who), ratings.outputs[0]]
            pairs += [(value, others.mean())] if len(others) else []
        assert line["n_ratings"] == len(pairs)
        if len(pairs) > 1:
            assert line[ratings.outputs[0]] == pytest.approx(oracles.ccc(*zip(*pairs, strict=True)), abs=1e-10)
    enough = table.loc[table["n_ratings"] >= 2, ratings.outputs[0]]
    assert measured(ratings, "others_ccc") == pytest.approx(enough.mean(), abs=1e-10)


# ---------------------------------------------------------------------- laws


def noisy(n_samples, n_annotators, noise, seed, n_outputs=1):
    """Ratings of a truth of variance 1 with noise; everybody rated everything."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n_samples, 1, n_outputs))
    return Ratings.from_dense(truth + noise * rng.normal(size=(n_samples, n_annotators, n_outputs)))


def test_perfect_agreement_is_1_and_noise_is_0():
    truth = np.arange(20.0)[:, None].repeat(3, axis=1)
    assert_allclose(agreement_table(Ratings.from_dense(truth), n_bootstrap=0)["value"], 1)
    noise = np.random.default_rng(0).normal(size=(2000, 4))
    assert_allclose(agreement_table(Ratings.from_dense(noise), n_bootstrap=0)["value"], 0, atol=0.06)


def test_half_of_the_variance_is_an_agreement_of_a_half():
    # Truth and noise of variance 1: correlation, ICC(1) and alpha 1 / 2; of the mean of 4, 1 / (1 + 1 / 4) = 0.8; with
    # the mean of the 3 others the covariance is 1, the variances are 2 and 4 / 3: CCC 2 / (10 / 3) = 0.6.
    table = agreement_table(noisy(4000, 4, 1.0, 0), n_bootstrap=0)["value"].droplevel(0)
    expected = dict(zip(MEASURES, [0.5, 0.6, 0.5, 0.8, 0.5, 0.5], strict=True))
    for measure, value in expected.items():
        assert table[measure] == pytest.approx(value, abs=0.04), measure


def test_many_different_ratings_are_rounded_for_alpha_without_harm():
    ratings = noisy(1000, 3, 0.7, 0)
    exact = plain_icc(samples_of(ratings), average=False)  # alpha differs from it by about 1 / n_samples
    assert measured(ratings, "alpha_interval") == pytest.approx(exact, abs=0.01)


def test_of_many_samples_alpha_takes_some(monkeypatch):
    monkeypatch.setattr("sklearn_annoser.annotators._agreement.MAX_CELLS", 25 * 40)
    table = agreement_table(dense(200, 3), measures=["alpha_interval", "icc_single"], n_bootstrap=0, random_state=0)
    assert table["n"].tolist() == [40, 200]


def test_each_output_is_measured_by_itself():
    both = agreement_table(dense(30, 4, n_outputs=2), random_state=0, n_bootstrap=5)
    assert both.index.get_level_values(0).unique().tolist() == ["rating_0", "rating_1"]
    one = dense(30, 4, n_outputs=2).values[:, 1]
    alone = agreement_table(Ratings.from_dense(one.reshape(30, 4)), random_state=0, n_bootstrap=5)
    assert_allclose(both.loc["rating_1"].to_numpy(), alone.loc["rating"].to_numpy())


def test_the_seed_decides_and_samples_without_ratings_do_not_matter():
    ratings = CASES["empty_rows"]
    rated = ratings[np.diff(ratings.indptr) > 0]
    one, other = (agreement_table(each, min_common=2, n_bootstrap=20, random_state=3) for each in (ratings, rated))
    pd.testing.assert_frame_equal(one, other)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    expected = dict(zip(CCC_ICC, [0.5, 0.6, 0.5, 0.8], strict=True))
    inside = []
    for seed in range(60):
        table = agreement_table(noisy(100, 4, 1.0, seed), measures=CCC_ICC, n_bootstrap=60, random_state=0).droplevel(0)
        inside.append([table["low"][name] < value < table["high"][name] for name, value in expected.items()])
    assert (np.mean(inside, axis=0) > 0.85).all()  # 0.95 less three standard errors


def test_nothing_to_measure_is_nan():
    table = agreement_table(one_annotator(), n_bootstrap=3, random_state=0)
    assert table[["value", "low", "high"]].isna().all(axis=None)
    assert table.loc[("rating", "pairwise_ccc"), "n"] == 0
    constant = agreement_table(Ratings.from_dense(np.ones((12, 3))), measures=MEASURES[2:], n_bootstrap=0)
    assert constant["value"].isna().all()
    assert pairwise_ccc(one_annotator()).empty


# ---------------------------------------------------------------------- doors


def test_errors_say_what_is_expected():
    ratings = dense()
    for function in (agreement_table, pairwise_ccc, annotator_agreement):
        with pytest.raises(TypeError, match="ratings must be Ratings, got ndarray"):
            function(np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"measures must be one of \['pairwise_ccc', .*\], got 'kappa'"):
        agreement_table(ratings, measures=["kappa"])
    with pytest.raises(ValueError, match="min_common must be >= 2, got 1"):
        pairwise_ccc(ratings, min_common=1)
    with pytest.raises(ValueError, match="no sample has two ratings"):
        annotator_agreement(one_annotator())


def test_classes_have_no_order_and_no_distance():
    dense = np.random.RandomState(0).choice(["angry", "happy", "sad"], (40, 4))
    dense[:, 1] = dense[:, 0]
    for order in (["angry", "happy", "sad"], ["sad", "angry", "happy"]):
        table = agreement_table(Ratings.from_dense(dense, classes=order), n_bootstrap=0)
        assert table.index.tolist() == [("rating", "alpha_nominal")]
        assert table["value"].item() == pytest.approx(plain_alpha(dense.tolist(), "nominal"), rel=1e-10)
    ids = Ratings.from_dense(np.random.RandomState(0).randint(50, size=(40, 3)), classes=True)  # more than alpha rounds
    assert measured(ids, "alpha_nominal") == pytest.approx(plain_alpha(ids.to_dense().tolist(), "nominal"), rel=1e-10)
    for measure in MEASURES:
        with pytest.raises(ValueError, match=r"measures must be one of \['alpha_nominal'\], got"):
            agreement_table(ids, measures=[measure])
    for function in (pairwise_ccc, annotator_agreement):
        with pytest.raises(TypeError, match="must be ratings that are numbers, got Ratings of the classes"):
            function(ids)


def test_classes_may_be_thousands():
    words = np.random.RandomState(0).randint(5000, size=(3000, 3))
    words[:1000, 1] = words[:1000, 0]
    table = agreement_table(Ratings.from_dense(words, classes=True), n_bootstrap=0)
    assert table["n"].item() == 3000
    assert table["value"].item() == pytest.approx(1 / 9, abs=0.01)  # of the three pairs of a third of the samples, one


def test_without_krippendorff_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    with pytest.raises(ImportError, match=r"pip install 'sklearn-annoser\[agreement\]'"):
        agreement_table(dense())
    assert len(agreement_table(dense(), measures=CCC_ICC, n_bootstrap=0)) == 4


# ---------------------------------------------------------------------- outputs that were not rated


@pytest.mark.parametrize("name", ["activation", "valence"])
def test_each_output_is_measured_on_what_was_rated_of_it(name):
    ratings = with_gaps()
    own = alone(ratings, name)
    own = own[np.diff(own.indptr) > 0]
    options = {"n_bootstrap": 0, "random_state": 0, "min_common": 5}
    table = agreement_table(ratings, **options).loc[[name]]
    pd.testing.assert_frame_equal(table, agreement_table(own, **options))
    assert table["value"].notna().all()
    found, expected = annotator_agreement(ratings)[name], annotator_agreement(own)[name]
    pd.testing.assert_series_equal(found, expected)
    pairs = pairwise_ccc(ratings, min_common=5).set_index(["annotator", "other"])[name]
    expected = pairwise_ccc(own, min_common=5).set_index(["annotator", "other"])[name]
    np.testing.assert_allclose(pairs.dropna(), expected.loc[pairs.dropna().index])
    assert len(pairs.dropna()) == len(expected)


def test_an_output_that_nobody_rated_is_nan():
    ratings = one_output_unrated()
    table = agreement_table(ratings, measures=[*MEASURES, "alpha_nominal"], n_bootstrap=3)
    assert table.loc["valence", ["value", "low"]].isna().all(axis=None)
    assert table.loc["activation", "value"].notna().all()
    assert annotator_agreement(ratings)["valence"].isna().all()
    assert pairwise_ccc(ratings)["valence"].isna().all()


@pytest.mark.parametrize("value", [0.1, 1.0])
def test_equal_ratings_agree_about_nothing(value):
    table = agreement_table(Ratings.from_dense(np.full((20, 3), value)), n_bootstrap=0)
    assert table.loc[[("rating", "icc_single"), ("rating", "icc_average")], "value"].isna().all()


def test_names_of_columns_are_refused():
    with pytest.raises(ValueError, match=r"must not be called \['other'\]"):
        pairwise_ccc(Ratings.from_dense(np.ones((3, 2, 1)), outputs=["other"]), min_common=2)
