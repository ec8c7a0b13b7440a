"""Exports of annotation tools become the ratings that people gave, no more and no less."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sklearn_annoser.datasets import (
    read_argilla,
    read_audformat,
    read_dataset,
    read_label_studio,
    read_mturk,
    read_potato,
    read_qualtrics,
)
from tests.datasets.tools import (
    MTURK,
    MTURK_ROWS,
    POTATO,
    QUALTRICS,
    QUALTRICS_ROWS,
    annotation,
    argilla,
    label_studio,
    result,
    table,
    task,
    write_potato,
)


def pairs(found):
    """Return the ratings that were read: (sample, annotator) -> values, None for an output that was not rated."""
    long = found.ratings.to_long()
    cells = long.astype(object).where(long.notna(), None).to_numpy().tolist()
    return {(row[0], row[1]): row[2] if len(row) == 3 else tuple(row[2:]) for row in cells}


# ---------------------------------------------------------------------- Label Studio


def test_label_studio(tmp_path):
    path = tmp_path / "project-1.json"
    path.write_text(json.dumps(label_studio()))
    found = read_label_studio(path, sample="audio")
    assert pairs(found) == {
        ("clip_1.wav", "7"): (4, 2.5),
        ("clip_1.wav", "8"): (2, None),
        ("clip_2.wav", "8"): (5, 1),
    }
    assert found.ratings.outputs == ("valence", "arousal")  # the note is no rating, though there is a 5 in it
    assert found.utterances["sample"].tolist() == ["clip_1.wav", "clip_2.wav", "clip_3.wav"]
    assert found.utterances["speaker"].tolist() == ["s1", "s1", "s1"]
    np.testing.assert_array_equal(found.consensus, [[3, 2.5], [5, 1], [np.nan, np.nan]])
    assert found.DESCR.splitlines() == [
        "Label Studio: 3 samples, 3 ratings by 2 annotators.",
        "Left out: 1 tasks that were skipped.",
        "Left out: 1 answers that are not finished.",
    ]
    assert read_label_studio(label_studio()).ratings.samples.tolist() == ["1", "2", "3"]
    scaled = read_label_studio(path, sample="audio", outputs={"pleasure": "valence"}, scale=(1, 5))
    assert pairs(scaled) == {("clip_1.wav", "7"): 0.5, ("clip_1.wav", "8"): -0.5, ("clip_2.wav", "8"): 1}
    assert scaled.ratings.outputs == ("pleasure",)


def test_label_studio_choices_are_classes_and_drafts_may_count():
    found = read_label_studio(label_studio(), outputs="emotion", classes=True)
    assert pairs(found) == {("1", "7"): "sad", ("1", "8"): "glad"}
    assert found.consensus.tolist() == ["glad", None, None]
    assert "Left out: 1 answers to none of these questions." in found.DESCR
    kept = read_label_studio(label_studio(), outputs="valence", unfinished="keep")
    assert pairs(kept)["3", "9"] == 1


def test_label_studio_people_may_be_told_by_their_address():
    people = [task(1, annotation({"id": 8, "email": "bob@lab.org"}, result("valence", "rating", 2)))]
    assert read_label_studio(people, annotator="email").ratings.annotators.tolist() == ["bob@lab.org"]


def test_label_studio_again_counts_once_as_it_is_asked_for():
    first, last = (
        annotation(7, result("emotion", "choices", ["0"])),
        annotation(7, result("emotion", "choices", ["2"]), day=9),
    )
    tasks = [
        task(1, last, first, annotation(8, result("emotion", "choices", ["1"])))
    ]  # the file is not in order of time
    for duplicates, value in {"last": 2, "first": 0, "mean": 1}.items():
        assert pairs(read_label_studio(tasks, duplicates=duplicates)) == {("1", "7"): value, ("1", "8"): 1}
    with pytest.raises(ValueError, match=r"annotator '7' and sample '1'.*duplicates=\"last\""):
        read_label_studio(tasks)
    classes = read_label_studio(tasks, outputs="emotion", classes=["0", "1", "2"], duplicates="last")
    assert pairs(classes) == {("1", "7"): "2", ("1", "8"): "1"}
    assert "Left out: 1 earlier ratings by the same annotator of the same sample." in classes.DESCR


def test_label_studio_ranks_and_pairs():
    ranked = result("rank", "ranker", ["b", "a"])
    buckets = result("bucket", "ranker", {"good": ["a"], "bad": ["b"]})
    pair = result("better", "pairwise", "left")
    tasks = [task(1, annotation(7, ranked, buckets, pair))]
    assert pairs(read_label_studio(tasks)) == {("1", "7"): (1, 2)}
    assert read_label_studio(tasks).ratings.outputs == ("rank.b", "rank.a")
    classes = read_label_studio(tasks, outputs=["bucket.a", "bucket.b", "better"], classes=["good", "bad", "left"])
    assert pairs(classes) == {("1", "7"): ("good", "bad", "left")}


def test_questions_may_be_called_anything():
    names = ["time", "sample", "annotator", "time_"]
    results = [result(name, "number", value) for value, name in enumerate(names)]
    data = {"sample": "x", "sample_": "y"}
    found = read_label_studio([task(1, annotation(7, *results), **data)])
    assert found.ratings.outputs == tuple(names)
    assert found.ratings.values.tolist() == [[0, 1, 2, 3]]
    assert found.utterances.iloc[0][["sample", "sample_", "sample__"]].tolist() == ["1", "y", "x"]


# ---------------------------------------------------------------------- Argilla


def test_argilla_tells_drafts_and_what_was_discarded():
    one, two = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2))
    found = read_argilla(argilla(), outputs="valence", sample="clip")
    assert pairs(found) == {("a.wav", one): 4, ("b.wav", one): 1, ("c.wav", two): 5}
    assert found.utterances.to_dict("list") == {
        "sample": ["a.wav", "b.wav", "c.wav"],
        "id": ["r1", "r2", "r3"],
        "status": ["completed"] * 3,
        "_server_id": [None] * 3,
        "text": ["Oh.", "Ah.", "Eh."],
        "clip": ["a.wav", "b.wav", "c.wav"],
    }
    assert "Left out: 1 answers that are not finished." in found.DESCR
    assert "Left out: 1 responses that were discarded." in found.DESCR
    assert pairs(read_argilla(argilla(), unfinished="keep", outputs="valence"))["r1", two] == 2
    assert pairs(read_argilla(argilla(), outputs=["best.x", "best.y"])) == {("r1", one): (2, 1)}
    assert read_argilla(argilla()).ratings.outputs == ("valence", "best.x", "best.y")


def test_argilla_json_does_not_tell_drafts_and_says_so(tmp_path):
    path = tmp_path / "records.json"
    path.write_text(json.dumps(argilla(flat=False)))
    with pytest.warns(UserWarning, match=r"records\.json does not say which responses are drafts or discarded"):
        found = read_argilla(path, outputs="valence")
    assert found.ratings.n_ratings == 5
    server = [
        {"id": 1, "fields": {}, "responses": [{"user_id": "u", "status": "submitted", "values": {"v": {"value": 3}}}]}
    ]
    assert pairs(read_argilla(server)) == {("1", "u"): 3}


# ---------------------------------------------------------------------- Potato


def test_potato_folder_and_what_it_exports(tmp_path):
    folder = write_potato(tmp_path / "annotation_output")
    truth = {("c1", "ann"): (10, 37, 3, 1), ("c2", "ann"): (4, None, None, None), ("c2", "bob"): (2, 90, None, None)}
    found = read_potato(folder)
    assert found.ratings.outputs == ("valence", "arousal", "quality.voice", "quality.noise")
    assert pairs(found) == truth
    classes = read_potato(folder, outputs="emotion", classes=True)
    assert pairs(classes) == {("c1", "ann"): "sad", ("c2", "ann"): "glad", ("c2", "bob"): "sad"}
    rows = [(user, instance, labels) for user, given in POTATO.items() for instance, labels in given.items()]
    lines = [
        {"instance_id": instance, "user_id": user, "labels": labels, "spans": {}} for user, instance, labels in rows
    ]
    (tmp_path / "annotations.jsonl").write_text("\n".join(map(json.dumps, lines)))
    columns = list(
        dict.fromkeys((scheme, name) for _, _, labels in rows for scheme in labels for name in labels[scheme])
    )
    for name, mark, user in (("annotations.csv", ".", "user_id"), ("old.tsv", ":::", "user")):
        cells = [[who, each, *(labels.get(s, {}).get(n) for s, n in columns)] for who, each, labels in rows]
        head = [user, "instance_id", *(f"{s}{mark}{n}" for s, n in columns)]
        (tmp_path / name).write_text(table(head, *cells, separator="\t" if name.endswith("tsv") else ","))
    for name in ("annotations.jsonl", "annotations.csv", "old.tsv"):
        assert pairs(read_potato(tmp_path / name)) == truth


def test_potato_before_version_2(tmp_path):
    line = {
        "id": "c1",
        "displayed_text": "Oh.",
        "label_annotations": {"valence": {"scale_10": "0"}, "emotion": {"sad": "2"}},
    }
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "annotated_instances.jsonl").write_text(json.dumps(line) + "\n")
    found = read_potato(tmp_path, outputs="valence", scale=(1, 10))
    assert pairs(found) == {("c1", "ann"): 1}  # the point 10, whose key was 0
    assert found.utterances["displayed_text"].tolist() == ["Oh."]
    assert pairs(read_potato(tmp_path, outputs="emotion", classes=True)) == {("c1", "ann"): "sad"}


# ---------------------------------------------------------------------- Mechanical Turk


def test_mturk(tmp_path):
    path = tmp_path / "Batch_1_batch_results.csv"
    path.write_text(table(MTURK, *MTURK_ROWS))
    found = read_mturk(path, sample="audio")
    assert pairs(found) == {("a.wav", "W1"): 4, ("a.wav", "W2"): 2, ("b.wav", "W3"): 5}
    assert found.utterances["lang"].tolist() == ["en", "en"]
    assert "Left out: 2 assignments that are rejected." in found.DESCR
    classes = read_mturk(path, sample="audio", outputs="emotion", classes=True)
    assert pairs(classes) == {("a.wav", "W1"): "sad", ("a.wav", "W2"): "glad", ("b.wav", "W3"): "glad"}
    late = ["H1", "A6", "W1", "Approved", "Sun Mar 10 03:00:00 PDT 2024", "a.wav", "en", "1", "", "", "", ""]
    path.write_text(table(MTURK, late, *MTURK_ROWS))
    assert pairs(read_mturk(path, sample="audio", duplicates="last"))["a.wav", "W1"] == 1
    assert pairs(read_mturk(path, sample="audio", duplicates="first"))["a.wav", "W1"] == 4


def test_mturk_with_several_clips_and_answers_as_json(tmp_path):
    path = tmp_path / "batch.csv"
    columns = ["WorkerId", "Input.clip_1", "Input.clip_2", "Answer.taskAnswers"]
    answers = [
        {"val_1": "3", "val_2": {"1": False, "2": True}, "mood_1": {"label": "sad"}, "mood_2": {"label": "glad"}}
    ]
    rows = [["W1", "a", "b", json.dumps(answers)], ["W2", "b", "", json.dumps([{"val_1": 5}])]]
    path.write_text(table(columns, *rows))
    found = read_mturk(path, sample="clip_{}", outputs={"valence": "val_{}"})
    assert pairs(found) == {("a", "W1"): 3, ("b", "W1"): 2, ("b", "W2"): 5}
    moods = read_mturk(path, sample="clip_{}", outputs={"mood": "mood_{}"}, classes=True)
    assert pairs(moods) == {("a", "W1"): "sad", ("b", "W1"): "glad"}


# ---------------------------------------------------------------------- Qualtrics


def test_qualtrics_matrices(tmp_path):
    path = tmp_path / "survey.csv"
    path.write_text(table(QUALTRICS, *QUALTRICS_ROWS))
    outputs, names = {"valence": "Q5_{}", "arousal": "Q6_{}"}, {1: "a.wav", 2: "b.wav"}
    found = read_qualtrics(path, outputs=outputs, sample=names)
    assert pairs(found) == {("a.wav", "R_1"): (4, 3), ("a.wav", "R_2"): (2, None), ("b.wav", "R_1"): (5, 1)}
    assert found.utterances["text"].tolist() == ["Nice?\n - a", "Nice?\n - b"]
    for told in ("1 responses that are previews, tests or spam", "1 answers that are not finished", "1 answers of -99"):
        assert f"Left out: {told}" in found.DESCR
    kept = read_qualtrics(path, outputs=outputs, annotator="PROLIFIC_PID", unfinished="keep", scale=(1, 5))
    assert pairs(kept)["1", "p3"] == (-1, None)
    assert kept.ratings.annotators.tolist() == ["p1", "p2", "p3"]
    wide = read_qualtrics(path, outputs={"arousal": "Q6_{}"}, scale=(-100, 100))
    assert pairs(wide)["1", "R_2"] == -0.99  # on that scale it is a rating
    path.write_bytes(table(QUALTRICS, *QUALTRICS_ROWS, separator="\t").encode("utf-16"))
    assert pairs(read_qualtrics(path, outputs=outputs, sample=names)) == pairs(found)


def test_qualtrics_loops_and_one_clip_a_response(tmp_path):
    path = tmp_path / "loop.csv"
    columns = ["ResponseId", "EndDate", "clip_1", "clip_2", "1_Q3", "2_Q3", "only", "Q9"]
    rows = [columns, [json.dumps({"ImportId": name}) for name in columns]]
    rows += [["R_1", "2024-03-04 10:00:00", "b.wav", "a.wav", "7", "1", "z.wav", "3"]]
    path.write_text(table(columns, *rows))
    assert pairs(read_qualtrics(path, outputs="{}_Q3", sample="clip_{}")) == {("b.wav", "R_1"): 7, ("a.wav", "R_1"): 1}
    assert pairs(read_qualtrics(path, outputs="Q9", sample="only")) == {("z.wav", "R_1"): 3}


# ---------------------------------------------------------------------- datasets and audformat


def test_datasets_with_a_row_a_rating_or_a_row_a_sample():
    long = pd.DataFrame({"clip": ["b", "a", "b"], "who": [1, 1, 2], "val": [4, None, 2], "speaker": ["s", "t", "s"]})
    found = read_dataset(long, sample="clip", annotator="who", outputs={"valence": "val"})
    assert pairs(found) == {("b", "1"): 4, ("b", "2"): 2}
    assert found.utterances["speaker"].tolist() == ["s", "t"]
    nested = {"clip": ["b", "a"], "who": [[1, 2], []], "val": [[4, 2], []], "emotion": [["sad", None], []]}
    assert pairs(read_dataset(nested, sample="clip", annotator="who", outputs="val")) == pairs(found)
    emotions = read_dataset(nested, sample="clip", annotator="who", outputs="emotion", classes=["glad", "sad"])
    assert pairs(emotions) == {("b", "1"): "sad"}
    sounds = nested | {"clip": [{"bytes": b"RIFF", "path": "b.wav"}, {"bytes": None, "path": "a.wav"}]}
    assert read_dataset(sounds, sample="clip", annotator="who", outputs="val").utterances["clip"][0]["bytes"] == b"RIFF"


@pytest.mark.filterwarnings("ignore")  # of datasets, about what it imports
def test_hugging_face_datasets_themselves(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "audio": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
            "who": datasets.Value("string"),
            "emotion": datasets.ClassLabel(names=["glad", "sad"]),
            "valence": datasets.Value("float32"),
        }
    )
    columns = {
        "audio": [{"bytes": b"x", "path": "a.wav"}, {"bytes": b"y", "path": "b.wav"}],
        "who": ["ann", "bob"],
        "emotion": ["sad", "glad"],
        "valence": [1.5, None],
    }
    made = datasets.Dataset.from_dict(columns, features=features)
    made = made.cast_column("audio", datasets.Audio(decode=False)).select([1, 0])
    names = {"sample": "audio", "annotator": "who"}
    assert pairs(read_dataset(made, outputs="valence", **names)) == {("a.wav", "ann"): 1.5}
    assert pairs(read_dataset(made, outputs="emotion", classes=True, **names)) == {
        ("b.wav", "bob"): "glad",
        ("a.wav", "ann"): "sad",
    }
    made.save_to_disk(tmp_path / "saved")
    assert pairs(read_dataset(tmp_path / "saved", outputs="valence", **names)) == {("a.wav", "ann"): 1.5}
    with pytest.raises(TypeError, match="must be one Dataset, got DatasetDict: give one split"):
        read_dataset(datasets.DatasetDict(train=made), outputs="valence", **names)


def database():
    """Return a database of audformat with files and segments, people, a machine and a vote."""
    audformat = pytest.importorskip("audformat")
    made = audformat.Database("emotions")
    made.schemes["arousal"] = audformat.Scheme("float", minimum=1, maximum=7)
    made.schemes["valence"] = audformat.Scheme("int", minimum=1, maximum=7)
    made.schemes["emotion"] = audformat.Scheme(labels=["sad", "glad"])
    for rater, kind in {"ann": "human", "bob": "human", "net": "machine", "gold": "vote"}.items():
        made.raters[rater] = audformat.Rater(kind)
    made["files"] = audformat.Table(audformat.filewise_index(["b.wav", "a.wav"]))
    for name, scheme, rater, values in [
        ("ann.arousal", "arousal", "ann", [1.5, 5]),
        ("bob.arousal", "arousal", "bob", [None, 3]),
        ("ann.valence", "valence", "ann", [2, None]),
        ("net.arousal", "arousal", "net", [4, 4]),
        ("gold.arousal", "arousal", "gold", [1, 4]),
    ]:
        made["files"][name] = audformat.Column(scheme_id=scheme, rater_id=rater)
        made["files"][name].set(values)
    index = audformat.segmented_index(["a.wav", "a.wav", "b.wav"], ["0s", "1.5s", "0s"], ["1s", "2s", pd.NaT])
    made["parts"] = audformat.Table(index)
    made["parts"]["emotion"] = audformat.Column(scheme_id="emotion", rater_id="bob")
    made["parts"]["emotion"].set(["sad", None, "glad"])
    return made


@pytest.mark.filterwarnings("ignore")  # of audformat, about pandas
def test_audformat(tmp_path):
    made = database()
    made.save(tmp_path / "db", storage_format="csv")
    for source in (made, tmp_path / "db"):
        found = read_audformat(source)
        assert pairs(found) == {("a.wav", "ann"): (5, None), ("a.wav", "bob"): (3, None), ("b.wav", "ann"): (1.5, 2)}
        assert found.ratings.scale.tolist() == [[1, 7], [1, 7]]
        for told in ("2 values of raters of the type 'machine'", "2 values of raters of the type 'vote'"):
            assert f"Left out: {told}." in found.DESCR
        classes = read_audformat(source, outputs="emotion", classes=True)
        assert pairs(classes) == {("b.wav", "bob"): "glad", ("a.wav[0-1]", "bob"): "sad"}
        assert classes.ratings.classes.tolist() == ["sad", "glad"]
    scaled = read_audformat(made, outputs="arousal", scale=(1, 7), tables="files")
    np.testing.assert_allclose(scaled.ratings.consensus(), [-5 / 6, 0], atol=1e-12)
    assert found.utterances.loc[2:, ["start", "end"]].to_numpy().tolist() == [[0, 1], [1.5, 2]]


def test_the_examples_of_the_page_run(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "annotation_tools.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) == 6
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in blocks:
        exec(compile(block, "docs/annotation_tools.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "a.wav         1      0.5" in printed
    assert "Left out: 1 answers that are not finished." in printed
