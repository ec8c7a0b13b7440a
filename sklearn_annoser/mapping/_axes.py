"""Axes: the directions of the hidden features in which people and corpora may differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from sklearn_annoser.mapping._prior import Prior

__all__ = ["Axes"]

SHARED_OFFSET = 0.5  # of the variance of annotators' means: what a corpus' mean differs by
N_CONTENT, N_HEADS = 128, 64  # axes
ROUNDING = 10 * np.finfo(np.float32).eps  # of the features' variance: what differences of float32 leave


@dataclass(frozen=True)
class Axes:
    """Directions of the hidden features, with a 1 behind, in which people and corpora may differ, of one output.

    Parameters
    ----------
    consensus : array, shape (n_hidden + 1,)
        Mean of the known heads, with mean 0 and variance 1 over the samples.
    directions : array, shape (n_hidden + 1, n_axes)
        A constant; then content, the principal components of what the consensus leaves of the hidden features, whose
        variances sum to 1; then the ways in which the known heads differ, each by its standard deviation.
    n_content : int
        Number of content axes.
    mean : float
        Mean of the consensus over the samples, unscaled.
    """

    consensus: np.ndarray
    directions: np.ndarray
    n_content: int
    mean: float

    @classmethod
    def of(cls, heads: np.ndarray, prior: Prior, output: int) -> Axes:
        """Return the axes that known heads, (n_heads, n_hidden + 1), and what is known of the samples suggest."""
        everyone = heads.mean(axis=0, dtype=np.float64)
        mean, second = prior.mean[output].astype(np.float64), prior.second[output].astype(np.float64)
        centre = everyone @ mean
        spread = np.sqrt(max(everyone @ second @ everyone - centre**2, np.finfo(np.float32).tiny))
        consensus = everyone.copy()
        consensus[-1] -= centre
        consensus /= spread
        content = _content_axes(consensus[:-1], mean, second, prior.n_content)
        known = _head_axes(heads, everyone, mean) / prior.individual_share
        directions = np.hstack([np.eye(len(mean))[:, -1:], content, known])
        return cls(consensus, directions, content.shape[1], float(centre))

    @property
    def content(self) -> np.ndarray:
        """The content axes, (n_hidden + 1, n_content)."""
        return self.directions[:, 1 : 1 + self.n_content]

    def own_variances(self, prior: Prior, output: int) -> np.ndarray:
        """Return the variance of a person's own weight of each axis, (n_axes,)."""
        content = np.full(self.n_content, prior.own_content[output] * prior.variance[output])
        known = np.ones(self.directions.shape[1] - 1 - self.n_content)  # new persons differ as known ones do
        return np.concatenate([prior.offset_variance[output, None], content, known])

    def shared_variances(self, prior: Prior, output: int, shift: float) -> np.ndarray:
        """Return the variance of the weights that all have in common, (1 + n_content,)."""
        content = np.full(self.n_content, shift * prior.variance[output])
        return np.append(SHARED_OFFSET * prior.offset_variance[output], content)


def _content_axes(consensus: np.ndarray, mean: np.ndarray, second: np.ndarray, n_content: int) -> np.ndarray:
    """Return the principal components, (n_hidden + 1, n_axes), of the networks' and the input's features alike.

    Of each feature counts what the consensus, its weights given, does not tell: what is in it is no matter of content.
    """
    covariance = second[:-1, :-1] - np.outer(mean[:-1], mean[:-1])
    told = covariance @ consensus  # covariance of the features with the consensus, whose variance is 1
    left = covariance - np.outer(told, told)
    scale = np.ones(len(left))
    n_networks = len(left) - n_content
    for part in (slice(n_networks), slice(n_networks, None)):
        total, all_of_it = np.trace(left[part, part]), np.trace(covariance[part, part])
        scale[part] = 1 / np.sqrt(total) if total > ROUNDING * all_of_it else 0.0
    first = max(len(left) - N_CONTENT, 0)
    values, vectors = eigh(scale[:, None] * left * scale, subset_by_index=[first, len(left) - 1])
    kept = values > ROUNDING * max(values[-1], np.finfo(np.float32).tiny)
    axes = scale[:, None] * vectors[:, kept] / np.sqrt(max(values[kept].sum(), np.finfo(np.float32).tiny))
    axes -= np.outer(consensus, told @ axes)
    return np.vstack([axes, -(mean[:-1] @ axes)])


def _head_axes(heads: np.ndarray, everyone: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the main ways in which heads differ, (n_hidden + 1, n_axes), but for the mean of their predictions."""
    deviation = heads - everyone.astype(heads.dtype)
    covariance = (deviation.T @ deviation).astype(np.float64) / len(heads)
    last = len(covariance) - 1
    values, vectors = eigh(covariance, subset_by_index=[max(last - N_HEADS + 1, 0), last])
    kept = values > np.finfo(np.float32).eps * max(values[-1], np.finfo(np.float32).tiny)
    axes = vectors[:, kept] * np.sqrt(values[kept])
    axes[-1] -= mean @ axes
    return axes
