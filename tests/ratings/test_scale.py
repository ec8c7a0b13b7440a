import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose

from sklearn_annoser import Ratings
from sklearn_annoser.ratings._scale import check_scale
from tests.cases import dense, patient, unsorted


def test_one_scale_is_that_of_every_output():
    assert check_scale((1, 5), 3).tolist() == [[1, 5]] * 3
    assert check_scale([(1, 5), (0, 1)], 2).tolist() == [[1, 5], [0, 1]]
    assert check_scale(None, 2) is None


def test_a_scale_is_copied():
    scale = np.array([[1.0, 5.0]])
    check_scale(scale, 1)[0, 0] = 9
    assert scale.tolist() == [[1, 5]]


def test_rescaling_is_linear_from_the_declared_scale():
    ratings = Ratings.from_rows([[1, 10], [3, 10], [5, 20]], "ann", scale=[(1, 5), (10, 20)])
    assert ratings.rescaled().values.tolist() == [[-1, -1], [0, -1], [1, 1]]
    assert ratings.rescaled((0, 100)).values.tolist() == [[0, 0], [50, 0], [100, 100]]
    assert ratings.rescaled([(0, 1), (1, 2)]).values.tolist() == [[0, 1], [0.5, 1], [1, 2]]


@patient
@given(
    hnp.arrays(np.float64, (4, 2), elements=st.floats(1, 7)),
    st.tuples(st.floats(-10, 10), st.floats(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    st.sampled_from([np.float32, np.float64]),
)
def test_rescaling_there_and_back_gives_the_ratings(values, to, dtype):
    ratings = Ratings.from_rows(values.astype(dtype), "ann", scale=(1, 7))
    there = ratings.rescaled(to)
    assert there.scale.tolist() == [list(to)] * 2
    assert Ratings.from_long(there.to_long(), outputs=there.outputs, scale=to).values.tolist() == there.values.tolist()
    assert_allclose(there.rescaled((1, 7)).values, ratings.values, rtol=1e-4 if dtype == np.float32 else 1e-10)


def test_a_float32_rating_at_the_end_of_its_scale_is_inside():
    assert Ratings.from_rows(np.float32([-0.7, 0.1]), "ann", scale=(-0.7, 0.1)).n_ratings == 2


def test_rescaled_ratings_stay_within_the_new_scale():
    # 0.3 - -0.8 + -0.8 is above 0.3
    assert Ratings.from_rows([1.0, 5.0], "ann", scale=(1, 5)).rescaled((-0.8, 0.3)).values.ravel().tolist() == [
        -0.8,
        0.3,
    ]


def test_slices_keep_the_scale():
    assert unsorted()[[0, 2]].scale.tolist() == [[1, 5], [1, 5]]


@pytest.mark.parametrize(
    ("ratings", "to", "match"),
    [
        (dense(), (0, 1), r"these ratings have no scale. Declare it when you make them, for example scale=\(1, 7\)"),
        (unsorted(), (1, 0), r"scale must have low < high, got \(1, 0\)"),
        (unsorted(), [(0, 1)] * 3, "scale must be .low, high., or one such pair for each of the 2 outputs"),
    ],
)
def test_rescaling_needs_two_scales(ratings, to, match):
    with pytest.raises(ValueError, match=match):
        ratings.rescaled(to)
