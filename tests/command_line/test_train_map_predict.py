import importlib.util
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler

from sklearn_annoser import AnnotatorMapper, Ratings
from sklearn_annoser.command_line import main
from sklearn_annoser.command_line._models import load_model
from sklearn_annoser.sharing import save
from tests.command_line.conftest import NAMES, OUTPUTS, read, run

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def ended(words, capsys):
    """Return how a command ended, and what it said on stderr."""
    with pytest.raises(SystemExit) as error:
        run(*words)
    return error.value.code, capsys.readouterr().err


def test_a_model_knows_labels_scale_and_annotators_as_they_were_written(lab):
    model = load_model(lab.model)
    assert sorted(model.annotators) == sorted(NAMES)
    assert model.scale == (1, 7)
    assert model.regressor.outputs_ == ("activation", "valence")


def test_map_and_predict_give_what_the_package_gives(lab, tmp_path, capsys):
    run("map", lab.model, lab.folder / "new.csv", "--features", lab.folder / "new.npz",
        "--out", tmp_path / "mapped.skops", "--table", tmp_path / "table.csv")  # fmt: skip
    told = capsys.readouterr().out
    table = pd.read_csv(lab.folder / "new.csv", sep=";", encoding="utf-8-sig", dtype={"sample": str})
    assert table["sample"].str.len().eq(3).all()
    ratings = Ratings.from_long(table, outputs=OUTPUTS, samples=lab.new, scale=(1, 7))
    source = FrozenEstimator(load_model(lab.model).estimator)
    mapper = AnnotatorMapper(source, strategy="blend", calibration="affine", random_state=0)
    X = lab.target.X.astype(np.float32)
    mapping = mapper.fit(X, ratings).mapping_
    alike = AnnotatorMapper(source, random_state=0).fit(X, ratings).mapping_["source"]
    written = pd.read_csv(tmp_path / "table.csv", keep_default_na=False, dtype={"most_similar": str})
    assert written["annotator"].tolist() == mapping.index.tolist()
    assert written["most_similar"].tolist() == alike.tolist()
    for name in ("expected_valence", "low_activation", "high_activation"):
        np.testing.assert_allclose(written[name], mapping[name], rtol=1e-9)
    row = mapping.loc["new 3"]
    shown = f"{row['expected_valence']:.2f} ({row['low_valence']:.2f} to {row['high_valence']:.2f})"
    assert shown in next(line for line in told.splitlines() if "new 3" in line)

    run("predict", tmp_path / "mapped.skops", lab.folder / "new.npz", "--annotator", "new 3", "new 1",
        "--out", tmp_path / "p.csv")  # fmt: skip
    long = read(tmp_path / "p.csv")
    assert long["sample"].tolist() == [label for label in lab.new for _ in range(2)]
    assert long["annotator"].tolist() == 70 * ["new 3", "new 1"]
    expected = mapper.predict_annotators(X, ["new 3", "new 1"])
    np.testing.assert_allclose(long[OUTPUTS].to_numpy(), expected.reshape(-1, 2), rtol=1e-8)


def test_everybody_and_the_consensus_of_a_corpus(lab, tmp_path):
    model = load_model(lab.model).estimator
    X = lab.source.X.astype(np.float32)
    for option, expected in (
        ("--everybody", model[-1].predict_annotators(model[:-1].transform(X)).reshape(-1, 2)),
        ("--consensus", model.predict(X)),
    ):
        run("predict", lab.model, lab.folder / "known.npz", option, "--out", tmp_path / "p.csv", "--force")
        np.testing.assert_allclose(read(tmp_path / "p.csv")[OUTPUTS].to_numpy(), expected, rtol=1e-8)
    run("predict", lab.model, lab.folder / "known.npz", "--annotator", *NAMES[:4], "--out", tmp_path / "q.csv")
    assert read(tmp_path / "q.csv")["annotator"].tolist() == 70 * NAMES[:4]


def test_another_scale_is_brought_to_that_of_the_model(lab, tmp_path):
    table = pd.read_csv(lab.folder / "new.csv", sep=";", encoding="utf-8-sig", dtype={"sample": str})
    table[OUTPUTS] = (table[OUTPUTS] - 1) / 6 * 100
    table.to_csv(tmp_path / "new.csv", index=False)
    features = ["--features", lab.folder / "new.npz"]
    run("map", lab.model, lab.folder / "new.csv", *features, "--table", tmp_path / "a.csv")
    run("map", lab.model, tmp_path / "new.csv", "--scale", 0, 100, *features, "--table", tmp_path / "b.csv")
    first, second = (pd.read_csv(tmp_path / name) for name in ("a.csv", "b.csv"))
    pd.testing.assert_frame_equal(first, second, rtol=1e-6)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ({"sep": ";", "encoding": "utf-8-sig"}, []),
        ({"sep": "\t", "quoting": 1}, []),
        ({"sep": "|"}, []),
        ({"encoding": "utf-16"}, []),
        ({"sep": ";", "encoding": "gb18030"}, ["--encoding", "gb18030"]),
        ({}, ["--sample", "sample", "--annotator-column", "annotator", "--outputs", *OUTPUTS]),
    ],
)
def test_a_table_is_the_same_however_it_was_saved(form, options, lab, tmp_path):
    known = load_model(lab.model)
    table = pd.read_csv(lab.folder / "ratings.csv", dtype=str, keep_default_na=False)
    table.to_csv(tmp_path / "t.csv", index=False, **form)
    out = tmp_path / "m.skops"
    features = ["--features", lab.folder / "known.npz", "--scale", 1, 7, *options]
    run("map", lab.model, tmp_path / "t.csv", *features, "--table", tmp_path / "table.csv", "--out", out)
    assert load_model(out).annotators.tolist() == sorted(NAMES) == sorted(known.annotators.tolist())


def test_features_are_found_by_label_in_any_file(lab, tmp_path):
    with np.load(lab.folder / "new.npz") as file:
        labels, X = file["labels"], file["X"]
    order = np.random.RandomState(0).permutation(70)
    frame = pd.DataFrame(X[order], columns=[f"f{k}" for k in range(6)])
    frame.insert(0, "sample", labels[order])
    frame.to_csv(tmp_path / "x.csv", index=False)
    if importlib.util.find_spec("pyarrow"):
        frame.to_parquet(tmp_path / "x.parquet")
    np.save(tmp_path / "x.npy", X)
    pd.DataFrame({"sample": labels}).to_csv(tmp_path / "samples.csv", index=False)
    np.savez(tmp_path / "x.npz", labels=labels, X=X, other=X[:, :2], names=list("abcdef"))
    written = {}
    forms = {"x.csv": [], "x.npz": ["--arrays", "X"], "x.npy": ["--samples", tmp_path / "samples.csv"]}
    if (tmp_path / "x.parquet").exists():
        forms["x.parquet"] = []
    for name, more in forms.items():
        table = tmp_path / f"{name}.table.csv"
        run("map", lab.model, lab.folder / "new.csv", "--features", tmp_path / name, *more, "--table", table)
        written[name] = pd.read_csv(table)
    for table in written.values():
        pd.testing.assert_frame_equal(table, written["x.csv"], rtol=1e-4)


def broken(lab, tmp_path):
    """Return names -> words of a command, and what it says."""
    folder, features = lab.folder, ["--features", lab.folder / "new.npz"]
    off = tmp_path / "off.csv"
    off.write_text("sample,annotator,activation,valence\n500,ann,1,9\n", encoding="utf-8")
    strange = tmp_path / "strange.csv"
    strange.write_text("sample,annotator,activation,valence\n5,ann,1,5\n500,ann,1,5\n", encoding="utf-8")
    plain = tmp_path / "plain.csv"
    plain.write_text("sample,annotator,anger\n500,ann,1\n", encoding="utf-8")
    book = tmp_path / "book.csv"
    book.write_bytes(b"PK\x03\x04 what Excel saves")
    np.save(tmp_path / "x.npy", np.zeros((70, 6)))
    np.savez(tmp_path / "two.npz", labels=lab.new, X=np.zeros((70, 6)), Z=np.zeros((70, 2)))
    np.savez(tmp_path / "twice.npz", labels=70 * ["500"], X=np.zeros((70, 6)))
    np.savez(tmp_path / "nan.npz", labels=lab.new, X=np.full((70, 6), np.nan))
    np.savez(tmp_path / "narrow.npz", labels=lab.new, X=np.zeros((70, 5)))
    (tmp_path / "export.json").write_text("[]", encoding="utf-8")
    new = folder / "new.csv"
    mapped = ["map", lab.model]
    return {
        "no table": ([*mapped, tmp_path / "no.csv", *features], "no.csv' is not there"),
        "no model": (["map", tmp_path / "no.skops", new, *features], "there is no model"),
        "no such format": ([*mapped, tmp_path / "export.json", *features], "say what wrote it, --format"),
        "off the scale": ([*mapped, off, *features], "off.csv, line 2: expected 'valence' from 1 to 7"),
        "no features of a sample": ([*mapped, strange, *features], "1 of 2 samples have no features, for example"),
        "no known output": ([*mapped, plain, *features], "['activation', 'valence'] of ratings are not there"),
        "other outputs": ([*mapped, plain, *features, "--outputs", "anger"], "activation"),
        "no such column": ([*mapped, new, *features, "--sample", "clip"], "there is no column 'clip'"),
        "a workbook": ([*mapped, book, *features], "Save the table as CSV"),
        "features without labels": ([*mapped, new, "--features", tmp_path / "x.npy"], "does not say which row"),
        "several arrays": ([*mapped, new, "--features", tmp_path / "two.npz"], "which are the features"),
        "a label twice": ([*mapped, new, "--features", tmp_path / "twice.npz"], "are there twice"),
        "not finite": ([*mapped, new, "--features", tmp_path / "nan.npz"], "not all finite"),
        "too few features": ([*mapped, new, "--features", tmp_path / "narrow.npz"], "5 features"),
        "no features at all": ([*mapped, new], "give them with --features"),
        "nothing to learn from": (["train", folder / "ratings.csv", "--out", tmp_path / "o"], "what are the samples"),
        "no model in the file": (["map", new, new, *features], "is no archive"),
        "nobody of that name": (
            ["predict", lab.model, folder / "new.npz", "--annotator", "bob", "--out", tmp_path / "o"],
            "nobody is called 'bob'",
        ),
        "a file that is there": (["predict", lab.model, folder / "new.npz", "--consensus", "--out", new], "--force"),
        "a folder": (["predict", lab.model, folder / "new.npz", "--consensus", "--out", tmp_path], "is a folder"),
    }


CASES = ["no table", "no model", "no such format", "off the scale", "no features of a sample", "no known output",
         "other outputs", "no such column", "a workbook", "features without labels", "several arrays", "a label twice",
         "not finite", "too few features", "no features at all", "nothing to learn from", "no model in the file",
         "nobody of that name", "a file that is there", "a folder"]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_with_the_data_is_one_line_and_status_1(case, lab, tmp_path, capsys):
    cases = broken(lab, tmp_path)
    assert list(cases) == CASES
    words, said = cases[case]
    before = sorted(tmp_path.iterdir())
    code, err = ended(words, capsys)
    assert code == 1
    assert said in err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_wrong_usage_is_status_2(lab, capsys):
    for words in (["train"], ["map", lab.model], ["train", "t.csv", "--scale", 1, "--out", "m"]):
        assert ended(words, capsys)[0] == 2
    code, err = ended(["predict", lab.model, lab.folder / "new.npz", "--out", "p.csv"], capsys)
    assert code == 2
    assert "whose ratings" in err


def test_missing_samples_may_be_left_out(lab, tmp_path, capsys):
    with np.load(lab.folder / "new.npz") as file:
        np.savez(tmp_path / "some.npz", labels=file["labels"][:60], X=file["X"][:60])
    words = ["map", lab.model, lab.folder / "new.csv", "--features", tmp_path / "some.npz", "--missing", "drop"]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        run(*words)
    out, err = capsys.readouterr()
    assert "60 samples" in out
    assert "warning: 10 of 70 samples have no features, for example" in err


def test_a_traceback_is_shown_if_asked_for(lab, capsys):
    _, err = ended(["map", lab.model, "no.csv", "--traceback"], capsys)
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize("command", ["train", "map", "predict"])
def test_the_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as error:
        main([command, "--help"])
    assert error.value.code == 0
    assert f"  python -m sklearn_annoser {command} " in capsys.readouterr().out


def test_one_persons_model_predicts_and_does_nothing_else(lab, tmp_path, capsys):
    words = ["map", lab.model, lab.folder / "new.csv", "--features", lab.folder / "new.npz"]
    run(*words, "--out", tmp_path / "mapped.skops")
    run(*words, "--of", "new 3", "--out", tmp_path / "person.skops")
    clips = lab.folder / "new.npz"
    run("predict", tmp_path / "mapped.skops", clips, "--annotator", "new 3", "--out", tmp_path / "all.csv")
    run("predict", tmp_path / "person.skops", clips, "--out", tmp_path / "own.csv")
    pd.testing.assert_frame_equal(read(tmp_path / "own.csv"), read(tmp_path / "all.csv"), atol=1e-5)
    for name, known in (("mapped.skops", True), ("person.skops", False)):
        parts = zipfile.ZipFile(tmp_path / name)
        whole = b"".join(parts.read(each) for each in parts.namelist())
        assert ("new 1".encode("utf-32-le") in whole or b"new 1" in whole) is known
    capsys.readouterr()
    code, said = ended(
        ["predict", tmp_path / "person.skops", clips, "--annotator", "new 1", "--out", tmp_path / "x"], capsys
    )
    assert (code, "nobody is called 'new 1'" in said) == (1, True)
    code, said = ended(["predict", tmp_path / "person.skops", clips, "--consensus", "--out", tmp_path / "x"], capsys)
    assert (code, "of 'new 3' alone" in said) == (2, True)
    code, said = ended(["map", tmp_path / "person.skops", *words[2:], "--out", tmp_path / "x"], capsys)
    assert (code, "'new 3' alone, who is all that it can predict" in said) == (1, True)
    code, said = ended([*words, "--of", "nobody", "--out", tmp_path / "x"], capsys)
    assert (code, "somebody who rated" in said) == (2, True)


def test_a_file_of_another_kind_of_model_is_refused(lab, tmp_path, capsys):
    save(StandardScaler().fit(lab.target.X), tmp_path / "scaler.skops")
    code, said = ended(["predict", tmp_path / "scaler.skops", lab.folder / "new.npz", "--out", tmp_path / "x"], capsys)
    assert (code, "is no fitted model of annotators" in said) == (1, True)


def test_a_model_of_one_output_of_any_name_goes_all_the_way(lab, tmp_path):
    for name in ("ratings", "new"):
        table = pd.read_csv(lab.folder / f"{name}.csv", sep=None, engine="python", encoding="utf-8-sig", dtype=str,
                            keep_default_na=False)  # fmt: skip
        table = table.rename(columns={"valence": "warmth"}).drop(columns="activation")
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    features = lab.folder / "new.npz"
    run("train", tmp_path / "ratings.csv", "--outputs", "warmth", "--features", lab.folder / "known.npz",
        "--epochs", 2, "--out", tmp_path / "model.skops")  # fmt: skip
    # From here on the model knows what the ratings are called.
    run(
        "map",
        tmp_path / "model.skops",
        tmp_path / "new.csv",
        "--features",
        features,
        "--out",
        tmp_path / "mapped.skops",
    )
    run("predict", tmp_path / "mapped.skops", features, "--everybody", "--out", tmp_path / "p.csv")
    run("complete", tmp_path / "new.csv", "--model", tmp_path / "model.skops", "--features", features,
        "--out", tmp_path / "full.csv")  # fmt: skip
    predicted, full = read(tmp_path / "p.csv"), read(tmp_path / "full.csv")
    assert predicted.columns.tolist() == ["sample", "annotator", "warmth"]
    assert full.columns.tolist() == ["sample", "annotator", "warmth", "low_warmth", "high_warmth", "given_warmth"]
    assert len(full) == len(predicted)


def test_a_table_whose_ratings_have_no_usual_name_is_not_guessed_at(lab, tmp_path, capsys):
    path = tmp_path / "ratings.csv"
    path.write_text("sample,annotator,anger\n000,ann,3\n")
    words = ["train", path, "--features", lab.folder / "known.npz", "--out", tmp_path / "model.skops"]
    code, said = ended(words, capsys)
    assert (code, "which columns are the ratings" in said) == (1, True)
