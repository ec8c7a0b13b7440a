"""Files of a corpus: text of any system, lines and cells with their places, which errors name, and bad lines."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from sklearn_annoser._validation import check_option

NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
NO_TEXT = re.compile("[\0\udc80-\udcff]")  # and bytes that were kept because they are no UTF-8
SEPARATORS = (",", ";", "\t", "|")
LONGEST_RECORD = 100  # lines; an open quote swallows no more
ON_ERROR = ("raise", "drop")
# A mark at the beginning says how a text is encoded; that of UTF-32 begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
BOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how files of Excel begin


def _unzip(content: bytes) -> bytes:
    """Return the one file of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = archive.namelist()
        return archive.read(name)


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".bz2": bz2.decompress,
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".zip": _unzip,
}
NO_ARCHIVE = (EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


class CorpusError(ValueError):
    """Files of a corpus are not as they should be; the message names file and line."""

    n_lines = 1  # to which it belongs


class Place(NamedTuple):
    """A line of a file, counted from 1: where something is read, and what an error about it names."""

    path: Path
    line: int
    n_lines: int = 1  # more where a cell has line breaks

    def error(self, what: str) -> CorpusError:
        """Return the error about this line."""
        error = CorpusError(f"{self.path.name}, line {self.line}: {what}")
        error.n_lines = self.n_lines
        return error

    def number(self, text: str, field: str, scale: tuple[float, float]) -> float:
        """Return a number on a scale; NaN where it is left out."""
        text = text.strip()
        if text.lower() in ("", "nan"):
            return np.nan
        if not NUMBER.fullmatch(text) or not text.isascii():
            raise self.error(f"expected a number for {field}, got {text!r}{point_hint(text)}.")
        value = float(text)
        if not scale[0] <= value <= scale[1]:
            raise self.error(f"expected {field} from {scale[0]:g} to {scale[1]:g}, got {text}.")
        return value


class BadLines:
    """What becomes of lines that are not as they should be: an error, or they are left out, counted and told of.

    As a context it takes the errors of the line that is read in it.
    """

    def __init__(self, on_error: str) -> None:
        self.on_error = check_option("on_error", on_error, ON_ERROR)
        self.first: CorpusError | None = None
        self.n = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> bool:
        return isinstance(error, CorpusError) and self.take(error)

    def take(self, error: CorpusError) -> bool:
        """Raise an error about a line, or count the line; return True."""
        if self.on_error == "raise":
            raise error
        self.first = self.first or error
        self.n += error.n_lines
        return True

    def warn(self, name: str, stacklevel: int) -> None:
        """Warn if lines are left out."""
        if self.n:
            lines = f"{self.n} lines of {name} are" if self.n > 1 else f"a line of {name} is"
            warnings.warn(
                f"{lines} not as it should be, and left out. The first: {self.first}", stacklevel=stacklevel + 1
            )


def point_hint(text: str) -> str:
    """Return what to say of a number with a decimal comma."""
    return "; the decimal mark must be a point, not a comma" if re.fullmatch(r"\s*[+-]?\d*,\d+\s*", text) else ""


def as_path(name: str, value: Any) -> Path:
    """Return an argument as a path."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be a path, got {value!r} of type {type(value).__name__}.")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise CorpusError(f"{name}: {str(value)!r} cannot be found: {error}") from error


def read_bytes(path: Path) -> bytes:
    """Return what a file holds, unpacked; or say why it cannot be read."""
    try:
        content = path.read_bytes()
        return UNPACK[path.suffix.lower()](content) if path.suffix.lower() in UNPACK else content
    except (OSError, *NO_ARCHIVE) as error:
        raise CorpusError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def read_text(path: Path, encoding: str | None = None) -> str:
    r"""Return a text file with \n as line ends; bytes that are no UTF-8 stay as surrogates for its lines to tell."""
    return decode(path, read_bytes(path), encoding).replace("\r\n", "\n").replace("\r", "\n")


def read_head(path: Path) -> str:
    """Return the first line of a file that may be anything; nothing if it cannot be read."""
    try:
        with path.open("rb") as file:
            return re.split("[\r\n]", decode(path, file.read(1 << 16)).lstrip(), maxsplit=1)[0]
    except (OSError, CorpusError):
        return ""


def decode(path: Path, content: bytes, encoding: str | None = None) -> str:
    """Return what a file holds as text: UTF-8, or what a byte order mark says, unless an encoding is given."""
    if content.startswith(BOOKS):
        raise CorpusError(f"{str(path)!r} is a workbook or an archive, not a text. Save the table as CSV in UTF-8.")
    marked = next((name for mark, name in MARKS.items() if content.startswith(mark)), None)
    name = encoding or marked or "utf-8"
    try:
        escape = codecs.lookup(name).name.startswith("utf-8")
        text = content.decode(name, "surrogateescape" if escape else "strict")
    except LookupError as error:
        raise ValueError(f"encoding must be one that Python knows, such as 'cp1252', got {encoding!r}.") from error
    except UnicodeError as error:
        raise CorpusError(f"{str(path)!r} cannot be read as {name}: {error}.") from error
    return text.removeprefix("\ufeff")


def check_text(place: Place, text: str) -> None:
    """Raise if a line has bytes that are no text."""
    if "\0" in text:
        raise place.error("there is a zero byte. If the file is UTF-16 without a byte order mark, save it as UTF-8.")
    found = NO_TEXT.search(text)
    if found:
        byte = ord(found[0]) - 0xDC00
        raise place.error(f"byte {byte:#04x} is not UTF-8. Save the file as UTF-8 (often it is Windows-1252).")


def read_words(path: Path) -> tuple[str, bool]:
    """Return a transcript, and whether it is UTF-8; if it is not it is read as Windows-1252."""
    text = read_text(path)
    if "\0" in text or not NO_TEXT.search(text):
        check_text(Place(path, 1), text)
        return text, True
    return text.encode("utf-8", "surrogateescape").decode("cp1252", "replace"), False


Mend = Callable[[str], list[str] | None]


class Table:
    """A table in a text file: its columns, and its lines one by one."""

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        *,
        what: str,
        separator: str | None = None,
        encoding: str | None = None,
    ) -> None:
        self.path, self.what = path, what
        text = decode(path, read_bytes(path), encoding)
        self.is_text = not NO_TEXT.search(text)
        self.lines = re.sub("\r(?!\n)", "\n", text).split("\n")  # cells in quotes keep their line breaks
        self.start = next((n for n, line in enumerate(self.lines) if line.strip()), len(self.lines))
        if self.start == len(self.lines):
            raise CorpusError(f"{str(path)!r} is empty: there is no line in it, not even one with the columns' names.")
        mark = re.fullmatch("sep=(.)\\s*", self.lines[self.start])  # Excel's own
        if mark and self.start + 1 < len(self.lines):
            separator, self.start = mark[1], self.start + 1
        headers = self._headers([separator] if separator else SEPARATORS)
        fits = [each for each, (cells, _) in headers.items() if set(columns) <= set(cells)]
        self.separator = fits[0] if fits else max(headers, key=lambda each: len(headers[each][0]))
        header, self.n_header = headers[self.separator]
        place = Place(path, self.start + 1)
        check_text(place, "".join(header))
        lacking = [name for name in columns if name not in header]
        if lacking:
            raise place.error(f"the columns {lacking} of {what} are not there; the columns are {header}.")
        self.columns = [name or f"Unnamed: {n}" for n, name in enumerate(header)]  # as pandas has them
        if len(set(self.columns)) < len(header):
            raise place.error(f"a column is there twice: {header}.")

    def records(self, bad: BadLines, mend: Mend = lambda text: None) -> Iterator[tuple[Place, list[str]]]:
        """Yield the place of each line and its cells; `mend` splits lines of which the format cannot."""
        n = self.start + self.n_header
        while n < len(self.lines):
            place = Place(self.path, n + 1)
            cells: list[str] = []
            with bad:
                place, cells = self._record(n, mend)
            if cells:
                yield place, cells
            n += place.n_lines

    def rows(self, bad: BadLines, mend: Mend = lambda text: None) -> Iterator[tuple[Place, dict[str, str]]]:
        """Yield the place of each line and its cells by column, without spaces around them."""
        for place, cells in self.records(bad, mend):
            yield place, dict(zip(self.columns, map(str.strip, cells), strict=True))

    def _headers(self, separators: Sequence[str]) -> dict[str, tuple[list[str], int]]:
        """Return the columns' names as each separator would have them, and over how many lines they go."""
        headers = {}
        for separator in separators:
            try:
                cells, n_lines = self._read(self.start, separator)
                headers[separator] = [cell.strip() for cell in cells], n_lines
            except CorpusError:
                if separator == separators[-1] and not headers:
                    raise
        return headers

    def _record(self, n: int, mend: Mend) -> tuple[Place, list[str]]:
        """Return the place and the cells of what begins on a line; none if they are empty."""
        try:
            cells, n_lines = self._read(n, self.separator)
            if not any(map(str.strip, cells)):
                return Place(self.path, n + 1, n_lines), []
            if len(cells) != len(self.columns):
                raise Place(self.path, n + 1).error(
                    f"expected {len(self.columns)} cells, {self.columns}, got {len(cells)}."
                )
        except CorpusError:
            mended = mend(self.lines[n].strip())
            if mended is None or len(mended) != len(self.columns):
                raise
            cells, n_lines = mended, 1
        place = Place(self.path, n + 1, n_lines)
        if not self.is_text:
            check_text(place, "".join(cells))
        return place, cells

    def _read(self, n: int, separator: str) -> tuple[list[str], int]:
        """Return the cells that begin on a line, and over how many lines they go."""
        if '"' not in self.lines[n]:
            return self.lines[n].removesuffix("\r").split(separator), 1
        ahead = range(n, min(n + LONGEST_RECORD, len(self.lines)))
        rows = csv.reader((f"{self.lines[k]}\n" for k in ahead), delimiter=separator, strict=True)
        try:
            return next(rows), rows.line_num
        except csv.Error as error:
            raise Place(self.path, n + 1).error(f"{error}.") from error


def headers_of(path: Path, separator: str | None = None, encoding: str | None = None) -> list[list[str]]:
    """Return the columns of a table as each separator would have them, unless one is given."""
    table = Table(path, [], what="the table", separator=separator, encoding=encoding)
    return [cells for cells, _ in table._headers([separator] if separator else SEPARATORS).values()]
