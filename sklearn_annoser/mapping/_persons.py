"""New annotators once they are enrolled: how they rate, how sure their weights are, and what calibration made of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklearn_annoser.mapping._axes import Axes
from sklearn_annoser.mapping._calibrate import predicted_moments, rating_deviations
from sklearn_annoser.mapping._enroller import Mapping
from sklearn_annoser.mapping._prior import Prior, with_one
from sklearn_annoser.ratings import Ratings, ratings_by_annotator

__all__ = ["Persons"]

N_AXES = 16  # in which a person's weights are followed; the others together are one more variance
LEAST_SHARE = 0.05  # of predictions: what is expected of them at least, whatever the source's correlation


@dataclass(frozen=True, slots=True)
class Persons:
    r"""How new annotators rate, and what is not known of it yet.

    Parameters
    ----------
    axes : array, shape (n_outputs, n_hidden + 1, n_axes)
        The main ways in which persons differ, each by a standard normal weight.
    rest : array, shape (n_outputs,)
        Mean variance over the samples of what persons differ by beyond these axes.
    covariance : array, shape (n_annotators, n_outputs, n_axes, n_axes)
        Of each person's weights, given their enrollment ratings.
    deviation : array, shape (n_annotators, n_outputs)
        Of a person's ratings, as a multiple of what is expected of anybody.
    share : array, shape (n_annotators, n_outputs)
        By what factor a person's expected ratings are nearer to their centre than the predictions are, which have the
        spread of ratings: because of the calibration, or because the source was trained so.
    is_spread : array of bool, shape (n_annotators, n_outputs)
        Whether they are to have that spread again.
    centre, spread : array, shape (n_annotators, n_outputs)
        Mean and deviation over the samples of a person's predictions.
    """

    axes: np.ndarray
    rest: np.ndarray
    covariance: np.ndarray
    deviation: np.ndarray
    share: np.ndarray
    is_spread: np.ndarray
    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, mapping: Mapping, heads: np.ndarray, slope: np.ndarray) -> Persons:
        """Look at enrolled annotators.

        Parameters
        ----------
        mapping : Mapping
            How they were enrolled.
        heads : array, shape (n_annotators, n_outputs, n_hidden + 1)
            Heads that predict for them.
        slope : array, shape (n_annotators, n_outputs)
            By which these were calibrated.

        Returns
        -------
        Persons
        """
        prior, known = mapping.prior, mapping.enroller.heads
        found = [_main_axes(known[:, output], prior, output) for output in range(heads.shape[1])]
        moments = [predicted_moments(heads[:, o].astype(np.float64), prior, o) for o in range(heads.shape[1])]
        axes, (centre, spread) = np.stack([each[0] for each in found]), np.moveaxis(np.array(moments), (1, 2), (0, 1))
        deviation = rating_deviations(mapping.ratings, prior)
        share = 1 / slope
        if (
            not mapping.enroller.rule.moves_mean
        ):  # these are no expectations: what is trained by the CCC has the spread of ratings
            share = np.divide(prior.correlation * deviation, spread, out=np.ones(spread.shape), where=spread > 0)
            share = np.clip(share, LEAST_SHARE, 1.0)
        return cls(
            axes=axes,
            rest=np.array([each[1] for each in found]),
            covariance=_covariances(mapping.hidden, mapping.ratings, axes, prior),
            deviation=deviation / np.sqrt(prior.variance),
            share=share,
            is_spread=(spread > 0) & ((slope != 1) | (not mapping.enroller.rule.moves_mean)),
            centre=centre,
            spread=spread,
        )

    def expected(self, predicted: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return what some persons are expected to give, of what is predicted for them, (n_ratings, n_outputs)."""
        centre = self.centre[codes]
        return np.asarray(centre + self.share[codes] * (predicted - centre))

    def features(self, hidden: np.ndarray) -> np.ndarray:
        """Return what a person's weights are the weights of, (n_samples, n_outputs, n_axes)."""
        return np.einsum("noh,ohk->nok", with_one(hidden.astype(np.float64)), self.axes)

    def variances(self, features: np.ndarray) -> np.ndarray:
        """Return the variance of each person's expected rating of each sample, (n_samples, n_annotators, n_outputs)."""
        told = np.einsum("nok,rokl,nol->nro", features, self.covariance, features, optimize=True)
        return np.maximum(told, 0) + self.rest


def _main_axes(heads: np.ndarray, prior: Prior, output: int) -> tuple[np.ndarray, float]:
    """Return the axes, (n_hidden + 1, N_AXES), in which persons' predictions differ most, and what is beyond them."""
    axes = Axes.of(heads, prior, output)
    own = axes.directions * np.sqrt(axes.own_variances(prior, output))
    values, vectors = np.linalg.eigh(own.T @ prior.second[output] @ own)  # of the predictions, over the samples
    n = min(N_AXES, len(values))
    main = np.zeros((len(own), N_AXES))
    main[:, :n] = own @ vectors[:, ::-1][:, :n]
    return main, float(np.maximum(values[: len(values) - n], 0).sum())


def _covariances(hidden: np.ndarray, ratings: Ratings, axes: np.ndarray, prior: Prior) -> np.ndarray:
    """Return the covariance of persons' weights, (n_annotators, n_outputs, n_axes, n_axes), given their ratings."""
    precision = np.tile(np.eye(axes.shape[2]), (ratings.n_annotators, ratings.n_outputs, 1, 1))
    noise = prior.variance * (1 - prior.correlation**2)
    for annotator, own in enumerate(ratings_by_annotator(ratings)):
        seen = with_one(hidden[ratings.rows[own]].astype(np.float64))
        features = np.einsum("noh,ohk->onk", seen, axes) * np.isfinite(ratings.values[own].T)[:, :, None]
        precision[annotator] += np.swapaxes(features, 1, 2) @ features / noise[:, None, None]
    return np.linalg.inv(precision)
