"""What an experiment has made so far: models and tables in its folder, each with the key of all that decides it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sklearn_annoser.reproduce._digest import digest
from sklearn_annoser.reproduce._files import remove_stale, write_text
from sklearn_annoser.reproduce._models import DAMAGE, decode, encode, read_model, write_model

FILE = "experiment.json"


class Store:
    """The folder of one experiment.

    Parameters
    ----------
    out : path
        The folder.
    decisive : dict of str to text
        All that decides the results, by name: what stands in the message if the folder has another experiment.
    """

    def __init__(self, out: Path, decisive: Mapping[str, str]) -> None:
        self.out, self.key = out, digest(decisive)
        try:
            found = _read_decisive(out / FILE)
            if found is None and (out / "results.csv").exists():
                raise ValueError(
                    f"{str(out)!r} has a results.csv, but nothing that says of which experiment. Choose another folder "
                    "for out, or move that file away."
                )
            if found is None:
                write_text(out / FILE, json.dumps(decisive, indent=1))
        except OSError as error:
            raise type(error)(f"the folder {str(out)!r} of the experiment cannot be used: {error}") from error
        if found is not None and found != decisive:
            names = [name for name in {**decisive, **found} if decisive.get(name) != found.get(name)]
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise ValueError(
                f"{str(out)!r} has another experiment: its {', '.join(names[:5])}{more} differ. Choose another folder "
                "for out, or delete this one."
            )
        for folder in (out, out / "models", out / "results", out / "figures"):
            remove_stale(folder)

    def model(self, name: str, estimator: Any, source: Any, train: Callable[[], Any]) -> Any:
        """Return the model of a name, from its file or trained."""
        path = self.out / "models" / f"{name}.npz"
        key = digest([self.key, "model", name])
        found = self._read(path, key, lambda: read_model(path, estimator, source))
        if found is not None:
            return found
        model = train()
        self._write(path, lambda: write_model(path, key, model, source.X))
        return model

    def table(self, name: str, of: list[Any], make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """Return the table of a name, from its file or made; `of` says whose results it has."""
        path = self.out / "results" / f"{name}.json"
        key = digest([self.key, "table", *of])

        def read() -> tuple[str, Callable[[], pd.DataFrame]]:
            content = json.loads(path.read_text(encoding="utf-8"))
            return content["key"], lambda: decode(content["table"], {})

        found = self._read(path, key, read)
        if found is not None:
            return found
        encoded = encode(make(), {})
        self._write(path, lambda: write_text(path, json.dumps({"key": key, "table": encoded})))
        return decode(encoded, {})  # as the next run reads it

    def _read(self, path: Path, key: str, read: Callable[[], tuple[str, Callable[[], Any]]]) -> Any:
        """Return what a file holds, given what reads its key and what makes the rest of it; None if it is no use."""
        if not path.exists():
            return None
        try:
            found, make = read()
            value = make() if found == key else None
        except DAMAGE as error:
            warnings.warn(f"{str(path)!r} is damaged, and made anew: {error!r}", stacklevel=4)
            return None
        if found != key:
            raise ValueError(
                f"{str(path)!r} is of another experiment. Choose another folder for out, or delete this file."
            )
        if value is None:
            warnings.warn(
                f"{str(path)!r} is made anew: the steps before the model, fitted again, do not make the features that "
                "it was trained on.",
                stacklevel=4,
            )
        return value

    def _write(self, path: Path, write: Callable[[], None]) -> None:
        """Write a file; what cannot be stored is said, and lost to later runs only."""
        try:
            write()
        except (OSError, TypeError) as error:
            warnings.warn(
                f"{str(path)!r} cannot be written: {error}. This run goes on; the next one will have to do this part "
                "again.",
                stacklevel=4,
            )


def _read_decisive(path: Path) -> dict[str, str] | None:
    """Return what decides the experiment that a folder has, None if it has none."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{str(path)!r} cannot be read, so that nobody knows which experiment its folder has: {error}. Choose "
            "another folder for out, or delete this one."
        ) from error
