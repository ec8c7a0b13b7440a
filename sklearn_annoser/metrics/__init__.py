"""Concordance of one annotator, of all, of the consensus; distances of distributions; scorers."""

from sklearn_annoser.metrics._annotators import annotator_ccc, consensus_ccc_score, individual_ccc_score
from sklearn_annoser.metrics._ccc import ccc_matrix, ccc_score
from sklearn_annoser.metrics._distributions import jensen_shannon_divergence, total_variation_distance
from sklearn_annoser.metrics._scorers import ccc_scorer, ccc_scorers, consensus_ccc_scorer, individual_ccc_scorer

__all__ = [
    "annotator_ccc",
    "ccc_matrix",
    "ccc_score",
    "ccc_scorer",
    "ccc_scorers",
    "consensus_ccc_score",
    "consensus_ccc_scorer",
    "individual_ccc_score",
    "individual_ccc_scorer",
    "jensen_shannon_divergence",
    "total_variation_distance",
]
