"""Distances of distributions on a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import rel_entr

from sklearn_annoser._validation import check_finite_values, check_number

__all__ = ["jensen_shannon_divergence", "total_variation_distance"]

MAX_NDIM = 32  # of numpy 1


def total_variation_distance(p: Any, q: Any) -> np.ndarray:
    r"""Total variation of distributions on a grid: the share of the mass in other cells (0 to 1, lower is better).

    .. math:: \mathrm{TV}(p, q) = \frac{1}{2} \sum_{\mathrm{cells}} |p - q|

    0 if the distributions are equal, 1 if they share no cell. It does not see how far apart cells are.

    Parameters
    ----------
    p, q : array-like, shape (n_samples, ...cells)
        Mass in the cells of a grid of any number of dimensions, not negative; each row is divided by its sum.

    Returns
    -------
    array of float, shape (n_samples,)

    Raises
    ------
    ValueError
        Shapes differ, masses are negative or not finite, a row has no mass.

    Examples
    --------
    >>> from sklearn_annoser.metrics import total_variation_distance
    >>> total_variation_distance([[1, 1, 2], [1, 0, 0]], [[2, 1, 1], [0, 0, 1]])
    array([0.25, 1.  ])
    """
    p, q = _check_distributions(p, q)
    return np.abs(p - q).sum(axis=1) / 2


def jensen_shannon_divergence(p: Any, q: Any, *, base: float = 2) -> np.ndarray:
    r"""Jensen-Shannon divergence of distributions on a grid (0 to 1 for the logarithm to base 2, lower is better).

    .. math:: \mathrm{JSD}(p, q) = \frac{1}{2} \sum_{\mathrm{cells}} p \log \frac{p}{m}
              + \frac{1}{2} \sum_{\mathrm{cells}} q \log \frac{q}{m}, \quad m = \frac{p + q}{2}

    0 if the distributions are equal; the logarithm of 2 to `base`, its largest value, if they share no cell: 1 for
    base 2, 0.693 for base e. It is the square of :func:`scipy.spatial.distance.jensenshannon`, which is a distance.

    All other parameters are those of :func:`total_variation_distance`, with the same defaults.

    Parameters
    ----------
    base : float, default=2
        Base of the logarithm, above 1; ``np.e`` for nats.

    Returns
    -------
    array of float, shape (n_samples,)

    Raises
    ------
    ValueError
        As :func:`total_variation_distance`, or `base` is not above 1.

    References
    ----------
    J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory 37(1), 1991,
    https://doi.org/10.1109/18.61115

    Examples
    --------
    >>> from sklearn_annoser.metrics import jensen_shannon_divergence
    >>> jensen_shannon_divergence([[1, 1, 0], [1, 0, 0]], [[1, 1, 0], [0, 0, 1]])
    array([0., 1.])
    """
    check_number("base", base, low=1, open_low=True)
    p, q = _check_distributions(p, q)
    # p log(p / m) = rel_entr(2p, 2m) / 2: a half of the smallest float would be 0, and the logarithm infinite.
    nats = (rel_entr(2 * p, p + q) + rel_entr(2 * q, p + q)).sum(axis=1) / 4
    return nats.clip(0, np.log(2)) / np.log(base)


def _check_distributions(p: Any, q: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64 of shape (n_samples, n_cells) whose rows sum to 1."""
    p, q = (check_finite_values(name, values, max_ndim=MAX_NDIM) for name, values in (("p", p), ("q", q)))
    if p.shape != q.shape:
        raise ValueError(f"p and q must have the same shape, got {p.shape} and {q.shape}.")
    if p.ndim < 2:
        raise ValueError(f"p and q must have shape (n_samples, ...cells), got {p.shape}. One distribution is p[None].")
    return _normalize("p", p), _normalize("q", q)


def _normalize(name: str, values: np.ndarray) -> np.ndarray:
    """Return rows of mass, flat and divided by their sum."""
    if (values < 0).any():
        where = tuple(int(index) for index in np.argwhere(values < 0)[0])
        raise ValueError(f"{name} must not be negative, got {values[where]} at position {where}.")
    mass = values.reshape(len(values), np.prod(values.shape[1:], dtype=int)).astype(np.float64)
    total = mass.sum(axis=1, keepdims=True)
    if not total.all():
        raise ValueError(f"row {int((total == 0).argmax())} of {name} has no mass: leave it out of p and q.")
    return mass / total
