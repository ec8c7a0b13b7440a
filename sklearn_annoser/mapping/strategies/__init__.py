"""The ways in which known heads become the head of a new annotator, one a file."""

from sklearn_annoser.mapping.strategies._all_heads import AllHeads
from sklearn_annoser.mapping.strategies._blend import Blend, blend_heads
from sklearn_annoser.mapping.strategies._joint import Joint
from sklearn_annoser.mapping.strategies._random import Random
from sklearn_annoser.mapping.strategies._separate import Separate
from sklearn_annoser.mapping.strategies._strategy import Strategy
from sklearn_annoser.mapping.strategies._top_n import TopN

__all__ = [
    "STRATEGIES",
    "AllHeads",
    "Blend",
    "Joint",
    "Random",
    "Separate",
    "Strategy",
    "TopN",
    "blend_heads",
]

# Name that users give -> strategy.
STRATEGIES: dict[str, type[Strategy]] = {
    "joint": Joint,
    "separate": Separate,
    "top-n": TopN,
    "blend": Blend,
    "all": AllHeads,
    "random": Random,
}
