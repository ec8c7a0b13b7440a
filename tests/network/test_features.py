"""Features of every kind work, or are refused at once by a message that names them."""

import array

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import NotFittedError

from sklearn_annoser.network import RatingsDataset, as_tensor
from tests.network.cases import RATINGS, X, assert_equal_weights, fit, make_net, weights_of


class Endless(torch.utils.data.Dataset):
    """A torch Dataset, which numpy would never get to the end of."""

    def __len__(self):
        return 160

    def __getitem__(self, index):
        return torch.zeros(6)


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter(X)


with_nan, with_inf, too_large = X.copy(), X.copy(), X.astype(np.float64)
with_nan[3, 2], with_inf[3, 2], too_large[3, 2] = np.nan, -np.inf, 1e39

BAD = {
    "a dataset": (Endless(), TypeError, "X must be an array.*got Endless"),
    "a stream": (Stream(), TypeError, "got Stream"),
    "a TensorDataset": (torch.utils.data.TensorDataset(torch.from_numpy(X)), TypeError, "got TensorDataset"),
    "a Subset": (torch.utils.data.Subset(Endless(), range(9)), TypeError, "got Subset"),
    "a loader": (torch.utils.data.DataLoader(Endless()), TypeError, "got DataLoader"),
    "a dict": ({"X": X}, TypeError, "got dict"),
    "a generator": ((row for row in X), TypeError, "got generator"),
    "nothing": (None, TypeError, "got NoneType"),
    "a number": (3.0, TypeError, "got float"),
    "text": ("features.npy", TypeError, "got str"),
    "a buffer": (array.array("f", [1.0]), TypeError, "got array"),
    "a sparse matrix": (sparse.csr_matrix(X), TypeError, "[Ss]parse"),
    "a sparse tensor": (torch.from_numpy(X).to_sparse(), ValueError, "X must be a dense tensor"),
    "one dimension": (X[:, 0], ValueError, "Expected 2D array, got 1D array"),
    "one dimension of a tensor": (torch.from_numpy(X[:, 0]), ValueError, r"of shape \(160,\)"),
    "three dimensions": (torch.zeros(2, 3, 4), ValueError, r"of shape \(2, 3, 4\)"),
    "no samples": (X[:0], ValueError, r"Found array with 0 sample\(s\)"),
    "no samples of a tensor": (torch.from_numpy(X[:0]), ValueError, r"neither of them 0; .* of shape \(0, 6\)"),
    "no features": (X[:, :0], ValueError, r"Found array with 0 feature\(s\)"),
    "complex numbers": (torch.from_numpy(X).to(torch.complex64), ValueError, "real numbers.*complex64"),
    "NaN": (with_nan, ValueError, "contains NaN"),
    "infinity": (with_inf, ValueError, "contains infinity"),
    "too large": (too_large, ValueError, "contains infinity or a value too large"),
    "NaN in a tensor": (torch.from_numpy(with_nan), ValueError, "X contains NaN"),
    "infinity in a tensor": (torch.from_numpy(with_inf), ValueError, "X contains infinity"),
    "too large in a tensor": (torch.from_numpy(too_large), ValueError, "X contains infinity"),
}


@pytest.fixture(scope="module")
def net():
    return fit()


@pytest.mark.parametrize("what", BAD)
@pytest.mark.timeout(20)
def test_bad_features_are_refused_at_once(what, net):
    bad, error, message = BAD[what]
    doors = [net.predict, net.predict_annotators]
    doors += [lambda X, door=door: door(X, RATINGS) for door in (make_net().fit, net.partial_fit, RatingsDataset)]
    for door in doors:
        with pytest.raises(error, match=message):
            door(bad)


def test_a_fit_of_bad_features_is_no_fit():
    net = make_net()
    with pytest.raises(TypeError, match="got Endless"):
        net.fit(Endless(), RATINGS)
    with pytest.raises(NotFittedError):
        net.predict(X)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.bool])
def test_tensors_of_any_real_type_are_taken_as_float32(dtype):
    tensor = torch.from_numpy(X).to(dtype)
    torch.manual_seed(0)
    net = make_net().fit(tensor, RATINGS)
    torch.manual_seed(0)
    assert_equal_weights(weights_of(net), weights_of(make_net().fit(tensor.float().numpy(), RATINGS)))


def test_no_gradient_reaches_the_users_features():
    tensor = torch.from_numpy(X).requires_grad_()
    make_net().fit(tensor, RATINGS).predict(tensor)
    assert tensor.grad is None


def test_a_read_only_array_is_shared_in_silence_and_stays_read_only(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    frozen = X.copy()
    frozen.flags.writeable = False
    for each in (mapped, frozen):
        tensor = as_tensor(each)
        assert tensor.data_ptr() == each.ctypes.data
        assert not each.flags.writeable
        np.testing.assert_array_equal(tensor.numpy(), X)
    alone = as_tensor(np.load(tmp_path / "X.npy", mmap_mode="r"))  # nobody else holds the array
    np.testing.assert_array_equal(alone.numpy(), X)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(150), r"must have shape \(160,\), got \(150,\)"),
        (np.full(160, np.nan), "finite"),
        (-np.ones(160), "negative"),
    ],
)
def test_bad_weights_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        make_net().fit(X, RATINGS, sample_weight=weight)


def test_an_output_that_no_training_sample_has_does_not_spoil_the_variances():
    values = RATINGS.values.copy()
    values[:, 1] = np.nan
    assert RatingsDataset(X, RATINGS.with_values(values)).rating_variance()[1] == 0
