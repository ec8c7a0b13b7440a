"""What speech and text encoders share: their parameters, the column they take, the model, and the cache."""

from __future__ import annotations

import json
import os
import reprlib
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence, Set
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_annoser._validation import check_number, check_option
from sklearn_annoser.encoders._cache import Cache, CacheInfo, NoCache, VectorCache
from sklearn_annoser.encoders._loop import Failures, embed

ON_ERROR = ("raise", "nan", "skip_warn")
DTYPES = ("float32", "bfloat16", "auto")
COMBINE = ("concat", "mean")
RECIPE_VERSION = 2  # to be raised whenever the same utterance would get another vector


class FrozenEncoder(TransformerMixin, BaseEstimator):
    """A pretrained network as a transformer from one column of utterances to vectors; it is never trained.

    A subclass says how an utterance is checked, identified, measured and read, and which model embeds it.
    """

    KIND: str
    POOLINGS: tuple[str, ...]

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        revision: str | None,
        local_files_only: bool,
        layers: int | Sequence[int] | str,
        combine: str,
        pooling: str,
        device: str,
        dtype: str,
        n_jobs: int | None,
        cache_dir: str | os.PathLike[str] | None,
        on_error: str,
        verbose: int,
    ) -> None:
        self.model = model
        self.revision = revision
        self.local_files_only = local_files_only
        self.layers = layers
        self.combine = combine
        self.pooling = pooling
        self.device = device
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.cache_dir = cache_dir
        self.on_error = on_error
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and the column, and load the model; nothing is learned.

        Parameters
        ----------
        X : column of utterances, shape (n_samples,) or (n_samples, 1)
            As for `transform`.
        y : ignored, default=None
            Not used, present for API consistency.

        Returns
        -------
        self : object
            The encoder.

        Raises
        ------
        OSError
            The model is not on this machine and cannot be downloaded, or its files are damaged.
        ValueError or TypeError
            A parameter or an utterance is not what it should be, or the model is of another kind.
        """
        self._check_parameters()
        self._check_items(self._check_column(X, reset=True))
        model = self._load(self.dtype)
        self.dtype_ = str(model.dtype).removeprefix("torch.")
        self.layers_ = check_layers(self.layers, model.n_layers)
        self.fingerprint_ = model.fingerprint
        self.model_type_ = model.model_type
        self.hidden_size_ = model.hidden_size
        self._n_features_out = len(self.get_feature_names_out())
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Embed utterances.

        Utterances that are in the cache are not embedded again; those that occur twice are embedded once.

        Parameters
        ----------
        X : column of utterances, shape (n_samples,) or (n_samples, 1)
            List, array, Series or one column of a DataFrame.

        Returns
        -------
        vectors : array of float32, shape (n_samples, n_features_out)
            A row of NaN where an utterance cannot be read and `on_error` is not "raise".
        """
        check_is_fitted(self)
        self._check_parameters()
        column = self._check_column(X, reset=False)
        items, failures = self._check_items(column)
        cache = self._cache()
        keys, unreadable = self._identify(items, cache)
        failures |= unreadable
        self._raise_first(failures, len(column))

        known = cache.get(list(set(keys.values())))
        todo = {key: items[position] for position, key in keys.items() if key not in known}
        with closing(embed(self, todo, cache)) as results:
            for made, broken in results:
                known |= made
                if broken:
                    failures |= {position: broken[key] for position, key in keys.items() if key in broken}
                    self._raise_first(failures, len(column))
        if failures and self.on_error == "skip_warn":
            names = "".join(f"\n  position {position}: {failures[position]}" for position in sorted(failures))
            warnings.warn(f"{len(failures)} of {len(column)} utterances get a row of NaN:{names}", stacklevel=2)

        vectors = np.full((len(column), self._n_features_out), np.nan, dtype=np.float32)
        for position, key in keys.items():
            if key in known:
                vectors[position] = known[key]
        if isinstance(X, pd.Series) and _get_output_config("transform", self)["dense"] == "pandas":
            # scikit-learn before 1.9 keeps the index of a DataFrame only.
            return pd.DataFrame(vectors, index=X.index)  # type: ignore[return-value]
        return vectors

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the name of each output column.

        Parameters
        ----------
        input_features : ignored, default=None
            Not used, present for API consistency.

        Returns
        -------
        names : array of str, shape (n_features_out,)
            ``wavlm_0``, ``wavlm_1`` ...; with several layers or poolings ``wavlm_layer6_std_0`` ...
        """
        check_is_fitted(self)
        one_part = len(self.layers_) == 1 or self.combine == "mean"
        layers = [""] if one_part else [f"_layer{layer}" for layer in self.layers_]
        poolings = self.pooling.split("+")
        suffixes = [""] if len(poolings) == 1 else [f"_{pooling}" for pooling in poolings]
        stems = [self.model_type_ + layer + suffix for layer in layers for suffix in suffixes]
        return np.array([f"{stem}_{i}" for stem in stems for i in range(self.hidden_size_)], dtype=object)

    def cache_info(self) -> CacheInfo:
        """Return what the cache holds.

        Returns
        -------
        info : CacheInfo
            `path` of the file, `n_vectors` that this encoder can use, `n_bytes` of the file, `n_vectors_total`.
        """
        return self._needed_cache().info()

    def cache_clear(self) -> None:
        """Delete this encoder's vectors from the cache; those of other models and settings stay."""
        self._needed_cache().clear()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fingerprint_")

    def __getstate__(self) -> dict[str, Any]:
        # A Path is one of this machine's system.
        state = super().__getstate__()
        return {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in state.items()}

    # ------------------------------------------------------------------ what a subclass says

    @abstractmethod
    def _check_item(self, item: Any) -> Any:
        """Return an utterance that looks as it should, without reading it; or raise ValueError or TypeError."""

    @abstractmethod
    def _identify(self, items: Mapping[int, Any], cache: Any) -> tuple[dict[int, bytes], dict[int, Exception]]:
        """Return a key of the content of each utterance, and why some cannot be read; by position."""

    @abstractmethod
    def _measure(self, items: Mapping[bytes, Any]) -> tuple[dict[bytes, float], Failures]:
        """Return how long each utterance is, in the unit of the batches, and why some cannot be read."""

    @abstractmethod
    def _read(self, item: Any) -> Any:
        """Return an utterance as the model takes it; called in threads."""

    @abstractmethod
    def _budget(self) -> float:
        """Return how much a batch may hold, in the unit of the batches, padding included."""

    @abstractmethod
    def _amount(self, total: float) -> str:
        """Return a sum of lengths in words."""

    @abstractmethod
    def _longest(self) -> dict[str, Any]:
        """Return what happens to long utterances, which is part of the recipe of a vector."""

    # ------------------------------------------------------------------ checks

    def _check_parameters(self) -> None:
        """Check the parameters that all encoders have."""
        if not isinstance(self.model, str) and not hasattr(self.model, "__fspath__"):
            raise TypeError(f"model must be a folder or the name of a model on the hub, got {self.model!r}.")
        check_cache_dir(self.cache_dir)
        check_option("pooling", self.pooling, self.POOLINGS)
        check_option("combine", self.combine, COMBINE)
        check_option("dtype", self.dtype, DTYPES)
        check_option("on_error", self.on_error, ON_ERROR)

    def _check_column(self, X: Any, *, reset: bool) -> list[Any]:
        """Return the utterances of a column, whose name is compared with the one seen at fit."""
        column = check_column(X)
        frame = X if isinstance(X, pd.DataFrame) else np.empty((len(column), 1), dtype=object)
        validate_data(self, frame, reset=reset, skip_check_array=True)
        return column

    def _check_items(self, column: Sequence[Any]) -> tuple[dict[int, Any], dict[int, Exception]]:
        """Return the utterances by position, and why some are none."""
        items: dict[int, Any] = {}
        failures: dict[int, Exception] = {}
        for position, item in enumerate(column):
            try:
                items[position] = self._check_item(item)
            except (TypeError, ValueError) as error:
                failures[position] = error
        self._raise_first(failures, len(column))
        return items, failures

    def _raise_first(self, failures: Mapping[int, Exception], n_items: int) -> None:
        """Raise the first reason why an utterance cannot be embedded, if errors are to be raised."""
        if not failures or self.on_error != "raise":
            return
        position = min(failures)
        more = f" (and {len(failures) - 1} more of {n_items})" if len(failures) > 1 else ""
        raise type(failures[position])(
            f"the utterance at position {position}{more} cannot be embedded: {failures[position]} "
            'on_error="nan" or "skip_warn" gives such utterances a row of NaN and keeps the rest.'
        ) from failures[position]

    # ------------------------------------------------------------------ model and cache

    def _load(self, dtype: str) -> Any:
        """Return the model of this process, which is loaded once; importing torch and transformers takes a while."""
        from sklearn_annoser.encoders._loading import load_model

        return load_model(
            self.KIND,
            self.model,
            revision=self.revision,
            local_files_only=self.local_files_only,
            device=self.device,
            dtype=dtype,
        )

    def _model(self) -> Any:
        """Return the model that the encoder was fitted with."""
        model = self._load(self._dtype())
        if model.fingerprint != self.fingerprint_:
            raise ValueError(
                f"model {str(self.model)!r} is not the one that the encoder was fitted with: fit it again."
            )
        return model

    def _dtype(self) -> str:
        """Return what is calculated in: by every worker the same, whatever is fast there."""
        return self.dtype_ if self.dtype == "auto" else self.dtype

    def _cache(self) -> Cache:
        """Return the cache of this encoder's vectors."""
        if self.cache_dir is None:
            return NoCache()
        recipe = {
            "version": RECIPE_VERSION,
            "weights": self.fingerprint_,
            "layers": self.layers_,
            "combine": self.combine,
            "pooling": self.pooling,
            "dtype": self._dtype(),
            **self._longest(),
        }
        return VectorCache(self.cache_dir, json.dumps(recipe, sort_keys=True))

    def _needed_cache(self) -> VectorCache:
        """Return the cache, or say that there is none."""
        check_is_fitted(self)
        cache = self._cache()
        if isinstance(cache, NoCache):
            raise ValueError("this encoder has no cache: set cache_dir to a folder.")
        return cache


def check_cache_dir(folder: Any) -> None:
    """Raise if the cache's folder cannot be one on any disk."""
    if folder is None:
        return
    try:
        name = os.fsencode(Path(folder).expanduser())
        if b"\0" in name:
            raise ValueError("there is a null character in it")
    except (TypeError, ValueError, RuntimeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"cache_dir must be None or the path of a folder, got {folder!r}: {error}.") from error


def check_column(X: Any) -> list[Any]:
    """Return the utterances of a column, whatever holds it."""
    if isinstance(X, (str, bytes, Mapping, Set)) or not hasattr(X, "__len__"):
        raise TypeError(f"X must be a column of utterances, such as a list or a Series, got {reprlib.repr(X)}.")
    shape = getattr(X, "shape", None)
    if shape is not None and (len(shape) == 0 or len(shape) > 2 or (len(shape) == 2 and shape[1] != 1)):
        raise ValueError(
            f"X must be one column of utterances, of shape (n_samples,) or (n_samples, 1), got shape {tuple(shape)}. "
            "To encode one column of a table use make_column_transformer((encoder, 'column'))."
        )
    if isinstance(X, pd.DataFrame):
        column = X.iloc[:, 0].tolist()
    elif shape is not None and len(shape) == 2:
        column = list(X[:, 0])
    else:
        column = list(X)
    if not column:
        raise ValueError("X has 0 utterances, while a minimum of 1 is required.")
    return column


def check_layers(layers: Any, n_layers: int) -> list[int]:
    """Return the layers asked for, counted from 0, the input of the first; the last is `n_layers`."""
    if isinstance(layers, str) and layers == "all":
        return list(range(n_layers + 1))
    asked = [layers] if np.ndim(layers) == 0 else list(layers)
    for layer in asked:
        check_number("layers", layer, low=-n_layers - 1, high=n_layers, integer=True)
    if not asked or len({layer % (n_layers + 1) for layer in asked}) < len(asked):
        raise ValueError(f"layers must be one layer, several different ones, or 'all', got {layers!r}.")
    return [int(layer) % (n_layers + 1) for layer in asked]
