"""Tables with several samples in a row: questions and samples are told by a number in the columns' names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sklearn_annoser.datasets._answers import Wanted
from sklearn_annoser.datasets._files import CorpusError

MARK = "{}"


def check_patterns(wanted: Wanted, sample: Any) -> bool:
    """Say whether there are several samples in a row: all questions have a mark for the number then, or none."""
    questions = [] if wanted.outputs is None else list(wanted.outputs.values())
    marked = [MARK in question for question in questions]
    in_row = any(marked) or (isinstance(sample, str) and MARK in sample)
    if in_row and not (marked and all(marked)):
        raise ValueError(
            f"with several samples in a row each output must be a question with {MARK} in the place of the number, "
            f"such as 'valence{MARK}', got {questions or None}."
        )
    return in_row


def numbers_in(columns: Sequence[str], questions: Sequence[str], where: str) -> list[str]:
    """Return the numbers that stand in the columns' names where questions have a mark, in their order."""
    found: set[str] = set()
    for question in questions:
        pattern = re.compile(r"(\d+)".join(map(re.escape, question.split(MARK))))
        own = {match[1] for match in map(pattern.fullmatch, columns) if match}
        if not own:
            raise CorpusError(f"{where}: there is no column {question!r} with a number for {MARK}, only {columns}.")
        found |= own
    return sorted(found, key=lambda number: (int(number), number))


def numbered(name: str, number: str) -> str:
    """Return the name of a column with a number in it."""
    return name.replace(MARK, number)


def label_of(sample: Any, number: str) -> str:
    """Return the label that a number has in a mapping."""
    return sample.get(number, sample.get(int(number))) if isinstance(sample, Mapping) else number
