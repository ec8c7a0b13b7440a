"""The torch module: trunk, towers, and one row of head weights for each annotator."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_annoser.network._data import Batch
from sklearn_annoser.network._torch_state import generator

DTYPE = torch.float32  # also where the user's default is another


def drawn(shape: tuple[int, ...], bound: float) -> nn.Parameter:
    """Return weights between -bound and bound."""
    return nn.Parameter(torch.empty(shape, dtype=DTYPE).uniform_(-bound, bound, generator=generator()))


def linear(n_in: int, n_out: int) -> nn.Linear:
    """Return a layer whose weights are drawn as torch does."""
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out, dtype=DTYPE)
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator())
    layer.bias = drawn((n_out,), 1 / math.sqrt(n_in))
    return layer


def drop(x: Tensor, words: Tensor, p: float) -> Tensor:
    """Drop entries of x, (..., n_samples, n_features), and scale the others up.

    Of random words of 64 bits, (..., n_words), each decides on four entries.
    """
    decisions = words.to(x.device).view(torch.int16)[..., : x.numel() // words[..., 0].numel()].reshape(x.shape)
    keep = torch.ge(decisions, round(p * 2**16) - 2**15, out=torch.empty_like(decisions))  # 1 or 0: bools are slower
    return (x * keep).mul_(1 / (1 - p))


class FeatureDropout(nn.Dropout):
    """Dropout of the input features, several times as fast on a CPU as torch's: four decisions from each random word.

    The probability is rounded to a multiple of 2^-16. The words are drawn on the CPU, and are the same on every device.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Drop entries of (n_samples, n_features), and scale the others up."""
        if not self.training or self.p in (0, 1):
            return super().forward(x)
        n_words = -(-x.numel() // 4)
        words = torch.empty(n_words, dtype=torch.int64, device="cpu").random_(-(2**63), None, generator=generator())
        return drop(x, words, self.p)


class StackedLinear(nn.Module):
    r"""One linear map for each output, :math:`y_k = x_k W_k + b_k`, in one tensor.

    Parameters
    ----------
    n_outputs, n_in, n_out : int
        Number of maps, and their widths.
    """

    def __init__(self, n_outputs: int, n_in: int, n_out: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(n_in)  # as nn.Linear draws both
        self.weight = drawn((n_outputs, n_in, n_out), bound)
        self.bias = drawn((n_outputs, 1, n_out), bound)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_outputs, n_samples, n_in) to (n_outputs, n_samples, n_out)."""
        return torch.baddbmm(self.bias, x, self.weight)

    def extra_repr(self) -> str:
        """Return what ``repr`` shows of the shape."""
        n_outputs, n_in, n_out = self.weight.shape
        return f"n_outputs={n_outputs}, n_in={n_in}, n_out={n_out}"


class MultiHeadModule(nn.Module):
    r"""Predict how each annotator would rate: shared trunk, a tower for each output, a head for each annotator.

    .. math:: \hat y_{iak} = w_{ak} \cdot t_k(g(x_i)) + b_{ak}

    with the trunk :math:`g` (dropout, linear, ReLU), the tower :math:`t_k` of output `k` (linear and ReLU, twice) and
    the head :math:`(w_{ak}, b_{ak})` of annotator `a`. With variance heads :math:`\log v_{iak}`, the logarithm of the
    variance of that rating, is such a linear map too.

    Parameters
    ----------
    n_features, n_annotators, n_outputs : int
        Shape of the data.
    n_hidden : int, default=256
        Width of trunk and towers.
    n_tower_layers : int, default=2
        Layers of each tower.
    dropout : float, default=0.2
        Share of the input features that is dropped in training.
    variance_heads : bool, default=False
        Whether each annotator has, for each output, a second head for the logarithm of their ratings' variance.

    References
    ----------
    J. Tavernor and E. Mower Provost, "More Similar than Dissimilar", 2025, https://arxiv.org/abs/2509.12295
    """

    sparse_heads = True  # the gradient of the heads is sparse; optimizers other than LazySGD want it dense

    def __init__(
        self,
        n_features: int,
        n_annotators: int,
        n_outputs: int,
        *,
        n_hidden: int = 256,
        n_tower_layers: int = 2,
        dropout: float = 0.2,
        variance_heads: bool = False,
    ) -> None:
        super().__init__()
        self.n_annotators, self.n_outputs, self.n_hidden = n_annotators, n_outputs, n_hidden
        self.n_kinds = 1 + variance_heads
        self.trunk = nn.Sequential(FeatureDropout(dropout), linear(n_features, n_hidden), nn.ReLU())
        layers = [(StackedLinear(n_outputs, n_hidden, n_hidden), nn.ReLU()) for _ in range(n_tower_layers)]
        self.towers = nn.Sequential(*(part for layer in layers for part in layer))
        # One row an annotator: for each output n_hidden weights, then the bias; then the same of the log-variances. A
        # single matrix, because the rows of a batch are then one look-up with a sparse gradient, and one lazy update.
        bound = 1 / math.sqrt(n_hidden)
        n_columns = self.n_kinds * n_outputs * (n_hidden + 1)
        self.heads = drawn((n_annotators, n_columns), bound)

    def hidden(self, X: Tensor) -> Tensor:
        """Return what the heads see of features (n_samples, n_features): (n_outputs, n_samples, n_hidden)."""
        return self.towers(self.trunk(X).expand(self.n_outputs, -1, -1))

    def forward(self, batch: Batch) -> Tensor:
        """Predict every rating of a batch, (n_ratings, n_outputs); log-variances, if any, are as many columns more."""
        hidden = F.pad(self.hidden(batch.X), (0, 1), value=1.0)  # (n_outputs, n_samples, n_hidden + 1)
        hidden = hidden.expand(self.n_kinds, -1, -1, -1).flatten(0, 1)  # (n_kinds * n_outputs, ...)
        rows = F.embedding(batch.heads, self.heads, sparse=self.sparse_heads)  # (n_heads, n_columns)
        heads = rows.view(len(rows), len(hidden), -1).permute(1, 2, 0)  # (n_kinds * n_outputs, n_hidden + 1, n_heads)
        everyone = torch.bmm(hidden, heads)  # (n_kinds * n_outputs, n_samples, n_heads)
        return everyone.flatten(1).index_select(1, batch.pairs).T  # (n_ratings, n_kinds * n_outputs)

    def stacked_heads(self) -> Tensor:
        """Return all heads, (n_annotators, n_outputs, n_hidden + 1), the bias last."""
        return self._kinds()[:, 0]

    def stacked_variance_heads(self) -> Tensor:
        """Return all heads of log-variances, (n_annotators, n_outputs, n_hidden + 1), the bias last."""
        return self._kinds()[:, 1]

    def _kinds(self) -> Tensor:
        """Return a view of all heads of each kind, (n_annotators, n_kinds, n_outputs, n_hidden + 1)."""
        return self.heads.detach().view(-1, self.n_kinds, self.n_outputs, self.n_hidden + 1)

    @torch.no_grad()
    def start_variances(self, variance: Tensor) -> None:
        """Let every annotator start from the same variance of each output, (n_outputs,), whatever the sample."""
        heads = self.stacked_variance_heads()
        heads.zero_()
        heads[:, :, -1] = variance.log()

    @torch.no_grad()
    def start_from(self, other: MultiHeadModule) -> None:
        """Copy trunk and towers of a module with one head, and that head to every annotator; log-variances stay."""
        self.trunk.load_state_dict(other.trunk.state_dict())
        self.towers.load_state_dict(other.towers.state_dict())
        self.stacked_heads().copy_(other.stacked_heads().expand(self.n_annotators, -1, -1))

    @torch.no_grad()
    def add_heads(self, n_new: int, *, keep_last: bool = False) -> None:
        """Add heads for annotators not seen before, which start as the mean of all; a consensus head stays the last."""
        n_before = self.n_annotators - keep_last
        mean = self.heads[:n_before].mean(0, keepdim=True).expand(n_new, -1)
        self.heads = nn.Parameter(torch.cat([self.heads[:n_before], mean, self.heads[n_before:]]))
        self.n_annotators += n_new
