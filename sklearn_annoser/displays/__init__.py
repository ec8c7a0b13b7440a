"""Pictures of results: numbers in, then `plot`."""

from sklearn_annoser.displays._annotator import AnnotatorDisplay
from sklearn_annoser.displays._distribution import DistributionDisplay
from sklearn_annoser.displays._embedding import AnnotatorEmbeddingDisplay
from sklearn_annoser.displays._enrollment import EnrollmentDisplay
from sklearn_annoser.displays._forecast import ForecastDisplay
from sklearn_annoser.displays._map import AnnotatorMapDisplay
from sklearn_annoser.displays._similarity import AnnotatorSimilarityDisplay
from sklearn_annoser.displays._strategy import StrategyDisplay

__all__ = [
    "AnnotatorDisplay",
    "AnnotatorEmbeddingDisplay",
    "AnnotatorMapDisplay",
    "AnnotatorSimilarityDisplay",
    "DistributionDisplay",
    "EnrollmentDisplay",
    "ForecastDisplay",
    "StrategyDisplay",
]
