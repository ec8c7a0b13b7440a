"""What the allocator keeps and gives back."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest

from sklearn_annoser import SpeechEncoder
from sklearn_annoser.encoders import _loop, _memory

PROGRAM = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from sklearn_annoser import SpeechEncoder
from sklearn_annoser.encoders._memory import return_memory

def new_pages():
    "Return how many pages the system gave for 200 MiB that are used and freed, a few at a time."
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(1 << 19)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def in_use():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

before = new_pages()
SpeechEncoder(sys.argv[2]).fit([np.zeros(4_000)])
after = new_pages()
blocks = [np.ones(8_000) for _ in range(2_000)]  # 128 MB
last = blocks.pop()
del blocks[:]
kept = in_use()
return_memory()
print(before, after, kept - in_use())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_memory_is_kept_where_the_environment_says_otherwise_and_given_back_when_asked(wavlm):
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parents[2]), wavlm]
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    before, after, given_back = map(int, run.stdout.split())
    assert after < before / 10
    assert given_back > 100e6


def test_an_allocator_that_is_not_known_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(_memory.ctypes, "CDLL", None)
    assert _memory._glibc.__wrapped__() is None
    monkeypatch.setattr(_memory, "_glibc", lambda: None)
    _memory.keep_memory()
    _memory.return_memory()


def test_each_task_of_a_worker_gives_memory_back(wavlm, files, monkeypatch):
    times = []
    monkeypatch.setattr(_loop, "return_memory", lambda: times.append(1))
    encoder = SpeechEncoder(wavlm, batch_seconds=0.5).fit(files)
    expected = encoder.transform(files)
    assert not times
    with joblib.parallel_config(backend="threading", n_jobs=2):
        np.testing.assert_array_equal(encoder.transform(files), expected)
    assert len(times) >= 2
