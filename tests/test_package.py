"""What holds for the package as a whole: who imports whom, what an import costs, and that the documentation is true."""

import ast
import doctest
import importlib.metadata
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_annoser

PACKAGE = Path(sklearn_annoser.__file__).parent
ROOT = Path(__file__).parents[1]

# ---------------------------------------------------------------------- the import table

# From top to bottom: a module imports from lower rows only, or from the files of its own package.
ROWS = [
    {"__main__"},
    {"command_line"},
    {"enroll_page"},
    {"planning", "sharing"},
    {"reproduce"},
    {"displays"},
    {"evaluation", "annotators"},
    {"estimators"},
    {"network", "mapping", "encoders", "datasets"},
    {"metrics"},
    {"ratings"},
    {"_features"},
    {"_validation", "_optional", "_state"},
]
ROW = {module: row for row, modules in enumerate(ROWS) for module in modules}


def broken_imports(source, module):
    """Return what a module's source imports of the package against the table, wherever in the source it does so."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
            if names == ["sklearn_annoser"]:  # from sklearn_annoser import mapping
                names = [f"sklearn_annoser.{alias.name}" for alias in node.names]
        for name in names:
            top, *rest = name.split(".")
            other = rest[0] if rest else ""
            if top == "" or (top == "sklearn_annoser" and other != module and not ROW[module] < ROW.get(other, -1)):
                found.append(name)
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    """Return the name of a module's file below the package."""
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_import_from_lower_rows_only(path):
    module = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if module != "__init__":  # the table of contents
        assert broken_imports(path.read_text(), module) == []


def test_every_module_has_its_row():
    assert {name for _, name, _ in pkgutil.iter_modules([str(PACKAGE)])} == set(ROW)


@pytest.mark.parametrize(
    "line",
    [
        "from sklearn_annoser.estimators import AnnotatorMappedRegressor",
        "from sklearn_annoser.network import MultiHeadNet",
        "import sklearn_annoser.evaluation",
        "import numpy, sklearn_annoser.estimators._predictor",
        "from sklearn_annoser import estimators",
        "from sklearn_annoser import AnnotatorMapper",
        "from . import ratings",
        "from .ratings import Ratings",
        "def late():\n    from sklearn_annoser.displays import StrategyDisplay",
        "if TYPE_CHECKING:\n    from sklearn_annoser.datasets import make_corpora",
    ],
)
def test_an_import_upwards_or_sideways_is_found_wherever_it_stands(line):
    assert broken_imports(f"import torch\nfrom sklearn_annoser.ratings import Ratings\n{line}\n", "mapping")


def not_by_the_door(source, module):
    """Return the public names of other folders that a module imports from the files inside them."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and re.fullmatch(r"sklearn_annoser\.\w+\._\w+", node.module or ""):
            room = node.module.split(".")[1]
            public = importlib.import_module(f"sklearn_annoser.{room}").__all__
            found += [alias.name for alias in node.names if room != module and alias.name in public]
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_names_of_other_folders_are_imported_from_the_folder(path):
    assert not_by_the_door(path.read_text(), path.relative_to(PACKAGE).parts[0]) == []


def test_a_public_name_that_is_fetched_from_inside_a_folder_is_found():
    line = "from sklearn_annoser.ratings._ratings import Ratings"
    assert not_by_the_door(line, "mapping") == ["Ratings"]
    assert not_by_the_door(line, "ratings") == []


@pytest.mark.parametrize("room", sorted(each.name for each in PACKAGE.iterdir() if (each / "__init__.py").exists()))
def test_a_folder_begins_with_its_table_of_contents(room):
    home = importlib.import_module(f"sklearn_annoser.{room}")
    assert len(home.__doc__.splitlines()) <= 3
    assert sorted(home.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)) == home.__all__
    assert all(hasattr(home, name) for name in home.__all__)
    for name in home.__all__:  # a line each
        assert re.search(rf'^    "{name}",$', Path(home.__file__).read_text(), re.M)


def test_no_module_lies_outside_the_rooms():
    flat = {path.stem for path in PACKAGE.glob("*.py")}
    assert flat == {"__init__", "__main__", "_features", "_optional", "_state", "_validation"}


# ---------------------------------------------------------------------- a house to live in

LONGEST_FILE = 500
MOST_PARAMETERS = 6
# Public doors with more options, by keyword only, as scikit-learn's own functions have them.
DOORS = {
    "bootstrap_heads",
    "check_forecasts",
    "compare_folds",
    "compare_strategies",
    "cross_corpus",
    "bootstrap_interval",
    "from_long",
    "make_corpora",
    "read_argilla",
    "read_audformat",
    "read_dataset",
    "read_label_studio",
    "read_mturk",
    "read_qualtrics",
    "read_ratings",
    "reproduce",
    "write_msp_podcast",
}
SOURCES = sorted(
    path for room in ("sklearn_annoser", "tests", "benchmarks", "examples") for path in (ROOT / room).rglob("*.py")
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


def long_lists(source):
    """Return the functions, constructors aside, that have too many parameters for anyone to keep in mind."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "__init__":
            given = node.args
            names = [each.arg for each in given.posonlyargs + given.args]
            n_named = len(names) - (names[:1] in (["self"], ["cls"])) + bool(given.vararg)
            if n_named + len(given.kwonlyargs) + bool(given.kwarg) > MOST_PARAMETERS:
                found.append((node.name, n_named))
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_function_has_a_long_list_of_parameters(path):
    for name, n_named in long_lists(path.read_text()):
        assert name in DOORS
        assert n_named <= 3


def test_long_lists_of_parameters_are_found():
    functions = ["f(a, b, c, d, e, f, g)", "g(self, a, b, c, *, d, e=1, f=2)", "h(a, *, b, c, d, e, f, **g)"]
    source = "\n".join(f"def {each}: ..." for each in functions)
    assert long_lists(source) == [("f", 7), ("h", 1)]


@pytest.mark.parametrize("name", sorted(DOORS))
def test_every_door_is_there_and_needs_its_options(name):
    assert any(name == each for path in MODULES for each, _ in long_lists(path.read_text()))


# ---------------------------------------------------------------------- what an import costs

HEAVY = {"torch", "skorch", "transformers", "matplotlib"}


def heavy_modules_after(code):
    """Return which heavy packages a fresh process has loaded after running some code, and the seconds it took."""
    probe = f"import sys, time\nstart = time.perf_counter()\n{code}\nprint(time.perf_counter() - start, *sys.modules)"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    seconds, *loaded = run.stdout.split()
    return HEAVY & set(loaded), float(seconds)


def test_importing_the_package_is_quick_and_loads_nothing_heavy():
    loaded, seconds = heavy_modules_after("import sklearn_annoser")
    assert loaded == set()
    assert seconds < 0.5


@pytest.mark.parametrize(
    "module",
    sorted(set(ROW) - {"network", "__main__", "_validation", "_optional", "_state"}),
)
def test_torch_and_matplotlib_are_loaded_only_when_they_are_used(module):
    assert heavy_modules_after(f"import sklearn_annoser.{module}")[0] == set()


def test_the_probe_sees_a_heavy_import():
    assert {"torch", "skorch"} <= heavy_modules_after("from sklearn_annoser import MultiHeadNet")[0]


# ---------------------------------------------------------------------- the table of contents


def test_all_names_exactly_what_there_is_and_sorted():
    assert sklearn_annoser.__all__ == sorted(sklearn_annoser.__all__)
    assert set(sklearn_annoser.__all__) == set(sklearn_annoser._HOMES)
    assert set(sklearn_annoser.__all__) <= set(dir(sklearn_annoser))
    for name in sklearn_annoser.__all__:
        assert getattr(sklearn_annoser, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'sklearn_annoser' has no attribute 'nothing'"):
        _ = sklearn_annoser.nothing


def test_the_version_is_that_of_the_distribution():
    assert sklearn_annoser.__version__ == importlib.metadata.version("sklearn-annoser")


# ---------------------------------------------------------------------- documentation


INNER = (
    "sklearn_annoser.network.",
    "sklearn_annoser.mapping.",
)  # here shapes may stand at the head of the module


def public_objects():
    """Return name -> every function, class and method that the public modules offer, each once."""
    found = {}
    for module in (each.name for each in pkgutil.walk_packages([str(PACKAGE)], "sklearn_annoser.")):
        if "._" in module:
            continue
        home = importlib.import_module(module)
        for value in (getattr(home, name) for name in home.__all__):
            if inspect.isclass(value) and issubclass(value, Exception):
                continue
            if inspect.isclass(value) or inspect.isfunction(value):
                name = f"{value.__module__}.{value.__name__}"
                found[name] = value
                members = inspect.getmembers(value, inspect.isroutine) if inspect.isclass(value) else []
                found |= {f"{name}.{member}": each for member, each in members if is_own(value, member)}
    return found


def is_own(owner, member):
    """Say whether a method is public, ours, and not the filling of a place that a class of others prescribes."""
    ours = getattr(getattr(owner, member), "__module__", None) or ""
    theirs = [base for base in owner.__mro__ if not base.__module__.startswith("sklearn_annoser")]
    prescribed = any(member in vars(base) for base in theirs)
    return ours.startswith("sklearn_annoser") and not member.startswith("_") and not prescribed


def signature_of(thing):
    """Return the parameters in the signature as they are documented: name -> default."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = inspect.signature(thing).parameters.values()
    return {stars.get(each.kind, "") + each.name: each.default for each in found if each.name != "self"}


def documented_parameters(thing):
    """Return the Parameters section of a numpydoc docstring: name -> the default as written, None if required."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", inspect.getdoc(thing), re.M | re.S)
    found = {}
    for line in re.findall(r"^\S.*$", section[1], re.M) if section else []:
        names, _, text = line.partition(" : ")
        written = text.partition("default=")[2].split(" and ")
        names = names.split(", ")
        found |= dict(zip(names, written * (len(names) if len(written) == 1 else 1), strict=True))
    return found


def is_default(written, default, namespace):
    """Say whether a default, as written in the documentation, is that of the signature."""
    if not written:
        return default is inspect.Parameter.empty
    value = eval(written, namespace)
    if hasattr(value, "__dict__") and not inspect.isclass(value):
        return type(value) is type(default) and vars(value) == vars(default)
    return isinstance(value, bool) == isinstance(default, bool) and value == default


SAID_ELSEWHERE = re.compile(
    r"All (?:other )?parameters are those of :(class|func|meth):`(\w+)`, with the same\s+defaults\."
)


def said_in(thing, kind, name):
    """Return what documents the parameters that a docstring leaves to another one: in its class, or in its module."""
    if kind == "meth":
        return getattr(getattr(sys.modules[thing.__module__], thing.__qualname__.split(".")[0]), name)
    return next(value for path, value in PUBLIC.items() if path.endswith(f".{name}"))


PUBLIC = public_objects()


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_object_documents_exactly_its_parameters_and_their_defaults(name):
    thing = PUBLIC[name]
    docstring = inspect.getdoc(thing)
    assert docstring, "there is no docstring"
    if name.startswith(INNER) and "\nParameters\n" not in docstring:
        return
    if inspect.isclass(thing) and "__init__" not in vars(thing) and f":class:`{thing.__base__.__name__}`" in docstring:
        return  # another name for its base, which documents the parameters
    signature, documented = signature_of(thing), documented_parameters(thing)
    elsewhere = SAID_ELSEWHERE.search(docstring)
    if elsewhere:
        other = signature_of(said_in(thing, *elsewhere.groups()))
        same = {name: default for name, default in signature.items() if name not in documented}
        assert same.items() <= other.items()
        signature = {name: default for name, default in signature.items() if name in documented}
    assert list(documented) == list(signature)
    namespace = vars(sys.modules[thing.__module__])
    wrong = {name: text for name, text in documented.items() if not is_default(text, signature[name], namespace)}
    assert wrong == {}


def test_the_public_objects_include_inherited_methods_and_exclude_private_ones():
    assert "sklearn_annoser.estimators._mapper.AnnotatorMapper.predict_ratings" in PUBLIC
    assert "sklearn_annoser.ratings._ratings.Ratings.from_long" in PUBLIC
    assert len(PUBLIC) > 50
    assert not any(name.rpartition(".")[2].startswith("_") for name in PUBLIC)


def example(a, b=1, *, c="x", **more):
    """Do nothing.

    Parameters
    ----------
    a, b : int, default=2
        Numbers.
    d : str, default="x"
        A string.

    Returns
    -------
    c : nothing
    """


def test_the_reader_of_docstrings_sees_wrong_defaults_and_names():
    documented = documented_parameters(example)
    assert documented == {"a": "2", "b": "2", "d": '"x"'}
    assert list(documented) != list(signature_of(example)) == ["a", "b", "c", "**more"]
    assert [is_default(documented[name], signature_of(example)[name], {}) for name in "ab"] == [False, False]
    assert is_default('"x"', "x", {})
    assert is_default("2**3", 8, {})
    assert not is_default("True", 1, {})
    assert not is_default("", 1, {})


@pytest.mark.parametrize("page", ["README.md"])
def test_the_code_of_the_readme_runs(page, tmp_path, monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    if not blocks:
        pytest.skip("there is no code in it")
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in blocks:
        if ">>> " in block:
            test = doctest.DocTestParser().get_doctest(block, namespace, page, page, 0)
            assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, clear_globs=False).failed == 0
        else:
            exec(compile(block, page, "exec"), namespace)


# ---------------------------------------------------------------------- how to build on


def test_the_files_that_the_development_page_names_are_there():
    page = (ROOT / "docs" / "development.md").read_text()
    named = set(re.findall(r"`((?:\w+/)+\w*(?:\.\w+)?)`", page)) - {"datasets/_name.py", "displays/_name.py"}
    assert len(named) > 30
    homes = (PACKAGE, PACKAGE.parent, ROOT)
    assert [name for name in named if not any((home / name).exists() for home in homes)] == []


def test_the_recipes_of_the_development_page_run(tmp_path):
    recipes = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "development.md").read_text(), re.M | re.S)
    assert len(recipes) == 3
    code = "\n".join([*recipes, TRIED])
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


TRIED = """
from pathlib import Path
import matplotlib
from sklearn_annoser import Ratings
from sklearn_annoser.mapping import Enroller

rng = np.random.RandomState(0)
hidden, heads = rng.normal(size=(30, 2, 4)), rng.normal(size=(6, 2, 5))
mapping = Enroller(heads, strategy="second best").enrol(hidden, Ratings.from_rows(hidden[:, :, 0], "new"))
assert mapping.chosen[0, :, 0].tolist() == 2 * [mapping.scores[0].sum(axis=1).argsort()[-2]]

for folder in ("audio", "text"):
    Path(folder).mkdir()
Path("ratings.csv").write_text("clip,who,act,val\\nab1,ann,1,7\\nab1,bob,4,5.5\\n")
assert read_name(".", missing="keep").ratings.to_dense().tolist() == [[[-1.0, 1.0], [0.0, 0.5]]]

matplotlib.use("Agg")
assert len(HistogramDisplay([1, 2, 2]).plot(title="ratings").ax_.patches) == 10
"""
