"""The ratings of a person in a file: whole after each rating, and mended if somebody cut it off."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from sklearn_annoser.datasets import CorpusError
from sklearn_annoser.datasets._files import BadLines, Table
from sklearn_annoser.reproduce._files import _file_name, slug, written_aside

Values = tuple[float, ...]
LONGEST_NAME = 200


def folder_of(out: Path, annotator: str) -> Path:
    """Return a person's own folder, which is in `out` whatever they are called; no two people share one."""
    name = annotator.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError("Please give a name: some letters or numbers, at most 200, in one line.")
    return out / _file_name(name, slug(name) != name)


def write_ratings(path: Path, annotator: str, outputs: Sequence[str], ratings: Mapping[str, Values]) -> None:
    """Write all ratings of a person whole, onto the disk."""
    with written_aside(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sample", "annotator", *outputs])
        for sample, values in ratings.items():
            writer.writerow([sample, annotator, *(f"{each:.6f}".rstrip("0").rstrip(".") for each in values)])
        file.flush()
        os.fsync(file.fileno())


def read_ratings_of(path: Path, annotator: str, outputs: Sequence[str]) -> tuple[dict[str, Values], str]:
    """Return a person's ratings in the order in which they gave them, and a word about a line that was mended."""
    if not path.exists():
        return {}, ""
    columns = ["sample", "annotator", *outputs]
    table, bad = Table(path, columns, what="the ratings"), BadLines("drop")
    ratings: dict[str, Values] = {}
    last, line = "", 0  # of the last good one
    for place, cells in table.records(bad):
        row = dict(zip(table.columns, cells, strict=True))
        with bad:
            values = tuple(place.number(row[name], name, (-1e300, 1e300)) for name in outputs)
            if any(each != each for each in values):
                raise place.error("a rating is missing.")
            if row["annotator"] != annotator:
                raise ValueError(f"{str(path)!r} has ratings of {row['annotator']!r}, not of {annotator!r}.")
            ratings[row["sample"]] = values
            last, line = row["sample"], place.line
    broken = int(re.findall(r", line (\d+): ", str(bad.first))[0]) if bad.first else 0
    if bad.first is not None and not (bad.n == 1 and broken > line):
        raise CorpusError(f"{str(path)!r} cannot be gone on with: {bad.first}")
    if ratings and bad.first is None and not path.read_bytes().rstrip(b"\0").endswith((b"\n", b"\r")):
        del ratings[last]  # a number may have lost digits
    elif bad.first is None:
        return ratings, ""
    return ratings, f"The last line of {path.name} was broken off: that rating is asked for again."
