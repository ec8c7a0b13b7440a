import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_annoser.network import CCCLoss, mixture_divergence
from sklearn_annoser.network._loss import concordance
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


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 3), st.booleans(), st.integers(0, 2**31))
def test_the_gradient_that_is_written_out_is_that_of_autograd(n_ratings, n_outputs, weighted, seed):
    rng = np.random.RandomState(seed)
    pred, true = torch.from_numpy(rng.normal(size=(2, n_ratings, n_outputs)))
    weight = torch.from_numpy(rng.randint(3, size=(n_ratings, n_outputs)) * 0.7) if weighted else None
    loss = CCCLoss()(pred.requires_grad_(), true, weight)
    loss.backward()
    gradient, pred.grad = pred.grad, None
    expected = concordance(*(each if each is None else each.T for each in (pred, true, weight))).loss()
    expected.backward()
    assert loss.item() == expected.item()
    torch.testing.assert_close(gradient, pred.grad, rtol=1e-6, atol=1e-9)


def test_who_asks_for_the_gradient_of_the_ratings_gets_it():
    pred, true = torch.randn(2, 9, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda t: CCCLoss()(pred.requires_grad_(), t, torch.rand(9, 2) * 0 + 0.5), true.requires_grad_()
    )


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


# ---------------------------------------------------------------------- variances


def plain_divergence(mean, log_variance, true, samples):
    """Divergence of each sample and output, rating by rating: moments of the mixture, then the printed formula."""
    divergences = np.zeros((max(samples) + 1, true.shape[1]))
    for sample in range(max(samples) + 1):
        mine = [k for k, each in enumerate(samples) if each == sample]
        for output in range(true.shape[1]):
            first = second = rated = squared = 0.0
            for k in mine:
                first += mean[k, output] / len(mine)
                second += (np.exp(log_variance[k, output]) + mean[k, output] ** 2) / len(mine)
                rated += true[k, output] / len(mine)
                squared += true[k, output] ** 2 / len(mine)
            s2, t2 = max(second - first**2, 1e-4), max(squared - rated**2, 1e-4)
            # The divergence of N(rated, t2) from N(first, s2).
            kl = np.log(np.sqrt(s2) / np.sqrt(t2)) + (t2 + (rated - first) ** 2) / (2 * s2) - 1 / 2
            divergences[sample, output] = min(max(kl, 0), 5)
    return divergences


def rated_case(n_samples=30, n_outputs=2, seed=0):
    """Predictions and ratings of samples that have one to six raters each, in float64."""
    rng = np.random.RandomState(seed)
    samples = np.repeat(np.arange(n_samples), rng.randint(1, 7, size=n_samples))
    shape = (len(samples), n_outputs)
    return rng.uniform(-1, 1, size=shape), rng.normal(-2, 1.5, size=shape), rng.uniform(-1, 1, size=shape), samples


def divergence(*arrays):
    return mixture_divergence(*(torch.as_tensor(each) for each in arrays))


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_the_divergence_is_the_printed_one_of_the_mixtures_moments(n_outputs):
    case = rated_case(n_outputs=n_outputs)
    found = divergence(*case).numpy()
    assert 0.2 < np.mean((found > 0) & (found < 5)) < 1  # some are clamped
    np.testing.assert_allclose(found, plain_divergence(*case), atol=1e-10)


def test_the_divergence_of_equal_moments_is_zero_whatever_the_raters_share_of_it():
    true, samples = torch.tensor([[-0.5], [0.5]]), torch.tensor([0, 0])  # variance 1/4
    for mean in (0.0, 0.3, 0.5):  # two raters at -mean and mean: 1/4 - mean^2 is left for each one's own variance
        own = torch.full((2, 1), 0.25 - mean**2).clamp_min(1e-30).log()
        assert divergence(true * 2 * mean, own, true, samples).item() == pytest.approx(0, abs=1e-6)


def test_the_divergence_of_known_gaussians():
    true, samples = torch.tensor([[-1.0], [1.0]], dtype=torch.float64), torch.tensor([0, 0])  # N(0, 1)
    for mean, variance in ((0.0, 4.0), (1.0, 1.0), (-0.5, 2.0)):
        pred, log_variance = torch.full_like(true, mean), torch.full_like(true, variance).log()
        # KL(N(0, 1) || N(m, v)) = (log v + (1 + m^2) / v - 1) / 2
        expected = (np.log(variance) + (1 + mean**2) / variance - 1) / 2
        assert divergence(pred, log_variance, true, samples).item() == pytest.approx(expected, abs=1e-12)


def test_a_single_rating_counts_by_its_likelihood():
    true, samples = torch.tensor([[0.2]], dtype=torch.float64), torch.tensor([0])
    means = [torch.full_like(true, mean) for mean in (0.2, 0.5, 0.9)]
    loss = [divergence(mean, torch.full_like(true, 0.3).log(), true, samples).item() for mean in means]
    likelihood = [torch.distributions.Normal(mean, 0.3**0.5).log_prob(true).item() for mean in means]
    np.testing.assert_allclose(np.diff(loss), -np.diff(likelihood), atol=1e-12)


def test_the_divergence_stays_between_zero_and_five():
    true, samples = torch.tensor([[0.9], [1.0]]), torch.tensor([0, 0])
    mean = torch.full_like(true, -1.0, requires_grad=True)
    far = mixture_divergence(mean, torch.full_like(true, -20.0), true, samples)
    far.sum().backward()
    assert far.item() == 5
    assert torch.equal(mean.grad, torch.zeros(2, 1))
    found = divergence(*rated_case(n_samples=500))
    assert found.min() >= 0
    assert found.max() == 5


def test_the_order_of_ratings_and_of_samples_changes_nothing():
    *values, samples = (torch.as_tensor(each) for each in rated_case())
    order = torch.from_numpy(np.random.RandomState(1).permutation(len(samples)))
    expected = mixture_divergence(*values, samples)
    torch.testing.assert_close(mixture_divergence(*(each[order] for each in values), samples[order]), expected)
    torch.testing.assert_close(mixture_divergence(*values, 29 - samples), expected.flip(0))


def test_the_gradient_of_the_divergence_is_that_of_finite_differences():
    mean, log_variance, true, samples = (torch.as_tensor(each) for each in rated_case(n_samples=8))
    mean, log_variance = (true + mean / 4).requires_grad_(), log_variance.clamp_min(-2).requires_grad_()
    assert torch.autograd.gradcheck(lambda m, v: mixture_divergence(m, v, true, samples), (mean, log_variance))


# ---------------------------------------------------------------------- weights, and outputs that were not rated


def pairs(n=30, n_outputs=2, seed=0):
    rng = np.random.RandomState(seed)
    true = rng.normal(size=(n, n_outputs))
    return torch.from_numpy(0.6 * true + rng.normal(scale=0.5, size=true.shape)), torch.from_numpy(true)


def test_equal_weights_are_none():
    pred, true = pairs()
    for weight in (1.0, 0.3):
        weighted = CCCLoss()(pred, true, torch.full_like(pred, weight)).item()
        assert weighted == pytest.approx(CCCLoss()(pred, true).item(), abs=1e-12)


def test_whole_weights_are_repetitions():
    pred, true = pairs()
    times = torch.from_numpy(np.random.RandomState(1).randint(0, 4, size=30))
    repeated = CCCLoss()(pred.repeat_interleave(times, 0), true.repeat_interleave(times, 0)).item()
    weighted = CCCLoss()(pred, true, times[:, None].expand(-1, 2).double()).item()
    assert weighted == pytest.approx(repeated, abs=1e-12)


def test_what_was_not_rated_does_not_count():
    pred, true = pairs()
    given = torch.from_numpy(np.random.RandomState(2).uniform(size=(30, 2)) > 0.4)
    alone = [plain_loss(pred[own, k : k + 1].numpy(), true[own, k : k + 1].numpy()) for k, own in enumerate(given.T)]
    weighted = CCCLoss(eps=0.0)(pred, torch.where(given, true, 99.0), given.double()).item()
    assert weighted == pytest.approx(np.mean(alone), abs=1e-12)
    given[:, 1] = False  # nobody in this batch: the other output is all there is
    one = plain_loss(pred[given[:, 0], :1].numpy(), true[given[:, 0], :1].numpy())
    assert CCCLoss()(pred, true, given.double()).item() == pytest.approx(one, abs=1e-7)


def test_nothing_rated_costs_nothing_to_improve():
    pred, true = pairs()
    pred.requires_grad_()
    CCCLoss()(pred, true, torch.zeros_like(pred)).backward()
    assert torch.equal(pred.grad, torch.zeros_like(pred))


def test_the_divergence_passes_over_what_was_not_rated():
    mean, true = pairs(n=12)
    variance, samples = pairs(n=12, seed=1)[0], torch.arange(12) // 3
    given = torch.from_numpy(np.random.RandomState(3).uniform(size=(12, 2)) > 0.3)
    given[:3, 1] = False
    found = mixture_divergence(mean, variance, true, samples, given)
    for output in range(2):
        own = given[:, output]
        for sample in range(4):
            which = own & (samples == sample)
            if not which.any():
                assert found[sample, output] == 0
                continue
            one = [values[which, output : output + 1] for values in (mean, variance, true)]
            alone = mixture_divergence(*one, torch.zeros(int(which.sum()), dtype=torch.int64))
            assert found[sample, output].item() == pytest.approx(alone.item(), abs=1e-12)
