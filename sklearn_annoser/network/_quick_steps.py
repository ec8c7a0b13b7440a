"""Training steps of a net without autograd, where nobody looks at gradients, or at weights between the steps."""

from __future__ import annotations

from typing import Any

import torch
from skorch.callbacks import Callback, EpochScoring, LRScheduler, ProgressBar, TensorBoard
from torch import Tensor, nn

from sklearn_annoser.network._data import Batch, BatchLoader
from sklearn_annoser.network._module import FeatureDropout, MultiHeadModule, StackedLinear
from sklearn_annoser.network._moving_layers import MovingLayers
from sklearn_annoser.network._optim import LazySGD
from sklearn_annoser.network._stack_heads import LazyHeads

WATCHES = ("on_batch_begin", "on_batch_end", "on_grad_computed")
BLIND = {getattr(Callback, name) for name in WATCHES} | {
    each.on_batch_end for each in (EpochScoring, ProgressBar, TensorBoard)
}
HOOKS = tuple(
    f"_{kind}_hooks" for kind in ("forward", "forward_pre", "backward", "backward_pre", "post_accumulate_grad")
)


class QuickSteps:
    """The steps of one epoch, as `LazySGD` takes them.

    The network is walked through by :class:`MovingLayers`; autograd is left with the loss. Weights and velocities of
    the heads are those of the dense optimizer after :meth:`finish`.

    Parameters
    ----------
    net : MultiHeadNet
        One that :func:`may_be_quick`.
    n_steps : int
        Most steps.
    """

    def __init__(self, net: Any, n_steps: int) -> None:
        self.net, module, optimizer = net, net.module_, net.optimizer_
        lr, momentum, decay = (float(optimizer.param_groups[0][name]) for name in ("lr", "momentum", "weight_decay"))
        shared = [each for each in module.parameters() if each is not module.heads]
        for each in shared:
            optimizer.state[each].setdefault("momentum_buffer", torch.zeros_like(each))
        velocities = [optimizer.state[each]["momentum_buffer"] for each in shared]
        views = (list(map(_as_member, some)) for some in (shared, velocities))
        self.layers = MovingLayers(*views, n_outputs=module.n_outputs, momentum=momentum)
        self.layers.start(lr, [decay])
        self.heads = LazyHeads(module.heads[None], optimizer.start_rows(module.heads)[None], momentum=momentum)
        self.heads.start(lr, [decay], n_steps)

    @torch.no_grad()
    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Train on one batch, and return its loss and predictions."""
        X = self.net.module_.trunk[0](batch.X)
        predicted = self.layers.predict(X[None], self.heads.read(batch.heads[None]), batch.pairs[None])
        with torch.enable_grad():
            y_pred = predicted[0].T.requires_grad_()  # (n_ratings, n_maps)
            loss = self.net.get_loss(y_pred, batch.y, X=batch, training=True)
            loss.backward()
        assert y_pred.grad is not None
        self.heads.step(self.layers.learn(y_pred.grad.T[None]))
        return {"loss": loss.detach(), "y_pred": y_pred.detach()}

    def finish(self) -> None:
        """Bring all heads to the present step."""
        self.heads.finish(range(1))
        # Schedulers of the learning rate expect to see the optimizer step. Without gradients it moves nothing.
        self.net.optimizer_.zero_grad()
        self.net.optimizer_.step()


def may_be_quick(net: Any, batches: Any) -> bool:
    """Say whether a net's steps are those that are written out here, and nobody would see the difference."""
    module, optimizer = net.module_, net.optimizer_
    weights = list(module.parameters())
    return (
        _is_ours(net)
        and type(batches) is BatchLoader
        and type(optimizer) is LazySGD
        and optimizer.param_groups[0]["momentum"] > 0
        and net.max_grad_norm is None
        and _is_ours(net.criterion_)
        and _is_plain(module)
        and {id(each) for each in optimizer.param_groups[0]["params"]} == {id(each) for each in weights}
        and all(each.requires_grad and not _is_hooked(each) for each in weights)
        and not any(_watches(callback) for _, callback in net.callbacks_)
    )


def _is_ours(each: Any) -> bool:
    """Say whether something is of a class of this package, which nobody has changed."""
    return type(each).__module__.partition(".")[0] == __name__.partition(".")[0]


def _is_hooked(each: Any) -> bool:
    """Say whether somebody has asked to see what goes through a module, or the gradient of a weight."""
    return any(getattr(each, hooks, None) for hooks in HOOKS)


def _is_plain(module: nn.Module) -> bool:
    """Say whether a module is built, and goes forward, as :class:`MultiHeadModule` does."""
    if type(module) is not MultiHeadModule or any(map(_is_hooked, module.modules())):
        return False
    kinds = [type(each) for part in (module.trunk, module.towers) for each in part]
    return kinds == [FeatureDropout, nn.Linear, nn.ReLU] + [StackedLinear, nn.ReLU] * (len(module.towers) // 2)


def _watches(callback: Any) -> bool:
    """Say whether a callback may look at a batch's gradients, or at weights between two batches."""
    if isinstance(callback, LRScheduler) and callback.step_every == "epoch":
        return type(callback) is not LRScheduler
    return any(getattr(type(callback), name) not in BLIND for name in WATCHES)


def _as_member(each: Tensor) -> Tensor:
    """Return a weight of a network as the one member of a stack: those of the trunk multiply from the left."""
    each = each.detach()
    return each[None] if each.ndim == 3 else each.T[None] if each.ndim == 2 else each[None, None]
