import numpy as np
import pandas as pd
import pytest

from sklearn_annoser import AnnotatorMapper, Ratings
from sklearn_annoser.command_line._models import load_model
from tests.command_line.conftest import NAMES, OUTPUTS, read, run


def test_gaps_are_filled_as_the_package_fills_them_and_what_was_given_stays(lab, tmp_path):
    words = [lab.folder / "ratings.csv", "--model", lab.model, "--features", lab.folder / "known.npz"]
    run("complete", *words, "--out", tmp_path / "full.csv")
    full = read(tmp_path / "full.csv").set_index(["sample", "annotator"])
    given = pd.read_csv(lab.folder / "ratings.csv", dtype={"sample": str}, keep_default_na=False)
    samples = [f"{n:03d}" for n in range(70)]
    assert len(full) == 70 * len(NAMES)
    ratings = Ratings.from_long(given, outputs=OUTPUTS, samples=samples, scale=(1, 7))
    mapper = AnnotatorMapper(load_model(lab.model).estimator, strategy="blend", calibration="affine", random_state=0)
    X = lab.source.X.astype(np.float32)
    done = mapper.fit(X, ratings).complete(X, ratings)
    for kind, table in (("", done.ratings), ("low_", done.low), ("high_", done.high)):
        expected = table.to_long().set_index(["sample", "annotator"])
        found = full.loc[expected.index, [kind + output for output in OUTPUTS]]
        np.testing.assert_allclose(found, expected, rtol=1e-8)
    theirs = full.loc[list(zip(given["sample"], given["annotator"], strict=True))]
    assert (theirs[OUTPUTS].to_numpy() == given[OUTPUTS].to_numpy()).all()
    assert (full[["given_activation", "given_valence"]].sum() == len(given)).all()


def test_a_level_that_is_none_is_an_error(lab, tmp_path, capsys):
    words = [lab.folder / "ratings.csv", "--model", lab.model, "--features", lab.folder / "known.npz", "--level", 2]
    with pytest.raises(SystemExit) as error:
        run("complete", *words, "--out", tmp_path / "full.csv")
    assert error.value.code == 1
    assert "level must be" in capsys.readouterr().err
