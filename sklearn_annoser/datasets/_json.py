"""JSON files and JSON Lines: one value, or one a line; what is cut off or something else is named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from sklearn_annoser.datasets._answers import Spot
from sklearn_annoser.datasets._files import BadLines, CorpusError, Place, as_path, check_text, read_text


def read_json(source: Any, tool: str) -> tuple[str, Any]:
    """Return what a JSON file is called and what it holds; what was read already is taken as it is."""
    if not isinstance(source, (str, os.PathLike)):
        return tool, source
    path = as_path("source", source)
    text = _text_of(path, tool)
    check_text(Place(path, 1), text)
    return path.name, parse(Spot(path.name), text)


def read_json_lines(source: Any, tool: str, bad: BadLines) -> Iterator[tuple[Any, Any]]:
    """Yield the place of each line of a file of JSON Lines, and what it holds."""
    path = as_path("source", source)
    for number, line in enumerate(_text_of(path, tool).split("\n"), start=1):
        if line.strip():
            place = Place(path, number)
            found = []
            with bad:
                check_text(place, line)
                found = [parse(place, line)]
            for value in found:
                yield place, value


def _text_of(path: Any, tool: str) -> str:
    """Return what is in a file, which has to be there and not empty."""
    if not path.is_file():
        fault = "is a folder, not a file" if path.is_dir() else "is not there"
        raise CorpusError(f"{str(path)!r} {fault}: give the file that {tool} has exported.")
    text = read_text(path)
    if not text.strip():
        raise CorpusError(f"{str(path)!r} is empty: export it from {tool} again.")
    return text


def parse(place: Any, text: str) -> Any:
    """Return what a text of JSON says."""
    try:
        return json.loads(text)
    except RecursionError:
        raise place.error("this JSON is nested too deeply to be a table of ratings.") from None
    except ValueError as error:
        raise place.error(
            f"this is not JSON, or it is cut off: {error}. Export it again, as JSON; a CSV is read by read_ratings."
        ) from error


def entries(place: Any, value: Any, kind: Any, what: str) -> Any:
    """Return a value of the expected kind, a dict or a list."""
    if not isinstance(value, kind):
        expected = {dict: "an object", list: "a list"}[kind]
        raise place.error(f"expected {expected}, {what}, got {value!r:.80}.")
    return value
