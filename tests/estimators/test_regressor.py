import copy
import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import gaussian_kde, multivariate_normal, norm
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper, Ratings
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.estimators import _regressor
from sklearn_annoser.mapping import learn_prior
from sklearn_annoser.metrics import annotator_ccc, ccc_score, individual_ccc_score
from tests.planted import ENROLLED, REST, corpora, quick, ratings_of, trained

SOURCE, TARGET = corpora()
X, RATINGS = SOURCE.X[:200], SOURCE.ratings[:200]
CONSENSUS = RATINGS.consensus()
VARIANTS = [
    "individual",
    "individual+consensus",
    "individual+variance",
    "individual+consensus+variance",
    "aggregate",
]
STRATEGIES = ["joint", "separate", "top-n", "all", "random"]


@pytest.fixture
def model():
    return trained()


def enrollment(annotator="target_000", n=20):
    features, values = ratings_of(TARGET, annotator, ENROLLED)
    return features[:n], values[:n]


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
    assert model.heads_.dtype == np.float32
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
    consensus = both.net_.predict_annotators(X)[:, -1] * both._half + both._centre
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


# ---------------------------------------------------------------------- predictions


def test_the_ways_to_predict_one_and_all_annotators_agree(model):
    everyone = model.predict_annotators(TARGET.X)
    assert everyone.shape == (800, 12, 2)
    for code, name in enumerate(model.annotators_):
        np.testing.assert_allclose(model.predict(TARGET.X, annotator=name), everyone[:, code], atol=1e-5)


@pytest.mark.parametrize("max_bytes", [1, 1000, 2**26])
def test_blocks_of_predictions_make_up_the_whole(model, max_bytes):
    names = ["source_007", "source_001"]
    expected = model.predict_annotators(TARGET.X, names)
    found = np.full_like(expected, np.nan)
    for rows, block in model.iter_predict_annotators(TARGET.X, names, max_bytes=max_bytes):
        assert block.nbytes <= max_bytes or len(block) == 1
        found[rows] = block
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_many_samples_are_predicted_in_blocks_that_fit_together(model):
    many = np.resize(X, (9000, 16))  # more than two blocks of the net
    rows = np.arange(9000) % 200
    expected = model.predict_annotators(X)[rows]
    np.testing.assert_allclose(model.predict_annotators(many), expected, atol=1e-5)
    for part, block in model.iter_predict_annotators(many, max_bytes=10**5):
        np.testing.assert_allclose(block, expected[part], atol=1e-5)
    predicted = model.predict_ratings(many, RATINGS[rows])
    np.testing.assert_allclose(predicted.values, model.predict_ratings(X, RATINGS)[rows].values, atol=1e-5)


def test_no_annotators_give_no_predictions(model):
    assert model.predict_annotators(X, []).shape == (200, 0, 2)
    assert sum(block.size for _, block in model.iter_predict_annotators(X, [])) == 0


def test_each_rating_is_predicted_by_the_head_of_its_annotator(model):
    predicted = model.predict_ratings(X, RATINGS)
    everyone = model.predict_annotators(X)
    assert predicted.annotators.tolist() == RATINGS.annotators.tolist()
    np.testing.assert_allclose(predicted.values, everyone[RATINGS.rows, RATINGS.codes], atol=1e-5)


def test_a_prediction_does_not_depend_on_the_samples_beside_it(model):
    np.testing.assert_allclose(model.predict(X[5:6])[0], model.predict(X)[5], atol=1e-5)


def test_score_is_the_concordance(model):
    assert model.score(X, CONSENSUS) == ccc_score(CONSENSUS, model.predict(X))
    assert model.score(X, RATINGS) == individual_ccc_score(RATINGS, model.predict_ratings(X, RATINGS))
    weight = np.arange(200.0)
    assert model.score(X, CONSENSUS, weight) == ccc_score(CONSENSUS, model.predict(X), sample_weight=weight)
    with pytest.raises(ValueError, match="sample_weight cannot be used with Ratings"):
        model.score(X, RATINGS, sample_weight=weight)


def test_ratings_by_unknown_annotators_are_predicted_as_on_unknown_says(model):
    with pytest.warns(UserWarning, match="12 of 12 annotators are unknown, for example .'target_000'"):
        predicted = model.predict_ratings(TARGET.X, TARGET.ratings)
    np.testing.assert_allclose(predicted.values, model.predict(TARGET.X)[TARGET.ratings.rows], atol=1e-5)
    with pytest.raises(ValueError, match="12 of 12 annotators are unknown"):
        model.set_params(on_unknown="raise").predict_ratings(TARGET.X, TARGET.ratings)
    quiet = model.set_params(on_unknown="consensus").predict_ratings(TARGET.X, TARGET.ratings)
    assert quiet == predicted


def test_a_selected_annotator_predicts_the_ratings_of_unknown_ones_without_a_warning(model):
    model.select_annotator(*enrollment())
    predicted = model.predict_ratings(TARGET.X, TARGET.ratings)
    np.testing.assert_allclose(predicted.values, model.predict(TARGET.X)[TARGET.ratings.rows], atol=1e-5)


@pytest.mark.parametrize(("variant", "y"), [("aggregate", RATINGS), ("individual", CONSENSUS)])
def test_a_model_of_the_consensus_alone_predicts_every_annotator_without_a_warning(variant, y):
    model = quick(variant=variant, on_unknown="raise").fit(X, y)
    assert np.isfinite(model.score(X, Ratings.from_rows(CONSENSUS, "somebody")))


def test_a_label_is_known_only_by_its_own_type():
    ratings = Ratings.from_rows(CONSENSUS, np.arange(200) % 3)
    model = quick().fit(X, ratings)
    assert model.predict(X, annotator=2).shape == (200, 2)
    assert type(model.select_annotator(X, CONSENSUS)) is int
    with pytest.raises(ValueError, match="annotator '2' is not in the fitted annotators"):
        model.predict(X, annotator="2")


# ---------------------------------------------------------------------- variances and distributions


def deviations(model, features):
    """Standard deviation of each annotator's ratings, (n_samples, n_annotators, n_outputs)."""
    hidden = np.concatenate([hidden for _, hidden in model.iter_hidden(features)])
    heads = model.variance_heads_
    return np.exp((np.einsum("noh,aoh->nao", hidden, heads[:, :, :-1]) + heads[:, :, -1]) / 2)


@pytest.fixture(scope="module")
def careful():
    """A regressor with variances of annotators of whom every second rates carelessly, on a scale of 1 to 7."""
    noise = np.where(np.arange(12) % 2, 1.2, 0.0)[SOURCE.ratings.codes, None]
    values = (
        4 + 0.6 * SOURCE.ratings.values + np.random.RandomState(0).normal(size=(SOURCE.ratings.n_ratings, 2)) * noise
    )
    ratings = Ratings(
        SOURCE.ratings.indptr,
        SOURCE.ratings.codes,
        values.clip(1, 7),
        annotators=SOURCE.ratings.annotators,
        outputs=SOURCE.ratings.outputs,
        scale=(1, 7),
    )
    model = quick(variant="individual+variance", lr=0.1, max_epochs=60, pretrain_epochs=5, early_stopping=False)
    return model.fit(SOURCE.X, ratings)


def test_careless_annotators_get_the_larger_variance_on_the_scale_of_the_ratings(careful):
    found = deviations(careful, SOURCE.X).mean(axis=0)  # (n_annotators, n_outputs)
    assert found[1::2].min() > 1.2 * found[::2].max()
    assert found[1::2].mean() == pytest.approx(1.2, rel=0.3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_are_clipped_where_variances_are_learned(variant):
    net = quick(variant=variant, max_epochs=1).fit(X, RATINGS).net_
    assert (net.variance_heads, net.max_grad_norm) == ((True, 1.0) if "variance" in variant else (False, None))


def test_stretched_ratings_have_stretched_deviations():
    plain, moved = (
        quick(variant="individual+variance").fit(X, ratings)
        for ratings in (RATINGS, RATINGS.with_values(RATINGS.values * 10 + 300))
    )
    np.testing.assert_allclose(deviations(moved, X), 10 * deviations(plain, X), rtol=1e-3)


@pytest.mark.parametrize("copied", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy], ids=["pickle", "deepcopy"])
def test_a_copy_with_variances_goes_on_alike(careful, copied):
    twin, other = copied(careful), copied(careful)
    for each in (twin, other):
        each.partial_fit(X, RATINGS.with_values(RATINGS.values + 4))
    np.testing.assert_array_equal(twin.variance_heads_, other.variance_heads_)
    assert not np.array_equal(twin.variance_heads_, careful.variance_heads_)


def test_a_copy_with_other_heads_has_the_mean_variance(careful):
    other = careful.with_heads(["ann", "bob"], careful.heads_[[4, 1]])
    expected = np.broadcast_to(careful.variance_heads_.mean(axis=0), (2, 2, 17))
    np.testing.assert_allclose(other.variance_heads_, expected, atol=1e-5)


def test_a_warm_start_keeps_the_variant():
    model = quick(warm_start=True).fit(X, RATINGS)
    with pytest.raises(ValueError, match=r"cannot train on from a net with .*'variance_heads': False"):
        model.set_params(variant="individual+variance").fit(X, RATINGS)


def test_a_fit_without_variances_forgets_those_of_the_last():
    model = quick(variant="individual+variance").fit(X, RATINGS)
    assert model.set_params(variant="individual").fit(X, RATINGS).variance_heads_ is None


def test_variances_are_learned_by_annotators_in_any_order():
    order = np.random.RandomState(0).permutation(12)
    ratings = Ratings(
        RATINGS.indptr,
        np.argsort(order)[RATINGS.codes],
        RATINGS.values,
        annotators=RATINGS.annotators[order],
        outputs=RATINGS.outputs,
    )
    one, other = (quick(variant="individual+variance").fit(X, each) for each in (RATINGS, ratings))
    np.testing.assert_allclose(deviations(other, X), deviations(one, X)[:, order], rtol=1e-2)


def plain_histogram(means, grid, sds=None):
    """Share of the annotators in each cell, or the mass of their Gaussians, cell by cell; the outermost are open."""
    open_grid = [np.r_[-np.inf, edges[1:-1], np.inf] for edges in grid]
    mass = np.zeros([len(edges) - 1 for edges in grid])
    for cell in np.ndindex(mass.shape):
        for annotator in range(len(means)):
            inside = 1.0
            for k, (place, edges) in enumerate(zip(cell, open_grid, strict=True)):
                low, high, mean = edges[place], edges[place + 1], means[annotator, k]
                if sds is None:
                    inside *= low <= mean < high
                else:
                    inside *= norm.cdf(high, mean, sds[annotator, k]) - norm.cdf(low, mean, sds[annotator, k])
            mass[cell] += inside / len(means)
    return mass


@pytest.mark.parametrize("outputs", [None, ["valence"], ["valence", "activation"]])
def test_a_histogram_holds_the_share_of_the_annotators(model, outputs):
    mass, edges = model.predict_distribution(X[:5], n_cells=7, outputs=outputs)
    chosen = [0, 1] if outputs is None else [model.outputs_.index(name) for name in outputs]
    assert edges.shape == ((2, 8) if len(chosen) == 2 else (8,))
    everyone = model.predict_annotators(X[:5])[:, :, chosen]
    for found, means in zip(mass, everyone, strict=True):
        np.testing.assert_allclose(found, plain_histogram(means, np.atleast_2d(edges)), atol=1e-12)


@pytest.mark.parametrize("outputs", [None, ["valence"]])
def test_a_histogram_holds_the_mass_of_gaussians_if_there_are_variances(careful, outputs):
    mass, edges = careful.predict_distribution(X[:3], n_cells=5, outputs=outputs)
    chosen = [0, 1] if outputs is None else [1]
    np.testing.assert_array_equal(np.atleast_2d(edges)[0], np.linspace(1, 7, 6))  # the declared scale
    rows = zip(mass, careful.predict_annotators(X[:3]), deviations(careful, X[:3]), strict=True)
    for found, means, sds in rows:
        expected = plain_histogram(means[:, chosen], np.atleast_2d(edges), sds[:, chosen])
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["activation", "valence"])
def test_a_kernel_density_of_one_output_is_that_of_scipy(model, name):
    mass, edges = model.predict_distribution(X[:5], n_cells=6, outputs=[name], kind="kde")
    everyone = model.predict_annotators(X[:5]).astype(np.float64)[:, :, model.outputs_.index(name)]
    for found, values in zip(mass, everyone, strict=True):
        kernel = gaussian_kde(values.clip(edges[0], edges[-1]), bw_method="scott")
        expected = [kernel.integrate_box_1d(low, high) for low, high in pairwise(edges)]
        np.testing.assert_allclose(found, np.array(expected) / np.sum(expected), atol=1e-5)


def test_a_kernel_density_of_two_outputs_has_a_bandwidth_for_each(model):
    mass, edges = model.predict_distribution(X[:2], n_cells=3, kind="kde")
    for found, values in zip(mass, model.predict_annotators(X[:2]).astype(np.float64), strict=True):
        width = values.std(axis=0, ddof=1) * 12 ** (-1 / 6)  # n^(-1 / (d + 4))
        expected = np.zeros((3, 3))
        for mean in values:
            normal = multivariate_normal(mean, np.diag(width**2))
            for i, j in np.ndindex(3, 3):
                expected[i, j] += normal.cdf(
                    edges[:, [i + 1, j + 1]].diagonal(), lower_limit=[edges[0, i], edges[1, j]]
                )
        np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-4)


@pytest.mark.parametrize("kind", ["histogram", "kde"])
@pytest.mark.parametrize("name", ["model", "careful"])
def test_the_mass_of_a_sample_is_one_and_not_negative(request, name, kind):
    model = request.getfixturevalue(name)
    for options in ({}, {"outputs": ["valence"]}, {"edges": [-0.01, 0, 0.01]}, {"edges": [[90, 91], [-9, -8]]}):
        mass, _ = model.predict_distribution(X, kind=kind, **options)
        assert mass.min() >= 0
        np.testing.assert_allclose(mass.reshape(200, -1).sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("kind", ["histogram", "kde"])
@pytest.mark.parametrize("name", ["model", "careful"])
def test_the_order_of_the_annotators_changes_no_distribution(request, name, kind):
    model = request.getfixturevalue(name)
    backwards = model.predict_distribution(X, kind=kind, annotators=model.annotators_[::-1])[0]
    np.testing.assert_allclose(backwards, model.predict_distribution(X, kind=kind)[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["histogram", "kde"])
@pytest.mark.parametrize("name", ["model", "careful"])
def test_a_distribution_of_two_outputs_has_the_single_ones_as_margins(request, name, kind):
    model, edges = request.getfixturevalue(name), [[-90, 0, 3, 90], [-80, 2, 4, 80]]  # nothing is cut off
    both = model.predict_distribution(X, kind=kind, edges=edges)[0]
    for k, output in enumerate(model.outputs_):
        alone = model.predict_distribution(X, kind=kind, edges=edges[k], outputs=[output])[0]
        atol = 1e-6 if kind == "histogram" else 0.1  # the bandwidth depends on the number of outputs
        np.testing.assert_allclose(both.sum(axis=2 - k), alone, atol=atol)


@pytest.mark.parametrize("kind", ["histogram", "kde"])
def test_one_annotator_alone_falls_into_one_cell(model, kind):
    mass, edges = model.predict_distribution(X, kind=kind, annotators=["source_003"], outputs=["valence"], n_cells=9)
    values = model.predict(X, annotator="source_003")[:, 1].clip(edges[0], edges[-1] - 1e-9)
    assert (mass.argmax(axis=1) == np.digitize(values, edges) - 1).all()
    assert np.median(mass.max(axis=1)) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["histogram", "kde"])
@pytest.mark.parametrize("name", ["model", "careful"])
def test_blocks_of_a_distribution_make_up_the_whole(request, monkeypatch, name, kind):
    model = request.getfixturevalue(name)
    expected = model.predict_distribution(X, kind=kind)[0]
    monkeypatch.setattr("sklearn_annoser.estimators._regressor.BLOCK_BYTES", 10_000)
    np.testing.assert_allclose(model.predict_distribution(X, kind=kind)[0], expected, atol=1e-5)


def test_the_edges_of_a_distribution_are_those_of_the_scale_or_the_given_ones(model):
    seen = np.stack([SOURCE.ratings.values.min(axis=0), SOURCE.ratings.values.max(axis=0)], axis=1)
    np.testing.assert_allclose(model.predict_distribution(X, n_cells=6)[1][:, [0, -1]], seen, rtol=1e-6)
    np.testing.assert_allclose(model.predict_distribution(X, outputs=["valence"])[1][[0, -1]], seen[1], rtol=1e-6)
    for edges in ([-1, 0.5, 2], [[-1, 0.5, 2]] * 2):
        mass, found = model.predict_distribution(X, edges=edges)
        assert mass.shape == (200, 2, 2)
        assert found.tolist() == [[-1, 0.5, 2]] * 2


def test_of_more_than_two_outputs_two_must_be_chosen():
    values = np.random.RandomState(0).uniform(size=(200, 3))
    model = quick(max_epochs=1).fit(X, pd.DataFrame(values, columns=["a", "b", "c"]))
    with pytest.raises(ValueError, match=r"there are 3 outputs, .* choose two, for example outputs=\['a', 'b'\]"):
        model.predict_distribution(X)
    assert model.predict_distribution(X, outputs=["c", "a"])[0].shape == (200, 4, 4)
    with pytest.raises(ValueError, match="one or two different names"):
        model.predict_distribution(X, outputs=["a", "b", "c"])


# ---------------------------------------------------------------------- select_annotator


@pytest.mark.parametrize("calibration", [None, "affine"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_arrays_and_ratings_enrol_alike(strategy, calibration, model):
    options = {"strategy": strategy, "calibration": calibration}
    own = TARGET.ratings.keep_annotators(["target_004"])
    rated = np.diff(own.indptr) > 0
    chosen = model.select_annotator(*ratings_of(TARGET, "target_004"), **options)
    predicted = model.predict(X)
    assert model.select_annotator(TARGET.X[rated], own[rated], **options) == chosen == model.selected_annotator_
    np.testing.assert_allclose(model.predict(X), predicted, atol=1e-6)


def test_the_strategies_predict_by_the_heads_they_name(model):
    features, values = enrollment(n=40)
    heads = {name: model.predict(X, annotator=name) for name in model.annotators_}

    best = model.select_annotator(features, values)
    assert best == model.selection_.index[0]
    np.testing.assert_allclose(model.predict(X), heads[best], atol=1e-5)

    one, other = model.select_annotator(features, values, strategy="separate")
    assert one == model.selection_["activation"].idxmax()
    assert other == model.selection_["valence"].idxmax()
    np.testing.assert_allclose(model.predict(X), np.c_[heads[one][:, 0], heads[other][:, 1]], atol=1e-5)

    top = model.select_annotator(features, values, strategy="top-n", n_heads=3)
    assert list(top) == model.selection_.index[:3].tolist()
    np.testing.assert_allclose(model.predict(X), np.mean([heads[name] for name in top], axis=0), atol=1e-5)

    assert model.select_annotator(features, values, strategy="all") is None
    np.testing.assert_allclose(model.predict(X), np.mean(list(heads.values()), axis=0), atol=1e-5)

    drawn = model.select_annotator(features, values, strategy="random")
    np.testing.assert_allclose(model.predict(X), heads[drawn], atol=1e-5)


def test_random_draws_every_annotator_at_some_time(model):
    drawn = set()
    for seed in range(80):
        drawn.add(model.set_params(random_state=seed).select_annotator(*enrollment(), strategy="random"))
    assert drawn == set(model.annotators_)


def test_the_score_table_holds_the_concordance_of_every_head_best_first(model):
    features, values = enrollment()
    model.select_annotator(features, values)
    table = model.selection_
    assert table.columns.tolist() == ["activation", "valence", "score", "wins"]
    assert table["score"].is_monotonic_decreasing
    assert table["wins"].sum() == pytest.approx(1)
    assert set(table.index) == set(model.annotators_)
    for name in table.index:
        expected = ccc_score(values, model.predict(features, annotator=name), multioutput="raw_values")
        np.testing.assert_allclose(table.loc[name, ["activation", "valence"]].to_numpy(float), expected, atol=1e-4)
    np.testing.assert_allclose(table["score"], table["activation"] + table["valence"], atol=1e-6)


def test_confidence_is_high_for_a_clear_choice_and_absent_for_none(model):
    model.select_annotator(*ratings_of(SOURCE, "source_003"))
    assert 0.9 < model.confidence_ <= 1
    model.select_annotator(*ratings_of(SOURCE, "source_003"), n_bootstrap=0)
    assert np.isnan(model.confidence_)
    model.select_annotator(*ratings_of(SOURCE, "source_003"), strategy="all")
    assert np.isnan(model.confidence_)


def test_calibration_moves_mean_and_spread_towards_the_enrollment_ratings(model):
    features, values = ratings_of(TARGET, "target_000")
    stretched = 5 + 3 * values
    model.select_annotator(features, stretched, strategy="all")
    plain = model.predict(features)
    model.select_annotator(features, stretched, strategy="all", calibration="affine")
    moved = model.predict(features)
    assert (abs(moved.mean(axis=0) - stretched.mean(axis=0)) < 0.1 * abs(plain.mean(axis=0) - 5)).all()
    assert (moved.std(axis=0) > plain.std(axis=0)).all()


def test_clearing_the_selection_predicts_the_consensus_again(model):
    before = model.predict(X)
    model.select_annotator(*enrollment())
    assert np.abs(model.predict(X) - before).max() > 0.01
    assert model.clear_selection() is model
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.selected_annotator_ is None
    assert not hasattr(model, "selection_")
    assert not hasattr(model, "confidence_")


@pytest.mark.parametrize("change", [lambda model: model.fit(X, RATINGS), lambda model: model.partial_fit(X, RATINGS)])
def test_training_forgets_the_selection(change):
    model = quick().fit(X, RATINGS)
    model.select_annotator(*enrollment())
    assert change(model).selected_annotator_ is None
    assert not hasattr(model, "selection_")


def test_a_single_enrollment_rating_picks_the_head_of_the_smallest_error(model):
    features, value = X[:1], np.array([[0.7, -0.2]])
    errors = np.abs(model.predict_annotators(features)[0] - value).sum(axis=1)
    assert model.select_annotator(features, value) == model.annotators_[errors.argmin()]


@pytest.mark.parametrize("strategy", ["joint", "separate", "top-n"])
def test_equal_enrollment_ratings_do_as_on_unknown_says(model, strategy):
    before, equal = model.predict(X), np.full((5, 2), 0.5)
    with pytest.warns(
        UserWarning, match="enrollment ratings of .'activation', 'valence'. are missing or all equal"
    ) as caught:
        chosen = model.select_annotator(X[:5], equal, strategy=strategy)
    assert caught[0].filename == __file__
    assert chosen is None
    np.testing.assert_allclose(model.predict(X), before, atol=1e-5)
    assert model.set_params(on_unknown="consensus").select_annotator(X[:5], equal, strategy=strategy) is None
    with pytest.raises(ValueError, match=r"missing or all equal.*Enrol with samples"):
        model.set_params(on_unknown="raise").select_annotator(X[:5], equal, strategy=strategy)


def test_equal_ratings_of_one_output_leave_the_choice_to_the_other(model):
    features, values = enrollment()
    values[:, 0] = 0.5
    best = model.select_annotator(features, values)
    assert best == model.selection_["valence"].idxmax()
    with pytest.warns(UserWarning, match="enrollment ratings of .'activation'. are missing or all equal"):
        assert model.select_annotator(features, values, strategy="separate") == (None, best)


@pytest.mark.parametrize(
    ("features", "y", "error", "message"),
    [
        (X[:3], [0.1, 0.2, 0.3], ValueError, r"y must have 2 outputs, \['activation', 'valence'\], got shape \(3,\)"),
        (X[:3], np.ones((3, 3)), ValueError, "y must have 2 outputs"),
        (X[:3], np.ones((2, 2)), ValueError, r"inconsistent numbers of samples: \[3, 2\]"),
        (X[:3], [[1, 2], [3, np.nan], [5, 6]], ValueError, r"y must be finite, got nan at position \(1, 1\)"),
        (X[:3], [["a", "b"]] * 3, TypeError, "y must be numbers, got 'a'"),
        (X[:1], 3.0, ValueError, "y must be an array"),
        (X[:0], np.ones((0, 2)), ValueError, "0 sample"),
        (X[:3, :5], np.ones((3, 2)), ValueError, "X has 5 features, but .* is expecting 16 features"),
        (X[:200], RATINGS, ValueError, "y must be the ratings of one new annotator, got 12"),
        (X[:3], Ratings.from_rows([1.0, 2.0, 3.0], "x"), ValueError, "ratings must have 2 outputs"),
        (X[:2], Ratings.from_rows(np.eye(3)[:, :2], "x"), ValueError, "inconsistent numbers of samples"),
        (X[:3], pd.DataFrame(np.eye(3)[:, :2], columns=["valence", "activation"]), ValueError, "in the order"),
    ],
)
def test_enrollment_that_does_not_fit_is_refused_and_changes_nothing(model, features, y, error, message):
    with pytest.raises(error, match=message):
        model.select_annotator(features, y)
    assert model.selected_annotator_ is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "best"}, "strategy must be one of"),
        ({"calibration": "linear"}, "calibration must be one of"),
        ({"n_heads": 0}, "n_heads must be >= 1"),
        ({"n_bootstrap": -1}, "n_bootstrap must be >= 0"),
    ],
)
def test_bad_options_of_the_selection_are_named(model, options, message):
    with pytest.raises(ValueError, match=message):
        model.select_annotator(*enrollment(), **options)


def test_ratings_on_another_scale_or_in_another_order_are_refused():
    own = Ratings.from_rows(CONSENSUS.clip(-1, 1), "ann", outputs=["a", "b"], scale=(-1, 1))
    model = quick().fit(X, own)
    other = Ratings.from_rows(CONSENSUS.clip(1, 7), "bob", scale=(1, 7))
    for use in (model.select_annotator, model.partial_fit):
        with pytest.raises(ValueError, match=r"ratings are on the scale .*rescaled"):
            use(X, other)
    with pytest.raises(ValueError, match=r"outputs in the order \['a', 'b'\], got \['b', 'a'\]"):
        model.predict_ratings(X, Ratings.from_rows(CONSENSUS, "ann", outputs=["b", "a"]))
    assert model.select_annotator(X, other.rescaled((-1, 1))) == "ann"


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("parameter", "value", "error"),
    [
        ("variant", "both", ValueError),
        ("n_hidden", 0, ValueError),
        ("n_hidden", 2.5, TypeError),
        ("n_tower_layers", -1, ValueError),
        ("dropout", 1.0, ValueError),
        ("lr", 0, ValueError),
        ("lr", np.nan, ValueError),
        ("lr", "auto", TypeError),
        ("momentum", 1, ValueError),
        ("weight_decay", -0.1, ValueError),
        ("batch_size", 0, ValueError),
        ("max_epochs", 0, ValueError),
        ("pretrain_epochs", -1, ValueError),
        ("early_stopping", "yes", ValueError),
        ("validation_fraction", 0, ValueError),
        ("validation_fraction", 1, ValueError),
        ("patience", 0, ValueError),
        ("lr_patience", -1, ValueError),
        ("min_ratings", 0, ValueError),
        ("on_unknown", "ignore", ValueError),
        ("device", "gpu", ValueError),
        ("device", None, ValueError),
        ("n_threads", 0, ValueError),
        ("n_threads", 1.5, TypeError),
        ("random_state", "seed", ValueError),
        ("verbose", -1, ValueError),
        ("verbose", True, TypeError),
        ("callbacks", "print", TypeError),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_bad_parameter_is_named(method, parameter, value, error):
    with pytest.raises(error, match=rf"^{parameter}\b.*{value!r}"):
        getattr(quick(**{parameter: value}), method)(X, CONSENSUS)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_without_cuda_is_refused_and_auto_goes_without():
    with pytest.raises(ValueError, match="device='cuda' needs CUDA"):
        quick(device="cuda").fit(X, CONSENSUS)
    assert quick(device="auto").fit(X, CONSENSUS).net_.device == "cpu"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_annotators", "select_annotator"])
def test_features_that_are_not_finite_are_refused(model, method, bad):
    broken = X.copy()
    broken[3, 4] = bad
    targets = () if method.startswith("predict") else (CONSENSUS,)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        getattr(model, method)(broken, *targets)


@pytest.mark.parametrize(
    ("y", "fit_params", "error", "message"),
    [
        (np.r_[np.nan, np.ones(199)], {}, ValueError, "y contains NaN"),
        (["happy"] * 200, {}, TypeError, "y must be numbers, got 'happy'"),
        (np.ones(199), {}, ValueError, "inconsistent numbers of samples"),
        (RATINGS[:199], {}, ValueError, r"inconsistent numbers of samples: \[200, 199\]"),
        (RATINGS, {"annotators": ["ann"] * 200}, ValueError, "annotators must be None if y is Ratings"),
        (CONSENSUS, {"annotators": ["ann"]}, ValueError, "200 ratings, but 1 annotators"),
        (CONSENSUS, {"annotators": ["ann", None] * 100}, ValueError, "annotators must not be missing"),
        (RATINGS, {"groups": [1, 2]}, ValueError, "groups has 2 entries, but there are 200 samples"),
        (RATINGS, {"groups": [1] * 200}, ValueError, "cannot set a validation split aside from 1 group"),
        (RATINGS.keep_ratings(np.zeros(1000, dtype=bool)), {}, ValueError, "y has no ratings"),
    ],
)
def test_targets_that_do_not_fit_are_refused(y, fit_params, error, message):
    model = quick()
    with pytest.raises(error, match=message):
        model.fit(X, y, **fit_params)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_too_high_a_minimum_of_ratings_is_explained():
    with pytest.raises(ValueError, match="none of 12 annotators has min_ratings=1000 ratings in the training split"):
        quick(min_ratings=1000).fit(X, RATINGS)


def test_a_training_that_diverges_is_an_error():
    with pytest.raises(ValueError, match=r"training diverged.*Lower lr=1e\+20"):
        quick(lr=1e20).fit(X, RATINGS)


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.predict(X),
        lambda model: model.predict_annotators(X),
        lambda model: list(model.iter_predict_annotators(X)),
        lambda model: list(model.iter_hidden(X)),
        lambda model: model.predict_ratings(X, RATINGS),
        lambda model: model.score(X, RATINGS),
        lambda model: model.select_annotator(X, CONSENSUS),
        lambda model: model.predict_distribution(X),
    ],
)
def test_an_unfitted_model_says_so(use):
    with pytest.raises(NotFittedError, match="AnnotatorMappedRegressor instance is not fitted yet"):
        use(quick())


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda m: m.predict(X, annotator="bob"), ValueError, "annotator 'bob' is not in the fitted annotators"),
        (lambda m: m.predict(X, annotator=["source_000"]), ValueError, "annotator must be a single label"),
        (lambda m: m.predict_annotators(X, ["source_000", "bob"]), ValueError, "annotator 'bob' is not in the fitted"),
        (lambda m: m.predict_annotators(X, "source_000"), ValueError, "annotators must be a sequence of labels"),
        (lambda m: list(m.iter_predict_annotators(X, max_bytes=0)), ValueError, "max_bytes must be >= 1"),
        (lambda m: m.predict(X[:, :3]), ValueError, "X has 3 features"),
        (lambda m: m.predict_ratings(X, CONSENSUS), TypeError, "ratings must be Ratings, got ndarray"),
        (lambda m: m.predict_ratings(X, RATINGS[:100]), ValueError, "X and ratings differ in length"),
        (lambda m: m.predict_ratings(X[:100], RATINGS), ValueError, "X and ratings differ in length"),
        (lambda m: m.score(X, Ratings.from_rows(CONSENSUS[:, 0], "x")), ValueError, "ratings must have 2 outputs"),
        (lambda m: m.partial_fit(X, CONSENSUS[:, 0]), ValueError, "ratings must have 2 outputs"),
        (lambda m: m.predict_distribution(X, kind="density"), ValueError, "kind must be one of .*histogram.*kde"),
        (lambda m: m.predict_distribution(X, n_cells=0), ValueError, "n_cells must be >= 1"),
        (lambda m: m.predict_distribution(X, n_cells=2.0), TypeError, "n_cells must be an integer"),
        (
            lambda m: m.predict_distribution(X, edges=[0]),
            ValueError,
            r"edges must have shape \(n_cells \+ 1,\) or \(2, ",
        ),
        (lambda m: m.predict_distribution(X, edges=np.ones((3, 4))), ValueError, r"edges must have .* got \(3, 4\)"),
        (lambda m: m.predict_distribution(X, edges=[0, 1, 1]), ValueError, r"edges must increase, got \[0, 1, 1\]"),
        (lambda m: m.predict_distribution(X, edges=[0, np.inf]), ValueError, "edges must be finite"),
        (lambda m: m.predict_distribution(X, annotators=["bob"]), ValueError, "annotator 'bob' is not in the fitted"),
        (lambda m: m.predict_distribution(X, annotators="bob"), ValueError, "annotators must be a sequence of labels"),
        (lambda m: m.predict_distribution(X, annotators=[]), ValueError, "annotators must name at least one"),
        (lambda m: m.predict_distribution(X, outputs="valence"), ValueError, "outputs must be a sequence of names"),
        (
            lambda m: m.predict_distribution(X, outputs=["arousal"]),
            ValueError,
            "output 'arousal' is not in the outputs",
        ),
        (lambda m: m.predict_distribution(X, outputs=["valence"] * 2), ValueError, "one or two different names"),
        (lambda m: m.predict_distribution(X, outputs=[]), ValueError, "one or two different names"),
        (lambda m: m.predict_distribution(X[:, :3]), ValueError, "X has 3 features"),
    ],
)
def test_a_bad_call_is_explained(model, use, error, message):
    with pytest.raises(error, match=message):
        use(model)


# ---------------------------------------------------------------------- partial_fit


@pytest.mark.parametrize("variant", VARIANTS)
def test_partial_fit_alone_trains_epoch_by_epoch(variant):
    model = quick(variant=variant)
    losses = [model.partial_fit(X, RATINGS).history_["train_loss"].iloc[-1] for _ in range(8)]
    assert model.n_iter_ == 8
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant != "aggregate"])
def test_partial_fit_gives_new_annotators_a_head_and_leaves_the_others_nearly_alone(variant):
    model = quick(variant=variant, lr=0.01, max_epochs=20).fit(X, RATINGS)
    before, known = model.predict_annotators(X), model.annotators_
    mean = before.mean(axis=1)
    model.set_params(lr=1e-4).partial_fit(TARGET.X[:200], TARGET.ratings[:200])
    assert model.annotators_.tolist() == [*known, *TARGET.ratings.annotators]
    assert model.heads_.shape[0] == 24
    assert model.variance_heads_ is None or model.variance_heads_.shape == model.heads_.shape
    np.testing.assert_allclose(model.predict_annotators(X, known), before, atol=0.05)
    for name in TARGET.ratings.annotators:
        np.testing.assert_allclose(model.predict(X, annotator=name), mean, atol=0.1)


def test_new_annotators_are_learned_by_partial_fit(model):
    model.set_params(lr=0.001)
    ratings = TARGET.ratings.keep_annotators(["target_005"])
    features, values = ratings_of(TARGET, "target_005", REST)
    scores = []
    for _ in range(15):
        model.partial_fit(TARGET.X[ENROLLED], ratings[ENROLLED])
        scores.append(ccc_score(values, model.predict(features, annotator="target_005")))
    assert scores[-1] > scores[0] + 0.1


def test_the_minimum_of_ratings_holds_for_the_first_partial_fit_but_not_for_new_annotators_later():
    model = quick(min_ratings=85).partial_fit(X, RATINGS)
    n_known = len(model.annotators_)
    assert 0 < n_known < 12
    assert len(model.partial_fit(X[:20], TARGET.ratings[:20]).annotators_) == n_known + 12


def test_partial_fit_continues_a_fit(model):
    n_before = model.n_iter_
    assert model.partial_fit(SOURCE.X, SOURCE.ratings) is model
    assert model.n_iter_ == len(model.history_) == n_before + 1
    assert model.score(SOURCE.X, SOURCE.ratings) > 0.7


def test_partial_fit_refuses_labels_of_another_type(model):
    with pytest.raises(TypeError, match="annotators must be all strings or all numbers"):
        model.partial_fit(X, Ratings.from_rows(CONSENSUS, 7))


# ---------------------------------------------------------------------- interruption


class Interrupt(Callback):
    """Press Ctrl-C in an epoch, at its begin or at its end."""

    def __init__(self, epoch, at="on_epoch_begin"):
        self.epoch, self.at = epoch, at

    def on_epoch_begin(self, net, **kwargs):
        self._press(net, "on_epoch_begin")

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self._press(net, "on_grad_computed")

    def _press(self, net, at):
        if self.at == at and len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", ["on_epoch_begin", "on_grad_computed"])
def test_an_interrupted_fit_keeps_the_epochs_so_far(at):
    model = quick(max_epochs=10, callbacks=[Interrupt(4, at)])
    with pytest.warns(UserWarning, match="training was interrupted after 3 of at most 10 epochs"):
        model.fit(X, RATINGS)
    assert model.n_iter_ == len(model.history_) == 3
    assert np.isfinite(model.predict(X)).all()


def test_a_fit_interrupted_before_the_end_of_its_first_epoch_is_no_fit():
    model = quick(callbacks=[Interrupt(1)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, RATINGS)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model.predict(X)


def test_an_interrupted_partial_fit_leaves_labels_and_heads_together():
    model = quick().fit(X, RATINGS)
    model.net_.set_params(callbacks=[Interrupt(model.n_iter_ + 1)])
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(TARGET.X[:50], TARGET.ratings[:50])
    assert len(model.annotators_) == len(model.heads_) == 24
    model.net_.set_params(callbacks=[])
    assert model.partial_fit(TARGET.X[:50], TARGET.ratings[:50]).n_iter_ == 5


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


# ---------------------------------------------------------------------- training on


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_warm_start_goes_on_from_the_last_fit(variant):
    source, _ = make_corpora(n_samples=300, n_annotators=8, random_state=0)
    settings = {"variant": variant, "n_hidden": 16, "lr": 0.01, "early_stopping": False, "random_state": 0}
    model = AnnotatorMappedRegressor(**settings, max_epochs=6, warm_start=True).fit(source.X, source.ratings)
    loss = model.history_["train_loss"].iloc[-1]
    model.set_params(max_epochs=1).fit(source.X, source.ratings)
    assert model.n_iter_ == 1
    assert model.history_["train_loss"].iloc[0] < loss + 0.02
    model.set_params(warm_start=False).fit(source.X, source.ratings)
    assert model.history_["train_loss"].iloc[0] > loss + 0.02


def test_a_warm_start_keeps_known_annotators_and_adds_new_ones():
    source, target = make_corpora(n_samples=300, n_annotators=8, random_state=0)
    model = AnnotatorMappedRegressor(n_hidden=16, lr=0.01, max_epochs=4, warm_start=True, random_state=0)
    model.fit(source.X, source.ratings)
    before = dict(zip(model.annotators_, model.heads_, strict=True))
    model.set_params(lr=1e-9, max_epochs=1).fit(target.X, target.ratings)
    assert model.annotators_.tolist() == [*before, *target.ratings.annotators]
    np.testing.assert_allclose(model.heads_[:8], list(before.values()), atol=1e-6)
    np.testing.assert_allclose(
        model.heads_[8:], np.broadcast_to(model.heads_[:8].mean(0), model.heads_[8:].shape), atol=1e-5
    )


def test_a_warm_start_checks_that_the_data_are_of_the_same_kind():
    source, _ = make_corpora(n_samples=100, n_annotators=6, random_state=0)
    model = AnnotatorMappedRegressor(n_hidden=8, max_epochs=1, warm_start=True, random_state=0)
    model.fit(source.X, source.ratings)
    with pytest.raises(ValueError, match="features"):
        model.fit(source.X[:, :3], source.ratings)
    with pytest.raises(ValueError, match="output"):
        model.fit(source.X, Ratings.from_dense(np.arange(100.0)[:, None]))
    with pytest.raises(ValueError, match="warm_start must be one of"):
        model.set_params(warm_start="yes").fit(source.X, source.ratings)


def test_a_copy_with_other_heads_predicts_by_them():
    source, _ = make_corpora(n_samples=200, n_annotators=6, random_state=0)
    model = AnnotatorMappedRegressor(n_hidden=8, max_epochs=2, random_state=0).fit(source.X, source.ratings)
    other = model.with_heads(["ann", "bob"], model.heads_[[4, 1]])
    np.testing.assert_allclose(
        other.predict(source.X, annotator="ann"), model.predict(source.X, annotator=model.annotators_[4]), atol=1e-5
    )
    assert model.annotators_.shape == (6,)
    with pytest.raises(
        ValueError, match=r"heads must have shape \(2, 2, 9\), a head for each annotator, got \(1, 2, 9\)"
    ):
        model.with_heads(["ann", "bob"], model.heads_[:1])


def test_a_given_validation_split_is_the_one_that_stops_the_training():
    source, _ = make_corpora(n_samples=200, n_annotators=6, random_state=0)
    validation = np.arange(200) % 4 == 0
    settings = {"n_hidden": 8, "max_epochs": 2, "pretrain_epochs": 0, "random_state": 0}
    model = AnnotatorMappedRegressor(**settings).fit(source.X, source.ratings, validation=validation)
    rows = np.flatnonzero(validation)
    unit = model.predict_ratings(source.X[rows], source.ratings[rows])
    losses = [1 - ccc_score(source.ratings[rows].values, unit.values)]
    best = model.history_["valid_loss"].min()
    assert min(losses) == pytest.approx(best, abs=1e-4)
    for wrong in (validation[:-1], np.zeros(200, dtype=bool), validation.astype(int)):
        with pytest.raises(ValueError, match="validation must be an array of 200 bools"):
            AnnotatorMappedRegressor(**settings).fit(source.X, source.ratings, validation=wrong)
    with pytest.raises(ValueError, match="early_stopping must be True"):
        AnnotatorMappedRegressor(**settings, early_stopping=False).fit(source.X, source.ratings, validation=validation)


def test_training_that_blew_up_says_so():
    source, _ = make_corpora(n_samples=600, random_state=0)
    model = AnnotatorMappedRegressor(n_hidden=32, lr=0.02, max_epochs=20, random_state=0)
    with pytest.warns(UserWarning, match=r"training has blown up: predictions reach \d+ times the scale.*lr=0.02"):
        model.fit(source.X, source.ratings)


# ---------------------------------------------------------------------- missing outputs, weights, several scales


def with_gaps(ratings, share=0.3, seed=0):
    """Take some of the outputs' values away, never all of a rating."""
    values = ratings.values.copy()
    chosen = np.random.RandomState(seed).uniform(size=len(values)) < share
    values[chosen, np.random.RandomState(seed + 1).randint(values.shape[1], size=chosen.sum())] = np.nan
    return ratings.with_values(values)


@pytest.mark.parametrize("variant", ["individual", "individual+consensus+variance", "aggregate"])
def test_ratings_with_gaps_are_learned_almost_as_well(variant):
    gaps = with_gaps(SOURCE.ratings)
    scores = []
    for ratings in (SOURCE.ratings, gaps):
        model = quick(variant=variant, on_unknown="consensus", random_state=1).fit(SOURCE.X, ratings)
        assert np.isfinite(model.history_["valid_loss"]).all()
        scores.append(model.score(SOURCE.X, SOURCE.ratings))
    assert scores[1] > scores[0] - 0.1


def test_an_output_that_one_annotator_never_rated_leaves_the_others_as_they_are():
    values = SOURCE.ratings.values.copy()
    values[SOURCE.ratings.codes == 0, 1] = np.nan
    model = quick().fit(SOURCE.X, SOURCE.ratings.with_values(values))
    assert np.isfinite(model.heads_).all()
    assert len(model.annotators_) == SOURCE.ratings.n_annotators


def test_an_output_that_nobody_rated_is_refused():
    values = SOURCE.ratings.values.copy()
    values[:, 1] = np.nan
    with pytest.raises(ValueError, match=r"nobody rated \['valence'\]: leave these outputs out"):
        quick().fit(SOURCE.X, SOURCE.ratings.with_values(values))


@pytest.mark.parametrize("strategy", ["joint", "separate", "blend", "all"])
def test_a_new_annotator_may_leave_outputs_out(strategy, model):
    own = with_gaps(TARGET.ratings.keep_annotators(["target_002"]))
    options = {"strategy": strategy, "calibration": "affine"}
    model.select_annotator(TARGET.X, own, **options)
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.expected_score_.to_numpy()).all()
    mapper = AnnotatorMapper(model, **options, random_state=0).fit(TARGET.X, with_gaps(TARGET.ratings))
    assert np.isfinite(mapper.heads_).all()
    assert 0 < mapper.score(TARGET.X, with_gaps(TARGET.ratings, seed=5)) < 1


def test_equal_weights_train_as_none():
    plain, weighted = (
        quick(max_epochs=3).fit(SOURCE.X, SOURCE.ratings, sample_weight=weight)
        for weight in (None, np.full(len(SOURCE.X), 2.0))
    )
    np.testing.assert_allclose(weighted.heads_, plain.heads_, atol=1e-4)


def test_samples_without_weight_teach_nothing():
    weight = np.ones(len(SOURCE.X))
    weight[::2] = 0
    spoilt = SOURCE.ratings.with_values(
        np.where((SOURCE.ratings.rows % 2 == 0)[:, None], -SOURCE.ratings.values, SOURCE.ratings.values)
    )
    plain, weighted = (quick().fit(SOURCE.X, spoilt, sample_weight=given) for given in (None, weight))
    odd = np.arange(1, len(SOURCE.X), 2)
    assert weighted.score(SOURCE.X[odd], SOURCE.ratings[odd]) > plain.score(SOURCE.X[odd], SOURCE.ratings[odd]) + 0.1


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(3), r"sample_weight must have shape \(800,\), got \(3,\)"),
        (np.full(800, -1.0), "sample_weight must not be negative and not all zero"),
        (np.zeros(800), "sample_weight must not be negative and not all zero"),
        (np.full(800, np.nan), "sample_weight must be finite"),
    ],
)
def test_bad_weights_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        quick().fit(SOURCE.X, SOURCE.ratings, sample_weight=weight)


def test_the_prior_tells_of_samples_that_were_not_trained_on(monkeypatch):
    monkeypatch.setattr(_regressor, "BLOCK_ROWS", 7)
    validation = np.arange(200) % 4 == 0
    model = quick(max_epochs=3).fit(X, RATINGS, validation=validation)
    hidden = np.concatenate([block for _, block in model.iter_hidden(X[validation])])
    expected = learn_prior([hidden], model.heads_.mean(axis=0), RATINGS[validation], RATINGS)
    for name in ("mean", "second", "correlation", "variance"):
        np.testing.assert_allclose(getattr(model.prior_, name), getattr(expected, name), rtol=1e-4, atol=1e-5)


def test_outputs_of_several_scales_are_learned_alike_and_predicted_on_their_own():
    values = SOURCE.ratings.values * [1, 1000] + [0, 5000]
    model = quick().fit(SOURCE.X, SOURCE.ratings.with_values(values))
    plain = quick().fit(SOURCE.X, SOURCE.ratings.with_values(SOURCE.ratings.values))
    np.testing.assert_allclose(model.predict(X) * [1, 1e-3] - [0, 5], plain.predict(X), atol=1e-2)
    np.testing.assert_allclose(model.prior_.variance, plain.prior_.variance * [1, 1e6], rtol=1e-3)


def test_weights_are_routed_through_a_pipeline():
    weight = np.ones(len(SOURCE.X))
    pipeline = make_pipeline(StandardScaler(), quick(max_epochs=2))
    pipeline.fit(SOURCE.X, SOURCE.ratings, annotatormappedregressor__sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        routed = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            quick(max_epochs=2).set_fit_request(sample_weight=True),
        )
        routed.fit(SOURCE.X, SOURCE.ratings, sample_weight=weight)
    np.testing.assert_array_equal(routed.predict(X), pipeline.predict(X))
