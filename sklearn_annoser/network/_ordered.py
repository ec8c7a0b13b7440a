"""The torch module for ordered classes: a score for each output, and thresholds of each annotator that cut it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_annoser.network._data import Batch
from sklearn_annoser.network._module import MultiHeadModule

LOG_GAPS = (-15.0, 6.0)  # narrower and wider classes are as good as none, or as all


class OrderedModule(MultiHeadModule):
    r"""Predict how each annotator would label with ordered classes, by a cumulative link model.

    .. math:: P(y_{iao} \le k) = \operatorname{sigmoid}(\theta_{aok} - \hat y_{iao}), \qquad
              \theta_{ao,k+1} = \theta_{aok} + e^{\delta_{aok}}, \qquad \sum_k \theta_{aok} = 0

    The score :math:`\hat y_{iao}` of output `o` is what the base class predicts, with one tower an output; the gaps
    :math:`\delta` are further columns of the annotator's row, so that the thresholds rise whatever is learned. They are
    centred: how high somebody labels is the bias of the score, how wide their classes are stands in the gaps.

    Parameters
    ----------
    n_features, n_annotators, n_outputs : int
        Shape of the data; `n_outputs` is the number of columns, one for each class of each output.
    n_classes : sequence of int
        Number of classes of each output.
    **kwargs : dict
        Any other parameter of the base class.

    References
    ----------
    P. McCullagh, "Regression Models for Ordinal Data", J. R. Stat. Soc. B 42, 1980,
    https://doi.org/10.1111/j.2517-6161.1980.tb01109.x
    """

    def __init__(
        self, n_features: int, n_annotators: int, n_outputs: int, *, n_classes: Sequence[int], **kwargs: Any
    ) -> None:
        if sum(n_classes) != n_outputs:
            raise ValueError(f"n_classes={list(n_classes)} must be {n_outputs} columns together.")
        super().__init__(n_features, n_annotators, len(n_classes), **kwargs)
        self.n_classes = tuple(n_classes)
        self.n_weights = self.heads.shape[1]
        gaps = torch.cat([_even_gaps(n) for n in n_classes]).expand(n_annotators, -1)
        self.heads = nn.Parameter(torch.cat([self.heads.detach(), gaps], dim=1))

    def forward(self, batch: Batch) -> Tensor:
        """Return the log-probability of every class of each rating of a batch, (n_ratings, sum of n_classes)."""
        hidden = F.pad(self.hidden(batch.X), (0, 1), value=1.0)  # (n_outputs, n_samples, n_hidden + 1)
        rows = F.embedding(batch.heads, self.heads, sparse=self.sparse_heads)  # (n_heads, n_columns)
        heads, gaps = rows.tensor_split([self.n_weights], dim=1)
        heads = heads.reshape(len(rows), len(hidden), -1).permute(1, 2, 0)  # (n_outputs, n_hidden + 1, n_heads)
        scores = torch.bmm(hidden, heads).flatten(1).index_select(1, batch.pairs)  # (n_outputs, n_ratings)
        gaps = gaps.index_select(0, batch.pairs % len(rows))  # (n_ratings, n_gaps)
        parts = zip(scores, self._by_output(gaps), strict=True)
        return torch.cat([log_probabilities(*part) for part in parts], dim=1)

    def _by_output(self, gaps: Tensor) -> tuple[Tensor, ...]:
        """Split gaps, (n, n_gaps), into those of each output."""
        return gaps.split([n - 2 for n in self.n_classes], dim=1)

    def stacked_thresholds(self) -> list[Tensor]:
        """Return the thresholds of all annotators for each output, (n_annotators, n_classes - 1), in float64."""
        return [thresholds(gaps)[0] for gaps in self._by_output(self.heads.detach()[:, self.n_weights :].double())]

    def _kinds(self) -> Tensor:
        return self.heads.detach()[:, : self.n_weights].view(-1, self.n_kinds, self.n_outputs, self.n_hidden + 1)

    @torch.no_grad()
    def start_from(self, other: MultiHeadModule) -> None:
        """Copy trunk, towers, and the one head with its thresholds to every annotator."""
        super().start_from(other)
        self.heads[:, self.n_weights :] = other.heads[:, self.n_weights :]


def thresholds(gaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return centred thresholds, (n, n_classes - 1), and the widths between them, of log widths (n, n_classes - 2)."""
    widths = gaps.clamp(*LOG_GAPS).exp()
    rising = F.pad(widths.cumsum(1), (1, 0))
    return rising - rising.mean(1, keepdim=True), widths


def log_probabilities(scores: Tensor, gaps: Tensor) -> Tensor:
    r"""Return the logarithm of each class's probability, (n, n_classes), of scores (n,) and log gaps.

    Of a class between thresholds `a` and `b` it is that of
    :math:`\sigma(b - s) - \sigma(a - s) = \sigma(b - s) \, \sigma(s - a) \, (1 - e^{a - b})`,
    which loses no digits.
    """
    cuts, widths = thresholds(gaps)
    below = cuts - scores.unsqueeze(1)  # (n, n_classes - 1)
    width = F.pad((-torch.expm1(-widths)).log(), (1, 1))
    return F.pad(F.logsigmoid(below), (0, 1)) + F.pad(F.logsigmoid(-below), (1, 0)) + width


def _even_gaps(n_classes: int) -> Tensor:
    """Return log gaps that give all classes the same probability at the middle of the scale, as good as."""
    return torch.arange(1, n_classes, dtype=torch.float32).div(n_classes).logit().diff().log()
