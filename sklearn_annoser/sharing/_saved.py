"""Saving models in the format of skops, and loading them without running what a file may say."""

from __future__ import annotations

import json
import os
import re
import warnings
import zipfile
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sklearn_annoser._optional import import_skops_io
from sklearn_annoser.reproduce._files import written_aside
from sklearn_annoser.sharing._trusted import check_trusted, trusted_types

__all__ = ["load", "save"]

ABOUT = "sklearn_annoser.json"  # a further file in the archive, which skops passes over
SCHEMA = "schema.json"
PACKAGES = ("scikit-learn", "numpy", "torch", "skops")


def save(model: Any, path: str | os.PathLike[str]) -> Path:
    """Save a model, fitted or not, into one file that :func:`load` reads anywhere, and runs nothing of.

    It is an archive of skops: arrays, numbers, and the names of types. It is written whole or not at all; one that was
    there is replaced.

    Parameters
    ----------
    model : estimator, Pipeline, or Ratings
        What is saved. Types that are neither ours nor trusted by skops itself are warned of: whoever loads the file has
        to name them.
    path : path
        The file; ``.skops`` is the usual suffix.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        Something in the model cannot be saved: a lambda, say, or a callback of skorch that holds a training.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn_annoser import AnnotatorMappedRegressor
    >>> from sklearn_annoser.sharing import load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load(save(AnnotatorMappedRegressor(n_hidden=32), f"{folder}/model.skops")).n_hidden
    32
    """
    io = import_skops_io()
    path = Path(os.path.expanduser(os.fspath(path)))
    if path.is_dir():
        raise ValueError(f"path must be a file, got the folder {str(path)!r}.")
    with written_aside(path) as aside:
        try:
            io.dump(model, aside, compression=zipfile.ZIP_DEFLATED)
        except Exception as error:
            raise ValueError(f"{_what_fails(io, model)} cannot be saved: {error}") from error
        with zipfile.ZipFile(aside, "a") as archive:
            archive.writestr(ABOUT, json.dumps(_versions(), indent=2))
        foreign = _foreign(io, aside, [])
        for name in foreign:
            _check_findable(name)
    if foreign:
        warnings.warn(
            f"whoever loads {path.name!r} will have to trust types of others: trusted={foreign}.", stacklevel=2
        )
    return path


def load(path: str | os.PathLike[str], *, trusted: Iterable[str | type] = ()) -> Any:
    """Load a model that :func:`save` has written, or ``skops.io.dump``.

    Parameters
    ----------
    path : path
        The file.
    trusted : list of str or type, default=()
        Types that may be made beside ours and those that skops itself trusts; each is code that will run.

    Returns
    -------
    estimator, Pipeline, or Ratings
        The model, on the CPU if the device it was trained on is not there.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is damaged or none of this kind, or it names types that are not trusted.

    Warns
    -----
    UserWarning
        The file was saved by a newer version of this package.
    """
    io = import_skops_io()
    trusted = check_trusted(trusted)
    path = Path(os.path.expanduser(os.fspath(path)))
    if path.is_dir():
        raise ValueError(f"path must be a file, got the folder {str(path)!r}.")
    saved_by = _saved_by(path)
    here, by_newer = _own_version(), ""
    if _numbers(saved_by) > _numbers(here):
        by_newer = f" It was saved by sklearn_annoser {saved_by}, this is {here}: update."
    try:
        foreign = _foreign(io, path, trusted)
        model = None if foreign else io.load(path, trusted=[*trusted_types(), *trusted])
    except Exception as error:
        raise ValueError(f"{str(path)!r} is damaged, or holds no model: {_reason(error)}.{by_newer}") from error
    if foreign:
        raise ValueError(
            f"{str(path)!r} names types that are not trusted: {foreign}. What they do would run. If you know them, and "
            f"who made the file: load({path.name!r}, trusted={foreign}).{by_newer}"
        )
    if by_newer:
        warnings.warn(f"{path.name!r} may not be what it was:{by_newer}", stacklevel=2)
    return model


def _foreign(io: Any, path: Path, trusted: list[Any]) -> list[str]:
    """Return the names of the types in a file that nobody trusts."""
    known = {each if isinstance(each, str) else f"{each.__module__}.{each.__name__}" for each in trusted}
    return sorted(set(io.get_untrusted_types(file=path)) - set(trusted_types()) - known)


def _saved_by(path: Path) -> str:
    """Return the version of this package that wrote an archive, "" if that is not told; raise if it is no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if SCHEMA in names:
                return str(json.loads(archive.read(ABOUT))["sklearn_annoser"]) if ABOUT in names else ""
    except OSError:
        raise
    except Exception as error:  # a damaged archive raises many kinds
        raise ValueError(
            f"{str(path)!r} is cut off, damaged, or was not written by save(model, path): it is no archive. A pickle "
            "is read by joblib.load, and runs whatever it says."
        ) from error
    raise ValueError(f"{str(path)!r} is an archive, but of something else: save(model, path) writes models.")


def _versions() -> dict[str, str]:
    """Return what a model was saved with."""
    return {"sklearn_annoser": _own_version()} | {name: version(name) for name in PACKAGES}


def _own_version() -> str:
    """Return the version of this package."""
    return str(import_module("sklearn_annoser").__version__)


def _numbers(text: str) -> list[int]:
    """Return the numbers of a version, without what follows them."""
    return [int(number) for number in re.findall(r"\d+", re.match(r"[\d.]*", text)[0])]  # type: ignore[index]


def _reason(error: Exception) -> str:
    """Return what an error says, in a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _what_fails(io: Any, model: Any) -> str:
    """Name the innermost parameter that cannot be saved."""
    found = "the model"
    get_params = getattr(model, "get_params", None)
    params = get_params(deep=True) if callable(get_params) else {}
    for name, value in sorted(params.items(), key=lambda item: item[0].count("__")):
        try:
            io.dumps(value)
        except Exception:
            found = f"{name}={value!r:.80}"
    return found


def _check_findable(name: str) -> None:
    """Raise unless a type or a function is found by its name, as whoever loads the file has to find it."""
    module, _, last = name.rpartition(".")
    try:
        getattr(import_module(module), last)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{name!r} is in the model, but cannot be found by that name: a lambda, or something defined inside a "
            "function. Define it at the top of a module that whoever loads the file has too."
        ) from error
