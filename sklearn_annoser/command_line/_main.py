"""The commands, and how they end: 0, 1 for a fault of the data, 2 for wrong usage, 130 interrupted."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sklearn_annoser.command_line import (
    _complete,
    _demo,
    _enroll,
    _map,
    _plan,
    _predict,
    _report,
    _reproduce,
    _train,
)

__all__ = ["main"]

COMMANDS: dict[str, Any] = {
    "train": _train,
    "map": _map,
    "predict": _predict,
    "complete": _complete,
    "enroll": _enroll,
    "report": _report,
    "demo": _demo,
    "plan": _plan,
    "reproduce": _reproduce,
}
FAULT, USAGE, INTERRUPTED = 1, 2, 130  # what shells expect
EXPECTED = (ValueError, TypeError, OSError, ImportError, MemoryError)  # of data; others are the program's own

DESCRIPTION = """Learn how the annotators of a corpus rate; serve a new one from a few ratings.

  python -m sklearn_annoser train ratings.csv --audio clips --scale 1 7 --out model.skops
  python -m sklearn_annoser enroll model.skops --clips new_clips --annotator ann
  python -m sklearn_annoser map model.skops new_ratings.csv --audio new_clips --out mapped.skops
  python -m sklearn_annoser predict mapped.skops new_clips --annotator ann --out predictions.csv

Each command has its own --help, with examples. It ends with 0; with 1 if something is wrong with the data, with 2
if it was called wrongly, with 130 if it was interrupted."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command.

    Parameters
    ----------
    arguments : list of str, default=None
        The words after the program's name. None: those that it was called with.

    Raises
    ------
    SystemExit
        It did not come to its end.
    """
    options = make_parser().parse_args(arguments)
    start = time.perf_counter()
    with told_in_lines():
        try:
            COMMANDS[options.command].run(options)
        except KeyboardInterrupt:
            goes_on = " The same command goes on where it was." if options.command == "reproduce" else ""
            print(f"\nInterrupted.{goes_on}", file=sys.stderr)
            sys.exit(INTERRUPTED)
        except argparse.ArgumentError as error:
            print(f"error: {error.message}", file=sys.stderr)
            sys.exit(USAGE)
        except Exception as error:
            if options.traceback:
                traceback.print_exc()
            print(f"error: {in_a_line(error)}", file=sys.stderr)
            sys.exit(FAULT)
    print(f"\nDone in {time.perf_counter() - start:.0f} s.")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m sklearn_annoser", description=DESCRIPTION, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True)
    for module in COMMANDS.values():
        module.add(commands)
    for command in commands.choices.values():
        command.formatter_class = raw
        command.add_argument("--traceback", action="store_true", help="show where in the program an error was raised")
    return parser


def in_a_line(error: Exception) -> str:
    """Return what an error says in one line; of what nobody foresaw, its kind too."""
    said = " ".join(str(error).split())
    if isinstance(error, EXPECTED) and said:
        return said
    return f"{type(error).__name__}: {said} (--traceback shows where)"


@contextmanager
def told_in_lines() -> Iterator[None]:
    """Let warnings be lines on stderr, without the place in the program."""

    def show(message: Warning | str, *others: Any, **more: Any) -> None:
        print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
