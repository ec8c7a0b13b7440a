"""Completion: what others' ratings of an item tell of the rating that somebody else would give it.

A rating is what its annotator is expected to give, an effect of the item, and noise. The effect is seen in all ratings
of the item, as what they have in common that nobody expected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from sklearn_annoser.mapping._crossed import LEAST_ITEM
from sklearn_annoser.mapping._persons import Persons
from sklearn_annoser.mapping._predict import predict_heads
from sklearn_annoser.mapping._prior import Prior
from sklearn_annoser.ratings import Ratings, centred

__all__ = ["Items", "complete_block", "expected_ratings", "item_effects"]

PRIOR_RATINGS = 100  # on items with others: what the source's word on variances counts for
TOLERANCE = 1e-12  # of the residuals of the offsets' equations
LEAST_SHARE = 0.05  # of the residuals' variance: what items, or noise, have at least


@dataclass(frozen=True, slots=True)
class Items:
    r"""What all ratings tell of the effect of each item, for one output, in units of an average annotator.

    Parameters
    ----------
    effect : array, shape (n_samples,)
        Expected effect.
    n : array of int, shape (n_samples,)
        Number of ratings that it was told by.
    variance : float
        Of the items' effects, :math:`\omega`.
    noise : float
        Variance of what is left of a rating, :math:`\sigma^2`.
    """

    effect: np.ndarray
    n: np.ndarray
    variance: float
    noise: float

    def known(self) -> np.ndarray:
        r"""Return the variance of the expected effects, :math:`\omega n / (n + \rho)`, (n_samples,)."""
        return self.variance * self.n / (self.n + self.noise / self.variance)

    def unknown(self) -> np.ndarray:
        r"""Return the variance that the effects have around these, :math:`\omega \rho / (n + \rho)`, (n_samples,)."""
        return self.noise / (self.n + self.noise / self.variance)


def item_effects(ratings: Ratings, residuals: np.ndarray, deviation: np.ndarray, prior: Prior) -> list[Items]:
    r"""Find what the ratings of an item have in common beyond what their annotators were expected to give.

    .. math:: e_{qi} / s_q = o_q + \iota_i + \varepsilon_{qi}

    with the residual :math:`e_{qi}` of annotator `q` on item `i`, their deviation :math:`s_q`, which differs between
    annotators, an offset that is theirs alone, the item's effect, and noise. All are normal; expected effects are

    .. math:: \hat\iota_i = \frac{1}{n_i + \rho} \sum_q (e_{qi} / s_q - \hat o_q), \quad \rho = \sigma^2 / \omega,

    and the expected offsets likewise, given the effects. The variances are told by the products of different
    annotators' residuals on one item, and by what the source makes one expect, which counts as 100 ratings.

    Parameters
    ----------
    ratings : Ratings
        Ratings of the items; the values are not looked at.
    residuals : array, shape (n_ratings, n_outputs)
        Ratings less what was expected, NaN where an output was not rated.
    deviation : array, shape (n_annotators, n_outputs)
        Of each annotator's ratings, as a multiple of what is expected of anybody.
    prior : Prior
        What the source tells of annotators.

    Returns
    -------
    list of Items
        One for each output.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_annoser import Ratings
    >>> from sklearn_annoser.mapping import Prior, item_effects
    >>> told = {"variance": [1.0], "offset_variance": [1e-9], "correlation": [0.0], "common": [0.5], "n_worth": [10.0]}
    >>> told = {name: np.array(value) for name, value in told.items()}
    >>> told |= {"own_content": np.array([0.04]), "deviations": np.full((1, 5), 0.2)}
    >>> prior = Prior(mean=np.zeros((1, 2)), second=np.eye(2)[None], **told)
    >>> ratings = Ratings.from_dense([[1.0, 1.0], [-1.0, np.nan]])
    >>> one, = item_effects(ratings, ratings.values, np.ones((2, 1)), prior)
    >>> one.n, one.effect.round(2), one.unknown().round(2)
    (array([2, 1]), array([ 0.68, -0.51]), array([0.17, 0.25]))
    """
    found = []
    for output in range(ratings.n_outputs):
        given = np.isfinite(residuals[:, output])
        codes, rows = ratings.codes[given], ratings.rows[given]
        shape, scale = (ratings.n_samples, ratings.n_annotators), deviation[:, output]
        seen = csr_array((residuals[given, output] / scale[codes], (rows, codes)), shape=shape)
        offsets = prior.offset_variance[output] / scale**2
        variance, noise = _components(seen, offsets, prior, output)
        n = np.bincount(rows, minlength=ratings.n_samples)
        effect = _expected_effects(seen, n + noise / variance, noise / offsets)
        found.append(Items(effect, n, variance, noise))
    return found


def _components(seen: csr_array, offsets: np.ndarray, prior: Prior, output: int) -> tuple[float, float]:
    """Return the variances of items and of noise: what residuals of an item have in common, and what they have not."""
    left = 1 - prior.correlation[output] ** 2
    share = min(max(prior.common[output] - prior.correlation[output] ** 2, LEAST_ITEM), 0.9 * left)
    common, total = share * prior.variance[output], left * prior.variance[output]
    there, codes = _where(seen), seen.indices
    n = there.sum(axis=0)
    means = seen.sum(axis=0) / np.maximum(n, 1)
    means *= n / (n + total / offsets)
    centred = csr_array((seen.data - means[codes], codes, seen.indptr), shape=seen.shape)
    sums, squares, n = centred.sum(axis=1), (centred**2).sum(axis=1), there.sum(axis=1)
    pairs = (sums**2 - squares)[n > 1] / (n[n > 1] - 1)  # of each item as many as it has ratings
    common = (PRIOR_RATINGS * common + pairs.sum()) / (PRIOR_RATINGS + n[n > 1].sum())
    total = (PRIOR_RATINGS * total + squares.sum()) / (PRIOR_RATINGS + n.sum())
    common = float(np.clip(common, LEAST_SHARE * total, (1 - LEAST_SHARE) * total))
    return common, float(total - common)


def _where(seen: csr_array) -> csr_array:
    """Return 1 where somebody has rated."""
    return csr_array((np.ones_like(seen.data), seen.indices, seen.indptr), shape=seen.shape)


def _expected_effects(seen: csr_array, of_items: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Return the expected effects, (n_samples,), given n + rho of the items, and rho of the annotators' offsets."""
    there = _where(seen)
    of_annotators = there.sum(axis=0) + ratios

    def without_items(offsets: np.ndarray) -> np.ndarray:
        return np.asarray(of_annotators * offsets - there.T @ ((there @ offsets) / of_items))

    pull = seen.sum(axis=0) - there.T @ (seen.sum(axis=1) / of_items)
    offsets = _solve(without_items, pull, of_annotators)
    return np.asarray((seen.sum(axis=1) - there @ offsets) / of_items)


def _solve(times: Callable[[np.ndarray], np.ndarray], right: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """Solve a system by conjugate gradients: annotators may be many, but each shares items with few others."""
    found, left = np.zeros_like(right), right.copy()
    scaled = left / diagonal
    step, size = scaled.copy(), left @ scaled
    enough = TOLERANCE**2 * size
    for _ in range(10 * len(right)):
        if size <= enough:
            break
        image = times(step)
        far = size / (step @ image)
        found += far * step
        left -= far * image
        scaled = left / diagonal
        size, former = left @ scaled, size
        step = scaled + size / former * step
    return found


def expected_ratings(ratings: Ratings, predicted: np.ndarray, prior: Prior) -> np.ndarray:
    """Return what annotators are expected to give where predictions for them are spread too far, or are too sure.

    The factor that takes predictions nearer to their mean is that of least squares within annotators, the same for all,
    with the source's word for 100 ratings.

    Parameters
    ----------
    ratings : Ratings
        Ratings.
    predicted : array, shape (n_ratings, n_outputs)
        Predictions of these.
    prior : Prior
        What the source tells of annotators.

    Returns
    -------
    array, shape (n_ratings, n_outputs)
    """
    expected = predicted.astype(np.float64)
    for output, values in enumerate(ratings.values.T.astype(np.float64)):
        given = np.isfinite(values)
        if given.any():
            codes, values, whole = ratings.codes[given], values[given], expected[given, output]
            apart = centred(whole, codes)
            start = PRIOR_RATINGS * prior.variance[output]
            products = prior.correlation[output] * start + apart @ centred(values, codes)
            factor = np.clip(products / (start + apart @ apart), 0, 1)
            expected[given, output] = whole - (1 - factor) * apart
    return expected


def complete_block(
    hidden: np.ndarray, heads: np.ndarray, persons: Persons, items: Sequence[Items], rows: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Predict what every person would give some items, given what others gave them.

    A person's prediction `p` has the centre `c` and the spread `D`, a share :math:`1 / a` of which is expected: their
    expected rating is :math:`m = c + (p - c) / a + s \hat\iota`, with their deviation `s`. It is spread to `D` again,
    among items with equally many ratings,

    .. math:: c + (m - c)\, D / \sqrt{D^2 / a^2 + s^2 \omega n / (n + \rho)}.

    Parameters
    ----------
    hidden : array, shape (n_block, n_outputs, n_hidden)
        Hidden features of the items.
    heads : array, shape (n_annotators, n_outputs, n_hidden + 1)
        Heads of the persons, calibrated.
    persons : Persons
        How they rate.
    items : sequence of Items
        What is known of all items, for each output.
    rows : slice
        Which of the items these are.

    Returns
    -------
    completed, expected, variance : array, shape (n_block, n_annotators, n_outputs)
        Predictions, calibrated; expected ratings, before that; the variance of ratings around these.
    """
    effect, known, unknown = (
        np.stack([getter(each)[rows] for each in items], axis=1)[:, None]
        for getter in (lambda each: each.effect, Items.known, Items.unknown)
    )
    noise, squared = np.array([each.noise for each in items]), persons.deviation**2
    narrow = persons.share * persons.spread
    expected = persons.share * (predict_heads(hidden, heads) - persons.centre) + persons.deviation * effect
    whole = np.sqrt(narrow**2 + squared * known)
    slope = np.divide(persons.spread, whole, out=np.ones(whole.shape), where=persons.is_spread & (whole > 0))
    variance = squared * (unknown + noise) + persons.variances(persons.features(hidden))
    return persons.centre + slope * expected, persons.centre + expected, variance
