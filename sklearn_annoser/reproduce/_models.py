"""Trained models as arrays and numbers: a file of them runs nothing when it is read."""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sklearn_annoser.estimators._source import split_source
from sklearn_annoser.estimators._unit_scale import UnitScale
from sklearn_annoser.mapping import Prior
from sklearn_annoser.reproduce._digest import digest
from sklearn_annoser.reproduce._files import written_aside

__all__ = ["load_model"]

RECORDS = {"Prior": Prior, "UnitScale": UnitScale}
CHOSEN = ("variant", "random_state", "min_ratings", "on_unknown")  # parameters that the experiment chooses
ABOUT, WEIGHTS = "about", "module."
# What reading a damaged file raises.
DAMAGE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, StopIteration, EOFError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


def load_model(path: str | os.PathLike[str], estimator: Any, source: Any) -> Any:
    """Return a model that :func:`reproduce` has trained and stored.

    Its file holds arrays and numbers, so that reading it runs nothing, whoever wrote it. The steps of a pipeline are
    not in it: they are fitted again.

    Parameters
    ----------
    path : path
        A file of `models/` in the folder of an experiment.
    estimator : AnnotatorMappedRegressor, or a Pipeline that ends in one
        What was trained there; it is cloned.
    source : Bunch
        The source corpus of that experiment.

    Returns
    -------
    AnnotatorMappedRegressor or Pipeline
        The trained model.
    """
    try:
        model = read_model(Path(path), estimator, source)[1]()
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise ValueError(f"{str(path)!r} is damaged, or is no model of such an estimator: {error!r}") from error
    if model is None:
        raise ValueError(
            f"{str(path)!r} was trained on other features than the steps of this estimator make of this source."
        )
    return model


def write_model(path: Path, key: str, model: Any, X: Any) -> None:
    """Write what a model has learned: weights and numbers of the regressor, and a hash of what the steps before do."""
    arrays: dict[str, np.ndarray] = {}
    steps, regressor = split_source(model)
    parameters = regressor.get_params(deep=False)
    own = {name: value for name, value in vars(regressor).items() if name not in parameters and name != "net_"}
    net = regressor.net_
    about = {
        "key": key,
        "features": _features(steps, X),
        "parameters": {name: parameters[name] for name in CHOSEN},
        "regressor": encode(own, arrays),
        "shape": dict(net.shape_),
        "history": encode([dict(row) for row in net.history], arrays),
    }
    for name, weights in net.module_.state_dict().items():
        arrays[WEIGHTS + name] = weights.detach().cpu().numpy()
    arrays[ABOUT] = np.array(json.dumps(about))
    with written_aside(path) as aside, aside.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_model(path: Path, estimator: Any, source: Any) -> tuple[str, Callable[[], Any]]:
    """Return the key in a file, and what makes its model: None if the steps do not do what they did."""
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        arrays = dict(file)
    about = json.loads(str(arrays[ABOUT]))
    return about["key"], partial(_rebuilt, about, arrays, estimator, source)


def _rebuilt(about: dict[str, Any], arrays: dict[str, np.ndarray], estimator: Any, source: Any) -> Any:
    """Return a model whose steps are fitted again, and whose regressor is given what it had learned."""
    import torch

    from sklearn_annoser.network import seeded

    model = clone(estimator)
    regressor = model[-1] if isinstance(model, Pipeline) else model
    regressor.set_params(**{name: about["parameters"][name] for name in CHOSEN})
    seed_steps(model, about["parameters"]["random_state"])
    regressor._check_parameters()
    net = regressor._make_net(train_split=None)
    net.shape_ = about["shape"]
    with seeded(0):  # weights are drawn first
        net.initialize()
    start = len(WEIGHTS)
    weights = {name[start:]: torch.from_numpy(array) for name, array in arrays.items() if name.startswith(WEIGHTS)}
    net.module_.load_state_dict(weights)
    for row in decode(about["history"], arrays):
        net.history.append(row)
    vars(regressor).update(decode(about["regressor"], arrays), net_=net)
    steps, _ = split_source(model)
    if steps is not None:
        steps.fit(source.X, source.ratings)
    return model if _features(steps, source.X) == about["features"] else None


def seed_steps(model: Any, seed: int) -> None:
    """Seed all that is random in a model, and not seeded."""
    unseeded = [name for name, value in model.get_params().items() if name.endswith("random_state") and value is None]
    model.set_params(**dict.fromkeys(unseeded, seed))


def _features(steps: Any, X: Any) -> str:
    """Return a hash of the features that a regressor gets."""
    return "" if steps is None else digest(steps.transform(X))


def encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a value as JSON takes it; arrays are put into `arrays`, and named."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray) and value.dtype != object:
        name = f"array.{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.ndarray):
        return {"objects": [encode(part, arrays) for part in value.tolist()]}
    if isinstance(value, list):
        return [encode(part, arrays) for part in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(part, arrays) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key, arrays), encode(part, arrays)] for key, part in value.items()]}
    if isinstance(value, pd.DataFrame):
        columns = {name: column.tolist() for name, column in value.items()}
        return {"table": encode(columns, arrays), "dtypes": [str(dtype) for dtype in value.dtypes]}
    for name, record in RECORDS.items():
        if type(value) is record:
            return {name: encode({each.name: getattr(value, each.name) for each in fields(record)}, arrays)}
    raise TypeError(f"a {type(value).__name__} cannot be stored as arrays and numbers: {value!r}")


def decode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return the value that was encoded."""
    if isinstance(value, list):
        return [decode(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    kind, content = next(iter(value.items()))
    if kind == "array":
        return arrays[content]
    if kind == "objects":
        objects = np.empty(len(content), dtype=object)
        objects[:] = decode(content, arrays)
        return objects
    if kind == "tuple":
        return tuple(decode(content, arrays))
    if kind == "dict":
        return {decode(key, arrays): decode(part, arrays) for key, part in content}
    if kind == "table":
        columns = decode(content, arrays)
        series = [
            pd.Series(column, dtype=dtype) for column, dtype in zip(columns.values(), value["dtypes"], strict=True)
        ]
        return pd.DataFrame(dict(zip(columns, series, strict=True)))
    return RECORDS[kind](**decode(content, arrays))
