"""Files and folders that are there only once they are whole, and their names."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

UNFINISHED = ".unfinished"
MARK = "finished"  # a file in a folder that is whole
LONGEST_NAME = 60
STALE_SECONDS = 3600.0  # after which nobody writes there any more


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to, and rename that once it is whole; what is broken off leaves nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path)
    try:
        yield aside
        os.replace(aside, path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file whole; half characters, which file names may hold, are spelt out."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_csv(path: Path, table: Any, **options: Any) -> None:
    """Write a table whole."""
    with written_aside(path) as aside:
        table.to_csv(aside, encoding="utf-8", errors="backslashreplace", **options)


def fill_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a folder aside, and rename it once it is whole, unless it is there."""
    remove_stale(folder.parent)  # a killed process leaves its part behind, even where a later one came to the end
    if (folder / MARK).exists():
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"{str(folder)!r} is there, but was not finished, or not written by this version. Delete it, or choose "
            "another folder."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(folder)
    aside.mkdir()
    try:
        fill(aside)
        (aside / MARK).touch()
        try:
            os.rename(aside, folder)
        except OSError:
            if not (folder / MARK).exists():  # else another process was faster
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_stale(folder: Path) -> None:
    """Remove what killed processes have left half-written in a folder."""
    for path in folder.glob(f"*{UNFINISHED}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def slug(name: str) -> str:
    """Return the letters a to z and the numbers of a name, which every file system takes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def file_names(names: Iterable[Any]) -> dict[Any, str]:
    """Return a file name for each name, no two alike: its slug, and a hash where that does not tell it apart."""
    texts = {name: str(name) for name in names}
    slugs = [slug(text) for text in texts.values()]
    return {name: _file_name(text, slugs.count(slug(text)) > 1) for name, text in texts.items()}


def _file_name(text: str, is_shared: bool) -> str:
    """Return the slug of a name, with a hash if others have it too, or if little of the name is in it."""
    short = slug(text)
    if short and not is_shared and len(short) <= LONGEST_NAME:
        return short
    digest = blake2b(text.encode("utf-8", "backslashreplace"), digest_size=4).hexdigest()
    return f"{short[:LONGEST_NAME].strip('-') or 'name'}.{digest}"  # no slug has a full stop


def _aside(path: Path) -> Path:
    """Return a name beside a path that nobody else writes to."""
    return path.with_name(f"{path.stem[:LONGEST_NAME]}-{uuid4().hex[:12]}{UNFINISHED}")
