"""Who rated which sample, and how: the container of ratings, its constructors, its checks."""

from sklearn_annoser.ratings._grouped import count_by_output, rated_outputs, ratings_by_annotator, shuffled_places
from sklearn_annoser.ratings._ratings import CONSENSUS, Ratings
from sklearn_annoser.ratings._standardize import centred

__all__ = [
    "CONSENSUS",
    "Ratings",
    "centred",
    "count_by_output",
    "rated_outputs",
    "ratings_by_annotator",
    "shuffled_places",
]
