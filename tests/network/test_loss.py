import numpy as np
import pytest
import torch

from sklearn_annoser.network import CCCLoss
from tests.oracles_network import plain_loss


@pytest.mark.parametrize(("n_ratings", "n_outputs"), [(2, 1), (7, 2), (185, 3)])
def test_the_loss_is_one_minus_the_printed_ccc_of_all_ratings_together(n_ratings, n_outputs):
    rng = np.random.RandomState(n_ratings)
    true = rng.uniform(-1, 1, size=(n_ratings, n_outputs))
    pred = 0.5 * true + rng.normal(scale=0.3, size=true.shape) + 0.2
    loss = CCCLoss(eps=0.0)(torch.from_numpy(pred), torch.from_numpy(true)).item()
    assert loss == pytest.approx(plain_loss(pred, true), abs=1e-10)


def test_the_default_eps_changes_nothing_that_matters():
    pred, true = torch.randn(50, 2, dtype=torch.float64), torch.randn(50, 2, dtype=torch.float64)
    assert CCCLoss()(pred, true).item() == pytest.approx(CCCLoss(eps=0.0)(pred, true).item(), abs=1e-7)


def test_the_loss_goes_from_zero_to_two():
    true = torch.tensor([[-1.0], [0.0], [1.0]])
    assert CCCLoss()(true, true).item() == pytest.approx(0, abs=1e-6)
    assert CCCLoss()(torch.zeros(3, 1), true).item() == 1
    assert CCCLoss()(-true, true).item() == pytest.approx(2, abs=1e-6)


def test_a_shift_and_another_spread_cost_what_the_formula_says():
    true = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)  # variance 2/3
    # Shift by 1: 2 * 2/3 / (2/3 + 2/3 + 1) = 4/7. Double: cov 4/3, 2 * 4/3 / (2/3 + 8/3) = 4/5.
    assert CCCLoss()(true + 1, true).item() == pytest.approx(3 / 7)
    assert CCCLoss()(2 * true, true).item() == pytest.approx(1 / 5)


def test_the_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    pred = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    true = torch.randn(9, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: CCCLoss()(p, true), pred)


@pytest.mark.parametrize("pred_value", [0.3, 0.7])
@pytest.mark.parametrize("n_ratings", [1, 5])
def test_constant_batches_have_a_finite_loss_and_gradient(n_ratings, pred_value):
    pred = torch.full((n_ratings, 2), pred_value, requires_grad=True)
    loss = CCCLoss()(pred, torch.full((n_ratings, 2), 0.3))
    loss.backward()
    assert loss.item() == 1
    assert torch.isfinite(pred.grad).all()


def test_a_single_rating_has_no_gradient():
    pred = torch.tensor([[0.5, -0.5]], requires_grad=True)
    CCCLoss()(pred, torch.tensor([[0.1, 0.2]])).backward()
    assert torch.equal(pred.grad, torch.zeros(1, 2))


def test_repr_shows_eps():
    assert repr(CCCLoss(eps=0.5)) == "CCCLoss(eps=0.5)"
