"""The regressor: planted truth, what fit takes and leaves, random numbers, copies."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_annoser import AnnotatorMappedRegressor, Ratings
from sklearn_annoser.metrics import annotator_ccc, ccc_score
from tests.estimators.cases import CONSENSUS, RATINGS, SOURCE, TARGET, X, enrollment
from tests.planted import REST, quick, ratings_of

# ---------------------------------------------------------------------- planted truth


def test_the_selected_annotator_is_of_the_type_of_the_new_one(model):
    types = dict(zip(SOURCE.ratings.annotators, SOURCE.types, strict=True))
    chosen = [model.select_annotator(*enrollment(name, 40)) for name in TARGET.ratings.annotators]
    hits = [types[label] == own for label, own in zip(chosen, TARGET.types, strict=True)]
    assert np.mean(hits) >= 0.8  # of three types a random choice hits a third


def test_a_selected_annotator_predicts_better_than_all_heads_and_than_random_ones(model):
    scores = {"joint": [], "all": [], "random": []}
    for strategy in scores:
        for name in TARGET.ratings.annotators:
            model.select_annotator(*enrollment(name, 40), strategy=strategy, n_bootstrap=0)
            features, values = ratings_of(TARGET, name, REST)
            scores[strategy].append(ccc_score(values, model.predict(features)))
    means = {strategy: np.mean(each) for strategy, each in scores.items()}
    assert means["joint"] > means["all"] + 0.1
    assert means["joint"] > means["random"] + 0.1


def test_a_source_annotator_enrolled_again_is_found(model):
    assert model.select_annotator(*ratings_of(SOURCE, "source_003")) == "source_003"


def test_every_annotator_is_predicted_better_by_their_own_head_than_by_the_consensus(model):
    own = annotator_ccc(SOURCE.ratings, model.predict_ratings(SOURCE.X, SOURCE.ratings))
    everyone = annotator_ccc(SOURCE.ratings, model.predict(SOURCE.X))
    assert (own["activation"] > everyone["activation"]).mean() > 0.8


# ---------------------------------------------------------------------- what fit takes, and leaves


def test_fit_leaves_the_documented_attributes(model):
    assert model.annotators_.tolist() == SOURCE.ratings.annotators.tolist()
    assert model.outputs_ == ("activation", "valence")
    assert model.heads_.shape == (12, 2, 33)
    assert model.heads_.dtype == np.float64  # ratings may be far from zero
    assert model.n_features_in_ == 16
    assert model.n_iter_ == len(model.history_) <= 60
    assert {"epoch", "train_loss", "valid_loss"} <= set(model.history_.columns)
    assert model.selected_annotator_ is None
    assert not hasattr(model, "feature_names_in_")
    assert not hasattr(model, "selection_")


def test_one_rating_a_sample_by_annotators_is_the_same_as_ratings():
    annotators = np.array(["ann", "bob"])[np.arange(200) % 2]
    by_rows = quick().fit(X, CONSENSUS, annotators=annotators)
    by_ratings = quick().fit(X, Ratings.from_rows(CONSENSUS, annotators))
    assert by_rows.annotators_.tolist() == ["ann", "bob"]
    np.testing.assert_array_equal(by_rows.heads_, by_ratings.heads_)


@pytest.mark.parametrize("shape", [(200,), (200, 1), (200, 2)])
def test_a_plain_array_is_learned_as_the_consensus_and_predicted_in_its_shape(shape):
    y = CONSENSUS.ravel()[: np.prod(shape)].reshape(shape)
    model = quick().fit(X, y)
    assert model.annotators_.tolist() == ["consensus"]
    assert model.predict(X).shape == shape


@pytest.mark.parametrize("convert", [list, lambda a: a.tolist(), pd.DataFrame, np.asfortranarray, np.float16])
def test_features_and_ratings_of_any_kind_give_the_same_fit(convert):
    rough = np.round(X, 2).astype(np.float16).astype(np.float32)
    expected = quick().fit(rough, CONSENSUS).predict(rough)
    np.testing.assert_array_equal(quick().fit(convert(rough), CONSENSUS).predict(convert(rough)), expected)


def test_a_data_frame_names_features_and_outputs():
    frame = pd.DataFrame(X).add_prefix("f")
    y = pd.DataFrame(CONSENSUS, columns=["arousal", "valence"])
    model = quick().fit(frame, y)
    assert model.feature_names_in_.tolist() == frame.columns.tolist()
    assert model.outputs_ == ("arousal", "valence")
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"f0": "other"}))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)


@pytest.mark.parametrize(
    ("variant", "annotators"),
    [
        ("individual", RATINGS.annotators.tolist()),
        ("individual+consensus", RATINGS.annotators.tolist()),
        ("individual+variance", RATINGS.annotators.tolist()),
        ("individual+consensus+variance", RATINGS.annotators.tolist()),
        ("aggregate", ["consensus"]),
    ],
)
def test_each_variant_has_the_heads_it_promises(variant, annotators):
    model = quick(variant=variant).fit(X, RATINGS)
    assert model.annotators_.tolist() == annotators
    assert model.heads_.shape == (len(annotators), 2, 17)
    assert model.predict(X).shape == (200, 2)
    if variant.endswith("+variance"):
        assert model.variance_heads_.shape == model.heads_.shape
        assert np.isfinite(model.variance_heads_).all()
    else:
        assert model.variance_heads_ is None


def test_without_a_selection_the_mean_of_all_heads_or_the_consensus_head_is_predicted():
    individual, both = (quick(variant=variant).fit(X, RATINGS) for variant in ("individual", "individual+consensus"))
    np.testing.assert_allclose(individual.predict(X), individual.predict_annotators(X).mean(axis=1), atol=1e-5)
    consensus = both.net_.predict_annotators(X)[:, -1] * both._unit_scale.half + both._unit_scale.centre
    np.testing.assert_allclose(both.predict(X), consensus, atol=1e-5)
    assert np.abs(both.predict(X) - both.predict_annotators(X).mean(axis=1)).max() > 1e-3


def test_samples_without_a_rating_change_nothing_without_a_validation_split():
    gaps = RATINGS.keep_ratings(RATINGS.rows % 7 > 0)
    rated = gaps.counts("sample").to_numpy() > 0
    holes = quick(early_stopping=False).fit(X, gaps)
    dense = quick(early_stopping=False).fit(X[rated], gaps[rated])
    assert 0 < rated.sum() < 200
    np.testing.assert_array_equal(holes.heads_, dense.heads_)


def test_a_fit_on_sliced_ratings_is_a_fit_on_those_rows():
    rows = np.random.RandomState(0).permutation(200)[:120]
    table = RATINGS.to_long().set_index("sample").loc[rows].reset_index()
    expected = Ratings.from_long(table, outputs=list(RATINGS.outputs), samples=rows)
    np.testing.assert_array_equal(quick().fit(X[rows], RATINGS[rows]).heads_, quick().fit(X[rows], expected).heads_)


def test_the_order_of_the_annotators_does_not_matter():
    permuted = np.random.RandomState(0).permutation(RATINGS.n_annotators)
    place = np.argsort(permuted)
    ratings = Ratings(
        RATINGS.indptr,
        place[RATINGS.codes],
        RATINGS.values,
        annotators=RATINGS.annotators[permuted],
        outputs=RATINGS.outputs,
    )
    one, other = quick().fit(X, RATINGS), quick().fit(X, ratings)
    assert other.annotators_.tolist() == RATINGS.annotators[permuted].tolist()
    expected = one.predict_annotators(X)
    np.testing.assert_allclose(other.predict_annotators(X, one.annotators_), expected, atol=1e-3)


def test_predictions_are_on_the_scale_of_the_ratings():
    low, high = RATINGS.values.min(), RATINGS.values.max()
    likert = RATINGS.with_values(1 + 6 * (RATINGS.values - low) / (high - low))
    declared = Ratings(
        likert.indptr,
        likert.codes,
        likert.values.clip(1, 7),
        annotators=likert.annotators,
        outputs=likert.outputs,
        scale=(1, 7),
    )
    predicted = quick(max_epochs=40).fit(X, declared).predict_ratings(X, declared)
    assert 3 < predicted.values.mean() < 5
    assert (predicted.values > 0).mean() > 0.99
    assert (predicted.values < 8).mean() > 0.99


@pytest.mark.parametrize(("slope", "offset"), [(0.01, 0), (10, 300), (2, -5)])
def test_stretched_and_shifted_ratings_give_stretched_and_shifted_predictions(slope, offset):
    plain, moved = (
        quick().fit(X, ratings) for ratings in (RATINGS, RATINGS.with_values(RATINGS.values * slope + offset))
    )
    expected = plain.predict_annotators(X) * slope + offset
    np.testing.assert_allclose(moved.predict_annotators(X), expected, rtol=1e-3, atol=1e-2 * slope)


def test_only_annotators_with_enough_ratings_in_the_training_split_have_a_head():
    kept = np.ones(RATINGS.n_ratings, dtype=bool)
    kept[np.flatnonzero(RATINGS.codes == 3)[4:]] = False  # four ratings are left to source_003
    thin = RATINGS.keep_ratings(kept)
    heads = [
        quick(min_ratings=minimum, validation_fraction=0.5).fit(X, thin).annotators_.tolist() for minimum in (1, 4)
    ]
    assert "source_003" in heads[0]
    assert "source_003" not in heads[1]  # some of the four are validation ratings


@pytest.mark.parametrize("early_stopping", [True, False])
def test_fitting_again_starts_anew(early_stopping):
    model = quick(early_stopping=early_stopping, min_ratings=60 if early_stopping else 85).fit(X, RATINGS)
    annotators, heads = model.annotators_, model.heads_
    model.partial_fit(X, RATINGS).fit(X, RATINGS)
    assert 0 < len(annotators) < RATINGS.n_annotators
    assert model.annotators_.tolist() == annotators.tolist()
    np.testing.assert_array_equal(model.heads_, heads)


def test_no_group_is_in_both_training_and_validation():
    seen = {}

    class Spy(Callback):
        def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            seen.update(train=dataset_train.rows, valid=dataset_valid.rows)

    groups = np.array(["a", "b", "c", "d"])[np.arange(200) % 4]
    quick(callbacks=[Spy()], max_epochs=1).fit(X, RATINGS, groups=groups)
    assert len(seen["valid"]) == 50
    assert not set(groups[seen["train"]]) & set(groups[seen["valid"]])


def test_early_stopping_keeps_the_weights_of_the_best_epoch():
    model = quick(max_epochs=30, patience=3, lr=0.2).fit(X, RATINGS)
    best = model.history_["valid_loss"].idxmin()
    assert model.n_iter_ == best + 1 + 3 < 30
    again = quick(max_epochs=int(best) + 1, patience=3, lr=0.2).fit(X, RATINGS)
    np.testing.assert_allclose(model.heads_, again.heads_, atol=1e-6)


def test_without_early_stopping_all_epochs_are_trained_on_everything():
    model = quick(early_stopping=False).fit(X, RATINGS)
    assert model.n_iter_ == 4
    assert "valid_loss" not in model.history_


# ---------------------------------------------------------------------- random numbers, side effects, copies


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    one, same, other = (quick(random_state=seed).fit(X, RATINGS).predict(X) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_a_random_state_instance_is_drawn_from():
    rng = np.random.RandomState(0)
    one, other = (quick(random_state=rng).fit(X, RATINGS).predict(X) for _ in range(2))
    assert np.abs(one - other).max() > 1e-3


def test_the_global_random_numbers_are_left_alone():
    model = quick()
    np.random.seed(5)  # noqa: NPY002 - the global numbers are what is tested
    torch.manual_seed(5)
    expected = np.random.random(), torch.rand(1)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    model.fit(X, RATINGS).partial_fit(X, RATINGS)
    model.select_annotator(*enrollment(), strategy="random")
    assert (np.random.random(), torch.rand(1)) == expected  # noqa: NPY002


def test_the_global_random_numbers_do_not_change_a_fit():
    torch.manual_seed(1)
    one = quick().fit(X, RATINGS).predict(X)
    torch.manual_seed(2)
    np.testing.assert_array_equal(quick().fit(X, RATINGS).predict(X), one)


def test_memory_mapped_features_are_read_and_not_written(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = quick().fit(mapped, RATINGS)
    np.testing.assert_array_equal(model.predict(mapped), quick().fit(X, RATINGS).predict(X))
    np.testing.assert_array_equal(np.load(tmp_path / "X.npy"), X)


@pytest.mark.parametrize("copied", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy], ids=["pickle", "deepcopy"])
def test_a_copy_predicts_the_same_keeps_the_selection_and_trains_on_its_own(copied):
    model = quick(verbose=1).fit(X, RATINGS)
    model.select_annotator(*enrollment(), calibration="affine")
    twin = copied(model)
    before = model.predict(X)
    np.testing.assert_array_equal(twin.predict(X), before)
    assert twin.selected_annotator_ == model.selected_annotator_
    twin.partial_fit(X, RATINGS)
    model.partial_fit(X, RATINGS)
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))


def test_a_clone_has_the_parameters_but_not_the_fit(model):
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert not hasattr(twin, "net_")


def test_parameters_of_the_model_reach_the_net():
    model = quick(n_hidden=8, n_tower_layers=0, dropout=0.5, momentum=0.5, weight_decay=1e-3, batch_size=10)
    net = model.fit(X, RATINGS).net_
    assert net.module_.n_hidden == 8
    assert not list(net.module_.towers)
    assert net.get_params()["optimizer__momentum"] == 0.5
    assert net.get_params()["optimizer__weight_decay"] == 1e-3
    assert net.batch_size == 10


@pytest.mark.parametrize(("n_threads", "used"), [(1, 1), (2, 2), (None, 3)])
def test_training_uses_so_many_threads_and_gives_the_others_back(n_threads, used):
    seen = []

    class Spy(Callback):
        def on_epoch_begin(self, net, **kwargs):
            seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        quick(n_threads=n_threads, max_epochs=1, callbacks=[Spy()]).fit(X[:40], RATINGS[:40])
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {used}


@pytest.mark.parametrize(("verbose", "stream"), [(0, None), (1, "err"), (2, "out")])
def test_verbose_shows_a_bar_or_a_table(capsys, verbose, stream):
    quick(verbose=verbose).fit(X, RATINGS)
    shown = capsys.readouterr()
    assert ("epochs" in shown.err) == (stream == "err")
    assert ("train_loss" in shown.out) == (stream == "out")


def test_a_fit_of_constant_ratings_predicts_finite_numbers():
    assert np.isfinite(quick().fit(X, np.full(200, 3.0)).predict(X)).all()


def test_an_unset_parameter_keeps_its_value():
    assert AnnotatorMappedRegressor(n_hidden=8).set_params(lr=0.1).get_params()["n_hidden"] == 8
