"""Learn every annotator of a large corpus once; serve a new annotator from a handful of their ratings."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn_annoser.encoders import BertEncoder, SpeechEncoder, TextEncoder, WavLMEncoder
    from sklearn_annoser.estimators import (
        AnnotatorCommittee,
        AnnotatorMappedClassifier,
        AnnotatorMappedRegressor,
        AnnotatorMapper,
    )
    from sklearn_annoser.network import MultiHeadNet
    from sklearn_annoser.ratings import Ratings

__version__ = "0.2.0"
__all__ = [
    "AnnotatorCommittee",
    "AnnotatorMappedClassifier",
    "AnnotatorMappedRegressor",
    "AnnotatorMapper",
    "BertEncoder",
    "MultiHeadNet",
    "Ratings",
    "SpeechEncoder",
    "TextEncoder",
    "WavLMEncoder",
]

# Loaded when first asked for: importing the package loads neither torch nor transformers nor matplotlib.
_HOMES = {
    "AnnotatorCommittee": "sklearn_annoser.estimators",
    "AnnotatorMappedClassifier": "sklearn_annoser.estimators",
    "AnnotatorMappedRegressor": "sklearn_annoser.estimators",
    "AnnotatorMapper": "sklearn_annoser.estimators",
    "BertEncoder": "sklearn_annoser.encoders",
    "MultiHeadNet": "sklearn_annoser.network",
    "Ratings": "sklearn_annoser.ratings",
    "SpeechEncoder": "sklearn_annoser.encoders",
    "TextEncoder": "sklearn_annoser.encoders",
    "WavLMEncoder": "sklearn_annoser.encoders",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
