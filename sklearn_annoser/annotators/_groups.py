"""Groups: annotators who predict alike, and outliers, who predict like nobody else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_samples, silhouette_score
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state

from sklearn_annoser._validation import check_number
from sklearn_annoser.annotators._similarity import annotator_points, principal_components

__all__ = ["annotator_outliers", "cluster_annotators"]

N_COMPONENTS = 5  # in which groups and outliers are looked for
N_CHANCE_OUTLIERS = 99  # simulated corpora: p values go down to 1 / 100
N_NEIGHBOURS = 3  # like-minded annotators whom an outlier lacks
N_CHANCE_CLUSTERS = 19  # the best of 20 is the level 0.05
MAX_CLUSTERS = 8
MAX_JUDGED = 1000  # annotators on whom the number of groups is decided
WORKING_MEGABYTES = 64  # of distances at once
TO_DEVIATION = 1.4826  # of a normal distribution, by its median absolute deviation


def annotator_outliers(model: Any, X: Any = None, *, output: str | None = None, alpha: float = 0.05) -> pd.DataFrame:
    r"""Find annotators who predict like nobody else.

    The distance is that to the third most similar annotator, on the first five components of the map of
    :func:`embed_annotators`: with X about the root mean square difference of the two's predictions. A group of four
    who agree are no outliers, however far from all others.

    The p value compares it, in units of the annotators' spread by the median absolute deviation, with the *largest* in
    each of 99 simulated corpora of as many normally distributed annotators. So if annotators are normally distributed,
    any are flagged in about a share of `alpha` of the corpora. A long tail, as of annotators with many ratings among
    such with few, gets flagged too: it is not normal.

    All other parameters are those of :func:`embed_annotators`, with the same defaults.

    Parameters
    ----------
    alpha : float, default=0.05
        How often chance may flag any annotator at all.

    Returns
    -------
    DataFrame, indexed by annotator
        `distance`, `p` and `outlier`, whether p is at most `alpha`; by falling distance.

    Examples
    --------
    >>> from sklearn_annoser import AnnotatorMappedRegressor, datasets
    >>> from sklearn_annoser.annotators import annotator_outliers
    >>> source, _ = datasets.make_corpora(n_samples=200, n_annotators=8, random_state=0)
    >>> model = AnnotatorMappedRegressor(max_epochs=5).fit(source.X, source.ratings)
    >>> annotator_outliers(model, source.X).columns.tolist()
    ['distance', 'p', 'outlier']
    """
    check_number("alpha", alpha, low=0, high=1, open_low=True)
    predictor, points = annotator_points(model, X, output)
    table = _outliers(_leading(points), alpha)
    table.index = pd.Index(predictor.annotators_, name="annotator")
    return table.sort_values("distance", ascending=False, kind="stable")


def cluster_annotators(
    model: Any,
    X: Any = None,
    *,
    output: str | None = None,
    n_clusters: int | None = None,
    random_state: Any = None,
) -> pd.DataFrame:
    """Group annotators who predict alike, if there are groups.

    K-means on the leading components, at most five, of the map of :func:`embed_annotators`, outliers left out. The
    number of groups, 2 to 8, is that of the highest mean silhouette; but it has to be higher than for each of 19 sets
    of normally distributed annotators with the same variances, else all are one group. So chance finds groups in one
    corpus of 20 at most, if annotators are normally distributed; if they are not, groups are a description, and need
    not be kinds of people.

    All other parameters are those of :func:`embed_annotators`, with the same defaults.

    Parameters
    ----------
    n_clusters : int, default=None
        Number of groups. None: decided as above.
    random_state : int, RandomState or None, default=None
        Seed of k-means and of the simulated annotators.

    Returns
    -------
    DataFrame, indexed by annotator
        `cluster`, from 0 for the largest, -1 for an outlier, as is who would be alone in a group, unless their number
        is given; and `silhouette`, how much nearer the own group is than the next one (-1 to 1), NaN for outliers and
        for a single group.

    Examples
    --------
    >>> from sklearn_annoser import AnnotatorMappedRegressor, datasets
    >>> from sklearn_annoser.annotators import cluster_annotators
    >>> source, _ = datasets.make_corpora(n_samples=200, n_annotators=8, random_state=0)
    >>> model = AnnotatorMappedRegressor(lr=0.02, max_epochs=5, random_state=0).fit(source.X, source.ratings)
    >>> table = cluster_annotators(model, source.X, n_clusters=2, random_state=0)
    >>> table["cluster"].nunique()
    2
    """
    predictor, points = annotator_points(model, X, output)
    rng = check_random_state(random_state)
    coordinates = _leading(points)
    inside = ~_outliers(coordinates, 0.05)["outlier"].to_numpy()
    number = _decide_n_clusters(coordinates[inside], rng) if n_clusters is None else n_clusters
    n_different = len(np.unique(coordinates[inside], axis=0))
    check_number("n_clusters", number, low=1, high=n_different, integer=True)
    clusters, silhouette = np.full(len(points), -1), np.full(len(points), np.nan)
    clusters[inside] = _by_size(_k_means(coordinates[inside], number, rng))
    if n_clusters is None and number > 1:
        inside &= np.bincount(clusters[inside])[clusters] > 1
        clusters[~inside] = -1
    if 1 < len(np.unique(clusters[inside])) < inside.sum():
        with config_context(working_memory=WORKING_MEGABYTES):
            silhouette[inside] = silhouette_samples(coordinates[inside], clusters[inside])
    index = pd.Index(predictor.annotators_, name="annotator")
    return pd.DataFrame({"cluster": clusters, "silhouette": silhouette}, index=index)


def _leading(points: np.ndarray) -> np.ndarray:
    """Return the components in which groups and outliers are looked for."""
    return principal_components(points, min(N_COMPONENTS, len(points) - 1, points.shape[1]))[0]


def _outliers(coordinates: np.ndarray, alpha: float) -> pd.DataFrame:
    """Return distances from the third neighbour, and which of them chance does not explain."""
    distance, spread = _isolation(coordinates), _spread(coordinates)
    # In units of the spread, which is uncertain for few annotators: each simulated corpus has to estimate its own.
    unit = np.linalg.norm(spread) or 1.0
    rng = np.random.RandomState(0)  # the same flags in every run
    simulated = (rng.normal(size=coordinates.shape) * spread for _ in range(N_CHANCE_OUTLIERS))
    chance = np.sort([_isolation(each).max() / (np.linalg.norm(_spread(each)) or 1.0) for each in simulated])
    p = (1 + len(chance) - np.searchsorted(chance, distance / unit)) / (1 + len(chance))
    return pd.DataFrame({"distance": distance, "p": p, "outlier": p <= alpha})


def _spread(coordinates: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each column by its median absolute deviation."""
    spread = TO_DEVIATION * np.median(np.abs(coordinates - np.median(coordinates, axis=0)), axis=0)
    return np.where(spread > 0, spread, coordinates.std(axis=0))  # 0 if more than half are equal


def _isolation(coordinates: np.ndarray) -> np.ndarray:
    """Return the distance of each row from its third neighbour, or the last one if there are fewer."""
    n_neighbours = min(N_NEIGHBOURS, len(coordinates) - 1)
    return NearestNeighbors(n_neighbors=n_neighbours).fit(coordinates).kneighbors()[0][:, -1]


def _decide_n_clusters(coordinates: np.ndarray, rng: np.random.RandomState) -> int:
    """Return the number of groups of the best silhouette if that beats chance, else 1."""
    if len(coordinates) > MAX_JUDGED:
        coordinates = coordinates[rng.choice(len(coordinates), MAX_JUDGED, replace=False)]
    n_places = len(np.unique(coordinates, axis=0))
    if n_places < 3:
        return n_places if n_places < len(coordinates) else 1
    best, silhouette = _best_silhouette(coordinates, rng)
    spread = coordinates.std(axis=0)
    for _ in range(N_CHANCE_CLUSTERS):
        if _best_silhouette(rng.normal(size=coordinates.shape) * spread, rng)[1] >= silhouette:
            return 1
    return best


def _best_silhouette(coordinates: np.ndarray, rng: np.random.RandomState) -> tuple[int, float]:
    """Return the number of groups with the highest mean silhouette, and that."""
    most = min(MAX_CLUSTERS, len(np.unique(coordinates, axis=0)) - 1)
    scores = {
        number: float(silhouette_score(coordinates, _k_means(coordinates, number, rng)))
        for number in range(2, most + 1)
    }
    best = max(scores, key=lambda number: scores[number])
    return best, scores[best]


def _k_means(coordinates: np.ndarray, n_clusters: int, rng: np.random.RandomState) -> np.ndarray:
    """Return the group of each row."""
    return KMeans(n_clusters, n_init=3, random_state=rng).fit_predict(coordinates)


def _by_size(clusters: np.ndarray) -> np.ndarray:
    """Return the groups numbered anew, the largest first, of equal ones that of the first annotator."""
    _, first, sizes = np.unique(clusters, return_index=True, return_counts=True)
    return np.argsort(np.lexsort((first, -sizes)))[clusters]
