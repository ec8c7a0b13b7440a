"""Steps without autograd are those with it, and are taken only where nobody can see the difference."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EpochScoring, Freezer, LRScheduler, ProgressBar
from torch.utils.data import DataLoader

from sklearn_annoser import Ratings
from sklearn_annoser.network import CCCLoss, CrossEntropy, LazySGD, MultiHeadModule, MultiHeadNet
from sklearn_annoser.network._quick_steps import QuickSteps
from tests.network.cases import GROUPS, RATINGS, X, make_net, weights_of

WEIGHT = np.random.RandomState(2).uniform(0.2, 2, size=len(X))


class Watch(Callback):
    """One that might look at the weights after every batch: with it autograd takes the steps."""

    def on_batch_end(self, net, **kwargs):
        pass


@pytest.fixture
def n_quick(monkeypatch):
    """How many steps were taken without autograd, as a list of one entry a step."""
    steps, plain = [], QuickSteps.step
    monkeypatch.setattr(QuickSteps, "step", lambda self, batch: steps.append(1) or plain(self, batch))
    return steps


def gappy():
    """Ratings of which a quarter of the values lack."""
    values = RATINGS.to_dense()
    values[np.random.RandomState(3).uniform(size=values.shape) < 0.25] = np.nan
    return Ratings.from_dense(values)


def shares():
    """Shares of three classes instead of ratings."""
    values = RATINGS.to_dense()
    logits = np.concatenate([values, -values[..., :1]], axis=2) * 3
    return Ratings.from_dense(np.exp(logits) / np.exp(logits).sum(2, keepdims=True))


def trained(ratings, sample_weight=None, seed=0, **settings):
    """Return a net that was trained from a seed."""
    torch.manual_seed(seed)
    return make_net(**settings).fit(X, ratings, groups=GROUPS, sample_weight=sample_weight)


CASES = {
    "as it is": (RATINGS, None, {}),
    "dropout": (RATINGS, None, {"module__dropout": 0.3}),
    "weights": (RATINGS, WEIGHT, {}),
    "gaps": (gappy(), None, {"batch_size": 9}),
    "gaps, weights and decay": (gappy(), WEIGHT, {"optimizer__weight_decay": 0.01}),
    "idle heads": (RATINGS, None, {"batch_size": 3, "max_epochs": 2, "pretrain_epochs": 0, "optimizer__momentum": 0.6}),
    "consensus head": (RATINGS, None, {"consensus_head": True}),
    "consensus head, gaps": (gappy(), WEIGHT, {"consensus_head": True}),
    "variance heads": (RATINGS, None, {"variance_heads": True}),
    "both": (gappy(), WEIGHT, {"variance_heads": True, "consensus_head": True}),
    "classes": (shares(), None, {"criterion": CrossEntropy, "criterion__n_classes": [3]}),
    "classes of two outputs": (shares(), WEIGHT, {"criterion": CrossEntropy, "criterion__n_classes": [1, 2]}),
    "no tower layers": (RATINGS, None, {"module__n_tower_layers": 0}),
    "three tower layers": (RATINGS, None, {"module__n_tower_layers": 3}),
    "one output": (Ratings.from_dense(RATINGS.to_dense()[..., :1]), None, {}),
    "plateaus": (RATINGS, None, {"max_epochs": 12, "lr": 0.1, "patience": 4, "lr_patience": 0}),
    "no validation": (RATINGS, None, {"train_split": None}),
}


@pytest.mark.parametrize(("ratings", "sample_weight", "settings"), CASES.values(), ids=CASES)
def test_they_are_those_of_autograd(ratings, sample_weight, settings, n_quick, monkeypatch):
    quick = trained(ratings, sample_weight, **settings)
    assert n_quick
    n_quick.clear()
    monkeypatch.setattr("sklearn_annoser.network._ratings_net.may_be_quick", lambda *args: False)
    slow = trained(ratings, sample_weight, **settings)
    assert not n_quick
    close = {"rtol": 2e-4, "atol": 2e-5}
    for name, value in weights_of(slow).items():
        torch.testing.assert_close(weights_of(quick)[name], value, **close)
    for losses in ("train_loss", "valid_loss"):
        if losses in slow.history[0]:
            np.testing.assert_allclose(quick.history[:, losses], slow.history[:, losses], **close)


def test_a_training_goes_on_from_one_kind_of_step_to_the_other(n_quick):
    settings = {"train_split": None, "pretrain_epochs": 0, "batch_size": 20}
    dense = make_net(optimizer=torch.optim.SGD, optimizer__momentum=0.9, **settings)
    mixed = make_net(**settings)
    for net in (dense, mixed):
        torch.manual_seed(0)
        for callbacks in (None, [Watch()], None):
            net.set_params(callbacks=callbacks)
            net.partial_fit(X, RATINGS, epochs=1)
    assert len(n_quick) == 2 * 8
    for name, value in weights_of(dense).items():
        torch.testing.assert_close(weights_of(mixed)[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("last_step", [1, 5])
def test_an_interrupted_epoch_leaves_the_weights_of_the_dense_optimizer(last_step, monkeypatch):
    settings = {"batch_size": 4, "train_split": None, "pretrain_epochs": 0, "optimizer__momentum": 0.9}
    steps = []

    def interrupted(plain):
        def step(self, batch):
            steps.append(1)
            if len(steps) > 30 + last_step:
                raise KeyboardInterrupt
            return plain(self, batch)

        return step

    nets = []
    for optimizer, where in ((LazySGD, QuickSteps), (torch.optim.SGD, MultiHeadNet)):
        steps.clear()
        name = "step" if where is QuickSteps else "train_step"
        with monkeypatch.context() as patch:
            patch.setattr(where, name, interrupted(getattr(where, name)))
            torch.manual_seed(0)
            net = make_net(optimizer=optimizer, **settings).partial_fit(X[:120], RATINGS[:120], epochs=1)
            with pytest.raises(KeyboardInterrupt):
                net.partial_fit(X[:120], RATINGS[:120], epochs=1)
        nets.append(net)
    for name, value in weights_of(nets[1]).items():
        torch.testing.assert_close(weights_of(nets[0])[name], value, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------- who would see the difference


class Penalized(MultiHeadNet):
    """A net whose loss knows the weights."""

    def get_loss(self, y_pred, y_true, X=None, training=False):
        return super().get_loss(y_pred, y_true, X, training) + 0.1 * self.module_.trunk[1].weight.square().sum()


class OwnLoss(CCCLoss):
    """A loss of a user's own."""


class OwnModule(MultiHeadModule):
    """A module of a user's own, which could go forward in any way."""


class OwnSGD(LazySGD):
    """An optimizer of a user's own."""


class Hooked(Callback):
    """Lets a hook see what goes through a tower, or the gradient of its weight."""

    def __init__(self, register, of_weight):
        self.register, self.of_weight = register, of_weight

    def on_train_begin(self, net, **kwargs):
        layer = net.module_.towers[0]
        getattr(layer.weight if self.of_weight else layer, self.register)(lambda *args: None)


class Widened(Callback):
    """Puts a layer of another kind into the trunk."""

    def on_train_begin(self, net, **kwargs):
        net.module_.trunk[2] = torch.nn.LeakyReLU()


SEEING = {
    "callback": {"callbacks": [Watch()]},
    "clipping": {"max_grad_norm": 1.0},
    "schedule of batches": {"callbacks": [LRScheduler("StepLR", step_size=3, step_every="batch")]},
    "criterion": {"criterion": OwnLoss},
    "module": {"module": OwnModule},
    "layer": {"callbacks": [Widened()]},
    "optimizer": {"optimizer": OwnSGD},
    "no momentum": {"optimizer__momentum": 0.0},
    "frozen": {"callbacks": [Freezer("trunk*")]},
    "groups": {"optimizer__param_groups": [("heads", {"lr": 0.1})]},
    "batches of torch": {"iterator_train": DataLoader, "iterator_train__collate_fn": lambda parts: parts},
    "hook forward": {"callbacks": [Hooked("register_forward_hook", False)]},
    "hook before": {"callbacks": [Hooked("register_forward_pre_hook", False)]},
    "hook back": {"callbacks": [Hooked("register_full_backward_hook", False)]},
    "hook of a gradient": {"callbacks": [Hooked("register_hook", True)]},
    "hook after a gradient": {"callbacks": [Hooked("register_post_accumulate_grad_hook", True)]},
}
UNSEEING = {
    "bar": {"callbacks": [ProgressBar()]},
    "schedule of epochs": {"callbacks": [LRScheduler("StepLR", step_size=2)]},
    "scoring": {"callbacks": [EpochScoring(lambda net, data, y: 0.0, name="zero")]},
}


@pytest.mark.parametrize("settings", SEEING.values(), ids=SEEING)
def test_whoever_could_see_a_difference_gets_steps_of_autograd(settings, n_quick):
    make_net(**{"train_split": None, "pretrain_epochs": 0, "max_epochs": 1} | settings).fit(X, RATINGS)
    assert not n_quick


def test_a_loss_that_knows_the_weights_moves_them(n_quick):
    settings = {"train_split": None, "pretrain_epochs": 0}
    nets = []
    for kind, optimizer in ((Penalized, LazySGD), (Penalized, torch.optim.SGD), (MultiHeadNet, LazySGD)):
        torch.manual_seed(0)
        params = make_net(optimizer=optimizer, optimizer__momentum=0.9, **settings).get_params(deep=False)
        nets.append(kind(**params | {"optimizer__momentum": 0.9, "module__n_hidden": 16, "module__dropout": 0.0}))
        nets[-1].fit(X, RATINGS)
    assert len(n_quick) == 3 * 5
    lazy, dense, plain = (net.module_.trunk[1].weight for net in nets)
    torch.testing.assert_close(lazy, dense, rtol=1e-3, atol=1e-5)
    assert (lazy - plain).abs().max() > 1e-3


@pytest.mark.parametrize("settings", UNSEEING.values(), ids=UNSEEING)
def test_callbacks_that_only_count_and_show_leave_steps_quick(settings, n_quick):
    make_net(pretrain_epochs=0, max_epochs=2, batch_size=40, **settings).fit(X, RATINGS)
    assert len(n_quick) == 2 * 3
