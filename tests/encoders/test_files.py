"""Audio files are known by their content, and not read again only where nothing can have changed it."""

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from sklearn_annoser.encoders import _cache, _files
from sklearn_annoser.encoders._cache import VectorCache
from sklearn_annoser.encoders._files import file_digest, file_state
from tests.encoders.test_cache import change


def test_a_file_is_known_by_its_content(tmp_path, old_file):
    (tmp_path / "copy.wav").write_bytes(b"one")
    (tmp_path / "other.wav").write_bytes(b"two")
    cache = VectorCache(tmp_path, "recipe")
    one, copy, other, again = cache.file_digests(
        [old_file, *(str(tmp_path / f"{n}.wav") for n in ("copy", "other")), old_file]
    )
    assert one == copy == again != other
    assert len(one) == 16


def test_a_file_that_did_not_change_is_not_read_again(tmp_path, old_file, monkeypatch):
    cache = VectorCache(tmp_path, "recipe")
    first = cache.file_digests([old_file])
    with monkeypatch.context() as unreadable:
        unreadable.setattr(_cache, "file_digest", None)
        assert VectorCache(tmp_path, "another recipe").file_digests([old_file]) == first
    Path(old_file).write_bytes(b"two")  # of the same size, at another time
    assert cache.file_digests([old_file]) != first


def test_known_files_are_found_while_another_process_writes(tmp_path, old_file, monkeypatch):
    cache = VectorCache(tmp_path, "recipe")
    first = cache.file_digests([old_file])
    monkeypatch.setattr(_cache, "BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(cache.path)) as db:
        db.execute("BEGIN IMMEDIATE")
        assert cache.file_digests([old_file]) == first


def test_a_damaged_memory_of_a_file_is_not_believed(tmp_path, old_file):
    cache = VectorCache(tmp_path, "recipe")
    first = cache.file_digests([old_file])
    assert first == [file_digest(old_file)]
    for value in (b"", bytes(24), None):
        change(cache, "UPDATE files SET digest = ?", value)
        assert cache.file_digests([old_file]) == first


def test_a_file_that_was_written_just_now_is_not_remembered(tmp_path, old_file, monkeypatch):
    cache = VectorCache(tmp_path, "recipe")
    monkeypatch.undo()
    first = cache.file_digests([old_file])
    state = file_state(os.stat(old_file))
    Path(old_file).write_bytes(b"two")
    monkeypatch.setattr(_cache, "file_state", lambda status: state)  # within the grain of the clock
    assert cache.file_digests([old_file]) != first


def exchange(one, other):
    os.rename(one, f"{one}.x")
    os.rename(other, one)
    os.rename(f"{one}.x", other)


def link(one, other):
    os.unlink(one)
    os.symlink(other, one)


@pytest.mark.parametrize(
    "accident", [exchange, link, lambda one, other: shutil.copy2(other, one), lambda one, other: os.replace(other, one)]
)
def test_another_file_of_the_same_size_and_time_is_noticed(tmp_path, old_file, accident):
    one, other = Path(old_file), tmp_path / "other.wav"
    other.write_bytes(b"two")
    for path in (one, other):
        os.utime(path, (1e9, 1e9))
    cache = VectorCache(tmp_path / "cache", "recipe")
    assert cache.file_digests([old_file]) == [file_digest(one)]
    accident(str(one), str(other))
    assert one.read_bytes() == b"two"
    assert one.stat().st_mtime == 1e9
    assert cache.file_digests([old_file]) == [file_digest(one)]


def test_where_a_change_has_no_time_a_state_is_never_settled(old_file, monkeypatch):
    state = file_state(os.stat(old_file))
    assert _files.is_settled(state, time.time_ns())
    monkeypatch.setattr(_files, "os", SimpleNamespace(name="nt"))
    assert not _files.is_settled(state, time.time_ns())


def test_a_file_that_is_not_there_has_a_reason_for_a_digest(tmp_path, old_file):
    missing, one = VectorCache(tmp_path, "recipe").file_digests([str(tmp_path / "missing.wav"), old_file])
    assert isinstance(missing, FileNotFoundError)
    assert one == file_digest(old_file)
