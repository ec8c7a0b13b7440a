"""What lies below a corpus's folder, however it was unpacked: tables, audio and transcripts by their names."""

from __future__ import annotations

import filecmp
import itertools
import os
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase, translate
from pathlib import Path, PurePosixPath

from sklearn_annoser.datasets._files import CorpusError

Compare = Callable[[Path, Path], bool]


def same_content(one: Path, other: Path) -> bool:
    """Say whether two files have the same content."""
    return filecmp.cmp(one, other, shallow=False)


class Folder:
    """All files below a folder, links followed, but for hidden ones; names are compared without regard to case."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, list[str]] = {}  # name with its suffix in lower case -> paths from the root
        self.folders: list[str] = []
        self.closed: list[str] = []  # folders that cannot be read
        self.broken: list[str] = []  # links to nothing
        seen, folders = set(_with_parents(root)), [""]
        while folders:
            folder = folders.pop()
            real = os.path.realpath(root / folder)
            if folder and real in seen:  # a link in a circle or upwards, or a second way
                continue
            seen.add(real)
            entries = self._list(folder)
            for entry in entries:
                path = os.path.join(folder, entry.name)
                if _is(entry.is_file):
                    stem, suffix = os.path.splitext(entry.name)
                    self.files.setdefault(stem + suffix.lower(), []).append(path)
                elif not _is(entry.is_dir):
                    self.broken.append(path)
            below = [os.path.join(folder, entry.name) for entry in entries if _is(entry.is_dir)]
            self.folders += below
            folders += sorted(below, reverse=True)

    def _list(self, folder: str) -> list[os.DirEntry[str]]:
        """Return what is in a folder, by name."""
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted((each for each in entries if not each.name.startswith(".")), key=lambda each: each.name)
        except OSError as error:
            self.closed.append(f"{folder or str(self.root)!r} ({error.strerror})")
            return []

    def named(self, *names: str) -> list[Path]:
        """Return the files that have one of the names, which may be patterns."""
        names = tuple(name.lower() for name in names)
        found = [paths for each, paths in self.files.items() if any(fnmatchcase(each.lower(), name) for name in names)]
        return sorted(self.root / path for paths in found for path in paths)

    def in_folders(self, pattern: str) -> list[Path]:
        """Return the files that match a pattern of folders and file, wherever the folders are."""
        for path in [*self.broken, *self.folders]:
            if _matches(path, pattern):
                raise CorpusError(f"{str(self.root / path)!r} is no file, but a folder or a link to nothing.")
        return [self.root / path for path in sorted(itertools.chain(*self.files.values())) if _matches(path, pattern)]

    def nearest(self, paths: list[Path], folder: str = "") -> Path | None:
        """Return the one file of several that is meant: that in a folder, or that nearest to the root."""
        inside = [path for path in paths if path.parent.relative_to(self.root).as_posix().lower() == folder.lower()]
        depth = min((len(path.parts) for path in paths), default=0)
        chosen = inside or [path for path in paths if len(path.parts) == depth]
        return self.the_one(chosen) if chosen else None

    def of_each(self, labels: Iterable[str], suffix: str, folder: str, compare: Compare) -> dict[str, str]:
        """Return the file of each utterance that has one: those in a folder, or if it has none, those anywhere."""
        found = {label: self.files[label + suffix] for label in labels if label + suffix in self.files}
        is_inside = re.compile(translate(f"{folder.lower()}/*")).match
        inside = {
            label: [each for each in paths if is_inside(Path(each).as_posix().lower())]
            for label, paths in found.items()
        }
        inside = {label: paths for label, paths in inside.items() if paths}
        chosen = {label: [self.root / each for each in paths] for label, paths in (inside or found).items()}
        return {label: str(self.the_one(paths, compare)) for label, paths in chosen.items()}

    def the_one(self, paths: list[Path], compare: Compare = same_content) -> Path:
        """Return the first of files that are the same, or raise."""
        for other in paths[1:]:
            try:
                same = compare(paths[0], other)
            except OSError as error:
                raise CorpusError(f"{error.filename!r} cannot be read: {error.strerror}.") from error
            if not same:
                raise CorpusError(
                    f"two files could be meant: {str(paths[0])!r} and {str(other)!r}. Keep one of them below "
                    f"{str(self.root)!r}."
                )
        return paths[0]


def _with_parents(root: Path) -> list[str]:
    """Return a folder and those that it is in."""
    real = Path(os.path.realpath(root))
    return [str(real), *map(str, real.parents)]


def _matches(path: str, pattern: str) -> bool:
    """Say whether a path ends as a pattern of folders and file says."""
    return PurePosixPath(Path(path).as_posix().lower()).match(pattern.lower())


def _is(question: Callable[[], bool]) -> bool:
    """Ask whether an entry is a file or a folder, or leads to one; a link to itself does not."""
    try:
        return question()
    except OSError:
        return False


def has_near(root: Path, names: Iterable[str]) -> bool:
    """Say whether a folder, or a folder in it, has a file or folder with one of the names."""
    wanted = {name.lower() for name in names}
    try:
        entries = list(root.iterdir())
    except OSError as error:
        raise CorpusError(f"{str(root)!r} cannot be read: {error.strerror}.") from error
    for entry in entries:
        if "." in wanted or entry.name.lower() in wanted:
            return True
    return any(_has(entry, wanted) for entry in entries)


def _has(folder: Path, wanted: set[str]) -> bool:
    """Say whether something in a folder has one of the names."""
    try:
        return folder.is_dir() and any(each.name.lower() in wanted for each in folder.iterdir())
    except OSError:  # it is closed, or a link to itself
        return False
