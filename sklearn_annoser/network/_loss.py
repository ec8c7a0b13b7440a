"""The losses: one concordance over all ratings of a batch, and how far predicted distributions are from the rated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

VARIANCE_FLOOR = 1e-4  # on the scale of -1 to 1
MAX_DIVERGENCE = 5.0


class CCCLoss(nn.Module):
    r"""One minus the concordance of all (sample, annotator) pairs of a batch, averaged over the outputs (0 to 2).

    .. math:: L = 1 - \frac{1}{K} \sum_k \frac{2\,\mathrm{cov}(y_k, \hat y_k)}
              {\mathrm{var}(y_k) + \mathrm{var}(\hat y_k) + (\bar y_k - \bar{\hat y}_k)^2 + \epsilon}

    Parameters
    ----------
    eps : float, default=1e-8
        Keeps a batch of equal ratings and equal predictions defined; the ratings' own scale is about 1.

    Examples
    --------
    >>> import torch
    >>> from sklearn_annoser.network import CCCLoss
    >>> ratings = torch.tensor([[-1.0], [0.0], [1.0]])
    >>> round(CCCLoss()(ratings, ratings).item(), 6)
    0.0
    """

    def __init__(self, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the loss of predictions and ratings with their weights, all (n_ratings, n_outputs).

        A rating of weight 0 does not count, whatever its value; an output without any is left out of the mean.
        """
        return ccc_losses(y_pred.T, y_true.T, None if weight is None else weight.T, self.eps)

    def extra_repr(self) -> str:
        """Return what ``repr`` shows of the parameters."""
        return f"eps={self.eps}"


@dataclass(frozen=True, slots=True)
class Concordance:
    """The concordance of predictions and ratings of each output, and what it is made of."""

    share: Tensor | float  # of a rating in all means, (..., n_outputs, n_ratings)
    pred: Tensor  # around their mean, (..., n_outputs, n_ratings)
    true: Tensor
    gap: Tensor  # between the means, (..., n_outputs, 1)
    spread: Tensor  # the variances and the square of the gap, (..., n_outputs, 1)
    value: Tensor  # (..., n_outputs, 1)
    counts: Tensor | float  # the share of an output in the mean over outputs, (..., n_outputs, 1)

    def loss(self) -> Tensor:
        """Return one minus the mean concordance of the outputs, (...)."""
        return 1 - (self.value * self.counts).sum((-2, -1))

    def gradient(self) -> Tensor:
        """Return the gradient of the loss by the predictions, (..., n_outputs, n_ratings)."""
        scale = 2 * self.counts / self.spread
        return (self.share * scale) * ((self.pred + self.gap) * self.value - self.true)


def concordance(y_pred: Tensor, y_true: Tensor, weight: Tensor | None, eps: float = 1e-8) -> Concordance:
    """Return the concordance of predictions and ratings with their weights, all (..., n_outputs, n_ratings)."""
    total: Tensor | float = float(y_pred.shape[-1])
    share, counts = 1 / total, 1 / y_pred.shape[-2]  # type: Tensor | float, Tensor | float
    if weight is not None:
        total = weight.sum(-1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)
        rated = (weight > 0).any(-1, keepdim=True)
        share, counts = weight / total, rated / rated.sum(-2, keepdim=True).clamp_min(1)

    def mean(values: Tensor) -> Tensor:  # of equal values it is that value, as it would not be if shares were summed
        return (values if weight is None else weight * values).sum(-1, keepdim=True) / total

    mean_pred, mean_true = mean(y_pred), mean(y_true)
    pred, true, gap = y_pred - mean_pred, y_true - mean_true, mean_pred - mean_true
    spread = mean(pred * pred + true * true) + gap.square() + eps
    return Concordance(share, pred, true, gap, spread, 2 * mean(pred * true) / spread, counts)


def ccc_losses(y_pred: Tensor, y_true: Tensor, weight: Tensor | None, eps: float = 1e-8) -> Tensor:
    """Return the loss, (...), of predictions and ratings with their weights, all (..., n_outputs, n_ratings)."""
    learns = torch.is_grad_enabled() and y_pred.requires_grad
    if not learns or y_true.requires_grad or (weight is not None and weight.requires_grad):
        return concordance(y_pred, y_true, weight, eps).loss()
    return _LossWithGradient.apply(y_pred, y_true, weight, eps)[0]


class _LossWithGradient(torch.autograd.Function):
    """The loss, whose gradient by the predictions is written out: for autograd it is one step, not thirty."""

    @staticmethod
    def forward(y_pred: Tensor, y_true: Tensor, weight: Tensor | None, eps: float) -> tuple[Tensor, Tensor]:
        found = concordance(y_pred, y_true, weight, eps)
        return found.loss(), found.gradient()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return of_loss[..., None, None] * gradient, None, None, None


class CrossEntropy(nn.Module):
    r"""Cross entropy of predicted logits and the shares of labels, averaged over ratings, then outputs (0 or more).

    .. math:: L = -\frac{1}{n} \sum_i \sum_k y_{ik} \log \operatorname{softmax}_k(\hat y_i)

    Parameters
    ----------
    n_classes : sequence of int, default=None
        Number of classes of each output, whose columns are side by side. None: there is one output.

    Examples
    --------
    >>> import torch
    >>> from sklearn_annoser.network import CrossEntropy
    >>> labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> round(CrossEntropy()(torch.zeros(2, 2), labels).item(), 6)  # log 2
    0.693147
    """

    def __init__(self, n_classes: Sequence[int] | None = None) -> None:
        super().__init__()
        self.n_classes = n_classes

    def forward(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the loss of logits and shares, with the weight of each rating of an output in all its columns."""
        if self.n_classes is None:
            return self._of_output(y_pred, y_true, weight)
        n_classes = list(self.n_classes)
        weights = [None] * len(n_classes) if weight is None else weight.split(n_classes, dim=1)
        parts = zip(y_pred.split(n_classes, dim=1), y_true.split(n_classes, dim=1), weights, strict=True)
        return torch.stack([self._of_output(*part) for part in parts]).mean()

    def _of_output(self, y_pred: Tensor, y_true: Tensor, weight: Tensor | None) -> Tensor:
        """Return the loss of one output."""
        losses = -(y_true * y_pred.log_softmax(1)).sum(1)  # (n_ratings,)
        if weight is None:
            return losses.mean()
        return (losses * weight[:, 0]).sum() / weight[:, 0].sum().clamp_min(torch.finfo(weight.dtype).tiny)


def mixture_divergence(
    mean: Tensor, log_variance: Tensor, y_true: Tensor, samples: Tensor, given: Tensor | None = None
) -> Tensor:
    r"""Measure how far the mixture of its raters' predictions is from each sample's ratings (0 to 5, lower is better).

    Rater `a` is a Gaussian of mean :math:`\mu_a` and variance :math:`v_a`. The mixture of a sample's raters has the
    moments :math:`m = \overline{\mu_a}` and :math:`s^2 = \overline{v_a + \mu_a^2} - m^2`, its ratings
    :math:`\bar y` and :math:`t^2 = \overline{y^2} - \bar y^2`; both variances are at least 1e-4. The divergence is
    that of two Gaussians, from the ratings to the mixture, clamped to [0, 5]:

    .. math:: \mathrm{KL}\left(\mathcal N(\bar y, t^2) \,\|\, \mathcal N(m, s^2)\right)
              = \frac{1}{2} \left(\log \frac{s^2}{t^2} + \frac{t^2 + (\bar y - m)^2}{s^2} - 1\right)

    This direction is, up to a constant, the mean negative log-likelihood of the ratings under the mixture's Gaussian. A
    sample with a single rating, or with equal ones, has the floor as its variance, and counts by the likelihood of that
    rating. The other direction divides by the variance of the ratings: such samples would be clamped and teach nothing.
    Of a single rating the clamp hides errors above some two deviations, so that variances come out too small where
    most samples have only one.

    Parameters
    ----------
    mean, log_variance : Tensor, shape (n_ratings, n_outputs)
        Prediction of each rating.
    y_true : Tensor, shape (n_ratings, n_outputs)
        The ratings.
    samples : Tensor of int, shape (n_ratings,)
        Which sample each rating is of; every sample from 0 to the largest has one.
    given : Tensor of bool, shape (n_ratings, n_outputs), default=None
        Which outputs were rated. None: all. A sample without a rating of an output has a divergence of 0 there.

    Returns
    -------
    Tensor, shape (n_samples, n_outputs)

    Examples
    --------
    >>> import torch
    >>> from sklearn_annoser.network import mixture_divergence
    >>> ratings = torch.tensor([[-1.0], [1.0]])  # of one sample: mean 0, variance 1
    >>> mixture_divergence(torch.zeros(2, 1), torch.zeros(2, 1), ratings, torch.tensor([0, 0]))
    tensor([[0.]])
    """
    counts = torch.bincount(samples).unsqueeze(1)  # (n_samples, 1)
    if given is not None:
        counts = mean.new_zeros(len(counts), mean.shape[1]).index_add(0, samples, given.to(mean.dtype)).clamp_min(1)

    def average(values: Tensor) -> Tensor:
        if given is not None:
            values = torch.where(given, values, 0)
        return values.new_zeros(len(counts), values.shape[1]).index_add(0, samples, values) / counts

    def around(values: Tensor, centre: Tensor) -> Tensor:
        return (values - centre.index_select(0, samples)).square()

    mean_pred, mean_true = average(mean), average(y_true)  # (n_samples, n_outputs)
    # v + mu^2 - m^2 on average is v + (mu - m)^2 on average, which loses no digits.
    var_pred = average(log_variance.exp() + around(mean, mean_pred)).clamp_min(VARIANCE_FLOOR)
    var_true = average(around(y_true, mean_true)).clamp_min(VARIANCE_FLOOR)
    ratio = (var_true + (mean_true - mean_pred).square()) / var_pred
    return ((var_pred / var_true).log() + ratio - 1).mul(0.5).clamp(0, MAX_DIVERGENCE)
