"""The site: everything public is in the reference, every page is in a table of contents, and the set-up stays small."""

import re
from importlib import import_module
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
SECTION = re.compile(r"^\.\. currentmodule:: (\S+)\n(.*?)(?=^## |\Z)", re.M | re.S)
TABLE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.M | re.S)
SECTIONS = dict(SECTION.findall((DOCS / "api.md").read_text()))


def rooms():
    """Return the names of the package and of the rooms that have something public."""
    package = import_module("sklearn_annoser")
    folders = sorted(path.parent.name for path in Path(package.__file__).parent.glob("*/__init__.py"))
    names = ["sklearn_annoser", *(f"sklearn_annoser.{folder}" for folder in folders)]
    return [name for name in names if getattr(import_module(name), "__all__", None)]


@pytest.mark.parametrize("room", rooms())
def test_everything_public_is_in_the_reference(room):
    top = set(import_module("sklearn_annoser").__all__)
    own = set(import_module(room).__all__) - (set() if room == "sklearn_annoser" else top)
    section = SECTIONS.get(room, "")
    listed = set(re.findall(r"^   (\w+)$", section, re.M)) | set(re.findall(r"`([A-Za-z_]+)`", section))
    assert own <= listed
    assert set(re.findall(r"^   (\w+)$", section, re.M)) <= own


def test_every_page_is_in_a_table_of_contents():
    tables = [table for page in DOCS.glob("*.md") for table in TABLE.findall(page.read_text())]
    listed = [name for table in tables for name in re.findall(r"^([a-z_/]+)$", table, re.M)]
    pages = [path.stem for path in DOCS.glob("*.md") if path.stem != "index"]
    assert sorted(listed) == sorted([*pages, "gallery/index"])


def test_links_to_pages_lead_somewhere():
    for page in DOCS.glob("*.md"):
        text = page.read_text()
        for name in re.findall(r"\{doc\}`(?:[^`<]*<)?([a-z_/]+)>?`", text):
            assert (DOCS / f"{name}.md").exists() or name == "gallery/index", (page.name, name)


def test_the_set_up_is_short():
    assert len((DOCS / "conf.py").read_text().splitlines()) < 80


def test_the_version_is_the_same_wherever_it_is_cited():
    root = DOCS.parent
    version = import_module("sklearn_annoser").__version__
    assert f"\nversion: {version}\n" in (root / "CITATION.cff").read_text()
    assert f"version = {{{version}}}" in (DOCS / "citing.md").read_text()
    assert f"\n## {version} " in (root / "CHANGELOG.md").read_text()
