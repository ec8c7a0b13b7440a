"""Several networks of one shape side by side: members are a dimension of every weight, and of the matrix products."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_annoser.network._module import MultiHeadModule, StackedLinear
from sklearn_annoser.network._torch_state import drawing_from


class MemberStack(nn.Module):
    """The weights of several :class:`MultiHeadModule`, one after the other in the first dimension of each.

    Parameters
    ----------
    modules : sequence of MultiHeadModule
        Networks of one shape, without variances.
    """

    def __init__(self, modules: Sequence[MultiHeadModule]) -> None:
        super().__init__()
        self.n_outputs, self.n_hidden = modules[0].n_outputs, modules[0].n_hidden
        # Weight and bias of the trunk, (n_members, n_features, n_hidden) and (n_members, 1, n_hidden), then those of
        # each layer of the towers, (n_members, n_outputs, n_hidden, n_hidden) and (n_members, n_outputs, 1, n_hidden).
        layers = map(_layers_of, modules)
        stacked = (torch.stack([each.detach() for each in same]) for same in zip(*layers, strict=True))
        self.shared = nn.ParameterList(each.contiguous() for each in stacked)
        self.heads = nn.Parameter(torch.stack([module.heads.detach() for module in modules]))

    @classmethod
    def drawn(cls, generators: Sequence[torch.Generator], sizes: dict[str, Any]) -> Self:
        """Return new networks, each drawn from its own generator."""
        modules = []
        for each in generators:
            with drawing_from(each), torch.device("cpu"):  # whatever the user's default is
                modules.append(MultiHeadModule(**sizes))
        return cls(modules)

    @property
    def n_members(self) -> int:
        """The number of networks."""
        return len(self.heads)

    def part(self, members: Sequence[int]) -> MemberStack:
        """Return a copy of some of the networks."""
        part = copy.deepcopy(self)
        for weight in part.parameters():
            weight.data = weight.data[list(members)]
        return part

    def hidden(self, X: Tensor) -> Tensor:
        """Return hidden features of each member's samples, (n_members, n_samples, n_features).

        They are (n_members, n_outputs, n_samples, n_hidden).
        """
        weight, bias, *layers = self.shared
        hidden = torch.baddbmm(bias, X, weight).relu().unsqueeze(1).expand(-1, self.n_outputs, -1, -1)
        shape = hidden.shape
        for weight, bias in zip(layers[::2], layers[1::2], strict=True):
            flat = (each.flatten(0, 1) for each in (bias, hidden, weight))
            hidden = torch.baddbmm(*flat).relu().view(shape)
        return hidden

    def forward(self, X: Tensor, heads: Tensor, pairs: Tensor) -> Tensor:
        """Predict ratings, (n_members, n_outputs, n_ratings), by rows of heads, (n_members, n_heads, n_columns)."""
        hidden = F.pad(self.hidden(X), (0, 1), value=1.0)
        heads = heads.view(*heads.shape[:2], self.n_outputs, -1).permute(0, 2, 3, 1)  # (..., n_hidden + 1, n_heads)
        everyone = hidden @ heads  # (n_members, n_outputs, n_samples, n_heads)
        return everyone.flatten(2).gather(2, pairs.unsqueeze(1).expand(-1, self.n_outputs, -1))

    def stacked_heads(self) -> Tensor:
        """Return all heads, (n_members, n_annotators, n_outputs, n_hidden + 1), the bias last."""
        return self.heads.detach().unflatten(2, (self.n_outputs, -1))

    @torch.no_grad()
    def start_from(self, other: MemberStack) -> None:
        """Copy all but the heads of networks with one head, and that head to every annotator."""
        for mine, theirs in zip(self.shared, other.shared, strict=True):
            mine.copy_(theirs)
        self.heads.copy_(other.heads.expand_as(self.heads))

    @torch.no_grad()
    def add_heads(self, n_new: int) -> None:
        """Add heads for annotators not seen before, which start as the mean of all."""
        mean = self.heads.mean(1, keepdim=True).expand(-1, n_new, -1)
        self.heads = nn.Parameter(torch.cat([self.heads, mean], dim=1))

    def extra_repr(self) -> str:
        """Return what ``repr`` shows of the shape."""
        return f"n_members={self.n_members}, n_annotators={self.heads.shape[1]}, n_outputs={self.n_outputs}"


def _layers_of(module: MultiHeadModule) -> list[Tensor]:
    """Return weights and biases of the layers of a network, as they multiply from the right."""
    linear, towers = (
        cast(nn.Linear, module.trunk[1]),
        [each for each in module.towers if isinstance(each, StackedLinear)],
    )
    return [linear.weight.T, linear.bias[None], *(part for each in towers for part in (each.weight, each.bias))]
