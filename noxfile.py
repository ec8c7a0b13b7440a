"""Sessions beside `make test`: versions of Python and scikit-learn, the lowest ones, the site, the release.

    nox                  # the tests with every Python that is found
    nox -s sklearn       # each of three minors of scikit-learn
    nox -s lowest        # the oldest versions that pyproject.toml promises
    nox -s docs          # the site; a warning is an error
    nox -s release       # wheel and sdist; the tests run from what the sdist holds

The lowest session leaves out what has no versions that old: ONNX, Optuna and Gradio, whose tests skip.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13"]
MINORS = ["1.7", "1.8", "1.9"]

nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True


def run_tests(session: nox.Session) -> None:
    """Run the tests, one thread a process."""
    arguments = session.posargs or ["-n", "2", "-q"]
    session.run("python", "-m", "pytest", *arguments, env={"OMP_NUM_THREADS": "1"})


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests with the pinned versions."""
    session.install("-c", "constraints.txt", "-e", ".[dev]")
    run_tests(session)


@nox.session(python=PYTHONS[0])
@nox.parametrize("minor", MINORS)
def sklearn(session: nox.Session, minor: str) -> None:
    """Run the tests with a minor of scikit-learn, and all else as it is pinned."""
    pins = Path("constraints.txt").read_text().splitlines()
    others = Path(session.create_tmp()) / "constraints.txt"
    others.write_text("\n".join(pin for pin in pins if not pin.startswith("scikit-learn==")))
    session.install("-c", str(others), f"scikit-learn=={minor}.*", "-e", ".[dev]")
    run_tests(session)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions."""
    session.install("-c", "lowest.txt", "-e", ".[agreement,audio,plot,scale,share]", "pytest", "pytest-timeout")
    session.install("-c", "lowest.txt", "pytest-xdist", "hypothesis", "audmetric", "torchmetrics")
    run_tests(session)


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Build the site."""
    session.install("-c", "constraints.txt", "-e", ".[docs]")
    build = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", "docs/_build/html"]
    session.run("python", *build, env={"OMP_NUM_THREADS": "1"})


@nox.session(python=PYTHONS[0])
def release(session: nox.Session) -> None:
    """Build wheel and sdist, check them, and run the tests from the sdist with the wheel installed."""
    shutil.rmtree("dist", ignore_errors=True)
    session.install("build", "twine")
    session.run("python", "-m", "build")
    built = sorted(map(str, Path("dist").resolve().iterdir()))
    session.run("twine", "check", "--strict", *built)
    wheel, sdist = next(each for each in built if each.endswith(".whl")), next(each for each in built if ".tar" in each)
    unpacked = Path(session.create_tmp()).resolve() / "sdist"
    shutil.rmtree(unpacked, ignore_errors=True)
    shutil.unpack_archive(sdist, unpacked)
    session.install("-c", "constraints.txt", f"{wheel}[dev]")
    session.chdir(next(unpacked.iterdir()))
    shutil.rmtree("sklearn_annoser")  # what is tested is what the wheel has installed
    session.run(
        "python", "-m", "pytest", "tests", "-n", "2", "-q", *session.posargs, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
