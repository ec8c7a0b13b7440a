"""Frozen pretrained networks as scikit-learn transformers: columns of audio or text in, vectors out."""

from sklearn_annoser.encoders._speech import SpeechEncoder, WavLMEncoder
from sklearn_annoser.encoders._text import BertEncoder, TextEncoder

__all__ = [
    "BertEncoder",
    "SpeechEncoder",
    "TextEncoder",
    "WavLMEncoder",
]
