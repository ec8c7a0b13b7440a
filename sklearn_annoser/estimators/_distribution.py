"""How the ratings of many annotators are distributed: from their heads, and variances if there are, to a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr
from sklearn.utils.validation import check_is_fitted

from sklearn_annoser._validation import check_finite_values, check_known, check_number, check_option
from sklearn_annoser.estimators._predictor import AnnotatorPredictor
from sklearn_annoser.mapping import predict_heads

DISTRIBUTIONS = ("histogram", "kde")
BLOCK_BYTES = 2**24


class DistributionPredictor(AnnotatorPredictor):
    """A predictor that can show all annotators together."""

    _unit_variance_heads: np.ndarray | None

    def predict_distribution(
        self,
        X: Any,
        *,
        n_cells: int = 4,
        edges: Any = None,
        annotators: Any = None,
        outputs: Any = None,
        kind: str = "histogram",
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""Predict how the ratings of all annotators are distributed over a grid, for each sample.

        With a variance for each annotator (the variants with "+variance") a histogram holds the mass of their Gaussians
        in each cell, without one the share of the annotators whose prediction falls into it. What lies beyond the
        edges counts in the outermost cell, as no rating lies there.

        A kernel density smooths the predictions, not the variances: each prediction, moved to the edges if it lies
        beyond, is a Gaussian of Scott's bandwidth :math:`\hat\sigma_k n^{-1 / (d + 4)}` in output `k`, with `n`
        annotators and `d` outputs; what their sum has within the edges is scaled to 1.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_features)
            Features of the samples.
        n_cells : int, default=4
            Cells of equal width over the scale of the ratings: the declared one, or the range seen in training.
        edges : array-like, shape (n_cells + 1,) or (n_chosen_outputs, n_cells + 1), default=None
            Edges of the cells instead, for all outputs or for each.
        annotators : array-like of labels, default=None
            Whose ratings. None: those of all `annotators_`.
        outputs : array-like of str, default=None
            One or two of `outputs_`, in the order of the axes. None: all, if there are no more than two.
        kind : {"histogram", "kde"}, default="histogram"
            Whether to count, or to smooth by a Gaussian kernel.

        Returns
        -------
        mass : array, shape (n_samples, n_cells) or (n_samples, n_cells, n_cells)
            Mass in each cell, for one output or two; that of a sample sums to 1.
        edges : array, shape (n_cells + 1,) or (2, n_cells + 1)
            Edges of the cells, for one output or two.

        Raises
        ------
        NotFittedError
            `fit` has not been called.
        ValueError
            There are more than two outputs to show, no annotators, or edges that do not increase.

        References
        ----------
        D. W. Scott, "Multivariate Density Estimation", Wiley, 1992, https://doi.org/10.1002/9780470316849

        Examples
        --------
        >>> from sklearn_annoser import AnnotatorMappedRegressor
        >>> from sklearn_annoser.datasets import make_corpora
        >>> source, _ = make_corpora(n_samples=200, n_annotators=10, random_state=0)
        >>> model = AnnotatorMappedRegressor(n_hidden=16, lr=0.02, max_epochs=5, random_state=0)
        >>> mass, edges = model.fit(source.X, source.ratings).predict_distribution(source.X, n_cells=5)
        >>> mass.shape, edges.shape
        ((200, 5, 5), (2, 6))
        """
        check_is_fitted(self)
        check_option("kind", kind, DISTRIBUTIONS)
        chosen = self._chosen_outputs(outputs)
        grid = self._grid(n_cells, edges, chosen)
        heads = self._heads_of(annotators)[:, chosen]
        if not len(heads):
            raise ValueError("annotators must name at least one annotator, got none.")
        variances = self._variance_heads_of(annotators, chosen) if kind == "histogram" else None
        step = max(1, BLOCK_BYTES // (grid.nbytes * len(heads)))
        scale = self._unit_scale
        unit_grid = (grid - scale.centre[chosen, None]) / scale.half[chosen, None]
        blocks = [
            _mass(hidden[start : start + step, chosen], heads, variances, unit_grid, kind)
            for _, hidden in self.iter_hidden(X)
            for start in range(0, len(hidden), step)
        ]
        return np.concatenate(blocks), grid if len(chosen) == 2 else grid[0]

    def _variance_heads_of(self, annotators: Any, chosen: np.ndarray) -> np.ndarray | None:
        """Return the heads of the log-variances of some annotators, or all, and chosen outputs; None without any."""
        if self._unit_variance_heads is None:
            return None
        labels = self.annotators_ if annotators is None else annotators
        codes = check_known("annotator", labels, self.annotators_, "the fitted annotators")
        return self._unit_variance_heads[codes][:, chosen]

    def _chosen_outputs(self, outputs: Any) -> np.ndarray:
        """Return the positions of the one or two outputs of a distribution."""
        names = list(self.outputs_)
        if outputs is None:
            if len(names) > 2:
                raise ValueError(
                    f"there are {len(names)} outputs, {names}: choose two, for example outputs={names[:2]}."
                )
            return np.arange(len(names))
        if np.ndim(outputs) == 0:
            raise ValueError(f"outputs must be a sequence of names, got {outputs!r}.")
        chosen = check_known("output", outputs, np.array(names), "the outputs of the ratings")
        if len(chosen) not in (1, 2) or len(set(chosen)) < len(chosen):
            raise ValueError(f"outputs must be one or two different names of {names}, got {list(outputs)}.")
        return chosen

    def _grid(self, n_cells: int, edges: Any, chosen: np.ndarray) -> np.ndarray:
        """Return the edges of the cells of each chosen output, (n_chosen, n_cells + 1)."""
        if edges is None:
            check_number("n_cells", n_cells, low=1, integer=True)
            low, high = self._unit_scale.centre - self._unit_scale.half, self._unit_scale.centre + self._unit_scale.half
            return np.linspace(low[chosen], high[chosen], n_cells + 1, axis=1)
        grid = np.atleast_2d(check_finite_values("edges", edges).astype(np.float64))
        if len(grid) not in (1, len(chosen)) or grid.shape[1] < 2:
            raise ValueError(
                f"edges must have shape (n_cells + 1,) or ({len(chosen)}, n_cells + 1), got {np.shape(edges)}."
            )
        if (np.diff(grid) <= 0).any():
            raise ValueError(f"edges must increase, got {np.asarray(edges).tolist()}.")
        return np.broadcast_to(grid, (len(chosen), grid.shape[1])).copy()


def _mass(
    hidden: np.ndarray, heads: np.ndarray, variances: np.ndarray | None, grid: np.ndarray, kind: str
) -> np.ndarray:
    """Return the distribution over a grid, (n_outputs, n_cells + 1), of what heads say of a block of samples."""
    means = _apply_heads(hidden, heads)
    if kind == "kde":
        return _kernel_mass(means, grid)
    if variances is None:
        return _counted_mass(means, grid)
    return _gaussian_mass(means, np.exp(_apply_heads(hidden, variances) / 2), grid)


def _apply_heads(hidden: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Return what heads say of a block of samples, (n_outputs, n_samples, n_heads), in float64."""
    return predict_heads(hidden, heads).transpose(2, 0, 1).astype(np.float64)


def _counted_mass(means: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the share of the annotators in each cell; a cell holds its lower edge, the last one both."""
    n_samples, n_annotators = means.shape[1:]
    n_cells = grid.shape[1] - 1
    cells = np.arange(n_samples)[:, None]
    for values, edges in zip(means, grid, strict=True):
        cells = cells * n_cells + np.searchsorted(edges[1:-1], values, side="right")
    counted = np.bincount(cells.ravel(), minlength=n_samples * n_cells ** len(grid))
    return counted.reshape(n_samples, *[n_cells] * len(grid)) / n_annotators


def _gaussian_mass(means: np.ndarray, deviations: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the mass of the annotators' Gaussians in each cell; the outermost cells reach to infinity."""
    reaching = grid.copy()
    reaching[:, [0, -1]] = -np.inf, np.inf
    return _mixed_mass(means, deviations, reaching) / means.shape[2]


def _kernel_mass(means: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the mass of a kernel density in each cell, cut off at the outermost edges and scaled to 1."""
    means = np.clip(means, grid[:, :1, None], grid[:, -1:, None])
    n_outputs, _, n_annotators = means.shape
    deviation = means.std(axis=2, ddof=1, keepdims=True) if n_annotators > 1 else 0.0
    bandwidth = deviation * n_annotators ** (-1 / (n_outputs + 4))
    # Equal predictions have no spread; so narrow a kernel counts them.
    least = 1e-6 * np.ptp(grid, axis=1)[:, None, None]
    mass = _mixed_mass(means, np.maximum(bandwidth, least), grid)
    return mass / mass.sum(axis=tuple(range(1, mass.ndim)), keepdims=True)


def _mixed_mass(means: np.ndarray, deviations: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the mass in each cell of a sum of Gaussians, uncorrelated if of two outputs."""
    parts = []
    for mean, deviation, edges in zip(means, deviations, grid, strict=True):
        below = ndtr((edges[:, None, None] - mean) / deviation)  # (n_cells + 1, n_samples, n_annotators)
        parts.append(np.diff(below, axis=0).transpose(1, 0, 2))  # (n_samples, n_cells, n_annotators)
    return parts[0].sum(axis=2) if len(parts) == 1 else parts[0] @ parts[1].transpose(0, 2, 1)
