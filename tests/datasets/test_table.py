"""Anybody's table is read as it is, from a file or a DataFrame."""

import csv
import gzip
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearn_annoser.datasets import CorpusError, read_ratings


def test_anybodys_table(tmp_path):
    rows = [("01", "ann", 1, 5), ("01", "bob", 2, 4), ("02", "ann", 3, 3), ("01", "ann", 3, 3)]
    table = pd.DataFrame(rows, columns=["clip", "who", "activation", "valence"])
    utterances = pd.DataFrame({"clip": ["02", "03", "01"], "speaker": ["x", "y", "x"]})
    table.to_csv(tmp_path / "ratings.csv", index=False)
    utterances.to_csv(tmp_path / "utterances.csv", index=False)
    names = {"sample": "clip", "annotator": "who", "scale": (1, 5), "group": "speaker", "duplicates": "mean"}
    for tables in ((table, utterances), (tmp_path / "ratings.csv", str(tmp_path / "utterances.csv"))):
        found = read_ratings(tables[0], utterances=tables[1], **names)
        assert found.ratings.samples.tolist() == ["02", "03", "01"]
        np.testing.assert_allclose(found.ratings.to_dense()[2], [[-0.5, 0.5], [-0.5, 0.5]])  # ann: the mean of 1 and 3
        assert found.groups.tolist() == ["x", "y", "x"]
    raw = read_ratings(table, sample="clip", annotator="who", outputs=["valence"], duplicates="mean")
    assert raw.ratings.samples.tolist() == ["01", "02"]
    assert raw.consensus.tolist() == [4.0, 3.0]
    for duplicates, value in {"first": 5, "last": 3}.items():
        one = read_ratings(
            table.to_dict("list"), sample="clip", annotator="who", outputs="valence", duplicates=duplicates
        )
        assert one.ratings.to_dense()[0].tolist() == [value, 4]
    with pytest.raises(ValueError, match="annotator 'ann' and sample '01'"):
        read_ratings(table, sample="clip", annotator="who", outputs="valence")


def test_what_is_no_table():
    table = pd.DataFrame({"sample": ["a"], "annotator": ["b"], "activation": [1.0], "valence": [1.0]})
    with pytest.raises(TypeError, match=r"expected a path or a DataFrame .* or a dict of columns, got list"):
        read_ratings([1, 2])
    with pytest.raises(ValueError, match=r"utterances must have the column 'speaker'; the columns are \['sample'\]"):
        read_ratings(table, group="speaker")
    with pytest.raises(FileNotFoundError):
        read_ratings("nowhere.csv")


# ---------------------------------------------------------------------- files of any lab

HEAD = "sample,annotator,activation,valence\n"
GOOD = HEAD + "a.wav,x,1,2\nb.wav,y,3,4\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ratings.csv"


def ratings_of(found):
    """Return what a corpus holds: (sample, annotator) -> the two numbers."""
    long = found.ratings.to_long(sample="sample")
    return {(u, a): (x, y) for u, a, x, y in long[["sample", "annotator", "activation", "valence"]].to_numpy()}


@pytest.mark.parametrize(
    "label", ["NA", "None", "null", "nan", "NaN", "N/A", "n/a", "#N/A", "007", "1.0", "1e3", "True", "-"]
)
def test_labels_in_a_file_are_text_as_it_is_written(path, tmp_path, label):
    path.write_text(f"{HEAD}{label},{label},1,NA\n{label},BB,,4\n")
    (tmp_path / "items.csv").write_text(f"sample,speaker,words,seconds\n{label},{label},{label} ,NA\nb,01,,2\n")
    found = read_ratings(path, utterances=tmp_path / "items.csv", group="speaker")
    assert found.ratings.samples.tolist() == [label, "b"]
    assert found.ratings.annotators.tolist() == sorted(["BB", label])
    assert found.groups.tolist() == [label, "01"]
    assert np.isnan(found.ratings.values).sum() == 2
    if label not in ("1e3", "1.0", "007", "True", "-"):  # a column of text has them as text
        assert found.utterances["words"].isna().tolist() == [False, True]
    assert found.utterances["seconds"].isna().tolist() == [True, False]


def test_an_empty_label_is_one_that_is_told_of(path):
    path.write_text(f"{HEAD}a.wav,,1,2\na.wav,BB,3,4\n,,,\n")
    with pytest.warns(UserWarning, match="1 rows have nothing in the column 'annotator'"):
        assert read_ratings(path).ratings.annotators.tolist() == ["", "BB"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, r"'.*ratings.csv' is empty"),
        (HEAD, {}, "there are no ratings: the table has no row"),
        (
            GOOD.replace("sample", "file"),
            {},
            r"line 1: the columns \['sample'\] of ratings are not there; .*'file'",
        ),
        (GOOD, {"separator": ";"}, r"line 1: the columns .* are not there; the columns are \['sample,ann"),
        (GOOD.replace("valence", "valence,valence"), {}, "line 1: a column is there twice"),
        (
            GOOD.replace(",", ";").replace("4", "4,5"),
            {},
            r"line 3: .*'valence', got '4,5'; the decimal mark must be a point",
        ),
        (GOOD.replace(",4", ",four"), {}, "line 3: expected a finite number for 'valence', got 'four'"),
        (GOOD.replace(",4", ",inf"), {}, "line 3: expected a finite number"),
        (GOOD.replace(",4", ",9"), {"scale": (1, 7)}, "line 3: expected 'valence' from 1 to 7, the scale, got 9"),
        (GOOD.replace("3,4", ","), {}, "line 3: there is no number in any of the columns"),
        (GOOD.replace(",4", ""), {}, "line 3: expected 4 cells"),
        (GOOD.replace(",4", ',"4'), {}, "line 3: unexpected end of data"),
        (GOOD.replace("y", "\udcf6"), {}, "line 3: byte 0xf6 is not UTF-8. .*Windows-1252"),
        (GOOD.replace("y", "\0"), {}, "line 3: there is a zero byte"),
        ("PK\x03\x04", {}, "is a workbook or an archive"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(path, text, options, message):
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CorpusError, match=message):
        read_ratings(path, **options)
    if "line 3" in message:
        with pytest.warns(UserWarning, match="a line of the tables .* The first: ratings.csv, line 3"):
            assert ratings_of(read_ratings(path, on_error="drop", **options)).keys() == {("a.wav", "x")}


def test_files_in_forms_that_are_told_or_given(path, tmp_path):
    truth = read_ratings(io_table(GOOD)).ratings
    path.write_bytes(GOOD.replace("y", "Jörg").encode("cp1252"))
    assert read_ratings(path, encoding="cp1252").ratings.annotators.tolist() == ["Jörg", "x"]
    for name, content in {
        "sep.csv": b"sep=;\r\n" + GOOD.replace(",", ";").encode(),
        "bar.txt": GOOD.replace(",", "|").encode(),
        "excel.txt": GOOD.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
        "packed.csv.GZ": gzip.compress(GOOD.encode()),
        "index.csv": (b"," + GOOD.encode().replace(b"\n", b"\n0,")).removesuffix(b"0,"),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert read_ratings(tmp_path / name).ratings == truth
    for name in (".", "broken.csv.gz", "~nobody_here/ratings.csv"):
        (tmp_path / "broken.csv.gz").write_bytes(GOOD.encode())
        with pytest.raises(CorpusError, match=r"cannot be (read|found)"):
            read_ratings(name if name.startswith("~") else tmp_path / name)


def io_table(text):
    """Return a table as a DataFrame."""
    return pd.read_csv(io.StringIO(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample,speaker\na.wav,s\nb.wav,t\na.wav,u\n", "items.csv, line 4: 'a.wav' is there twice"),
        ("sample,speaker\na.wav,s\n", "ratings.csv, line 3: 'b.wav' is not among the 1 that are listed"),
        ("sample\na.wav\nb.wav\n", r"items.csv, line 1: the columns \['speaker'\] of utterances are not there"),
    ],
)
def test_what_is_wrong_with_the_table_of_the_utterances(path, tmp_path, text, message):
    path.write_text(GOOD)
    (tmp_path / "items.csv").write_text(text)
    with pytest.raises(CorpusError, match=message):
        read_ratings(path, utterances=tmp_path / "items.csv", group="speaker")
    if "columns" not in message:
        with pytest.warns(UserWarning, match=message):
            read_ratings(path, utterances=tmp_path / "items.csv", on_error="drop")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"annotator": ["x", None]}, CorpusError, "ratings, row 1: the 'annotator' is missing"),
        ({"annotator": ["x", 1]}, TypeError, "column 'annotator' must be all strings or all numbers"),
        ({"sample": [["a"], ["b"]]}, TypeError, "column 'sample' must be all strings or all numbers"),
        ({"valence": ["1", "x"]}, CorpusError, "ratings, row 1: expected a finite number for 'valence', got 'x'"),
        ({"valence": [1, np.inf]}, CorpusError, "row 1: expected a finite number for 'valence', got inf"),
        ({"valence": pd.to_datetime(["2020", "2021"])}, CorpusError, "row 0: expected a finite number .* Timestamp"),
        ({"valence": [1, [2]]}, CorpusError, r"row 1: expected a finite number for 'valence', got \[2\]"),
    ],
)
def test_what_is_wrong_with_a_dataframe_is_told_with_its_row(change, error, message):
    with pytest.raises(error, match=message):
        read_ratings(io_table(GOOD).assign(**change))


def test_a_dataframe_keeps_its_labels():
    table = io_table(GOOD).assign(annotator=[1.0, 2.0], sample=["NA", "01"], valence=["3", " 4.5"])
    found = read_ratings(table, outputs="valence")
    assert found.ratings.annotators.tolist() == [1.0, 2.0]
    assert found.ratings.samples.tolist() == ["01", "NA"]
    assert found.consensus.tolist() == [4.5, 3.0]
    groups = pd.DataFrame({"sample": ["NA", "01"], "day": [["a"], ["b"]]})
    with pytest.raises(TypeError, match="column 'day' must be all strings or all numbers"):
        read_ratings(table, utterances=groups, group="day")
    with pytest.raises(CorpusError, match="utterances, row 1: the 'day' is missing"):
        read_ratings(table, utterances=groups.assign(day=["m", None]), group="day")
    with pytest.raises(ValueError, match="ratings has the column 'valence' 2 times"):
        read_ratings(pd.concat([table, table[["valence"]]], axis=1))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"outputs": []}, ValueError, "must be different columns"),
        ({"outputs": None}, TypeError, "outputs must be a column or a sequence of columns"),
        ({"annotator": "sample"}, ValueError, "must be different columns"),
        ({"separator": ", "}, ValueError, "separator must be None or one character"),
        ({"encoding": "latin-99"}, ValueError, "encoding must be one that Python knows"),
        ({"encoding": 8}, TypeError, "encoding must be None or a string"),
        ({"on_error": "ignore"}, ValueError, r"on_error must be one of \['raise', 'drop'\]"),
    ],
)
def test_options_are_checked(path, options, error, message):
    path.write_text(GOOD)
    with pytest.raises(error, match=message):
        read_ratings(path, **options)


# ---------------------------------------------------------------------- any table, any form, any bad line

NAMES = st.text("abN A\"',;|\t\n01.é\u2028", max_size=6).map(lambda text: f"n{text}n") | st.sampled_from(
    ["NA", "None", "007"]
)
TABLES = st.dictionaries(
    st.tuples(NAMES, NAMES), st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1, max_size=8
)
SPOILED = [
    "{0}{2}",
    "{0}{1}{1}{1}{1}{1}",
    "u{1}a{1}x{1}1",
    "u{1}a{1}8{1}1",
    'u{1}a{1}"1{1}1',
    "u{1}a{1}1{1}\udcff",
    "u{1}a{1}{1}",
]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    truth=TABLES,
    form=st.tuples(
        st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
    ),
    bad=st.lists(st.tuples(st.integers(0, 8), st.sampled_from(SPOILED)), max_size=3),
)
def test_any_table_is_read_and_a_bad_line_costs_nothing_else(tmp_path, truth, form, bad):
    separator, end, encoding = form
    if encoding == "utf-16":
        bad = [each for each in bad if "\udcff" not in each[1]]
    lines = []
    for row in [HEAD.strip().split(","), *([*pair, *values] for pair, values in truth.items())]:
        line = io.StringIO()
        csv.writer(line, delimiter=separator, lineterminator="\r\n").writerow(row)
        lines.append(line.getvalue().removesuffix("\r\n"))
    for place, line in bad:
        lines.insert(1 + min(place, len(lines) - 1), line.format("u", separator, "v"))
    path = tmp_path / "ratings.csv"
    path.write_bytes(end.join(lines).encode(encoding, "surrogateescape" if encoding != "utf-16" else "strict"))
    if bad:
        with pytest.raises(CorpusError, match=r"ratings.csv, line \d+: "):
            read_ratings(path, scale=(1, 7))
        with pytest.warns(UserWarning, match="left out"):
            found = read_ratings(path, scale=(1, 7), on_error="drop")
    else:
        found = read_ratings(path, scale=(1, 7))
    got = ratings_of(found)
    assert got.keys() == truth.keys()
    for pair, values in truth.items():
        np.testing.assert_allclose(got[pair], (np.array(values) - 4) / 3, atol=1e-12)


def test_what_ratings_write_as_a_long_table_is_read_as_it_is(path):
    ratings = read_ratings(io_table(GOOD)).ratings
    ratings.to_long().to_csv(path, index=False)
    assert read_ratings(path).ratings == ratings


@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize(
    ("names", "expected"), [(["sample"], "sample"), (["utterance"], "utterance"), (["utterance", "sample"], "sample")]
)
def test_what_was_rated_is_found_by_either_name(names, expected, as_file, tmp_path):
    table = pd.DataFrame({name: [f"{name} {k}" for k in range(3)] for name in names})
    table = table.assign(annotator=["ann", "bob", "ann"], rating=[1, 2, 3])
    path = tmp_path / "ratings.csv"
    table.to_csv(path, sep=";", index=False)
    corpus = read_ratings(path if as_file else table, outputs="rating")
    assert corpus.utterances[expected].tolist() == [f"{expected} {k}" for k in range(3)]


def test_without_either_name_the_error_is_about_the_first(tmp_path):
    table = pd.DataFrame({"clip": ["a"], "annotator": ["ann"], "rating": [1]})
    table.to_csv(tmp_path / "ratings.csv", index=False)
    for source in (table, tmp_path / "ratings.csv"):
        with pytest.raises(ValueError, match="'sample'"):
            read_ratings(source, outputs="rating")
