import pytest
import torch
from skorch.callbacks import Callback

from sklearn_annoser.network import seeded
from sklearn_annoser.network._torch_state import generator
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


def test_seeded_draws_from_its_seed_and_leaves_that_of_torch_alone():
    before = torch.get_rng_state()
    draws = []
    for _ in range(2):
        with seeded(3):
            draws.append(torch.rand(4, generator=generator()))
    assert generator() is None
    assert torch.equal(*draws)
    assert torch.equal(torch.get_rng_state(), before)
