"""A small part of benchmarks/torture.py: odd inputs at every door, none wrong silently; and it sees what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("soundfile")
pytest.importorskip("transformers")

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
BROKEN = """
import sys
import torture
from _torture.judge import Wrong
from sklearn_annoser import Ratings

def wrong(trial): raise Wrong("another number")
def unclear(trial): [][1]
def hang(trial):
    while True: pass
def refused(trial):
    trial.must_work = True
    Ratings.from_rows([], [])
def clear(trial): Ratings.from_rows([], [])

torture.DOORS = {door.__name__: torture.Share(door, 1, seconds=1) for door in (wrong, unclear, hang, refused, clear)}
sys.argv[1:] = ["--inputs", "1", *sys.argv[1:]]
torture.main()
"""


def run(*arguments):
    """Run Python beside the benchmarks."""
    path = os.pathsep.join([str(BENCHMARKS), str(BENCHMARKS.parent)])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)


def test_no_door_gives_a_wrong_number_an_unclear_error_or_none_in_time():
    tried = run(str(BENCHMARKS / "torture.py"), "--inputs", "60", "--kills", "1")
    assert tried.returncode == 0, tried.stdout + tried.stderr
    rows = [line.split(" | ") for line in tried.stdout.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 14
    assert all(row[-3:] == ["0", "0", "0 |"] for row in rows)


def test_offending_inputs_are_counted_and_can_be_tried_again():
    tried = run("-c", BROKEN)
    assert tried.returncode == 1, tried.stderr
    for door, column in (("wrong", "wrong"), ("unclear", "unclear error"), ("hang", "hang"), ("refused", "wrong")):
        assert f"{door}, {column}: --only '{door}' --seed 0 --inputs 1" in tried.stdout
    assert "| clear | 1 | 0 | 1 | 0 | 0 | 0 |" in tried.stdout
    assert run("-c", BROKEN, "--only", "clear").returncode == 0
