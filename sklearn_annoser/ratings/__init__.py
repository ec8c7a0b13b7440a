"""Who rated which sample, and how: the container of ratings, its constructors, its checks."""

from sklearn_annoser.ratings._ratings import CONSENSUS, Ratings
from sklearn_annoser.ratings._standardize import centred

__all__ = [
    "CONSENSUS",
    "Ratings",
    "centred",
]
