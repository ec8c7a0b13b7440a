"""The module for ordered classes: its likelihood and gradient are those of a plain twin, its thresholds rise."""

import numpy as np
import pytest
import torch

from sklearn_annoser import Ratings
from sklearn_annoser.network import CrossEntropy, MultiHeadNet, OrderedModule, RatingsDataset, seeded
from sklearn_annoser.network._ordered import log_probabilities, thresholds


def plain_proba(score, gaps):
    """Return the probability of each class in float64, one difference of sigmoids at a time."""
    cuts = np.concatenate([[0.0], np.exp(gaps).cumsum()])
    below = [0.0, *(1 / (1 + np.exp(score - cut)) for cut in cuts - cuts.mean()), 1.0]
    return np.diff(below)


def module_of(n_classes=(3, 4, 2), n_annotators=5):
    with seeded(0):
        return OrderedModule(6, n_annotators, sum(n_classes), n_classes=n_classes, n_hidden=8, dropout=0.0)


def batch_of(n_classes=(3, 4, 2), n_annotators=5):
    rng = np.random.RandomState(0)
    dense = rng.normal(size=(7, n_annotators, sum(n_classes)))
    dense[rng.uniform(size=dense.shape[:2]) < 0.5] = np.nan
    dense[0] = 1.0
    return RatingsDataset(rng.normal(size=(7, 6)), Ratings.from_dense(dense)).__getitems__(np.arange(7))[0]


def test_every_rating_has_the_probabilities_of_its_annotator():
    module, batch = module_of(), batch_of()
    with torch.no_grad():
        module.heads[:, module.n_weights :] += torch.linspace(-1, 1, 15).view(5, 3)
    found = module(batch).detach().numpy()
    hidden, heads = module.hidden(batch.X).detach().numpy(), module.stacked_heads().numpy()
    gaps = np.split(module.heads.detach().numpy()[:, module.n_weights :], [1, 3], axis=1)
    for row, pair in enumerate(batch.pairs.tolist()):
        sample, who = pair // len(batch.heads), int(batch.heads[pair % len(batch.heads)])
        expected = [
            np.log(plain_proba(hidden[output, sample] @ head[:-1] + head[-1], gaps[output][who]))
            for output, head in enumerate(heads[who])
        ]
        np.testing.assert_allclose(found[row], np.concatenate(expected), atol=1e-5)


def test_the_gradient_is_that_of_the_likelihood():
    rng = np.random.RandomState(0)
    scores = torch.tensor(rng.normal(size=9), requires_grad=True)
    gaps = torch.tensor(rng.normal(size=(9, 3)), requires_grad=True)
    assert torch.autograd.gradcheck(log_probabilities, (scores, gaps))
    found = log_probabilities(scores, gaps).detach().numpy()
    expected = [np.log(plain_proba(*pair)) for pair in zip(scores.tolist(), gaps.detach().numpy(), strict=True)]
    np.testing.assert_allclose(found, expected)


def test_absurd_weights_keep_everything_finite():
    scores = torch.tensor([-1e4, 0.0, 1e4], requires_grad=True)
    gaps = torch.tensor([[-500.0, 500.0]] * 3, requires_grad=True)
    found = log_probabilities(scores, gaps)
    found.sum().backward()
    assert found.isfinite().all()
    assert scores.grad.isfinite().all()
    assert gaps.grad.isfinite().all()


def test_two_classes_are_the_logistic_loss():
    scores, labels = torch.randn(20, dtype=torch.float64), torch.arange(20) % 2
    shares = torch.eye(2, dtype=torch.float64)[labels]
    found = CrossEntropy()(log_probabilities(scores, torch.empty(20, 0, dtype=torch.float64)), shares)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels.double())
    torch.testing.assert_close(found, expected)


def test_reversed_scores_and_gaps_are_reversed_classes():
    scores, gaps = torch.randn(10), torch.randn(10, 3)
    found = log_probabilities(-scores, gaps.flip(1)).flip(1)
    torch.testing.assert_close(found, log_probabilities(scores, gaps), atol=1e-5, rtol=1e-5)


def test_thresholds_rise_whatever_is_learned_and_all_classes_are_as_frequent_at_first():
    module = module_of()
    for own, n in zip(module.stacked_thresholds(), (3, 4, 2), strict=True):
        assert own.shape == (5, n - 1)
        np.testing.assert_allclose(
            own.numpy(), np.tile(np.log(np.arange(1, n) / np.arange(n - 1, 0, -1)), (5, 1)), atol=1e-6
        )
    cuts, widths = thresholds(50 * torch.randn(100, 5, dtype=torch.float64))
    assert (cuts.diff(dim=1) > 0).all()
    assert (widths > 0).all()


def test_pretraining_starts_every_annotator_from_the_shared_thresholds():
    rng = np.random.RandomState(0)
    X, codes = rng.normal(size=(60, 4)), rng.randint(3, size=(60, 2))
    y = Ratings.from_dense(np.eye(3)[codes])
    settings = {"module": OrderedModule, "module__n_classes": (3,), "module__n_hidden": 4, "criterion": CrossEntropy}
    net = MultiHeadNet(**settings, lr=0.1, max_epochs=1, train_split=None).initialize_callbacks()
    dataset = net.get_dataset(X, y)
    net._start(dataset)
    net._pretrain(dataset)
    cuts = net.module_.stacked_thresholds()[0]
    torch.testing.assert_close(cuts[0], cuts[1], atol=0, rtol=0)
    assert not torch.allclose(cuts[0], module_of((3,)).stacked_thresholds()[0][0])
    before = net.module_.heads.detach().clone()
    net.module_.add_heads(2)
    torch.testing.assert_close(net.module_.heads[2:], before.mean(0).expand(2, -1))


def test_the_loss_of_several_outputs_is_the_mean_of_theirs():
    rng = np.random.RandomState(0)
    logits, labels = torch.tensor(rng.normal(size=(9, 5))), rng.randint((3, 2), size=(9, 2))
    shares = torch.tensor(np.concatenate([np.eye(3)[labels[:, 0]], np.eye(2)[labels[:, 1]]], axis=1))
    weight = torch.tensor(np.repeat(rng.randint(0, 2, size=(9, 2)), (3, 2), axis=1).astype(float))
    both = CrossEntropy((3, 2))
    one = CrossEntropy()
    parts = [(logits[:, :3], shares[:, :3], weight[:, :3]), (logits[:, 3:], shares[:, 3:], weight[:, 3:])]
    torch.testing.assert_close(both(logits, shares), (one(*parts[0][:2]) + one(*parts[1][:2])) / 2)
    torch.testing.assert_close(both(logits, shares, weight), (one(*parts[0]) + one(*parts[1])) / 2)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"n_classes=\[3, 4\] must be 6 columns together"):
        OrderedModule(4, 2, 6, n_classes=(3, 4))
