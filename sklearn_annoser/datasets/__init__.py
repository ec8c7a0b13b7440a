"""Corpora: simulated ones whose truth is known, and readers of open ones."""

from sklearn_annoser.datasets._open import read_politeness, read_speechocean762
from sklearn_annoser.datasets._simulated import make_corpora

__all__ = ["make_corpora", "read_politeness", "read_speechocean762"]
