"""Everybody, whatever the ratings: what one predicts who knows nothing of the new annotator."""

from __future__ import annotations

from sklearn_annoser.mapping.strategies._strategy import Strategy


class AllHeads(Strategy):
    """The mean of all annotators serves."""

    ranks = False
    uses_ratings = False
