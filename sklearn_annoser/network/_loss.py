"""The loss: one concordance over all ratings of a batch, flattened together."""

from __future__ import annotations

from torch import Tensor, nn


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

    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of predictions and ratings, both (n_ratings, n_outputs)."""
        mean_pred, mean_true = y_pred.mean(0), y_true.mean(0)  # (n_outputs,)
        pred, true = y_pred - mean_pred, y_true - mean_true  # (n_ratings, n_outputs)
        spread = (pred * pred + true * true).mean(0) + (mean_pred - mean_true).square()  # (n_outputs,)
        return 1 - (2 * (pred * true).mean(0) / (spread + self.eps)).mean()

    def extra_repr(self) -> str:
        """Return what ``repr`` shows of the parameters."""
        return f"eps={self.eps}"
