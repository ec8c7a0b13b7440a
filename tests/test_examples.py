"""The gallery: each example is short, has a title, takes public names alone, and two of them are run."""

import ast
import runpy
from importlib import import_module
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

mpl.use("Agg")
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("plot_*.py"))
IDS = [path.stem for path in EXAMPLES]


def test_there_are_enough():
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("path", EXAMPLES, ids=IDS)
def test_it_is_short_and_has_a_title(path):
    text = path.read_text()
    assert len(text.splitlines()) < 80
    title, line, blank, told = ast.get_docstring(ast.parse(text)).split("\n")[:4]
    assert line == "=" * len(title)
    assert not blank
    assert told.endswith(".")
    assert text.count("\n# %%\n") >= 3


@pytest.mark.parametrize("path", EXAMPLES, ids=IDS)
def test_it_takes_public_names_alone(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("sklearn_annoser"):
            assert {name.name for name in node.names} <= set(import_module(node.module).__all__)


@pytest.mark.parametrize("name", ["plot_5_completion", "plot_8_tool_export"])
def test_it_runs(name, capsys):
    runpy.run_path(str(EXAMPLES[IDS.index(name)]), run_name="__main__")
    assert plt.get_fignums()
    assert capsys.readouterr().out
    plt.close("all")
