"""Several networks and a ridge as one: hidden features side by side, of which each annotator has one linear head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_annoser.network._stack import MemberStack


class CommitteeModule(nn.Module):
    """Hidden features of a committee, for each output: those of every member, then a column for each further part.

    A further part is a network of the consensus, or the ridge: its column is its prediction, moved to the mean and
    spread of what the members predict, times its weight. Such a column counts once in everybody's head, until heads
    are replaced. The last columns are principal components of the features, which do not count until then.

    Parameters
    ----------
    members : MemberStack
        Networks with a head for each annotator.
    consensus : MemberStack, default=None
        Networks with a single head.
    ridge : Tensor, shape (n_features + 1, n_outputs), default=None
        Coefficients of the ridge, the intercept last.
    """

    ridge: Tensor | None
    content: Tensor  # (n_features + 1, n_content), the offset last
    weights: Tensor  # (n_members,)
    slope: Tensor  # (n_outputs, n_further), and the same for the next
    offset: Tensor
    further_heads: Tensor  # (n_annotators, n_outputs, n_further + n_content)

    def __init__(self, members: MemberStack, consensus: MemberStack | None = None, ridge: Tensor | None = None) -> None:
        super().__init__()
        self.members, self.consensus = members, consensus
        self.n_consensus = 0 if consensus is None else consensus.n_members
        n_further, device = self.n_consensus + (ridge is not None), members.heads.device
        self.register_buffer("ridge", ridge)
        self.register_buffer("content", torch.zeros((members.shared[0].shape[1] + 1, 0), device=device))
        self.register_buffer("weights", torch.full((members.n_members,), 1 / members.n_members, device=device))
        for name, value in (("slope", 1.0), ("offset", 0.0)):
            self.register_buffer(name, torch.full((members.n_outputs, n_further), value, device=device))
        shape = (members.heads.shape[1], members.n_outputs, n_further)
        self.register_buffer("further_heads", torch.ones(shape, device=device))

    @property
    def n_content(self) -> int:
        """How many of the hidden features, the last ones, are principal components of the features."""
        return self.content.shape[1]

    @property
    def individual_share(self) -> float:
        """What the networks with a head for each annotator count for: by so much heads differ less than theirs.

        1 for heads that came from elsewhere and differ in what the other parts predict, too.
        """
        return float(self.weights.sum()) if bool((self.further_heads == self.further_heads[:1]).all()) else 1.0

    def learn_input(self, ridge: Tensor, content: Tensor) -> None:
        """Take the ridge, and the principal components, that have been learned from the features."""
        self.ridge, self.content = ridge, content
        self.further_heads = F.pad(self.further_heads, (0, self.n_content))

    def hidden(self, X: Tensor) -> Tensor:
        """Return what the heads see of features (n_samples, n_features): (n_outputs, n_samples, n_hidden)."""
        own = self.members.hidden(X.expand(self.members.n_members, -1, -1)).permute(1, 2, 0, 3).flatten(2)
        further = self._further(X) * self.slope.unsqueeze(1) + self.offset.unsqueeze(1)
        content = torch.addmm(self.content[-1], X, self.content[:-1]).expand(len(own), -1, -1)
        return torch.cat([own, further, content], dim=2)

    def mean_predictions(self, X: Tensor) -> Tensor:
        """Return what each part predicts on average over annotators, (n_outputs, n_samples, n_members + n_further)."""
        own = _mean_predictions(self.members, X)
        return torch.cat([own, self._further(X)], dim=2)

    def _further(self, X: Tensor) -> Tensor:
        """Return the predictions of the consensus members and the ridge, (n_outputs, n_samples, n_further)."""
        parts = [X.new_empty(self.members.n_outputs, X.shape[0], 0)]  # of len(X) an export would make a constant
        if self.consensus is not None:
            parts.append(_mean_predictions(self.consensus, X))
        if self.ridge is not None:
            parts.append(torch.addmm(self.ridge[-1], X, self.ridge[:-1]).T.unsqueeze(2))
        return torch.cat(parts, dim=2)

    def weigh(self, weights: Tensor, slope: Tensor, offset: Tensor) -> None:
        """Set the weight of each part, (n_members + n_further,), and what its predictions are moved by."""
        self.weights, further = weights.split([len(self.weights), len(slope.T)])
        self.slope, self.offset = slope * further, offset * further

    def stacked_heads(self) -> Tensor:
        """Return all heads, (n_annotators, n_outputs, n_hidden + 1), the bias last."""
        own = self.members.stacked_heads() * self.weights[:, None, None, None]
        own, bias = own[..., :-1].permute(1, 2, 0, 3).flatten(2), own[..., -1].sum(0).unsqueeze(2)
        return torch.cat([own, self.further_heads, bias], dim=2)

    @torch.no_grad()
    def replace_heads(self, heads: Tensor) -> None:
        """Take other annotators' heads, (n_annotators, n_outputs, n_hidden + 1), apart into those of the members."""
        n_members, n_hidden = self.members.n_members, self.members.n_hidden
        own, self.further_heads, bias = heads.split([n_members * n_hidden, self.further_heads.shape[2], 1], dim=2)
        own = own.unflatten(2, (n_members, n_hidden)).permute(2, 0, 1, 3) / self.weights[:, None, None, None]
        bias = (bias / self.weights.sum()).expand(n_members, -1, -1, -1)
        self.members.heads = nn.Parameter(torch.cat([own, bias], dim=3).flatten(2))

    def add_heads(self, n_new: int) -> None:
        """Add heads for annotators not seen before, which start as the mean of all."""
        self.members.add_heads(n_new)
        mean = self.further_heads.mean(0, keepdim=True).expand(n_new, -1, -1)
        self.further_heads = torch.cat([self.further_heads, mean])


def _mean_predictions(stack: MemberStack, X: Tensor) -> Tensor:
    """Return what the mean head of each member predicts, (n_outputs, n_samples, n_members)."""
    hidden = stack.hidden(X.expand(stack.n_members, -1, -1))  # (n_members, n_outputs, n_samples, n_hidden)
    head = stack.stacked_heads().mean(1).unsqueeze(3)  # (n_members, n_outputs, n_hidden + 1, 1)
    return (hidden @ head[:, :, :-1] + head[:, :, -1:]).squeeze(3).permute(1, 2, 0)
