import pytest

from sklearn_annoser import Ratings
from tests.cases import dense


@pytest.mark.parametrize(("n_outputs", "names"), [(1, ("rating",)), (2, ("rating_0", "rating_1"))])
def test_outputs_have_default_names(n_outputs, names):
    assert dense(n_outputs=n_outputs).outputs == names


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"indptr": [0, 1, 2]}, ValueError, "indptr must rise from 0 to the number of ratings, 3, got"),
        ({"indptr": [1, 2, 3]}, ValueError, "indptr must rise from 0"),
        ({"indptr": [0, 4, 3]}, ValueError, "indptr must rise from 0"),
        ({"indptr": []}, ValueError, "indptr must rise from 0"),
        ({"indptr": [0.0, 2.0, 3.0]}, TypeError, "indptr must be one-dimensional integers, got dtype float64"),
        ({"codes": [0, 1]}, ValueError, "there are 3 values, but 2 codes: give one code for each rating"),
        ({"codes": [[0, 1, 0]]}, TypeError, r"codes must be one-dimensional integers, got dtype int64, shape \(1, 3\)"),
        ({"codes": [0, 2, 0]}, ValueError, "codes must be between 0 and 1, the positions in annotators, got 0 to 2"),
        ({"codes": [0, -1, 0]}, ValueError, "codes must be between 0 and 1, the positions in annotators, got -1 to 0"),
        ({"codes": [1, 1, 0]}, ValueError, "annotator 'bob' rated the sample at position 0 twice. .*from_long.*mean"),
        ({"values": []}, ValueError, "there are no ratings"),
        ({"annotators": ["ann", "ann"]}, ValueError, "annotators must be unique, got 'ann' twice"),
    ],
)
def test_the_constructor_refuses_arrays_that_do_not_fit(changes, error, match):
    arrays = {"indptr": [0, 2, 3], "codes": [0, 1, 0], "values": [1.0, 2.0, 3.0], "annotators": ["ann", "bob"]}
    with pytest.raises(error, match=match):
        Ratings(**arrays | changes)
