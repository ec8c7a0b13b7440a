"""One person's model as a plain torch module: features to ratings, or to probabilities of classes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class PersonModule(nn.Module):
    """Predict as one person rates: hidden features, and one head on the scale of the ratings.

    It is float32 throughout, and on the CPU; nothing in it is trained.

    Parameters
    ----------
    module : torch module
        The network: its ``hidden`` is what the head sees.
    head : array, shape (n_outputs, n_hidden + 1)
        The head, the bias last.
    limits : array, shape (n_outputs, 2), default=None
        The lowest and the highest prediction of each output. None: they are as they come.
    """

    weight: Tensor
    bias: Tensor
    limits: Tensor | None

    def __init__(self, module: Any, head: np.ndarray, limits: np.ndarray | None = None) -> None:
        super().__init__()
        self.register_buffer("limits", None if limits is None else torch.as_tensor(limits.T, dtype=torch.float32))
        self.network = copy.deepcopy(module).cpu().eval().requires_grad_(False)
        column = torch.as_tensor(head, dtype=torch.float32).unsqueeze(2)  # (n_outputs, n_hidden + 1, 1)
        self.register_buffer("weight", column[:, :-1].contiguous())
        self.register_buffer("bias", column[:, -1:].contiguous())
        self.eval()

    def forward(self, X: Tensor) -> Tensor:
        """Predict the ratings, (n_samples, n_outputs), of features, (n_samples, n_features)."""
        predicted = torch.baddbmm(self.bias, self.network.hidden(X), self.weight).squeeze(2).T
        return predicted if self.limits is None else torch.clamp(predicted, self.limits[0], self.limits[1])


class PersonLabelsModule(PersonModule):
    """Predict how probable one person's labels are.

    Parameters
    ----------
    module : torch module
        The network: its ``hidden`` is what the head sees.
    head : array, shape (n_towers, n_hidden + 1)
        The head, of logits or of scores, the bias last.
    sizes : sequence of int
        Number of classes of each output.
    cuts : array, shape (n_towers, n_cuts)
        Thresholds of ordered classes; no columns without an order.
    """

    cuts: Tensor

    def __init__(self, module: Any, head: np.ndarray, sizes: Sequence[int], cuts: np.ndarray) -> None:
        super().__init__(module, head)
        self.sizes = tuple(sizes)
        self.register_buffer("cuts", torch.as_tensor(cuts, dtype=torch.float32))

    def forward(self, X: Tensor) -> Any:
        """Return the probabilities, (n_samples, n_classes); of several outputs a tuple."""
        predicted = super().forward(X)
        if not self.cuts.shape[1]:
            found = [part.softmax(1) for part in predicted.split(self.sizes, dim=1)]
        else:
            each = zip(predicted.T, self.cuts, self.sizes, strict=True)
            found = [_shares(scores, cuts[: size - 1]) for scores, cuts, size in each]
        return found[0] if len(found) == 1 else tuple(found)


def _shares(scores: Tensor, cuts: Tensor) -> Tensor:
    """Return the probabilities of ordered classes, (n_samples, n_classes)."""
    below = (cuts - scores.unsqueeze(1)).sigmoid()
    return torch.cat([below, torch.ones_like(below[:, :1])], dim=1) - nn.functional.pad(below, (1, 0))
