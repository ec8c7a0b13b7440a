"""Which missing ratings would tell most: of items that few have rated, by persons who are hardly known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_annoser.mapping._complete import Items
from sklearn_annoser.mapping._persons import Persons

__all__ = ["Telling"]


class Telling:
    r"""How much a rating by a person of an item would lessen the variance of all others that are missing.

    With :math:`\omega`, :math:`\rho` and noise :math:`\sigma^2` of the items, `n` ratings of an item, and persons with
    deviations :math:`s_r` and weights of covariance :math:`V_r` on features :math:`\phi_i`, the rating of item `i` by
    person `r` tells

    .. math:: \Bigl( \frac{\sigma^2}{n_i + \rho} - \frac{\sigma^2}{n_i + 1 + \rho} \Bigr) \sum_{q \ne r} s_q^2 +
       \frac{\sum_{j \ne i} (\phi_i^\top V_r \phi_j)^2}
       {\phi_i^\top V_r \phi_i + s_r^2 (\omega + \sigma^2)}

    with sums over persons who have not rated the item, and over items that the person has not rated: the item's part,
    and the person's, to which the item is as good as noise. It is in units of the variance of ratings, summed over the
    outputs.

    Parameters
    ----------
    features : array, shape (n_samples, n_outputs, n_axes)
        What persons' weights are the weights of.
    persons : Persons
        What is known of persons.
    items : sequence of Items
        What is known of items, for each output.
    is_rated : array of bool, shape (n_annotators, n_samples, n_outputs)
        What they have rated.
    variance : array, shape (n_outputs,)
        Variance of ratings.

    References
    ----------
    Krause, Singh & Guestrin, "Near-optimal sensor placements in Gaussian processes", JMLR 9, 2008
    """

    def __init__(
        self,
        features: np.ndarray,
        persons: Persons,
        items: Sequence[Items],
        is_rated: np.ndarray,
        variance: np.ndarray,
    ) -> None:
        self.features, self.covariance = features, persons.covariance.copy()
        self.squared, self.unit = persons.deviation**2, variance
        self.noise, variances = np.array([(each.noise, each.variance) for each in items]).T
        self.ratio = self.noise / variances
        self.alone = self.squared * (variances + self.noise)  # (n_annotators, n_outputs): all but the person's part
        self.n = np.stack([each.n for each in items], axis=1)  # (n_samples, n_outputs)
        self.missing: np.ndarray = ~is_rated
        self.is_open = np.asarray(self.missing.all(axis=2))  # (n_annotators, n_samples)
        self.sums = np.stack([self._products(open_) for open_ in self.missing])
        self.gain = np.stack([self._gains(np.array([person]))[0] for person in range(len(self.missing))])

    def choose(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Choose ratings, each the one that tells most once those before it are there.

        Parameters
        ----------
        n : int
            How many, at most as many as there are cells that nobody has rated.

        Returns
        -------
        persons, rows : array of int, shape (n,)
            Whose rating of which sample; of equal ones the first.
        gains : array, shape (n,)
            What each tells beyond those before it.
        """
        chosen, gains = np.empty((2, n), dtype=np.intp), np.empty(n)
        for place in range(n):
            chosen[:, place] = person, row = np.unravel_index(self.gain.argmax(), self.gain.shape)
            gains[place] = self.gain[person, row]
            self._take(int(person), int(row))
        return chosen[0], chosen[1], gains

    def _take(self, person: int, row: int) -> None:
        """Take a rating as given."""
        feature = self.features[row]  # (n_outputs, n_axes)
        pulled = np.einsum("okl,ol->ok", self.covariance[person], feature)
        whole = np.einsum("ok,ok->o", pulled, feature) + self.alone[person]
        self.covariance[person] -= pulled[:, :, None] * pulled[:, None] / whole[:, None, None]
        self.sums[person] -= feature[:, :, None] * feature[:, None]
        self.n[row] += 1
        self.missing[person, row], self.is_open[person, row] = False, False
        self.gain[person] = self._gains(np.array([person]))[0]
        self.gain[:, row] = self._gains(np.arange(len(self.gain)), np.array([row]))[:, 0]

    def _products(self, some: np.ndarray) -> np.ndarray:
        """Return the sum over some samples, (n_samples, n_outputs), of the features' products."""
        features = np.swapaxes(self.features * some[:, :, None], 0, 1)
        return np.swapaxes(features, 1, 2) @ features

    def _gains(self, persons: np.ndarray, rows: Any = slice(None)) -> np.ndarray:
        """Return what ratings by some persons of some samples would tell, (n_persons, n_rows); -inf of given ones."""
        features, n, missing = self.features[rows], self.n[rows], self.missing[:, rows]
        step = self.noise / (n + self.ratio) - self.noise / (n + 1 + self.ratio)
        theirs = np.einsum("ro,rio->io", self.squared, missing) - self.squared[persons][:, None] * missing[persons]
        covariance = self.covariance[persons]
        around = covariance @ self.sums[persons] @ covariance
        own, told = (self._quadratic(features, each) for each in (covariance, around))
        of_person = np.maximum(told - own**2 * missing[persons], 0) / (own + self.alone[persons][:, None])
        gain = ((step * theirs + of_person) / self.unit).sum(axis=2)
        return np.where(self.is_open[persons][:, rows], gain, -np.inf)

    @staticmethod
    def _quadratic(features: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        """Return the squares of features, (n_rows, n_outputs, n_axes), by matrices, (n_persons, n_rows, n_outputs)."""
        return np.einsum("iok,rokl,iol->rio", features, matrices, features, optimize=True)
