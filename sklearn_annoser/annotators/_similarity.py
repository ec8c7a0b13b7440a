"""Similarity: who predicts like whom, and the map of annotators.

An annotator is a linear head on hidden features. Over the samples of X the predictions of annotator a have the mean
m_a and deviate from it by w_a (h - mean(h)); so the hidden features' mean and covariance C tell the moments of all
predictions, and with a root R of C, C = R R^T, the row [w_a R, m_a] is a point whose distance to another annotator's is
the root mean square difference of the two's predictions. There never are samples times annotators.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from sklearn_annoser._validation import check_known, check_number
from sklearn_annoser.estimators._source import split_source
from sklearn_annoser.metrics._ccc import ccc_from_moments

__all__ = ["annotator_similarity", "embed_annotators"]

BLOCK = 256  # annotators whose similarity with all others is computed at once


def annotator_similarity(model: Any, X: Any = None, *, output: str | None = None) -> pd.DataFrame:
    r"""Similarity of every two annotators that a model knows (-1 to 1, higher is more similar).

    With X it is the CCC of the two's predictions, which counts a difference in order, mean and spread. Without X it is
    the cosine of their heads' weights less the mean head, which tells in which direction they differ from the average.

    Parameters
    ----------
    model : fitted AnnotatorMappedRegressor or AnnotatorMapper, or a Pipeline that ends in one
        Who knows the annotators.
    X : array-like, shape (n_samples, n_features), default=None
        Features of samples to compare the predictions on. None: compare the heads.
    output : str, default=None
        One of `outputs_`. None: the mean over all.

    Returns
    -------
    DataFrame, shape (n_annotators, n_annotators)
        With the annotators as index and columns, and 1 on the diagonal. It takes the memory of a square matrix in the
        type of the heads, and little more: 670 MB for 13,000 annotators.

    Examples
    --------
    >>> from sklearn_annoser import AnnotatorMappedRegressor, datasets
    >>> from sklearn_annoser.annotators import annotator_similarity
    >>> source, _ = datasets.make_corpora(n_samples=200, n_annotators=8, random_state=0)
    >>> annotator_similarity(AnnotatorMappedRegressor(max_epochs=5).fit(source.X, source.ratings)).shape
    (8, 8)
    """
    predictor, chosen = _predictor_and_outputs(model, output)
    deviations, levels = _moments(model, predictor, X, chosen)
    variances = np.einsum("aoh,aoh->ao", deviations, deviations)
    if X is None:  # vectors of length 1, or 0 for a head that is the mean head
        deviations /= np.sqrt(np.where(variances > 0, variances, 1))[:, :, None]
    n_annotators = len(levels)
    similarity = np.zeros((n_annotators, n_annotators), dtype=predictor._unit_heads.dtype)
    for start in range(0, n_annotators, BLOCK):
        block = slice(start, start + BLOCK)
        for one, mean, var in zip(deviations.swapaxes(0, 1), levels.T, variances.T, strict=True):
            products = one[block] @ one.T  # (n_block, n_annotators)
            if X is not None:
                products = ccc_from_moments(mean[block, None], var[block, None], mean, var, products)
            similarity[block] += products / len(chosen)
    np.fill_diagonal(similarity, 1)
    return pd.DataFrame(similarity, index=predictor.annotators_, columns=predictor.annotators_, copy=False)


def embed_annotators(
    model: Any, X: Any = None, *, output: str | None = None, n_components: int = 2
) -> tuple[pd.DataFrame, pd.Series]:
    """Place annotators on a map by principal components: near each other if they predict alike.

    With X the distance of two annotators, in all components, is the root mean square difference of their predictions:
    the axes are on the scale of the ratings. Without X it is the distance of their heads' weights.

    All other parameters are those of :func:`annotator_similarity`, with the same defaults.

    Parameters
    ----------
    output : str, default=None
        One of `outputs_`. None: all together; choose one where their scales differ.
    n_components : int, default=2
        Number of coordinates, fewer than annotators.

    Returns
    -------
    coordinates : DataFrame, indexed by annotator
        Columns `component_1`, `component_2`, ...
    explained : Series
        Share of the annotators' variance that each component explains.

    Examples
    --------
    >>> from sklearn_annoser import AnnotatorMappedRegressor, datasets
    >>> from sklearn_annoser.annotators import embed_annotators
    >>> source, _ = datasets.make_corpora(n_samples=200, n_annotators=8, random_state=0)
    >>> model = AnnotatorMappedRegressor(lr=0.02, max_epochs=5, random_state=0).fit(source.X, source.ratings)
    >>> coordinates, explained = embed_annotators(model, source.X)
    >>> coordinates.columns.tolist()
    ['component_1', 'component_2']
    """
    check_number("n_components", n_components, low=1, integer=True)
    predictor, points = annotator_points(model, X, output)
    most = min(len(points) - 1, points.shape[1])
    if n_components > most:
        raise ValueError(f"n_components must be at most {most} for {len(points)} annotators, got {n_components}.")
    coordinates, explained = principal_components(points, n_components)
    names = [f"component_{number + 1}" for number in range(n_components)]
    frame = pd.DataFrame(coordinates, index=pd.Index(predictor.annotators_, name="annotator"), columns=names)
    return frame, pd.Series(explained, index=names, name="explained_variance_ratio")


# ---------------------------------------------------------------------- annotators as points


def _predictor_and_outputs(model: Any, output: str | None) -> tuple[Any, np.ndarray]:
    """Return the estimator with the heads, and the positions of the chosen outputs."""
    _, predictor = split_source(model)
    n_without = int((~np.isfinite(predictor.heads_).all(axis=(1, 2))).sum())
    if n_without:
        raise ValueError(
            f"{n_without} annotators of the mapper are not trusted and have no head (fallback='nan'): its "
            "to_regressor() leaves them out."
        )
    if output is None:
        return predictor, np.arange(len(predictor.outputs_))
    return predictor, check_known("output", [output], np.array(predictor.outputs_), "the outputs of the ratings")


def _moments(model: Any, predictor: Any, X: Any, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors whose products are the predictions' covariances, and the predictions' means.

    Of shape (n_annotators, n_outputs, n_hidden) and (n_annotators, n_outputs). Without X: weights less the mean head.
    """
    heads = predictor.heads_[:, chosen].astype(np.float64)
    weights, bias = heads[:, :, :-1], heads[:, :, -1]
    if X is None:
        return weights - weights.mean(axis=0), np.zeros(bias.shape)
    mean, covariance = _hidden_moments(model, X, chosen)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(values.clip(min=0))[:, None]  # (n_outputs, n_hidden, n_hidden)
    return np.einsum("aoh,ohk->aok", weights, root, optimize=True), np.einsum("aoh,oh->ao", weights, mean) + bias


def _hidden_moments(model: Any, X: Any, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean, (n_outputs, n_hidden), and covariance of the hidden features, block by block."""
    steps, regressor = split_source(model)
    n_seen, mean, scatter = 0, np.zeros(1), np.zeros(1)
    for _, hidden in regressor.iter_hidden(X if steps is None else steps.transform(X)):
        block = hidden[:, chosen].astype(np.float64).swapaxes(0, 1)  # (n_outputs, n_block, n_hidden)
        n_block = block.shape[1]
        block_mean = block.mean(axis=1)
        block -= block_mean[:, None]
        step = block_mean - mean
        # Two sets' scatter is the sum of theirs and that of their means.
        between = np.einsum("oh,ok->ohk", step, step) * (n_seen * n_block / (n_seen + n_block))
        scatter = scatter + block.swapaxes(1, 2) @ block + between
        mean = mean + step * (n_block / (n_seen + n_block))
        n_seen += n_block
    return mean, scatter / n_seen


def annotator_points(model: Any, X: Any, output: str | None) -> tuple[Any, np.ndarray]:
    """Return the estimator with the heads, and a point for each annotator, (n_annotators, n_axes)."""
    predictor, chosen = _predictor_and_outputs(model, output)
    deviations, levels = _moments(model, predictor, X, chosen)
    if len(levels) < 2:
        raise ValueError(f"model must know two annotators at least to compare them, got {len(levels)}.")
    points = np.concatenate([deviations, levels[:, :, None]], axis=2).reshape(len(levels), -1)
    return predictor, points / np.sqrt(len(chosen))  # root mean square: over the outputs, too


def principal_components(points: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Return principal components and the share of the variance that each explains."""
    if not np.ptp(points, axis=0).any():  # all annotators are one point
        return np.zeros((len(points), n_components)), np.zeros(n_components)
    pca = PCA(n_components, svd_solver="covariance_eigh")
    return pca.fit_transform(points), pca.explained_variance_ratio_
