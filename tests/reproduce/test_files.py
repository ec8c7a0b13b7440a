"""Files are there whole or not at all, and no two names share one."""

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_annoser.reproduce._files import STALE_SECONDS, UNFINISHED, file_names, fill_folder, written_aside

NAMES = st.lists(st.text(st.characters() | st.sampled_from("aA./:-_ é"), max_size=100), max_size=8, unique=True)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(names=NAMES)
def test_no_two_names_share_a_file_and_every_file_system_takes_them(names):
    made = file_names(names)
    assert list(made) == names
    assert len(set(made.values())) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,75}", each) for each in made.values())
    assert not any(each.endswith(".") or ".." in each for each in made.values())


def test_plain_names_stay_readable():
    assert file_names(["MSP-Improv", "IEMOCAP"]) == {"MSP-Improv": "msp-improv", "IEMOCAP": "iemocap"}
    one, other = file_names(["Corpus (A)", "Corpus [A]"]).values()
    assert one.startswith("corpus-a.")
    assert other.startswith("corpus-a.")


def test_what_is_broken_off_leaves_what_was_there(tmp_path):
    path = tmp_path / "folder" / "file"
    with written_aside(path) as aside:
        aside.write_text("whole")
    with pytest.raises(KeyboardInterrupt), written_aside(path) as aside:  # noqa: PT012
        aside.write_text("hal")
        raise KeyboardInterrupt
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_there_once_it_is_whole(tmp_path):
    def half(folder):
        (folder / "one").touch()
        raise KeyboardInterrupt

    def whole(folder):
        (folder / "one").touch()
        (folder / "two").touch()

    old = tmp_path / f"made-by-a-kill{UNFINISHED}"
    old.mkdir()
    os.utime(old, (0, os.stat(tmp_path).st_mtime - STALE_SECONDS - 1))
    with pytest.raises(KeyboardInterrupt):
        fill_folder(tmp_path / "made", half)
    assert list(tmp_path.iterdir()) == []
    fill_folder(tmp_path / "made", whole)
    old.mkdir()
    os.utime(old, (0, os.stat(tmp_path).st_mtime - STALE_SECONDS - 1))
    fill_folder(tmp_path / "made", half)  # it is there, and what a kill left behind is not any more
    assert list(tmp_path.iterdir()) == [tmp_path / "made"]
    assert sorted(each.name for each in (tmp_path / "made").iterdir()) == ["finished", "one", "two"]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(ValueError, match="was not finished, or not written by this version"):
        fill_folder(tmp_path, lambda folder: None)
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]
