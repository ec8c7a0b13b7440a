"""Readers of open corpora match ratings and features with items by their ids."""

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser.datasets import CorpusError, read_politeness, read_speechocean762


@pytest.fixture
def speech_folder(tmp_path):
    """Write a small corpus in speechocean762's format, with made-up rows."""
    rng = np.random.default_rng(0)
    ids = [f"{index:09d}" for index in range(6)]
    items = pd.DataFrame(
        {"item_id": ids, "split": ["train"] * 4 + ["test"] * 2, "speaker": [f"{i:04d}" for i in range(6)]}
    )
    items.assign(age=9, gender="m", group="child", text="so", has_audio=False).to_csv(
        tmp_path / "items.csv", index=False
    )
    pairs = [(item, f"expert{expert}") for item in ids for expert in (1, 2)]
    ratings = pd.DataFrame(pairs, columns=["item_id", "annotator_id"])
    for score in ("accuracy", "fluency", "prosodic"):
        ratings[score] = rng.integers(0, 11, size=len(ratings)).astype(float)
    ratings.to_csv(tmp_path / "ratings.csv", index=False)
    order = rng.permutation(6)
    mean = np.arange(6)[order, None, None] + np.zeros((6, 5, 384))
    np.savez(
        tmp_path / "features_whisper_tiny_en.npz",
        utt=np.array(ids)[order],
        mean=mean.astype(np.float16),
        std=np.ones((6, 384), dtype=np.float16),
    )
    return tmp_path


@pytest.fixture
def politeness_folder(tmp_path):
    """Write a small corpus in the politeness format, with made-up rows."""
    items = [("wikipedia", "wp1"), ("wikipedia", "wp2"), ("stackexchange", "se1")]
    frame = pd.DataFrame(items, columns=["corpus", "item_id"]).assign(community="c", text="please?")
    frame.to_csv(tmp_path / "items.csv", index=False)
    ratings = [(*item, rater, score) for item in items for rater, score in (("A1", 1), ("A2", 25), ("A1", 13))]
    pd.DataFrame(ratings, columns=["corpus", "item_id", "annotator_id", "politeness"]).to_csv(
        tmp_path / "ratings.csv", index=False
    )
    np.savez(tmp_path / "embeddings_minilm.npz", item_id=["se1", "wp2", "wp1"], X=np.arange(6.0).reshape(3, 2))
    return tmp_path


def test_speech_is_read_by_split_with_features_matched_by_id(speech_folder):
    train = read_speechocean762(speech_folder, split="train")
    assert train.X.shape == (4, 5 * 384 + 384)
    np.testing.assert_array_equal(train.X[:, 0], np.arange(4))
    assert train.ratings.outputs == ("fluency", "prosodic")
    assert train.ratings.annotators.tolist() == ["expert1", "expert2"]
    assert train.groups.tolist() == ["0000", "0001", "0002", "0003"]
    assert train.ratings.scale.tolist() == [[-1, 1], [-1, 1]]
    table = pd.read_csv(speech_folder / "ratings.csv")
    np.testing.assert_allclose(train.ratings.values[:, 0], table["fluency"][:8] / 5 - 1)


def test_politeness_averages_a_rater_who_rated_twice(politeness_folder):
    wikipedia = read_politeness(politeness_folder, corpus="wikipedia")
    np.testing.assert_array_equal(wikipedia.X, [[4, 5], [2, 3]])
    np.testing.assert_allclose(wikipedia.ratings.to_dense(), [[-0.5, 1], [-0.5, 1]])
    assert wikipedia.utterances["item_id"].tolist() == ["wp1", "wp2"]


def test_wrong_folders_splits_and_features_are_said(speech_folder, tmp_path_factory):
    with pytest.raises(FileNotFoundError, match=r"items.csv is not there"):
        read_speechocean762(tmp_path_factory.mktemp("empty"), split="train")
    with pytest.raises(ValueError, match="split must be one of"):
        read_speechocean762(speech_folder, split="dev")


def test_items_without_features_are_said(speech_folder):
    with np.load(speech_folder / "features_whisper_tiny_en.npz") as features:
        part = {name: array[features["utt"] != "000000002"] for name, array in features.items()}
    np.savez(speech_folder / "features_whisper_tiny_en.npz", **part)
    with pytest.raises(ValueError, match="1 items have no features, for example '000000002'"):
        read_speechocean762(speech_folder, split="train")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("ratings.csv", "annotator_id", "who", r"ratings.csv, line 1: the columns \['annotator_id'\]"),
        (
            "ratings.csv",
            "wp1,A1,1",
            "wp1,A1,x",
            "ratings.csv, line 2: expected a finite number for 'politeness', got 'x'",
        ),
        ("ratings.csv", "wp1,A1,1", "wp1,A1,99", "ratings.csv, line 2: expected 'politeness' from 1 to 25"),
        ("ratings.csv", "wp1,A1,1", "wp9,A1,1", "ratings.csv, line 2: 'wp9' is not among the 3 that are listed"),
        ("items.csv", "wp2", "wp1", "items.csv, line 3: 'wp1' is there twice"),
        ("items.csv", "please?", '"please', "items.csv, line 2: "),
    ],
)
def test_a_bad_line_is_named_or_left_out(politeness_folder, name, old, new, message):
    path = politeness_folder / name
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(CorpusError, match=message):
        read_politeness(politeness_folder, corpus="wikipedia")
    if name == "ratings.csv" and "line 2" in message:
        with pytest.warns(UserWarning, match=message):
            found = read_politeness(politeness_folder, corpus="wikipedia", on_error="drop")
        np.testing.assert_allclose(found.ratings.to_dense(), [[0, 1], [-0.5, 1]])


def test_annotators_keep_their_names_and_features_are_checked(politeness_folder):
    path = politeness_folder / "ratings.csv"
    path.write_text(path.read_text().replace("A1", "NA").replace("A2", "002"))
    assert read_politeness(politeness_folder, corpus="wikipedia").ratings.annotators.tolist() == ["002", "NA"]
    features = politeness_folder / "embeddings_minilm.npz"
    for save in (
        lambda: features.write_bytes(b"PK"),
        lambda: np.savez(features, item_id=["wp1"]),
        lambda: np.savez(features, item_id=["wp1", "wp2"], X=np.zeros((1, 2))),
        features.unlink,
    ):
        save()
        with pytest.raises(CorpusError, match=r"embeddings_minilm.npz'.* the arrays \['item_id', 'X'\]"):
            read_politeness(politeness_folder, corpus="wikipedia")


def test_outputs_of_speech_may_be_one(speech_folder):
    assert read_speechocean762(speech_folder, split="train", outputs="fluency").ratings.outputs == ("fluency",)
    with pytest.raises(ValueError, match="outputs must be one of"):
        read_speechocean762(speech_folder, split="train", outputs=["pitch"])
