"""Vectors of utterances on disk: an SQLite file that any number of processes share, and that survives them."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4
from weakref import finalize

import numpy as np

from sklearn_annoser.encoders._files import SIZED, State, file_digest, file_state, is_settled

FILE = "vectors.sqlite"
SCHEMA = 1
BUSY_SECONDS = 10.0  # to wait for another process's transaction
PAUSE_SECONDS = 60.0  # to go on without the cache where it could not be used
LEASE_SECONDS = 300.0  # after which a claim lapses whose process cannot be asked
SECONDS_TO_STORE = 1.0  # of work that a kill may lose
MANY = 500  # keys in a query
# What SQLite says when pages were overwritten in ways which it does not call malformed.
DAMAGE = (
    *("malformed", "not a database", "encrypted", "file format", "not decode"),
    *("no such table", "no such column", "already exists"),  # the last: version 0 is that of a file without tables
)

TABLES = """
CREATE TABLE recipes (id INTEGER PRIMARY KEY, recipe TEXT NOT NULL UNIQUE);
CREATE TABLE vectors (recipe INTEGER, digest BLOB, vector BLOB, checksum BLOB, PRIMARY KEY (recipe, digest));
CREATE TABLE claims (recipe INTEGER, digest BLOB, owner TEXT, host TEXT, process TEXT, until REAL,
                     PRIMARY KEY (recipe, digest));
CREATE TABLE files (path BLOB PRIMARY KEY, size INTEGER, changed INTEGER, digest BLOB);
"""

# SQLite's own words are undecodable where they quote a damaged schema.
DAMAGE_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)

T = TypeVar("T")


CLAIMING: set[str] = set()  # owners in this process whose claims hold


class CacheInfo(NamedTuple):
    """What a cache holds."""

    path: Path
    n_vectors: int
    n_bytes: int
    n_vectors_total: int


class VectorCache:
    """The vectors of one recipe in a folder.

    No connection is kept open: each call is one transaction, so that threads, forks and other machines that see the
    folder may all call. The journal is SQLite's plain one, because its other (WAL) fails on network file systems.

    Parameters
    ----------
    folder : path
        Where the file is, or will be.
    recipe : str
        Everything that decides the vector of an utterance, as text.
    """

    def __init__(self, folder: str | os.PathLike[str], recipe: str) -> None:
        self.path = Path(folder).expanduser().absolute() / FILE
        if os.path.exists(self.path.parent) and not os.path.isdir(self.path.parent):
            raise NotADirectoryError(f"cache_dir must be a folder, but {str(self.path.parent)!r} is a file.")
        self.recipe = recipe
        self.token = uuid4().hex
        self.warned = False
        self.paused_until = -np.inf

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path.parent, self.recipe)  # a copy claims for itself

    @property
    def owner(self) -> str:
        """Who claims: this object in this process; a fork claims for itself."""
        return f"{self.token} {os.getpid()}"

    def get(self, digests: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """Return the vectors that are stored and intact; damaged ones are deleted, so that they are made anew."""
        if not digests or not os.path.exists(self.path):
            return {}
        found: dict[bytes, np.ndarray] = {}
        damaged: list[bytes] = []
        nothing: list[tuple[bytes, Any, Any]] = []
        rows = self._try(lambda db, recipe: self._select(db, recipe, digests), nothing, write=False)
        for digest, vector, checksum in rows:
            array = _intact(self.recipe, digest, vector, checksum)
            if array is None:
                damaged.append(digest)
            else:
                found[digest] = array
        if damaged:
            warnings.warn(
                f"{len(damaged)} vectors in {str(self.path)!r} are damaged: they are deleted and made anew.",
                RuntimeWarning,
                stacklevel=4,
            )
            self._try(lambda db, recipe: _delete(db, "vectors", recipe, damaged), None)
        return found

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Store vectors, and end our claims to them."""
        if not vectors:
            return
        blobs = {digest: np.asarray(vector, dtype="<f4").tobytes() for digest, vector in vectors.items()}

        def work(db: sqlite3.Connection, recipe: int) -> None:
            rows = [(recipe, digest, blob, _checksum(self.recipe, digest, blob)) for digest, blob in blobs.items()]
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", rows)
            _delete(db, "claims", recipe, list(blobs), self.owner)

        self._try(work, None)

    def claim(self, digests: Sequence[bytes]) -> list[bytes]:
        """Claim utterances to embed: those that are neither stored nor claimed by another process which is alive."""
        wanted = list(dict.fromkeys(digests))
        if not wanted:
            return []
        if self.owner not in CLAIMING:
            CLAIMING.add(self.owner)
            finalize(self, CLAIMING.discard, self.owner)
        return self._try(lambda db, recipe: self._claim(db, recipe, wanted), wanted)

    def release(self, digests: Sequence[bytes]) -> None:
        """End our claims."""

        def work(db: sqlite3.Connection, recipe: int) -> bool:
            _delete(db, "claims", recipe, digests, self.owner)
            return True

        if digests and os.path.exists(self.path) and not self._try(work, False):
            CLAIMING.discard(self.owner)  # nobody here shall wait for claims that could not be deleted

    def file_digests(self, paths: Sequence[str]) -> list[bytes | OSError]:
        """Return a hash of the content of each file, or why it has none; unchanged files are not read again."""
        names = [os.fsencode(os.path.abspath(path)) for path in paths]
        known: dict[bytes, Any] = {}
        if names and os.path.exists(self.path):
            known = self._try(lambda db, recipe: _known_files(db, names), {}, write=False)
        digests: list[bytes | OSError] = []
        fresh: list[tuple[bytes, int, int, bytes]] = []
        stored_at = time.monotonic()
        for name in names:
            try:
                state = file_state(os.stat(name))  # before the file is read: if it changes, this is not its state
                sealed = known.get(name)
                if not isinstance(sealed, bytes) or sealed != _seal(name, state, sealed[:SIZED]):
                    now = time.time_ns()
                    known[name] = sealed = _seal(name, state, file_digest(name))
                    if is_settled(state, now):
                        fresh.append((name, *state[:2], sealed))
            except OSError as error:
                digests.append(error)
                continue
            if fresh and time.monotonic() - stored_at > SECONDS_TO_STORE:
                self._remember_files(fresh)
                fresh, stored_at = [], time.monotonic()
            digests.append(sealed[:SIZED])
        self._remember_files(fresh)
        return digests

    def info(self) -> CacheInfo:
        """Return what the cache holds."""
        if not os.path.exists(self.path):
            return CacheInfo(self.path, 0, 0, 0)

        def work(db: sqlite3.Connection, recipe: int) -> tuple[int, int]:
            (ours,) = db.execute("SELECT count(*) FROM vectors WHERE recipe = ?", (recipe,)).fetchone()
            (total,) = db.execute("SELECT count(*) FROM vectors").fetchone()
            return ours, total

        ours, total = self._work(work, write=False)
        return CacheInfo(self.path, ours, self.path.stat().st_size, total)

    def clear(self) -> None:
        """Delete the vectors of this recipe."""
        if not os.path.exists(self.path):
            return

        def work(db: sqlite3.Connection, recipe: int) -> None:
            db.execute("DELETE FROM vectors WHERE recipe = ?", (recipe,))
            db.execute("DELETE FROM claims WHERE recipe = ?", (recipe,))

        self._work(work, write=True)
        # Where this fails, the space is given back next time.
        with suppress(*DAMAGE_ERRORS), closing(self._lock()), closing(self._connect()) as db:
            db.execute("VACUUM")

    # ------------------------------------------------------------------ rows

    def _select(self, db: sqlite3.Connection, recipe: int, digests: Sequence[bytes]) -> list[tuple[bytes, Any, Any]]:
        """Return the rows of some vectors."""
        query = "SELECT digest, vector, checksum FROM vectors WHERE recipe = ? AND digest IN ({})"
        return list(_each(db, query, recipe, digests))

    def _claim(self, db: sqlite3.Connection, recipe: int, wanted: Sequence[bytes]) -> list[bytes]:
        """Claim what nobody has."""
        stored = "SELECT digest FROM vectors WHERE recipe = ? AND digest IN ({})"
        taken = {digest for (digest,) in _each(db, stored, recipe, wanted)}
        claimed = "SELECT digest, owner, host, process, until FROM claims WHERE recipe = ? AND digest IN ({})"
        held = cache(_is_held)  # a few processes claim many utterances
        for digest, owner, *claim in _each(db, claimed, recipe, wanted):
            if owner != self.owner and held(owner, *claim):
                taken.add(digest)
        ours = [digest for digest in wanted if digest not in taken]
        until, host, process = time.time() + LEASE_SECONDS, socket.gethostname(), _process(os.getpid())
        rows = [(recipe, digest, self.owner, host, process, until) for digest in ours]
        db.executemany("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?, ?, ?)", rows)
        return ours

    def _remember_files(self, rows: Sequence[tuple[bytes, int, int, bytes]]) -> None:
        """Store what files were hashed."""
        if rows:
            insert = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)"
            self._try(lambda db, recipe: db.executemany(insert, rows), None)

    # ------------------------------------------------------------------ transactions

    def _try(self, work: Callable[[sqlite3.Connection, int], T], otherwise: T, *, write: bool = True) -> T:
        """Do some work; where that is impossible warn once, and go on without the cache for a while."""
        if time.monotonic() < self.paused_until:
            return otherwise
        try:
            return self._work(work, write=write)
        except OSError as error:
            self.paused_until = time.monotonic() + PAUSE_SECONDS
            if not self.warned:
                warnings.warn(f"vectors are not kept for now: {error}", RuntimeWarning, stacklevel=2)
                self.warned = True
            return otherwise

    def _work(self, work: Callable[[sqlite3.Connection, int], T], *, write: bool) -> T:
        """Do some work, or say in one kind of error that the cache cannot be used."""
        try:
            return self._transact(work, write=write)
        except sqlite3.ProgrammingError:
            raise
        except (OSError, *DAMAGE_ERRORS) as error:
            what = "written" if write else "read"
            raise OSError(f"the cache {str(self.path)!r} (cache_dir) cannot be {what}: {error}") from error

    def _transact(self, work: Callable[[sqlite3.Connection, int], T], *, write: bool) -> T:
        """Do some work in one transaction; a damaged file is put aside first, and a new one begun."""
        if write:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(3):
            seen = _inode(self.path)
            try:
                with closing(self._lock()), closing(self._connect()) as db:
                    db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                    result = work(db, self._recipe_id(db, write=write))
                    db.execute("COMMIT")  # without it, closing rolls back
                    return result
            except sqlite3.ProgrammingError:
                raise
            except DAMAGE_ERRORS as error:
                known = isinstance(error, sqlite3.OperationalError)
                if known and not any(words in str(error) for words in DAMAGE):
                    raise
                self._put_aside(seen, error)
        raise RuntimeError(f"the cache {str(self.path)!r} is damaged again and again: delete it.")

    def _lock(self, *, alone: bool = False) -> sqlite3.Connection:
        """Return what, until it is closed, keeps the file in its place, or keeps others from it while it is moved."""
        # SQLite finds journals by name: who still had the old file open would play back or delete that of the new one.
        # The lock is an empty database, because SQLite's locks end with the process and work on every system.
        try:
            lock = sqlite3.connect(f"{self.path}.lock", timeout=BUSY_SECONDS, isolation_level=None)
        except sqlite3.OperationalError:
            if alone:
                raise
            return sqlite3.connect(":memory:")  # in a folder that is read-only, nobody moves the file
        try:
            lock.execute("BEGIN EXCLUSIVE" if alone else "BEGIN")
            lock.execute("SELECT 1 FROM sqlite_master")  # only now is it locked, if shared
        except BaseException as error:
            lock.close()
            if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.OperationalError):
                raise
            os.truncate(f"{self.path}.lock", 0)  # it held something else, and nobody could lock it
            return self._lock(alone=alone)
        return lock

    def _connect(self) -> sqlite3.Connection:
        """Open the file, and make the tables if it is new."""
        db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA):
                raise RuntimeError(
                    f"the cache {str(self.path)!r} is of version {version}, made by a newer release of this package; "
                    f"this one knows version {SCHEMA}. Choose another cache_dir."
                )
            if version == 0:
                db.execute("BEGIN IMMEDIATE")
                if db.execute("PRAGMA user_version").fetchone()[0] == 0:  # nobody else was faster
                    for statement in filter(str.strip, TABLES.split(";")):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version = {SCHEMA}")
                db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        return db

    def _recipe_id(self, db: sqlite3.Connection, *, write: bool) -> int:
        """Return the number of this recipe, -1 if it has none yet."""
        if write:
            db.execute("INSERT OR IGNORE INTO recipes (recipe) VALUES (?)", (self.recipe,))
        row = db.execute("SELECT id FROM recipes WHERE recipe = ?", (self.recipe,)).fetchone()
        return row[0] if row else -1

    def _put_aside(self, seen: int | None, error: Exception) -> None:
        """Rename a damaged file with its journal, unless another process has done it; save what can be read."""
        with closing(self._lock(alone=True)):
            if seen is None or _inode(self.path) != seen:
                return
            n = 1
            while (aside := self.path.with_name(f"{FILE}.damaged-{n}")).exists():
                n += 1
            os.replace(self.path, aside)
            with suppress(FileNotFoundError):  # it would be played back into the new file
                os.replace(f"{self.path}-journal", f"{aside}-journal")
        n_saved = self._salvage(aside)
        warnings.warn(
            f"the cache {str(self.path)!r} is damaged ({error}): it is kept as {aside.name!r}, and a new one begins "
            f"with the {n_saved} vectors that could be read.",
            RuntimeWarning,
            stacklevel=3,
        )

    def _salvage(self, aside: Path) -> int:
        """Copy the intact vectors of a damaged file, of all recipes; return how many."""
        n_saved = 0
        insert = "INSERT OR IGNORE INTO vectors SELECT id, ?, ?, ? FROM recipes WHERE recipe = ?"
        with (
            suppress(*DAMAGE_ERRORS),
            closing(sqlite3.connect(aside)) as old,
            closing(self._lock()),
            closing(self._connect()) as new,
        ):
            old.text_factory = lambda text: text.decode(errors="replace")
            rows = _readable(old)
            while some := list(islice(rows, MANY)):  # other processes get their turn in between
                new.execute("BEGIN IMMEDIATE")
                new.executemany("INSERT OR IGNORE INTO recipes (recipe) VALUES (?)", {row[:1] for row in some})
                n = new.executemany(insert, [(*row[1:], row[0]) for row in some]).rowcount
                new.execute("COMMIT")
                n_saved += n
        return n_saved


class NoCache:
    """What stands for the cache when there is none: nothing is known, and everything is ours to embed."""

    def get(self, digests: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """Return nothing."""
        return {}

    def claim(self, digests: Sequence[bytes]) -> list[bytes]:
        """Return all."""
        return list(digests)

    def put(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Store nothing."""

    def release(self, digests: Sequence[bytes]) -> None:
        """Release nothing."""

    def file_digests(self, paths: Sequence[str]) -> list[bytes | OSError]:
        """Return a hash of each path: enough to see that the same file is there twice."""
        return [blake2b(path.encode("utf-8", "surrogateescape"), digest_size=SIZED).digest() for path in paths]


Cache = VectorCache | NoCache


def _readable(db: sqlite3.Connection) -> Iterator[tuple[str, bytes, bytes, bytes]]:
    """Yield recipe, digest, vector and checksum as far as a damaged file can be read: from the start and the end."""
    recipe = "(SELECT recipe FROM recipes WHERE id = vectors.recipe)"
    for order in ("ASC", "DESC"):
        with suppress(*DAMAGE_ERRORS):
            rows = db.execute(f"SELECT {recipe}, digest, vector, checksum FROM vectors ORDER BY rowid {order}")
            yield from (row for row in rows if _intact(*row) is not None)
            return


def _intact(recipe: Any, digest: Any, vector: Any, checksum: Any) -> np.ndarray | None:
    """Return a stored vector, None if it is damaged."""
    if not isinstance(recipe, str) or not isinstance(digest, bytes) or not isinstance(vector, bytes):
        return None
    if checksum != _checksum(recipe, digest, vector):
        return None
    array = np.frombuffer(vector, dtype="<f4").astype(np.float32)
    return array if np.isfinite(array).all() else None


def _checksum(recipe: str, digest: bytes, vector: bytes) -> bytes:
    """Return what tells a vector in its place from a damaged one, or from one in another's place."""
    return blake2b(recipe.encode() + digest + vector, digest_size=8).digest()


def _seal(name: bytes, state: State, digest: bytes) -> bytes:
    """Return a file's digest and a checksum, which tells whether it is that of this file in this state."""
    stamp = " ".join(map(str, state)).encode() + b" " + name
    return digest + blake2b(stamp + digest, digest_size=8).digest()


def _each(db: sqlite3.Connection, query: str, recipe: int, digests: Sequence[bytes]) -> Iterator[Any]:
    """Yield the rows for some digests."""
    for start in range(0, len(digests), MANY):
        some = digests[start : start + MANY]
        yield from db.execute(query.format(", ".join("?" * len(some))), (recipe, *some))


def _delete(
    db: sqlite3.Connection, table: str, recipe: int, digests: Sequence[bytes], owner: str | None = None
) -> None:
    """Delete the rows of some digests, of one owner if given."""
    query = f"DELETE FROM {table} WHERE recipe = ? AND digest = ?" + (" AND owner = ?" if owner else "")
    db.executemany(query, [(recipe, digest, *([owner] if owner else [])) for digest in digests])


def _known_files(db: sqlite3.Connection, names: Sequence[bytes]) -> dict[bytes, Any]:
    """Return the sealed digests of files that were hashed before."""
    known: dict[bytes, Any] = {}
    for start in range(0, len(names), MANY):
        some = names[start : start + MANY]
        known |= dict(db.execute(f"SELECT path, digest FROM files WHERE path IN ({', '.join('?' * len(some))})", some))
    return known


def _inode(path: Path) -> int | None:
    """Return what tells a file from another that took its place."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _process(pid: int) -> str:
    """Return a process's number and, where the system tells, when it began: numbers are used again."""
    try:
        began = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        began = ""
    return f"{pid} {began}"


def _is_held(owner: Any, host: Any, process: Any, until: Any) -> bool:
    """Return whether a claim holds: it has not lapsed, and who claimed, if of this machine, is still at work."""
    now = time.time()
    # Clocks of a cluster differ a little; what would hold for much longer than a lease is damaged.
    if not isinstance(until, float) or not now < until < now + 2 * LEASE_SECONDS:
        return False
    if host != socket.gethostname():
        return True
    return owner in CLAIMING if process == _process(os.getpid()) else _is_alive(process)


def _is_alive(process: Any) -> bool:
    """Return whether a process of this machine is running; where one cannot ask without killing it, True."""
    if os.name != "posix":
        return True
    try:
        pid = int(process.split()[0])
        os.kill(pid, 0)
    except PermissionError:
        return True  # it runs, under another user
    except (ProcessLookupError, AttributeError, IndexError, ValueError, OverflowError):
        return False  # it has ended, or its number is damaged
    return process == _process(pid)
