"""What is known before anybody new rates: the known heads, and what the source corpus makes one expect."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sklearn_annoser.mapping._axes import Axes
from sklearn_annoser.mapping._prior import Prior

__all__ = ["Known"]


@dataclass(frozen=True, eq=False)
class Known:
    """Heads of known annotators and what they make one expect.

    Parameters
    ----------
    heads : array, shape (n_heads, n_outputs, n_hidden + 1)
        Heads of the known annotators, the bias last.
    prior : Prior, default=None
        What is known of samples and annotators.
    """

    heads: np.ndarray
    prior: Prior | None = None

    @property
    def needed_prior(self) -> Prior:
        """The prior, without which neither a blend nor a calibration can be made."""
        if self.prior is None:
            raise ValueError('strategy="blend" and calibration need a prior.')
        return self.prior

    @cached_property
    def axes(self) -> list[Axes]:
        """Where people and corpora may differ, for each output: found once, however often heads are made."""
        return [Axes.of(self.heads[:, output], self.needed_prior, output) for output in range(self.heads.shape[1])]
