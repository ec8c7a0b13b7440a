"""The paper's experiment on any corpora: train, map, fine-tune, and a report."""

from sklearn_annoser.reproduce._experiment import PAPER_STRATEGIES, reproduce
from sklearn_annoser.reproduce._models import load_model
from sklearn_annoser.reproduce._published import PUBLISHED, compare_published
from sklearn_annoser.reproduce._random_encoders import write_random_encoders
from sklearn_annoser.reproduce._report import summarize_levels, write_report

__all__ = [
    "PAPER_STRATEGIES",
    "PUBLISHED",
    "compare_published",
    "load_model",
    "reproduce",
    "summarize_levels",
    "write_random_encoders",
    "write_report",
]
