"""Trunk and towers in training, with the way forward and back written out: gradients go where they are needed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class MovingLayers:
    """Trunk and towers of networks side by side, which SGD with momentum moves while it goes back through them.

    The matrix product that yields a gradient adds it to the velocity. Autograd would write it to fresh memory, for the
    optimizer to read again: with small batches that takes as long as the products.

    Parameters
    ----------
    weights : sequence of Tensor
        Weight and bias of the trunk, (n_members, n_features, n_hidden) and (n_members, 1, n_hidden), then those of each
        layer of the towers, (n_members, n_outputs, n_hidden, n_hidden) and (n_members, n_outputs, 1, n_hidden). They
        are moved in place.
    velocities : sequence of Tensor
        Where each is moving; also in place.
    n_outputs : int
        Number of towers.
    momentum : float
        Momentum.
    """

    def __init__(
        self, weights: Sequence[Tensor], velocities: Sequence[Tensor], *, n_outputs: int, momentum: float
    ) -> None:
        self.weights, self.velocities = [each.detach() for each in weights], list(velocities)
        self.n_outputs, self.momentum = n_outputs, momentum
        self.n_members = len(weights[0])

    def start(self, lr: float, decay: Sequence[float]) -> None:
        """Set the learning rate, and the weight decay of each member."""
        self.lr, self.decay = lr, list(decay)
        pairs = zip(self.weights, self.velocities, strict=True)
        flat = [(weight.flatten(0, -3), velocity.flatten(0, -3)) for weight, velocity in pairs]
        moved = [_Moved(*each, momentum=self.momentum, lr=lr, decay=self._decay(each[0])) for each in flat]
        self._layers = list(zip(moved[::2], moved[1::2], strict=True))

    def _decay(self, weight: Tensor) -> Tensor | None:
        """Return the decay of each matrix, (n_matrices, 1, 1), or None if there is none."""
        if not any(self.decay):
            return None
        return weight.new_tensor(self.decay).repeat_interleave(len(weight) // self.n_members).view(-1, 1, 1)

    def first(self, n_members: int) -> MovingLayers:
        """Return the first members alone, whose weights and velocities stay where they are."""
        parts = ([each[:n_members] for each in some] for some in (self.weights, self.velocities))
        first = MovingLayers(*parts, n_outputs=self.n_outputs, momentum=self.momentum)
        first.start(self.lr, self.decay[:n_members])
        return first

    def predict(self, X: Tensor, heads: Tensor, pairs: Tensor) -> Tensor:
        """Predict ratings of features, (n_members, n_samples, n_features), by heads, (n_members, n_heads, n_columns).

        A head is one linear map for each output, the bias last; or several, one after the other. Returned is what they
        predict, (n_members, n_maps, n_ratings), at the places in (n_samples, n_heads) that are in `pairs`, (n_members,
        n_ratings).
        """
        hidden = F.pad(self._hidden(X), (0, 1), value=1.0).unflatten(0, (self.n_members, 1, self.n_outputs))
        maps = heads.unflatten(2, (-1, hidden.shape[-1])).transpose(1, 2)  # (n_members, n_maps, n_heads, n_hidden + 1)
        n_maps = maps.shape[1]
        hidden = hidden.expand(-1, n_maps // self.n_outputs, -1, -1, -1).flatten(0, 2)
        maps = maps.flatten(0, 1)
        everyone = torch.bmm(hidden, maps.mT)  # (n_members * n_maps, n_samples, n_heads)
        places = pairs.unsqueeze(1).expand(-1, n_maps, -1)
        self._seen = hidden, maps, places
        return everyone.view(self.n_members, n_maps, -1).gather(2, places)

    def _hidden(self, X: Tensor) -> Tensor:
        """Return what the towers say, (n_members * n_outputs, n_samples, n_hidden); what each layer saw is kept."""
        self._inputs, x = [], X
        for at, (weight, bias) in enumerate(self._layers):
            self._inputs.append(x)
            x = torch.baddbmm(bias.value, x, weight.value).relu_()
            if at == 0:
                x = x.unsqueeze(1).expand(-1, self.n_outputs, -1, -1).flatten(0, 1)
        self._inputs.append(x)
        return x

    def learn(self, gradient: Tensor) -> Tensor:
        """Move all by the gradient of the predictions, (n_members, n_maps, n_ratings), and return that of the heads.

        It is (n_members, n_heads, n_maps, n_hidden + 1).
        """
        hidden, maps, places = self._seen
        n_samples, n_heads = hidden.shape[1], maps.shape[1]
        everyone = gradient.new_zeros((*gradient.shape[:2], n_samples * n_heads)).scatter_add_(2, places, gradient)
        everyone = everyone.view(-1, n_samples, n_heads)
        of_maps = torch.bmm(everyone.mT, hidden).unflatten(0, gradient.shape[:2]).transpose(1, 2)
        of_hidden = torch.bmm(everyone, maps)[..., :-1].unflatten(0, (self.n_members, -1, self.n_outputs)).sum(1)
        self._go_back(of_hidden.flatten(0, 1))
        return of_maps

    def _go_back(self, gradient: Tensor) -> None:
        """Move the layers by the gradient of what the towers say."""
        for at in range(len(self._layers) - 1, -1, -1):
            gradient = torch.ops.aten.threshold_backward(gradient, self._inputs[at + 1], 0)
            if at == 0:
                gradient = gradient.unflatten(0, (self.n_members, self.n_outputs)).sum(1)
            weight, bias = self._layers[at]
            below = torch.bmm(gradient, weight.value.mT) if at else gradient
            weight.move_by_product(self._inputs[at].mT, gradient)
            bias.move(gradient.sum(1, keepdim=True))
            gradient = below


class _Moved:
    """A weight or bias of each member, and where it is moving."""

    def __init__(self, value: Tensor, velocity: Tensor, *, momentum: float, lr: float, decay: Tensor | None) -> None:
        self.value, self.velocity, self.momentum, self.lr, self.decay = value, velocity, momentum, lr, decay

    def move(self, gradient: Tensor) -> None:
        """Take one step."""
        self.velocity.mul_(self.momentum).add_(gradient)
        self._step()

    def move_by_product(self, left: Tensor, right: Tensor) -> None:
        """Take one step by a gradient that is a product of matrices."""
        self.velocity.baddbmm_(left, right, beta=self.momentum)
        self._step()

    def _step(self) -> None:
        if self.decay is not None:
            self.velocity.addcmul_(self.value, self.decay)
        self.value.sub_(self.velocity, alpha=self.lr)
