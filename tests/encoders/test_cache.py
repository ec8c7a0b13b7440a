"""The cache keeps what it was given or makes it anew, whatever happens to its file and to the processes around it."""

import multiprocessing
import os
import pickle
import random
import signal
import sqlite3
import threading
import time
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from sklearn_annoser.encoders import _cache
from sklearn_annoser.encoders._cache import VectorCache
from sklearn_annoser.encoders._files import file_digest

SPAWN = multiprocessing.get_context("spawn")


def make_vectors(n, seed=0, size=24):
    """Return vectors by digest."""
    rng = np.random.default_rng(seed)
    return {rng.bytes(16): rng.normal(size=size).astype(np.float32) for _ in range(n)}


def change(cache, statement, *values):
    """Change a cache behind its back, or look into it."""
    with closing(sqlite3.connect(cache.path)) as db, db:
        return db.execute(statement, values).fetchall()


def assert_same(found, expected):
    """Check that all vectors are there, and right."""
    assert set(found) == set(expected)
    for digest, vector in expected.items():
        np.testing.assert_array_equal(found[digest], vector)
        assert found[digest].dtype == np.float32


# ---------------------------------------------------------------------- what is put is got


def test_what_is_put_is_got_under_its_recipe_only(tmp_path):
    one, other = VectorCache(tmp_path / "new" / "folder", "one"), VectorCache(tmp_path / "new" / "folder", "other")
    vectors = make_vectors(1_234)  # more than a query takes
    one.put(vectors)
    assert_same(one.get([*vectors, b"unknown", *list(vectors)[:3]]), vectors)
    assert other.get(list(vectors)) == {}
    other.put(make_vectors(2, seed=1))
    assert (one.info().n_vectors, other.info().n_vectors, one.info().n_vectors_total) == (1_234, 2, 1_236)
    assert one.info().n_bytes == one.path.stat().st_size > 1_234 * 24 * 4
    one.clear()
    assert (one.info().n_vectors, other.info().n_vectors) == (0, 2)
    assert one.info().n_bytes < 100_000


def test_nothing_asked_is_nothing_done(tmp_path):
    cache = VectorCache(tmp_path / "cache", "recipe")
    assert cache.get([]) == cache.get([b"a"]) == {}
    assert cache.claim([]) == cache.file_digests([]) == []
    cache.put({})
    cache.release([b"a"])
    cache.clear()
    assert cache.info()[1:] == (0, 0, 0)
    assert not (tmp_path / "cache").exists()


def test_threads_share_a_cache(tmp_path):
    cache = VectorCache(tmp_path, "recipe")
    parts = [make_vectors(20, seed) for seed in range(8)]
    threads = [threading.Thread(target=cache.put, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for part in parts:
        assert_same(cache.get(list(part)), part)


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"cache_dir must be a folder, but '.*file' is a file"):
        VectorCache(tmp_path / "file", "recipe")


def test_a_newer_file_is_not_touched(tmp_path):
    cache = VectorCache(tmp_path, "recipe")
    cache.put(make_vectors(1))
    change(cache, "PRAGMA user_version = 7")
    before = cache.path.read_bytes()
    with pytest.raises(RuntimeError, match=r"of version 7, made by a newer release.*Choose another cache_dir"):
        cache.get([b"a"])
    assert cache.path.read_bytes() == before


# ---------------------------------------------------------------------- claims


def test_what_one_has_claimed_or_stored_is_not_for_the_other(tmp_path):
    one, other = VectorCache(tmp_path, "recipe"), VectorCache(tmp_path, "recipe")
    stored = make_vectors(1)
    one.put(stored)
    assert one.claim([b"a", b"b", b"a", *stored]) == [b"a", b"b"]
    assert other.claim([b"a", b"b", b"c"]) == [b"c"]
    assert one.claim([b"a", b"b", b"c"]) == [b"a", b"b"]  # one's own again
    assert VectorCache(tmp_path, "another recipe").claim([b"a"]) == [b"a"]
    one.release([b"a", b"c"])
    assert other.claim([b"a", b"b", b"c"]) == [b"a", b"c"]
    one.put({b"b": np.zeros(3)})
    assert other.claim([b"b"]) == []
    assert set(other.get([b"b"])) == {b"b"}


def test_thousands_are_claimed_once_however_often_they_are_asked_for(tmp_path):
    digests = list(make_vectors(3_000, size=1))
    cache = VectorCache(tmp_path, "recipe")
    assert cache.claim([*digests, *digests]) == digests
    assert VectorCache(tmp_path, "recipe").claim(digests) == []
    cache.release(digests)
    assert VectorCache(tmp_path, "recipe").claim(digests) == digests


def test_a_copy_and_a_fork_claim_for_themselves(tmp_path, monkeypatch):
    cache = VectorCache(tmp_path, "recipe")
    cache.claim([b"a"])
    copy = pickle.loads(pickle.dumps(cache))
    assert (copy.path, copy.recipe) == (cache.path, cache.recipe)
    assert copy.claim([b"a"]) == []
    copy.release([b"a"])  # not its own
    monkeypatch.setattr(_cache, "_is_alive", lambda process: True)
    with monkeypatch.context() as fork:
        fork.setattr(_cache.os, "getpid", lambda: 1)
        assert cache.claim([b"a"]) == []
    assert cache.claim([b"a"]) == [b"a"]


@pytest.mark.parametrize("column", ["process = NULL", "process = '25$1'", "process = '99999999999 1'", "until = 'x'"])
def test_a_damaged_claim_does_not_hold(tmp_path, column):
    cache = VectorCache(tmp_path, "recipe")
    cache.claim([b"a"])
    change(cache, f"UPDATE claims SET {column}")
    assert VectorCache(tmp_path, "recipe").claim([b"a"]) == [b"a"]


def test_a_claim_that_would_hold_for_ever_does_not(tmp_path):
    cache = VectorCache(tmp_path, "recipe")
    cache.claim([b"a"])
    change(cache, "UPDATE claims SET until = 1e300, host = 'elsewhere'")
    assert VectorCache(tmp_path, "recipe").claim([b"a"]) == [b"a"]


def test_a_claim_lapses(tmp_path, monkeypatch):
    one, other = VectorCache(tmp_path, "recipe"), VectorCache(tmp_path, "recipe")
    one.claim([b"a"])
    now = time.time()
    monkeypatch.setattr(_cache.time, "time", lambda: now + _cache.LEASE_SECONDS - 1)
    assert other.claim([b"a"]) == []
    monkeypatch.setattr(_cache.time, "time", lambda: now + _cache.LEASE_SECONDS + 1)
    assert other.claim([b"a"]) == [b"a"]


def test_a_claim_of_another_machine_holds_until_it_lapses(tmp_path, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(_cache.socket, "gethostname", lambda: "elsewhere")
        elsewhere.setattr(_cache, "_process", lambda pid: "999999999 1")
        VectorCache(tmp_path, "recipe").claim([b"a"])
    assert VectorCache(tmp_path, "recipe").claim([b"a"]) == []


def test_a_number_that_another_process_has_now_is_not_the_claimer(tmp_path, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(_cache, "_process", lambda pid: f"{pid} 1")
        VectorCache(tmp_path, "recipe").claim([b"a"])
    assert VectorCache(tmp_path, "recipe").claim([b"a"]) == [b"a"]


def _claim_all(folder, digests, queue):
    cache = VectorCache(folder, "recipe")
    ours = []
    for start in range(0, len(digests), 10):
        some = cache.claim(digests[start : start + 10])
        cache.put({digest: np.full(4, len(digest)) for digest in some})
        ours += some
    queue.put(ours)


def test_processes_claim_each_utterance_once(tmp_path):
    digests = list(make_vectors(200))
    queue = SPAWN.Queue()
    workers = [SPAWN.Process(target=_claim_all, args=(tmp_path, digests, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    claimed = [digest for _ in workers for digest in queue.get(timeout=60)]
    for worker in workers:
        worker.join()
    assert sorted(claimed) == sorted(digests)


def _write_forever(folder):
    cache = VectorCache(folder, "recipe")
    for seed in range(100_000):
        vectors = make_vectors(20, seed)
        cache.claim(list(vectors))
        cache.put(vectors)
        cache.claim([b"never", seed.to_bytes(4, "big")])


def test_a_process_killed_while_it_writes_leaves_whole_transactions_and_no_claims(tmp_path):
    for pause in (0.05, 0.12, 0.31):
        worker = SPAWN.Process(target=_write_forever, args=(tmp_path,))
        worker.start()
        while not (tmp_path / _cache.FILE).exists():
            time.sleep(0.01)
        time.sleep(pause)
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        cache = VectorCache(tmp_path, "recipe")
        n = cache.info().n_vectors
        assert n % 20 == 0
        for seed in range(n // 20):
            vectors = make_vectors(20, seed)
            assert_same(cache.get(list(vectors)), vectors)
        assert cache.claim([b"never"]) == [b"never"]
        cache.release([b"never"])


# ---------------------------------------------------------------------- damage


def test_a_damaged_vector_is_noticed_and_made_anew(tmp_path):
    vectors = make_vectors(10)
    cache = VectorCache(tmp_path, "recipe")
    cache.put(vectors)
    first, second, *_ = vectors
    with closing(sqlite3.connect(cache.path)) as db, db:
        db.execute("UPDATE vectors SET vector = zeroblob(96) WHERE digest = ?", (first,))
        row = db.execute("SELECT vector, checksum FROM vectors WHERE digest = ?", (list(vectors)[2],)).fetchone()
        db.execute("UPDATE vectors SET vector = ?, checksum = ? WHERE digest = ?", (*row, second))  # another's place
    with pytest.warns(RuntimeWarning, match=r"2 vectors in '.*vectors.sqlite' are damaged: they are deleted"):
        found = cache.get(list(vectors))
    assert_same(found, {digest: vectors[digest] for digest in list(vectors)[2:]})
    assert cache.claim(list(vectors)) == [first, second]


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"x" * 5_000])
def test_a_file_that_is_no_database_is_put_aside(tmp_path, content):
    (tmp_path / _cache.FILE).write_bytes(content)
    cache = VectorCache(tmp_path, "recipe")
    with pytest.warns(RuntimeWarning, match=r"is damaged \(.*\): it is kept as 'vectors.sqlite.damaged-1', and a new"):
        assert cache.get([b"a"]) == {}
    assert (tmp_path / f"{_cache.FILE}.damaged-1").read_bytes() == content
    vectors = make_vectors(3)
    cache.put(vectors)
    assert_same(cache.get(list(vectors)), vectors)


def test_a_vector_that_is_not_finite_is_made_anew(tmp_path):
    cache = VectorCache(tmp_path, "recipe")
    cache.put({b"a": np.array([1.0, np.nan])})
    with pytest.warns(RuntimeWarning, match=r"1 vectors in .* are damaged"):
        assert cache.get([b"a"]) == {}
    assert cache.claim([b"a"]) == [b"a"]


def test_an_empty_file_is_a_new_cache(tmp_path):
    (tmp_path / _cache.FILE).touch()
    cache = VectorCache(tmp_path, "recipe")
    assert cache.get([b"a"]) == {}
    assert cache.info()[1:] == (0, cache.path.stat().st_size, 0)


def test_a_truncated_file_is_put_aside(tmp_path):
    vectors = make_vectors(150)
    cache = VectorCache(tmp_path, "recipe")
    cache.put(vectors)
    os.truncate(cache.path, cache.path.stat().st_size // 2)
    with pytest.warns(RuntimeWarning, match=r"is damaged .*: it is kept as 'vectors.sqlite.damaged-1'"):
        assert cache.get(list(vectors)) == {}


def test_a_version_that_was_lost_is_damage(tmp_path):
    vectors = make_vectors(5)
    cache = VectorCache(tmp_path, "recipe")
    cache.put(vectors)
    change(cache, "PRAGMA user_version = 0")
    with pytest.warns(RuntimeWarning, match="a new one begins with the 5 vectors that could be read"):
        assert_same(cache.get(list(vectors)), vectors)


def test_what_can_be_read_of_a_damaged_file_is_saved(tmp_path):
    ours, others = make_vectors(600), make_vectors(600, seed=1)
    one, other = VectorCache(tmp_path, "one"), VectorCache(tmp_path, "other")
    one.put(ours)
    other.put(others)
    with open(one.path, "r+b") as file:  # a page in the middle
        file.seek(one.path.stat().st_size // 8192 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.warns(RuntimeWarning, match=r"a new one begins with the 11\d\d vectors that could be read"):
        found = one.get(list(ours)) | other.get(list(others))
    assert 1_100 < len(found) < 1_200
    assert_same(found, {digest: (ours | others)[digest] for digest in found})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # whoever is first warns
def test_when_several_find_the_damage_the_new_file_is_not_put_aside(tmp_path):
    vectors = make_vectors(12)
    for trial in range(10):
        folder = tmp_path / str(trial)
        folder.mkdir()
        (folder / _cache.FILE).write_bytes(b"no database" * 100)
        start = threading.Barrier(len(vectors))

        def put(digest, folder=folder, start=start):
            cache = VectorCache(folder, "recipe")
            start.wait()
            cache.put({digest: vectors[digest]})

        threads = [threading.Thread(target=put, args=(digest,)) for digest in vectors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert_same(VectorCache(folder, "recipe").get(list(vectors)), vectors)
        assert [path.read_bytes() for path in folder.glob("*damaged*")] == [b"no database" * 100]


def damage(content, rng):
    """Return a file's content, damaged in one of many ways."""
    content = bytearray(content)
    place = rng.randrange(len(content))
    kind = rng.choice(["flip", "flip many", "cut", "zeros", "insert"])
    if kind == "cut":
        return content[:place]
    if kind == "zeros":
        n = rng.choice([10, 500, 5_000])
        content[place : place + n] = bytes(len(content[place : place + n]))
    elif kind == "insert":
        content[place:place] = rng.randbytes(7)
    else:
        for _ in range(1 if kind == "flip" else 30):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return content


def test_no_damage_gives_a_wrong_vector_or_an_error(tmp_path, old_file):
    vectors = make_vectors(150)
    cache = VectorCache(tmp_path / "cache", "recipe")
    cache.put(vectors)
    cache.claim([b"a"])
    cache.file_digests([old_file])
    good = cache.path.read_bytes()
    rng = random.Random(0)
    for _ in range(80):
        content = damage(good, rng)
        if content[60:64] not in (good[60:64], bytes(4)):  # of a newer release, as far as one can tell
            continue
        for file in cache.path.parent.iterdir():
            file.unlink()
        Path(cache.path).write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found = VectorCache(tmp_path / "cache", "recipe").get(list(vectors))
            for digest, vector in found.items():
                np.testing.assert_array_equal(vector, vectors[digest])
            again = VectorCache(tmp_path / "cache", "recipe")
            again.put({digest: vectors[digest] for digest in again.claim(list(vectors))})
            again.info()
            again.release([b"a"])
            assert again.file_digests([old_file]) == [file_digest(old_file)]
            again.clear()


# ---------------------------------------------------------------------- where nothing can be written


def test_a_full_disk_costs_a_warning_not_the_run(tmp_path, monkeypatch):
    cache = VectorCache(tmp_path, "recipe")
    cache.put(make_vectors(3))
    connect = cache._connect

    def full():
        db = connect()
        db.execute("PRAGMA max_page_count = 1")
        return db

    monkeypatch.setattr(cache, "_connect", full)
    with pytest.warns(
        RuntimeWarning, match=r"not kept for now: .*'.*vectors.sqlite' \(cache_dir\) cannot be written: .*full"
    ):
        cache.put(make_vectors(2_000, seed=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put(make_vectors(2_000, seed=2))  # once is enough
    assert cache.info().n_vectors == 3


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    cache = VectorCache(tmp_path / "cache", "recipe")

    def refuse(*args, **kwargs):
        raise PermissionError("permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.warns(RuntimeWarning, match=r"not kept for now: .*\(cache_dir\) cannot be written: permission denied"):
        assert cache.claim([b"a", b"b"]) == [b"a", b"b"]
