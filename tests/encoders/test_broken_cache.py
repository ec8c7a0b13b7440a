"""Whatever befalls the cache, vectors are right, and it costs seconds and a warning that names cache_dir."""

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from sklearn_annoser import TextEncoder
from sklearn_annoser.encoders import _cache, _loop, _models
from tests.encoders.conftest import WORDS

N_KILLED = 5
NOT_KEPT = r"vectors are not kept for now: the cache '{}' \(cache_dir\) cannot be "


def encode(bert, texts, folder):
    """Return vectors made with a cache, and the warnings; no part of it may hang."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        start = time.monotonic()
        vectors = TextEncoder(bert, cache_dir=folder).fit(texts).transform(texts)
    assert time.monotonic() - start < 20
    return vectors, [str(each.message) for each in told]


@pytest.fixture
def right(bert, texts):
    """The vectors of the texts."""
    return TextEncoder(bert).fit_transform(texts)


def garbage(path):
    path.write_bytes(b"garbage" * 1_000)


def to_nowhere(path):
    path.symlink_to(path.parent / "no" / "where")


FILE, LOCK, JOURNAL = (_cache.FILE + end for end in ("", ".lock", "-journal"))
ACCIDENTS = {
    "a folder for the file": (FILE, Path.mkdir, NOT_KEPT + "read: unable to open"),
    "a pipe for the file": (FILE, os.mkfifo, NOT_KEPT + "read: disk I/O error"),
    "a link to nowhere": (FILE, to_nowhere, NOT_KEPT + "written: unable to open"),
    "nothing": (FILE, Path.touch, None),
    "garbage": (FILE, garbage, "the cache '{}' is damaged .*: it is kept as"),
    "a folder for the lock": (LOCK, Path.mkdir, None),
    "a lock of garbage": (LOCK, garbage, None),
    "a folder for the journal": (JOURNAL, Path.mkdir, NOT_KEPT),
    "a journal of garbage": (JOURNAL, garbage, None),
}


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_what_lies_in_the_place_of_the_cache_costs_at_most_a_warning(bert, texts, right, tmp_path, accident):
    name, make, expected = ACCIDENTS[accident]
    make(tmp_path / name)
    vectors, told = encode(bert, texts, tmp_path)
    np.testing.assert_allclose(vectors, right, atol=1e-6)
    assert len(told) == (expected is not None)
    assert all(re.match(expected.format(tmp_path / FILE), each) for each in told)
    if expected and NOT_KEPT in expected:
        with pytest.raises(OSError, match=r"\(cache_dir\) cannot be written"):
            _cache.VectorCache(tmp_path, "recipe")._work(lambda db, recipe: None, write=True)
    else:
        assert TextEncoder(bert, cache_dir=tmp_path).fit(texts).cache_info().n_vectors == len(texts)


HOLD = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(100)
"""


@contextmanager
def running(*arguments):
    """Run a program, which says a word when it is where it should be."""
    process = subprocess.Popen([sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("name", [FILE, LOCK])
def test_a_database_that_another_process_holds_costs_seconds(bert, texts, right, tmp_path, monkeypatch, name):
    encode(bert, texts[:2], tmp_path)
    monkeypatch.setattr(_cache, "BUSY_SECONDS", 0.3)
    with running("-c", HOLD, tmp_path / name):
        start = time.monotonic()
        vectors, told = encode(bert, texts, tmp_path)
        assert time.monotonic() - start < 5  # it is tried once, not at each step
        with pytest.raises(OSError, match=r"vectors.sqlite' \(cache_dir\) cannot be read: database is locked"):
            TextEncoder(bert, cache_dir=tmp_path).fit(texts).cache_info()
    np.testing.assert_allclose(vectors, right, atol=1e-6)
    assert [bool(re.match(NOT_KEPT.format(tmp_path / FILE) + "read: database is locked", each)) for each in told] == [1]
    assert encode(bert, texts, tmp_path)[1] == []


def test_after_a_pause_the_cache_is_used_again(tmp_path, monkeypatch):
    cache = _cache.VectorCache(tmp_path, "recipe")
    (tmp_path / FILE).mkdir()
    with pytest.warns(RuntimeWarning, match="not kept for now"):
        cache.put({b"a": np.zeros(3)})
    (tmp_path / FILE).rmdir()
    cache.put({b"a": np.zeros(3)})
    assert cache.get([b"a"]) == {}
    now = time.monotonic() + _cache.PAUSE_SECONDS
    monkeypatch.setattr(_cache.time, "monotonic", lambda: now)
    cache.put({b"a": np.zeros(3)})
    assert set(cache.get([b"a"])) == {b"a"}


def test_a_disk_that_is_full_from_the_first_vector_on(bert, texts, right, tmp_path, monkeypatch):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    heed = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    original = _models.FrozenModel._embed

    def full(self, *args, **kwargs):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, limits[1]))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(_models.FrozenModel, "_embed", full)
    try:
        made = [encode(bert, texts, tmp_path) for _ in range(3)]  # claims are there that could not be deleted
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, heed)
    for vectors, told in made:
        np.testing.assert_allclose(vectors, right, atol=1e-6)
        assert len(told) == 1
        assert re.match(NOT_KEPT.format(tmp_path / FILE), told[0])


# ---------------------------------------------------------------------- processes that hang or are killed


@contextmanager
def forked(work):
    """Do some work in a child, which is told how to say that it is where it should be; kill it in the end."""
    import torch

    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there may be threads, which hold nothing
        child = os.fork()
    if not child:
        try:
            torch.set_num_threads(1)
            work(lambda: os.write(writer, b"x"))
        finally:
            os._exit(0)
    try:
        os.close(writer)
        assert os.read(reader, 1)
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)


def many_texts():
    """Return texts of every length."""
    rng = random.Random(0)
    return [" ".join(rng.choices(WORDS, k=1 + n % 17)) + f" {'you ' * (n % 5)}" for n in range(150)]


@pytest.mark.parametrize("stopped", [False, True])
def test_who_claims_and_hangs_is_not_waited_for_long(bert, texts, right, tmp_path, monkeypatch, stopped):
    def hang(say):
        _models.FrozenModel._embed = lambda *args, **kwargs: (say(), time.sleep(100))
        TextEncoder(bert, cache_dir=tmp_path).fit(texts).transform(texts)

    monkeypatch.setattr(_loop, "SECONDS_OF_PATIENCE", 0.5)
    with forked(hang) as child:
        if stopped:
            os.kill(child, signal.SIGSTOP)
        vectors, told = encode(bert, texts, tmp_path)
    np.testing.assert_allclose(vectors, right, atol=1e-5)
    assert told == []


def test_a_process_that_is_killed_at_any_moment_leaves_right_vectors(bert, tmp_path):
    texts = many_texts()
    right = TextEncoder(bert).fit_transform(texts)

    def work(say):
        _loop.SECONDS_TO_STORE = 0
        encoder = TextEncoder(bert, cache_dir=folder, batch_tokens=64).fit(texts)
        say()
        encoder.transform(texts)

    rng, kept = random.Random(0), []
    for trial in range(N_KILLED):
        folder = tmp_path / str(trial)
        with forked(work):
            time.sleep(rng.uniform(0, 0.3))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            encoder = TextEncoder(bert, cache_dir=folder).fit(texts)
            kept.append(encoder.cache_info().n_vectors)
            np.testing.assert_allclose(encoder.transform(texts), right, atol=1e-5)
    assert 0 < np.mean(kept) < len(texts)
