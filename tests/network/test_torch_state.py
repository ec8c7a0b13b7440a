import pytest
import torch
from skorch.callbacks import Callback

from sklearn_annoser.network import seeded
from tests.network.cases import fit


@pytest.mark.parametrize(("n_threads", "expected"), [(1, 1), (3, 3), (None, 2)])
def test_threads_are_those_asked_for_and_given_back(n_threads, expected):
    class Count(Callback):
        def on_batch_end(self, net, **kwargs):
            seen.add(torch.get_num_threads())

    seen, before = set(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fit(n_threads=n_threads, callbacks=[Count()], max_epochs=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == {expected}


def test_seeded_draws_from_its_seed_and_gives_back_the_state_of_torch():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    draws = []
    for _ in range(2):
        with seeded(3, "cpu"):
            draws.append(torch.rand(4))
    assert torch.equal(*draws)
    assert torch.equal(torch.rand(2), expected)
