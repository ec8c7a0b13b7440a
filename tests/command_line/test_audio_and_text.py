import os
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser.command_line import _models
from sklearn_annoser.command_line._clips import SoundFolder
from sklearn_annoser.datasets import CorpusError
from tests.command_line.conftest import SMALL, read, run
from tests.enroll_page.conftest import studio  # noqa: F401


@pytest.fixture(autouse=True)
def small_models(monkeypatch):
    monkeypatch.setattr(_models, "AnnotatorCommittee", SMALL)


def test_clips_are_the_same_as_a_folder_and_in_a_table(studio, tmp_path, capsys):  # noqa: F811
    words = ["predict", studio.model, "--consensus", "--cache", studio.cache, "--out"]
    run(*words, tmp_path / "folder.csv", studio.clips)
    labels = sorted(each.stem for each in studio.clips.iterdir())
    pd.DataFrame({"clip": labels[::-1]}).to_csv(tmp_path / "list.csv", index=False, sep=";", encoding="utf-8-sig")
    run(*words, tmp_path / "table.csv", tmp_path / "list.csv", "--audio", studio.clips)
    folder, table = read(tmp_path / "folder.csv"), read(tmp_path / "table.csv")
    assert folder["sample"].tolist() == [f"{label}.wav" for label in labels]
    assert table["sample"].tolist() == labels[::-1]
    columns = ["activation", "valence"]
    np.testing.assert_allclose(folder[columns], table[columns][::-1], rtol=1e-6)
    assert folder["valence"].nunique() > 10
    run(*words, tmp_path / "one.csv", studio.clips / "004.wav")
    np.testing.assert_allclose(read(tmp_path / "one.csv")[columns], folder[columns].iloc[[4]], rtol=1e-6)


def test_text_of_the_ratings_or_of_a_table(studio, tmp_path):  # noqa: F811
    rng = np.random.RandomState(0)
    texts = {f"{k:02d}": " ".join(rng.choice(list("abcdefgh"), 5)) for k in range(30)}
    rows = [(k, p, texts[k], rng.randint(1, 6)) for k in texts for p in ("ann", "bob", "cy")]
    table = pd.DataFrame(rows, columns=["item", "rater", "words", "joy"])
    table.to_csv(tmp_path / "r.csv", index=False)
    pd.Series(texts, name="words").rename_axis("item").reset_index().to_csv(tmp_path / "t.csv", index=False)
    common = ["--text-model", studio.folder / "encoders" / "bert", "--outputs", "joy", "--scale", 1, 5, "--epochs", 2]
    common += ["--text", "words", "--cache", tmp_path / "cache", "--out"]
    found = []
    for name, more in {"one": [], "two": ["--samples", tmp_path / "t.csv"]}.items():
        with warnings.catch_warnings(action="ignore"):  # nothing is to be learned here
            run("train", tmp_path / "r.csv", *common, tmp_path / name, *more)
        words = ["--text", "words", "--everybody", "--no-cache", "--out", tmp_path / f"{name}.csv"]
        run("predict", tmp_path / name, tmp_path / "t.csv", *words)
        found.append(read(tmp_path / f"{name}.csv"))
    assert len(found[0]) == 90
    pd.testing.assert_frame_equal(*found)


def test_a_label_finds_its_file_by_path_or_name(tmp_path):
    for name in ("a/x.wav", "b/y.FLAC", "b/007.mp3", "a/z.wav", "b/z.wav", ".hidden/h.wav", "a/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    folder = SoundFolder(tmp_path)
    for label, name in {
        "x": "a/x.wav",
        "x.wav": "a/x.wav",
        "a/x": "a/x.wav",
        "y": "b/y.FLAC",
        "007": "b/007.mp3",
    }.items():
        assert folder.find(label) == str(tmp_path / name)
    for label in ("7", "h", "notes", "../x", str(tmp_path / "a" / "x.wav"), "X"):
        assert folder.find(label) is None
    assert folder.find("b/z") == str(tmp_path / "b" / "z.wav")
    with pytest.raises(CorpusError, match=r"sample 'z': two files could be meant, 'a/z.wav' and 'b/z.wav'"):
        folder.find("z")
