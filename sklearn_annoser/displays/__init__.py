"""Pictures of results: numbers in, then `plot`."""

from sklearn_annoser.displays._displays import (
    AnnotatorDisplay,
    AnnotatorEmbeddingDisplay,
    AnnotatorMapDisplay,
    AnnotatorSimilarityDisplay,
    DistributionDisplay,
    EnrollmentDisplay,
    ForecastDisplay,
    StrategyDisplay,
)

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
