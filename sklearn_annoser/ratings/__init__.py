"""Who rated which sample, and how: the container of ratings, its constructors, its checks."""

from sklearn_annoser.ratings._ratings import CONSENSUS, Ratings, centred

__all__ = [
    "CONSENSUS",
    "Ratings",
    "centred",
]
