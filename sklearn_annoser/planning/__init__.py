"""How long a corpus will take on this machine, told from a short measurement."""

from sklearn_annoser.planning._plan import Corpus, describe_plan, make_plan

__all__ = [
    "Corpus",
    "describe_plan",
    "make_plan",
]
