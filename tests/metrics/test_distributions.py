import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose
from scipy.spatial.distance import jensenshannon

from sklearn_annoser.metrics import jensen_shannon_divergence, total_variation_distance
from tests.cases import patient

DISTANCES = {"total_variation": total_variation_distance, "jensen_shannon": jensen_shannon_divergence}
every_distance = pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)


@st.composite
def grids(draw):
    """Draw two rows of whole masses on a grid, neither without any."""
    shape = draw(st.sampled_from([(4,), (2, 3), (3, 1, 2)]))
    sides = [draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 9))) for _ in range(2)]
    for side in sides:
        side.flat[draw(st.integers(0, side.size - 1))] += 1
    return [side[None] for side in sides]


def test_distances_of_a_worked_example():
    # (1/2, 1/2, 0) and (0, 1/2, 1/2): half of the mass must move; m = (1/4, 1/2, 1/4), so
    # JSD = (1/2 log 2 + 1/2 log 1) / 2 + (1/2 log 1 + 1/2 log 2) / 2 = 1/2 log 2
    p, q = [[5, 5, 0], [1, 0, 0]], [[0, 2, 2], [0, 3, 0]]
    assert_allclose(total_variation_distance(p, q), [1 / 2, 1])
    assert_allclose(jensen_shannon_divergence(p, q), [1 / 2, 1])
    assert_allclose(jensen_shannon_divergence(p, q, base=np.e), [np.log(2) / 2, np.log(2)])
    assert_allclose(jensen_shannon_divergence(p, q, base=4), [1 / 4, 1 / 2])


@every_distance
@patient
@given(grids())
def test_distances_are_symmetric_bounded_and_zero_for_equal_distributions_only(distance, sides):
    p, q = sides
    (found,) = distance(p, q)
    assert 0 <= found <= 1
    assert found == pytest.approx(distance(q, p).item(), abs=1e-15)
    equal = np.array_equal(p * q.sum(), q * p.sum())
    assert (found < 1e-12) == equal
    assert distance(p, p).item() == 0
    assert distance(p, 3 * p).item() == pytest.approx(0, abs=1e-15)
    assert (found == pytest.approx(1)) == (not (p * q).any())


@patient
@given(grids(), st.sampled_from([2, np.e, 10]))
def test_divergence_is_the_square_of_scipys_distance(sides, base):
    p, q = sides
    expected = jensenshannon(p.ravel(), q.ravel(), base=base) ** 2
    assert jensen_shannon_divergence(p, q, base=base).item() == pytest.approx(np.nan_to_num(expected), abs=1e-12)


@patient
@given(grids())
def test_divergence_is_between_half_the_squared_variation_in_nats_and_the_variation(sides):
    variation, nats = total_variation_distance(*sides), jensen_shannon_divergence(*sides, base=np.e)
    assert variation**2 / 2 <= nats + 1e-12  # of Pinsker's inequality, for the halves of p - q
    assert nats <= np.log(2) * variation + 1e-12


@every_distance
def test_each_row_is_a_distribution_whatever_its_shape_and_sum(distance):
    rng = np.random.default_rng(0)
    p, q = rng.uniform(size=(2, 6, 4, 5))
    found = distance(p, q)
    assert found.shape == (6,)
    assert_allclose(found, [distance(p[[i]], q[[i]]).item() for i in range(6)])
    assert_allclose(found, distance(p.reshape(6, 20), q.reshape(6, 20)))
    assert_allclose(found, distance(p * rng.uniform(1, 9, size=(6, 1, 1)), q))
    order = rng.permutation(5)
    assert_allclose(found, distance(p[..., order], q[..., order]))
    assert distance(p[:0], q[:0]).shape == (0,)
    assert distance(p.astype(np.float32), q.astype(np.float32)).dtype == np.float64


def test_rounding_leads_the_divergence_out_of_no_bound():
    p, noise = np.random.default_rng(0).uniform(size=(2, 1000, 20))
    nearly = jensen_shannon_divergence(p, p * (1 + 1e-9 * noise))
    apart = jensen_shannon_divergence(np.hstack([p, 0 * p]), np.hstack([0 * p, noise]))
    assert nearly.min() >= 0
    assert apart.max() <= 1


@every_distance
@pytest.mark.parametrize("tiny", [5e-324, 1e-310, 1e-17])
def test_next_to_no_mass_in_a_cell_is_next_to_no_distance(distance, tiny):
    for p, q in [([[1, tiny]], [[1, 0]]), ([[1, 0]], [[1, tiny]]), ([[1, tiny]], [[1, 2 * tiny]])]:
        assert_allclose(distance(p, q), 0, atol=1e-15)


@every_distance
@pytest.mark.parametrize(
    ("p", "q", "error", "match"),
    [
        ([[1, 2], [0, 0]], [[1, 2], [1, 1]], ValueError, "row 1 of p has no mass"),
        ([[1, 2], [1, 1]], [[0, 0], [0, 0]], ValueError, "row 0 of q has no mass"),
        (np.ones((2, 0)), np.ones((2, 0)), ValueError, "row 0 of p has no mass"),
        ([[1, -1]], [[1, 1]], ValueError, r"p must not be negative, got -1.0 at position \(0, 1\)"),
        ([[[1, 1], [1, 1]]], [[[1, 1], [-2, 1]]], ValueError, r"q must not be neg.* -2.0 at position \(0, 1, 0\)"),
        ([[1, np.nan]], [[1, 1]], ValueError, r"p must be finite, got nan at position \(0, 1\)"),
        ([[1, 1]], [[np.inf, 1]], ValueError, r"q must be finite, got inf at position \(0, 0\)"),
        ([[1, 1]], [[1, 1, 1]], ValueError, r"p and q must have the same shape, got \(1, 2\) and \(1, 3\)"),
        ([1, 1], [1, 1], ValueError, r"shape \(n_samples, ...cells\), got \(2,\). One distribution is p\[None\]"),
        ([["a", "b"]], [[1, 1]], TypeError, "p must be numbers, got 'a'"),
    ],
)
def test_distances_refuse_what_is_no_distribution(distance, p, q, error, match):
    with pytest.raises(error, match=match):
        distance(p, q)


@pytest.mark.parametrize(
    ("base", "error"), [(1, ValueError), (0.5, ValueError), (np.inf, ValueError), ("e", TypeError)]
)
def test_the_base_of_the_logarithm_is_above_one(base, error):
    with pytest.raises(error, match="base must be"):
        jensen_shannon_divergence([[1, 2]], [[2, 1]], base=base)
