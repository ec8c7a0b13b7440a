"""Variances of annotators, and distributions over a grid."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gaussian_kde, multivariate_normal, norm

from sklearn_annoser import Ratings
from tests.estimators.cases import RATINGS, SOURCE, VARIANTS, X
from tests.planted import quick


def deviations(model, features):
    """Standard deviation of each annotator's ratings, (n_samples, n_annotators, n_outputs)."""
    hidden = np.concatenate([hidden for _, hidden in model.iter_hidden(features)])
    heads = model.variance_heads_
    return np.exp((np.einsum("noh,aoh->nao", hidden, heads[:, :, :-1]) + heads[:, :, -1]) / 2)


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
        each.partial_fit(X, RATINGS.with_values((RATINGS.values + 4).clip(1, 7)))
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
    monkeypatch.setattr("sklearn_annoser.estimators._distribution.BLOCK_BYTES", 10_000)
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
