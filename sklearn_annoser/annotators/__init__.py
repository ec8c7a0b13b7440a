"""Understanding people: similarity, groups, outliers, drift, agreement."""

from sklearn_annoser.annotators._agreement import MEASURES, agreement_table, annotator_agreement, pairwise_ccc
from sklearn_annoser.annotators._drift import annotator_drift
from sklearn_annoser.annotators._groups import annotator_outliers, cluster_annotators
from sklearn_annoser.annotators._similarity import annotator_similarity, embed_annotators

__all__ = [
    "MEASURES",
    "agreement_table",
    "annotator_agreement",
    "annotator_drift",
    "annotator_outliers",
    "annotator_similarity",
    "cluster_annotators",
    "embed_annotators",
    "pairwise_ccc",
]
