"""What came of an odd input: right, a clear error, an unclear one, a wrong number, or nothing in time."""

from __future__ import annotations

import signal
import sqlite3
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError

RIGHT, CLEAR, UNCLEAR, WRONG, HANG = OUTCOMES = ("right", "clear error", "unclear error", "wrong", "hang")
SECONDS = 20
SHORTEST_MESSAGE = 20
CLEAR_KINDS = (ValueError, TypeError, OSError, NotFittedError)
UNCLEAR_KINDS = (LookupError, AttributeError, UnboundLocalError, sqlite3.Error, pd.errors.ParserError)
HOMES = ("/sklearn_annoser/", "/sklearn/")


class Wrong(Exception):  # noqa: N818  the outcome's name
    """The package gave another result than the oracle."""


class Hung(BaseException):
    """The time is over; no `except Exception` of the package stops it."""


@dataclass
class Trial:
    """One odd input: where its randomness comes from, what it is, and whether it may be refused."""

    seed: int
    door: str
    folder: Path
    kind: str = ""
    must_work: bool = False
    warned: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, *self.door.encode()])

    def pick(self, options: Any) -> Any:
        """Draw one of some options, as it is."""
        options = list(options)
        return options[self.rng.integers(len(options))]

    def check(self, is_right: Any, text: str) -> None:
        """Raise unless a law holds."""
        if not is_right:
            raise Wrong(text)


Door = Callable[[Trial], None]


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise Hung when the time is over."""

    def stop(*_: Any) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(door: Door, trial: Trial, seconds: int = SECONDS) -> tuple[str, str]:
    """Return what came of a trial, and how to tell of it."""
    try:
        with warnings.catch_warnings(record=True) as trial.warned, limited(seconds):
            warnings.simplefilter("always")
            door(trial)
    except Hung:
        return HANG, f"no answer in {seconds} s"
    except Wrong as error:
        return WRONG, str(error)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        if not is_clear(error):
            place = traceback.extract_tb(error.__traceback__)[-1]
            return UNCLEAR, f"{told} (line {place.lineno} of {Path(place.filename).name})"
        return (WRONG, f"refused, though it is valid: {told}") if trial.must_work else (CLEAR, told)
    return RIGHT, ""


def is_clear(error: Exception) -> bool:
    """Say whether an error is one that the package raised with a message to read."""
    raised_in = traceback.extract_tb(error.__traceback__)[-1].filename.replace("\\", "/")
    return (
        isinstance(error, CLEAR_KINDS)
        and not isinstance(error, UNCLEAR_KINDS)
        and len(str(error)) >= SHORTEST_MESSAGE
        and any(home in raised_in for home in HOMES)
    )
