"""Readers of corpora and tables whose files are damaged: the ratings that were written, or a word that they are not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import string
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser.datasets import (
    read_iemocap,
    read_msp_improv,
    read_msp_podcast,
    read_muse,
    read_ratings,
    write_iemocap,
    write_msp_improv,
    write_msp_podcast,
    write_muse,
)

from .judge import Trial
from .tables import key

Pairs = dict[Any, tuple[float, ...]]
CORPORA: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "MSP-Podcast": (write_msp_podcast, read_msp_podcast),
    "MSP-Improv": (write_msp_improv, read_msp_improv),
    "IEMOCAP": (write_iemocap, read_iemocap),
    "MuSE": (write_muse, read_muse),
}
TABLES = re.compile(r"label|Evalution|EmoEvaluation|crowdsourcing|annotators|ratings", re.I)
LETTERS = string.ascii_letters.encode()


@cache
def pristine(name: str) -> dict[str, bytes]:
    """Return the files of a small invented corpus, by name."""
    with tempfile.TemporaryDirectory() as folder:
        CORPORA[name][0](folder, n_utterances=6, audio=False)
        paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@cache
def written(name: str) -> pd.DataFrame:
    """Return the ratings of a small invented corpus."""
    with tempfile.TemporaryDirectory() as folder:
        return CORPORA[name][0](folder, n_utterances=6, audio=False)


@cache
def rated_twice(name: str) -> set[Any]:
    """Return whose ratings are a mean, of which one may be left where a line is left out."""
    return {
        (key(row.utterance), key(row.annotator))
        for row in written(name).itertuples()
        if row.activation % 1 or row.valence % 1
    }


@cache
def truth(name: str) -> Pairs:
    """Return the ratings that were written, from -1 to 1."""
    low, high = {"MSP-Podcast": (1, 7), "MuSE": (1, 9)}.get(name, (1, 5))
    return {
        (key(row.utterance), key(row.annotator)): tuple(
            (value - (low + high) / 2) / ((high - low) / 2) for value in (row.activation, row.valence)
        )
        for row in written(name).itertuples()
    }


def pairs_of(ratings: Any) -> Pairs:
    """Return ratings as a dict."""
    table = ratings.to_long()
    return {(key(row[0]), key(row[1])): tuple(row[2:]) for row in table.itertuples(index=False)}


# What a damage does, and what has to come of it:
SAME, SAME_OR_WORD, WORD, NUMBERS = "the same", "the same, or a word", "a word", "the same numbers, or a word"
PART = "a part of them"


def damaged(trial: Trial, path: Path) -> str:
    """Damage a file in one of many ways; return the law that still holds."""
    content = path.read_bytes()
    is_table = bool(TABLES.search(path.as_posix()))
    how = trial.pick(DAMAGES)
    trial.kind += f", {path.name}: {how.__name__}"
    law = how(trial, path, content)
    return law if is_table or law == SAME else SAME_OR_WORD


def place(trial: Trial, content: bytes, among: bytes) -> int:
    """Draw the place of one of some bytes."""
    return int(trial.pick([at for at, byte in enumerate(content) if byte in among] or [0]))


def flip_separator(trial: Trial, path: Path, content: bytes) -> str:
    """Flip a bit of what is neither letter nor number; a flip that makes one of them cannot be told."""
    at = place(trial, content, b",;\"\n\t[]:()'")
    options = [content[at] ^ (1 << bit) for bit in range(8)]
    byte = trial.pick([each for each in options if each not in b"0123456789.+-_ " + LETTERS])
    path.write_bytes(content[:at] + bytes([byte]) + content[at + 1 :])
    return NUMBERS


def high_bit(trial: Trial, path: Path, content: bytes) -> str:
    """Set the high bit of a letter, which is no UTF-8 then."""
    at = place(trial, content, LETTERS)
    path.write_bytes(content[:at] + bytes([content[at] | 0x80]) + content[at + 1 :])
    return SAME_OR_WORD


def nul(trial: Trial, path: Path, content: bytes) -> str:
    """Put in a NUL, as a disk does that was not written."""
    at = int(trial.rng.integers(len(content)))
    path.write_bytes(content[:at] + b"\0" * int(trial.pick([1, 5])) + content[at:])
    return SAME_OR_WORD


def truncate(trial: Trial, path: Path, content: bytes) -> str:
    """Cut a file within a word of a line with more cells; an end between lines, or within the last, cannot be told.

    Nor can an end after what is read of a line of text.
    """
    ends = [at for at, byte in enumerate(content) if byte in LETTERS and is_cut(content, at)]
    at = int(trial.pick(ends or [0]))
    path.write_bytes(content[:at])
    if path.suffix == ".txt":
        return PART
    return NUMBERS if b"\n" in content[:at] else SAME_OR_WORD


def is_cut(content: bytes, at: int) -> bool:
    """Tell whether a line that ends here lacks cells."""
    start, end = content.rfind(b"\n", 0, at) + 1, content.find(b"\n", at)
    rest = content[at : end if end >= 0 else len(content)]
    return at > start and any(each in rest for each in b",;\t|")


def empty(trial: Trial, path: Path, content: bytes) -> str:
    """Leave nothing of a file."""
    path.write_bytes(b"")
    return WORD


def cell_away(trial: Trial, path: Path, content: bytes) -> str:
    """Take a cell out of a line, with what is around it."""
    lines = content.split(b"\n")
    separators = (b",", b";", b"\t", b"|")
    row = trial.pick([row for row, line in enumerate(lines) if any(each in line for each in separators)] or [0])
    separator = trial.pick([each for each in separators if each in lines[row]] or [b"\n"])
    cells = lines[row].split(separator)
    del cells[int(trial.rng.integers(len(cells)))]
    lines[row] = separator.join(cells)
    path.write_bytes(b"\n".join(lines))
    return NUMBERS


def insert(trial: Trial, path: Path, content: bytes) -> str:
    """Put a quote, a semicolon or a comma somewhere outside of numbers."""
    at = place(trial, content, b',;"\n\t[]:()')
    path.write_bytes(content[:at] + trial.pick([b'"', b"'", b";", b",", b'""', b"\r"]) + content[at:])
    return NUMBERS


def other_encoding(trial: Trial, path: Path, content: bytes) -> str:
    """Write a file as other systems do."""
    path.write_bytes(content.decode().encode(trial.pick(["utf-8-sig", "utf-16", "utf-32"])))
    return SAME


def without_mark(trial: Trial, path: Path, content: bytes) -> str:
    """Write a file in an encoding that does not say so."""
    path.write_bytes(content.decode().encode(trial.pick(["utf-16-le", "utf-16-be", "utf-32-le", "cp037"])))
    return SAME_OR_WORD


def line_ends(trial: Trial, path: Path, content: bytes) -> str:
    """Write the line ends of another system."""
    path.write_bytes(content.replace(b"\n", trial.pick([b"\r\n", b"\r"])))
    return SAME


def dot_file(trial: Trial, path: Path, content: bytes) -> str:
    """Put a hidden file beside it, as one system does."""
    path.with_name("._" + path.name).write_bytes(trial.rng.bytes(50))
    path.with_name(".DS_Store").write_bytes(b"\0")
    return SAME


def folder_instead(trial: Trial, path: Path, content: bytes) -> str:
    """Put a folder in a file's place."""
    path.unlink()
    path.mkdir()
    return WORD


def other_copy(trial: Trial, path: Path, content: bytes) -> str:
    """Put another file of that name into another folder."""
    other = path.parent / "old" / path.name
    other.parent.mkdir()
    other.write_bytes(content[: len(content) // 2])
    return SAME_OR_WORD


def line_twice(trial: Trial, path: Path, content: bytes) -> str:
    """Write a line twice."""
    lines = content.split(b"\n")
    row = int(trial.rng.integers(len(lines)))
    path.write_bytes(b"\n".join([*lines[:row], lines[row], *lines[row:]]))
    return SAME_OR_WORD


def gone(trial: Trial, path: Path, content: bytes) -> str:
    """Delete a file."""
    path.unlink()
    return WORD


def untouched(trial: Trial, path: Path, content: bytes) -> str:
    """Leave a file alone."""
    return SAME


DAMAGES = (flip_separator, high_bit, nul, truncate, empty, cell_away, insert, other_encoding, without_mark, line_ends)
DAMAGES += (dot_file, folder_instead, other_copy, line_twice, gone, untouched)


def corpora(trial: Trial) -> None:
    """Read a small invented corpus, one file of it damaged."""
    name = trial.pick(CORPORA)
    on_error = trial.pick(["raise", "raise", "drop"])
    trial.kind = f"{name}, on_error={on_error!r}"
    for file, content in pristine(name).items():
        (trial.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (trial.folder / file).write_bytes(content)
    law = damaged(trial, trial.folder / trial.pick(pristine(name)))
    trial.must_work = law == SAME
    found = CORPORA[name][1](trial.folder, missing="keep", on_error=on_error)
    has_word = told(trial, found)
    unsure = rated_twice(name) if law == PART or (has_word and law != SAME) else set()
    pairs = [
        {pair: each[pair] for pair in each if pair not in unsure} for each in (pairs_of(found.ratings), truth(name))
    ]
    hold(trial, law, *pairs, has_word)


def told(trial: Trial, found: Any) -> bool:
    """Say whether a warning with a number, or the description, says that something was left out."""
    left_out = "\n".join(line for line in found.get("DESCR", "").splitlines() if line.startswith("Left out"))
    usual = re.fullmatch(r"Left out: \d+ second ratings by the same annotator, which are averaged\.", left_out)
    return bool(left_out and not usual) or any(re.search(r"\d", str(each.message)) for each in trial.warned)


def hold(trial: Trial, law: str, found: Pairs, expected: Pairs, has_word: bool) -> None:
    """Check what was read against what was written, by the law of the damage."""
    is_same = set(found) == set(expected) and all(
        np.allclose(found[pair], expected[pair], atol=1e-9, equal_nan=True) for pair in found
    )
    if law == WORD:
        trial.check(has_word, "damage to all of a file went without a word")
    elif law == NUMBERS and not has_word:
        numbers = [
            sorted(map(repr, (np.round(each, 9).tolist() for each in pairs.values()))) for pairs in (found, expected)
        ]
        trial.check(numbers[0] == numbers[1], f"{len(found)} ratings instead of {len(expected)}, or other numbers")
    elif law == SAME or (law == SAME_OR_WORD and not has_word):
        trial.check(
            is_same, f"{len(found)} ratings instead of {len(expected)}, or others: {differences(found, expected)}"
        )
    for pair in set(found) & set(expected):
        known = expected[pair]
        right = all(np.isnan(a) or abs(a - b) < 1e-9 for a, b in zip(found[pair], known, strict=True))
        trial.check(right, f"{pair} has {found[pair]}, not {known}")


def differences(found: Pairs, expected: Pairs) -> str:
    """Return a few of the pairs that only one side has."""
    return f"{sorted(set(found) ^ set(expected))[:3]}"


def zipped(content: bytes) -> bytes:
    """Return an archive of one file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("ratings.csv", content)
    return stream.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {".csv": bytes, ".gz": gzip.compress, ".zip": zipped}
PACK |= {".xz": lzma.compress, ".bz2": bz2.compress}
LABELS = ["ann", "NA", "007", "1.0", "None", "a;b", "c,d", 'q"q', "älva", "x y"]


def table(trial: Trial) -> None:
    """Read a file with a row a rating, in some form, damaged or not."""
    separator, encoding = trial.pick([",", ";", "\t", "|"]), trial.pick([None, "utf-8-sig", "utf-16", "cp1252"])
    who, what = trial.rng.permutation(LABELS)[:4].tolist(), trial.rng.permutation(LABELS)[:4].tolist()
    cells = [(s, a) for s in what for a in who if trial.rng.random() < 0.7] or [(what[0], who[0])]
    rows = [(*pair, *(trial.rng.integers(2, 11, size=2) / 2).tolist()) for pair in cells]
    frame = pd.DataFrame(rows, columns=["sample", "annotator", "activation", "valence"])
    frame = frame.iloc[:, trial.rng.permutation(4)]
    path = trial.folder / ("ratings.csv" + trial.pick(["", "", "", ".gz", ".zip", ".xz", ".bz2"]))
    content = frame.to_csv(sep=separator, index=False).encode(encoding or "utf-8")
    path.write_bytes(PACK[path.suffix](content))
    trial.kind = f"separator {separator!r}, {encoding}, {path.suffix}"
    law = damaged_table(trial, path, encoding)
    trial.must_work = law == SAME
    options = {"encoding": encoding if encoding == "cp1252" else None, "on_error": trial.pick(["raise", "drop"])}
    found = read_ratings(path, scale=(1, 5), **options)
    expected = {(key(s), key(a)): ((x - 3) / 2, (y - 3) / 2) for s, a, x, y in rows}
    hold(trial, law, pairs_of(found.ratings), expected, told(trial, found))


def damaged_table(trial: Trial, path: Path, encoding: str | None) -> str:
    """Damage a table; packed ones and those in other encodings only as a whole."""
    if path.suffix == ".csv" and encoding is None and trial.rng.random() < 0.8:
        return damaged(trial, path)
    if path.suffix == ".csv" or trial.rng.random() < 0.5:
        return SAME
    content = path.read_bytes()
    at = int(trial.rng.integers(len(content)))
    trial.kind += ", damaged archive"
    cut = trial.rng.random() < 0.5
    path.write_bytes(content[:at] if cut else content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
    return SAME_OR_WORD
