"""Anybody's table is read as it is, from a file or a DataFrame."""

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser.datasets import read_ratings


def test_anybodys_table(tmp_path):
    rows = [("01", "ann", 1, 5), ("01", "bob", 2, 4), ("02", "ann", 3, 3), ("01", "ann", 3, 3)]
    table = pd.DataFrame(rows, columns=["clip", "who", "activation", "valence"])
    utterances = pd.DataFrame({"clip": ["02", "03", "01"], "speaker": ["x", "y", "x"]})
    table.to_csv(tmp_path / "ratings.csv", index=False)
    utterances.to_csv(tmp_path / "utterances.csv", index=False)
    names = {"utterance": "clip", "annotator": "who", "scale": (1, 5), "group": "speaker"}
    for tables in ((table, utterances), (tmp_path / "ratings.csv", str(tmp_path / "utterances.csv"))):
        found = read_ratings(tables[0], utterances=tables[1], **names)
        assert found.ratings.samples.tolist() == ["02", "03", "01"]
        np.testing.assert_allclose(found.ratings.to_dense()[2], [[-0.5, 0.5], [-0.5, 0.5]])  # ann: the mean of 1 and 3
        assert found.groups.tolist() == ["x", "y", "x"]
    raw = read_ratings(table, utterance="clip", annotator="who", outputs=["valence"])
    assert raw.ratings.samples.tolist() == ["01", "02"]
    assert raw.consensus.tolist() == [4.0, 3.0]


def test_what_is_no_table():
    table = pd.DataFrame({"utterance": ["a"], "annotator": ["b"], "activation": [1.0], "valence": [1.0]})
    with pytest.raises(TypeError, match="expected a path or a DataFrame, got list"):
        read_ratings([1, 2])
    with pytest.raises(ValueError, match=r"utterances must have the column 'speaker'; the columns are \['utterance'\]"):
        read_ratings(table, group="speaker")
    with pytest.raises(FileNotFoundError):
        read_ratings("nowhere.csv")
