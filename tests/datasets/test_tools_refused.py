"""What is no export of a tool is an error that says so; a damaged one never gives other numbers."""

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearn_annoser.datasets import (
    CorpusError,
    read_argilla,
    read_dataset,
    read_label_studio,
    read_mturk,
    read_potato,
    read_qualtrics,
)
from tests.datasets.test_tools import pairs
from tests.datasets.tools import (
    MTURK,
    MTURK_ROWS,
    QUALTRICS,
    QUALTRICS_ROWS,
    annotation,
    argilla,
    label_studio,
    potato_state,
    result,
    table,
    task,
)

READERS = {
    "label_studio.json": (
        lambda path, **options: read_label_studio(path, **options),
        lambda: json.dumps(label_studio()),
    ),
    "argilla.json": (lambda path, **options: read_argilla(path, **options), lambda: json.dumps(argilla())),
    "potato.jsonl": (
        read_potato,
        lambda: "\n".join(
            json.dumps({"instance_id": f"c{n}", "user_id": "ann", "labels": {"valence": {str(n): str(n)}}})
            for n in (1, 2, 3)
        ),
    ),
    "mturk.csv": (
        lambda path, **options: read_mturk(path, sample="audio", **options),
        lambda: table(MTURK, *MTURK_ROWS),
    ),
    "qualtrics.csv": (
        lambda path, **options: read_qualtrics(path, **{"outputs": {"valence": "Q5_{}"}} | options),
        lambda: table(QUALTRICS, *QUALTRICS_ROWS),
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_a_file_of_another_tool_an_empty_one_and_one_that_is_cut_off_are_refused(name, tmp_path):
    read, _ = READERS[name]
    path = tmp_path / name
    with pytest.raises(CorpusError, match=r"is not there|cannot be read"):
        read(path)
    path.write_text(" \n")
    with pytest.raises(CorpusError, match="is empty"):
        read(path)
    for other, (_, write) in READERS.items():
        if other != name:
            path.write_text(write())
            with pytest.raises(CorpusError):
                read(path)
    path.write_text(json.dumps([]))
    with pytest.raises(CorpusError):
        read(path)
    path.write_text(READERS[name][1]()[:-30])
    if name.endswith("json"):
        with pytest.raises(CorpusError, match=f"{name}.* this is not JSON, or it is cut off"):
            read(path)
    else:
        with pytest.raises(CorpusError, match=f"{name}, line"):
            read(path)


@pytest.mark.parametrize("name", READERS)
def test_questions_scales_and_options_are_checked(name, tmp_path):
    read, write = READERS[name]
    path = tmp_path / name
    path.write_text(write())
    with pytest.raises(CorpusError, match=r"there is no (answer to a question|column) 'valenc'"):
        read(path, outputs=["valenc"], **({"sample": "Q5_1"} if name == "qualtrics.csv" else {}))
    outputs = {"outputs": "valence"} if name != "qualtrics.csv" else {}
    with pytest.raises(CorpusError, match="expected 'valence' from 6 to 9, the scale, got"):
        read(path, scale=(6, 9), **outputs)
    with pytest.raises(ValueError, match=r"duplicates must be one of .*'mean', 'first', 'last'\], got 'newest'"):
        read(path, duplicates="newest", **outputs)
    with pytest.raises(ValueError, match="classes have no scale"):
        read(path, classes=True, scale=(1, 5), **outputs)
    with pytest.raises(TypeError, match="outputs must be a question, several, or a dict"):
        read(path, outputs=5)
    with pytest.raises(ValueError, match="outputs must be at least one question, each once"):
        read(path, outputs={"a": "valence", "b": "valence"})
    if name != "qualtrics.csv":
        with pytest.raises(ValueError, match="say which questions have classes"):
            read(path, classes=True)


def rated(*results, **more):
    return [task(1, annotation(7, *results, **more))]


VALENCE = result("valence", "rating", 4)


@pytest.mark.parametrize(
    ("tasks", "options", "message"),
    [
        ([{"audio": "a", "valence": 4}], {}, "task 0: expected 'data' and 'annotations'.*JSON-MIN"),
        ({"tasks": 1}, {}, "expected 'data' and 'annotations'"),
        (5, {}, "expected a list, the tasks of Label Studio, got 5"),
        (rated(VALENCE), {"sample": "sound"}, r"no field 'sound' in its data; name another as sample=, of \['audio'"),
        (rated(VALENCE), {"annotator": "email"}, "annotation 0: there is no 'email' of who did it, only 7"),
        (rated(VALENCE, completed_by=None), {}, "annotation 0: expected who did it, 'completed_by', .* got None"),
        (
            rated(result("valence", "rating", True)),
            {"outputs": "valence"},
            "expected one answer to 'valence'.* got True",
        ),
        (
            rated(result("valence", "rating", "high")),
            {"outputs": "valence"},
            "a finite number for 'valence', got 'high'",
        ),
        (rated(result("valence", "rating", "3,5")), {"outputs": "valence"}, "the decimal mark must be a point"),
        (rated(result("v", "choices", ["1", "2"])), {"outputs": "v"}, r"expected one answer to 'v'.* got \['1', '2'\]"),
        (rated(VALENCE, VALENCE), {}, "task 0, annotation 0: 'valence' is answered more than once"),
        (rated(VALENCE | {"item_index": 1}), {}, "'valence' is of a region or an item within the sample"),
        (rated(VALENCE | {"value": {"rating": 3, "start": 0.5, "end": 1}}), {}, "'valence' is of a region"),
        (rated({"id": VALENCE["id"], "value": {"start": 1, "end": 2}}, VALENCE), {}, "'valence' is of a region"),
        (rated(VALENCE | {"value": 4}), {}, "expected an object, the value of 'valence', got 4"),
        (rated(result("emotion", "choices", ["sad"])), {}, "no question with numbers for answers.*classes=True"),
        (rated(VALENCE, was_cancelled=True), {"outputs": "valence"}, "Left out: 1 tasks that were skipped"),
        ([task(1, annotation(7, VALENCE), audio="")], {"sample": "audio"}, "expected the sample's name, .* got ''"),
    ],
)
def test_what_is_wrong_in_label_studio_is_told_with_its_place(tasks, options, message):
    with pytest.raises(CorpusError, match=message):
        read_label_studio(tasks, **options)


def test_an_annotation_that_is_wrong_is_left_out_if_that_is_asked_for():
    tasks = [*label_studio(), *rated(result("valence", "rating", 9))]
    with pytest.raises(CorpusError, match=r"Label Studio, task 3, annotation 0: .* from 1 to 5, .* got 9"):
        read_label_studio(tasks, outputs="valence", scale=(1, 5))
    with pytest.warns(UserWarning, match="a line of Label Studio is not as it should be, and left out. The first: "):
        found = read_label_studio(tasks, outputs="valence", scale=(1, 5), on_error="drop")
    assert found.ratings.n_ratings == 3
    assert "Left out: 1 answers that are not as they should be." in found.DESCR
    with pytest.raises(CorpusError, match=r"task 0, annotation 0: 'emotion' is 'sad', not one of \['glad'\]"):
        read_label_studio(label_studio(), outputs="emotion", classes=["glad"])


def test_which_of_two_came_last_is_not_guessed():
    twice = [task(1, annotation(7, VALENCE, updated_at=None, created_at=None), annotation(7, VALENCE))]
    with pytest.raises(CorpusError, match=r"date that tells when, got (None|nan), so which one is last cannot be told"):
        read_label_studio(twice, duplicates="last")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"id": 1, "text": "Oh."}], "record 0: expected 'responses' or columns such as 'question.responses'"),
        ([{"id": 1, "v.responses": [1, 2], "v.responses.users": ["a"]}], "'v' has 2 responses, 1 users and 2 status"),
        ([{"id": 1, "v.responses": [1], "v.responses.users": ["a"], "v.responses.status": ["done"]}], "a status among"),
        ([{"id": 1, "v.responses": [1], "v.responses.users": [None]}], "expected the user's id, .* got None"),
        ([{"id": 1, "v.responses": [1, 2], "v.responses.users": ["a", "a"]}], "user 'a' has responded more than once"),
    ],
)
def test_what_is_wrong_in_argilla_is_told_with_its_place(records, message):
    with pytest.raises(CorpusError, match=message):
        read_argilla(records)
    with pytest.raises(CorpusError, match="there is no field or metadata 'clips'"):
        read_argilla(argilla(), sample="clips")


def test_what_is_wrong_in_potato_is_told_with_its_place(tmp_path):
    with pytest.raises(CorpusError, match=r"is not a folder of Potato's: no folder in it has a 'user_state\.json'"):
        read_potato(tmp_path)
    path = tmp_path / "ann" / "user_state.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"user_id": "ann"}))
    with pytest.raises(CorpusError, match="expected the field 'instance_id_to_label_to_value'"):
        read_potato(tmp_path)
    path.write_text(json.dumps(potato_state("ann", {"c1": {"valence": {"4": "4", "5": "5"}}})))
    with pytest.raises(CorpusError, match=r"instance 'c1': expected one answer to 'valence', .* got \[4, 5\]"):
        read_potato(tmp_path, outputs="valence")
    lines = tmp_path / "annotated_instances.jsonl"
    lines.write_text(json.dumps({"id": "c1", "label_annotations": {"valence": {"scale_3": "3"}}}))
    with pytest.raises(CorpusError, match=r"line 1: it is not told who answered\. Give the folder"):
        read_potato(lines)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            {3: "Done"},
            {},
            r"line 2: expected an 'AssignmentStatus' among \['Submitted', .*, got 'Done'",
        ),
        ({2: ""}, {}, "line 2: expected 'WorkerId', a text or a whole number, got ''"),
        ({5: ""}, {}, "line 2: expected a name of the sample in 'Input.audio'"),
        ({7: "x"}, {"outputs": "valence"}, "line 2: expected a finite number for 'valence', got 'x'"),
        ({8: "true"}, {"outputs": "emotion", "classes": True}, r"one answer to 'emotion'.* \['glad', 'sad'\]"),
        (
            {},
            {"sample": None},
            r"say which input names the sample, as sample=; there are \['Input.audio', 'Input.lang'\]",
        ),
        ({}, {"sample": "clip"}, "there is no input or column 'clip' for sample="),
        ({}, {"sample": "clip{}"}, r"each output must be a question with \{\}"),
        ({}, {"annotator": "Worker"}, r"the columns \['Worker'\] of the results of Mechanical Turk are not there"),
    ],
)
def test_what_is_wrong_in_mechanical_turk_is_told_with_its_line(change, options, message, tmp_path):
    row = [change.get(place, cell) for place, cell in enumerate(MTURK_ROWS[0])]
    path = tmp_path / "batch.csv"
    path.write_text(table(MTURK, row, *MTURK_ROWS[1:]))
    with pytest.raises(ValueError, match=message):
        read_mturk(path, **{"sample": "audio"} | options)


def test_what_is_wrong_in_qualtrics_is_told_with_its_line(tmp_path):
    path = tmp_path / "survey.csv"
    outputs = {"valence": "Q5_{}"}
    path.write_text(table(QUALTRICS, *QUALTRICS_ROWS[2:]))
    with pytest.raises(CorpusError, match="expected the three lines of headers that Qualtrics writes"):
        read_qualtrics(path, outputs=outputs)
    path.write_text(table(QUALTRICS, *QUALTRICS_ROWS[:2], [*QUALTRICS_ROWS[2][:7], "Agree", *QUALTRICS_ROWS[2][8:]]))
    with pytest.raises(CorpusError, match=r"line \d+: expected a finite number for 'valence', got 'Agree'"):
        read_qualtrics(path, outputs=outputs)
    path.write_text(table(QUALTRICS, *QUALTRICS_ROWS))
    for options, message in [
        ({"outputs": {"valence": "Q7_{}"}}, r"there is no column 'Q7_\{\}' with a number"),
        ({"outputs": outputs, "sample": {1: "a"}}, "sample has no name for the number '2'"),
        ({"outputs": outputs, "sample": "clip_{}"}, "there is no column 'clip_1'"),
        ({"outputs": "Q5_1"}, "say which column names the sample"),
        ({"outputs": None}, "say which columns have the ratings"),
    ]:
        with pytest.raises(ValueError, match=message):
            read_qualtrics(path, **options)


def test_what_is_wrong_in_a_dataset_is_told_with_its_row():
    names = {"sample": "clip", "annotator": "who", "outputs": "val"}
    for columns, message in [
        (
            {"clip": ["a"], "who": [["x"]], "val": [[1, 2]]},
            r"row 0: expected lists of one length, got \{'who': 1",
        ),
        ({"clip": ["a"], "who": ["x"], "val": [[1]]}, "row 0: expected lists in .*, all of them or none"),
        ({"clip": [None], "who": ["x"], "val": [1]}, "row 0: expected a name in 'clip'"),
        ({"clip": ["a"], "who": ["x"], "value": [1]}, "there is no column 'val' in the dataset"),
    ]:
        with pytest.raises(CorpusError, match=message):
            read_dataset(columns, **names)
    with pytest.raises(CorpusError, match="is no folder of a dataset"):
        read_dataset("nowhere", **names)


# ---------------------------------------------------------------------- any damage

FILES = {name: write() for name, (_, write) in READERS.items()}
OPTIONS = {name: {} if name == "qualtrics.csv" else {"outputs": "valence"} for name in FILES}
FIRST, SECOND = ("00000000-0000-0000-0000-00000000000" + number for number in "12")
TRUTH = {
    "label_studio.json": {("1", "7"): 4, ("1", "8"): 2, ("2", "8"): 5},
    "argilla.json": {("r1", FIRST): 4, ("r2", FIRST): 1, ("r3", SECOND): 5},
    "potato.jsonl": {("c1", "ann"): 1, ("c2", "ann"): 2, ("c3", "ann"): 3},
    "mturk.csv": {("a.wav", "W1"): 4, ("a.wav", "W2"): 2, ("b.wav", "W3"): 5},
    "qualtrics.csv": {("1", "R_1"): 4, ("2", "R_1"): 5, ("1", "R_2"): 2},
}


@pytest.mark.parametrize("name", FILES)
def test_the_files_have_what_the_law_takes_for_true(name, tmp_path):
    (tmp_path / name).write_text(FILES[name])
    assert pairs(READERS[name][0](tmp_path / name, **OPTIONS[name])) == TRUTH[name]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    name=st.sampled_from(sorted(FILES)), where=st.floats(0, 1), damage=st.sampled_from(["cut", "flip", "nul", "twice"])
)
def test_a_damaged_file_is_an_error_or_has_the_ratings_that_are_left(name, where, damage, tmp_path):
    content = FILES[name].encode()
    at = int(where * (len(content) - 1))
    damaged = {
        "cut": content[:at],
        "flip": content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :],
        "nul": content[:at] + b"\0" + content[at:],
        "twice": content + content[at:],
    }[damage]
    path = tmp_path / name
    path.write_bytes(damaged)
    with contextlib.suppress(ValueError):  # no other kind of error
        found = pairs(READERS[name][0](path, **OPTIONS[name]))
        assert found.items() <= TRUTH[name].items()
