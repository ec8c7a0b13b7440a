"""Models that go out: files that run nothing when they are read."""

from sklearn_annoser.sharing._saved import load, save
from sklearn_annoser.sharing._trusted import trusted_types

__all__ = [
    "load",
    "save",
    "trusted_types",
]
