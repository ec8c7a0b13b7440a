"""Understanding people: similarity, groups, outliers, drift, agreement."""

from sklearn_annoser.annotators._agreement import (
    MEASURES,
    agreement_table,
    annotator_agreement,
    annotator_drift,
    pairwise_ccc,
)
from sklearn_annoser.annotators._similarity import (
    annotator_outliers,
    annotator_similarity,
    cluster_annotators,
    embed_annotators,
)

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
