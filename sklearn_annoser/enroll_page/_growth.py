"""What more ratings would gain: how much better mean and spread of a person would be known."""

from __future__ import annotations

import numpy as np

from sklearn_annoser.mapping import Mapping
from sklearn_annoser.mapping._forecast import N_DRAWS, _agreement, _draws_of_z, _measured, _scales


def expected_gain(mapping: Mapping, more: int) -> np.ndarray:
    """Return what so many ratings more would add to the expected CCC, (n_targets, n_outputs), at least.

    What one expects of the correlation stays the same until the ratings are there; mean and spread are known better.
    """
    z, precision = _measured(mapping, 5, np.random.RandomState(0))
    draws = np.random.RandomState(0).normal(size=(6, N_DRAWS, 1, 1))
    rho = np.tanh(_draws_of_z(z, precision, mapping.prior, draws[0], np.arange(len(z))))
    scales, unseen = _scales(mapping), np.full(z.shape, np.inf)
    later = scales.copy()
    later[3] += more
    now, then = (rho * _agreement(each, mapping.prior, rho, unseen, draws[2:]) for each in (scales, later))
    return np.asarray((then - now).mean(axis=0))
