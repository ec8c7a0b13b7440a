"""Folds: groups apart, and scores as by hand."""

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser import AnnotatorMapper
from sklearn_annoser.evaluation import FINE_TUNED, STRATEGIES, compare_folds, grouped_folds
from sklearn_annoser.evaluation._scores import tidy
from sklearn_annoser.metrics import annotator_ccc


@pytest.fixture(scope="module")
def folds(corpora, fitted):
    _, target = corpora
    model, aggregate = fitted
    return compare_folds(
        model,
        target.X,
        target.ratings,
        groups=target.groups,
        aggregate=aggregate,
        strategies=STRATEGIES | FINE_TUNED,
        enrollment=(5, "all"),
        n_folds=3,
        min_ratings=10,
        random_state=0,
    )


def test_folds_keep_groups_apart_and_test_everything_once():
    groups = np.repeat(np.arange(13), 4)
    tested = []
    for train, validation, test in grouped_folds(groups, 4, random_state=1):
        parts = [set(groups[rows]) for rows in (train, validation, test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 13
        assert len(parts[1]) == int(0.25 * (13 - len(parts[2])))
        tested += test.tolist()
    assert sorted(tested) == list(range(52))


def test_folds_are_the_same_for_every_seed_but_their_validation_is_not():
    groups = np.arange(40)
    one, other = (list(grouped_folds(groups, random_state=seed)) for seed in (0, 1))
    for (_, held, test), (_, other_held, other_test) in zip(one, other, strict=True):
        np.testing.assert_array_equal(test, other_test)
        assert held.tolist() != other_held.tolist()


def test_sessions_are_folds():
    tests = [set(np.repeat(list("abcde"), 3)[test]) for _, _, test in grouped_folds(np.repeat(list("abcde"), 3))]
    assert sorted(map(sorted, tests)) == [["a"], ["b"], ["c"], ["d"], ["e"]]


@pytest.mark.parametrize(("n_groups", "n_folds"), [(4, 5), (2, 2)])
def test_too_few_groups_for_the_folds(n_groups, n_folds):
    with pytest.raises(ValueError, match=f"{n_folds} folds need as many groups, and three at least.*are {n_groups}"):
        next(grouped_folds(np.arange(n_groups), n_folds))


def test_every_cell_of_the_folds_has_one_row(folds, corpora):
    keys = ["strategy", "fold", "n_enrollment", "level", "annotator", "output"]
    assert not folds.duplicated(keys).any()
    consensus = folds[folds["level"] != "individual"]
    assert len(consensus) == 2 * 2 * 3 * (len(STRATEGIES) * 2 + len(FINE_TUNED))
    assert set(consensus["annotator"]) == {"consensus"}
    assert set(folds.loc[folds["level"] == "individual", "annotator"]) == set(corpora[1].ratings.annotators)


def test_mapping_beats_random_in_folds(folds):
    mean = folds[folds["n_enrollment"] == "all"].groupby(["strategy", "level"])["ccc"].mean()
    assert mean["mapped", "individual"] > mean["random", "individual"] + 0.05
    assert mean["oracle", "individual"] >= mean["mapped", "individual"]
    assert mean["mapped, fine-tuned", "individual"] > mean["random", "individual"] + 0.05


def test_the_aggregate_does_not_know_the_raters(folds):
    table = folds[folds["strategy"] == "aggregate"].set_index(["fold", "n_enrollment", "output"])
    named, blind = (table.loc[table["level"] == level, "ccc"] for level in ("consensus", "consensus, blind"))
    pd.testing.assert_series_equal(named, blind, rtol=1e-4)


def test_fine_tuning_takes_the_whole_training_split(folds):
    assert set(folds.loc[folds["strategy"].isin(FINE_TUNED), "n_enrollment"]) == {"all"}


def test_a_fold_is_scored_as_by_hand(folds, corpora, fitted):
    _, target = corpora
    model, _ = fitted
    train, _, test = next(grouped_folds(target.groups, 3, random_state=np.random.RandomState(0)))
    mapper = AnnotatorMapper(model, n_bootstrap=0).fit(target.X[train], target.ratings[train])
    predicted = mapper.predict_ratings(target.X[test], target.ratings[test])
    expected = annotator_ccc(target.ratings[test], predicted)["activation"]
    rows = folds.query("strategy == 'mapped' and fold == 0 and n_enrollment == 'all' and output == 'activation'")
    found = rows[rows["level"] == "individual"].set_index("annotator")["ccc"]
    np.testing.assert_allclose(found[expected.index], expected, atol=1e-6)
    sources = rows[rows["level"] == "individual"].set_index("annotator")["source"]
    assert sources[expected.index].tolist() == mapper.mapping_.loc[expected.index, "source"].tolist()


def test_annotators_with_too_few_ratings_in_training_are_left_out(corpora, fitted):
    _, target = corpora
    counts = target.ratings.counts()
    few = counts.index[0]
    keep = np.ones(target.ratings.n_ratings, dtype=bool)
    mine = np.flatnonzero(target.ratings.annotators[target.ratings.codes] == few)
    keep[mine[12:]] = False
    ratings = target.ratings.keep_ratings(keep)
    options = {"strategies": {"mapped": ("source", {})}, "n_folds": 3, "random_state": 0}
    found = compare_folds(fitted[0], target.X, ratings, min_ratings=12, **options)
    assert few not in set(found["annotator"])
    with pytest.raises(ValueError, match="no annotator has min_ratings=10000 ratings in the training split of fold 0"):
        compare_folds(fitted[0], target.X, ratings, min_ratings=10_000, **options)


def test_the_source_is_none_where_no_single_annotator_served(folds, compared):
    for results in (folds, compared):
        served = results["source"]
        assert not any(source != source for source in served)  # no NaN
        assert all(source is None for source in served[results["strategy"] == "all heads"])
    own = folds[(folds["strategy"] == "mapped") & (folds["level"] == "individual")]
    assert own["source"].notna().all()


def test_labels_that_are_numbers_stay_whole_where_some_served_nobody():
    scores = pd.DataFrame({"valence": [0.5, 0.25]}, index=pd.Index([1, 2]))
    table = tidy(scores, pd.Series([7], index=[2]))
    assert table["source"].tolist() == [None, 7]
    assert isinstance(table["source"][1], int)
