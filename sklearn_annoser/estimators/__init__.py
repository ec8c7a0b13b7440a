"""The estimators: a regressor, a mapper, a classifier, and what they share."""

from sklearn_annoser.estimators._classifier import AnnotatorMappedClassifier
from sklearn_annoser.estimators._committee import AnnotatorCommittee
from sklearn_annoser.estimators._mapper import AnnotatorMapper
from sklearn_annoser.estimators._person import PersonClassifier, PersonRegressor
from sklearn_annoser.estimators._predictor import AnnotatorPredictor
from sklearn_annoser.estimators._regressor import AnnotatorMappedRegressor

__all__ = [
    "AnnotatorCommittee",
    "AnnotatorMappedClassifier",
    "AnnotatorMappedRegressor",
    "AnnotatorMapper",
    "AnnotatorPredictor",
    "PersonClassifier",
    "PersonRegressor",
]
