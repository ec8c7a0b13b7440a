import html
import re

import pandas as pd
import pytest

from sklearn_annoser import Ratings
from sklearn_annoser.annotators import agreement_table
from tests.command_line.conftest import NAMES, OUTPUTS, run


def test_a_report_has_the_numbers_names_and_pictures_and_needs_nothing_else(lab, tmp_path):
    out = tmp_path / "report.html"
    run("report", "--ratings", lab.folder / "ratings.csv", "--model", lab.model, "--out", out)
    page = out.read_text(encoding="utf-8")
    for name in NAMES:
        assert f"<th>{html.escape(name, quote=False)}</th>" in page
    assert page.count("src='data:image/png;base64,") == 2
    assert re.findall(r"(?:src|href)=['\"](?!data:)", page) == []
    table = pd.read_csv(lab.folder / "ratings.csv", dtype={"sample": str}, keep_default_na=False)
    ratings = Ratings.from_long(table, outputs=OUTPUTS, samples=[f"{n:03d}" for n in range(70)], scale=(1, 7))
    for value in agreement_table(ratings, random_state=0)["value"].round(3):
        assert f"<td>{value:.3f}</td>" in page
    assert f"<td>{table.loc[table['annotator'] == NAMES[0], 'valence'].mean():.3f}</td>" in page


def test_a_report_about_nothing_is_wrong_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        run("report", "--out", tmp_path / "r.html")
    assert error.value.code == 2
    assert "about what?" in capsys.readouterr().err
