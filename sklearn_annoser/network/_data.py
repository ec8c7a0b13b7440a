"""From features and ratings to batches, with no Python loop over samples and no copy of the features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_array
from torch import Tensor

from sklearn_annoser._features import Features, is_streamed, select_rows
from sklearn_annoser._features import check_features as check_streamed
from sklearn_annoser._validation import check_number, check_sample_weight, is_array_like
from sklearn_annoser.network._torch_state import generator
from sklearn_annoser.ratings import Ratings

AT_ONCE = 16  # batches whose ratings are looked up together


@dataclass(frozen=True, slots=True)
class Batch:
    """Some samples and all of their ratings."""

    X: Tensor  # (n_samples, n_features)
    heads: Tensor  # (n_heads,): the heads that the ratings need, each once
    pairs: Tensor  # (n_ratings,): the rating's place in (n_samples, n_heads), flattened
    y: Tensor  # (n_ratings, n_outputs)
    n_individual: int  # the ratings after these are the consensus
    weight: Tensor | None = None  # (n_ratings, n_outputs), 0 where an output was not rated; None: all count alike

    def __len__(self) -> int:
        return len(self.X)

    @property
    def samples(self) -> Tensor:
        """Return which sample each rating is of, (n_ratings,)."""
        return self.pairs // len(self.heads)

    def to(self, device: Any) -> Batch:
        """Return the batch on a device; None leaves it where it is."""
        if device is None or torch.device(device).type == self.X.device.type == "cpu":
            return self
        names = ("X", "heads", "pairs", "y") if self.weight is None else ("X", "heads", "pairs", "y", "weight")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def parts(self, values: Tensor | None) -> list[Any]:
        """Split a value for each rating into individual ratings and, if there are any, consensus."""
        if values is None:
            return [None, None] if len(self.y) > self.n_individual else [None]
        parts = [values[: self.n_individual], values[self.n_individual :]]
        return parts if len(parts[1]) else parts[:1]


class RatingsDataset(torch.utils.data.Dataset):
    """Features and ratings of some samples; those without a rating are left out.

    Parameters
    ----------
    X : Tensor or array, shape (n_samples, n_features)
        Features, all finite. They are shared, not copied: of others than C-contiguous float32 the rows of a batch are.
    y : Ratings
        Ratings of the samples, on a scale of about -1 to 1.
    consensus_head : bool, default=False
        Whether one more head, after all annotators, is to learn the consensus.
    sample_weight : array, shape (n_samples,), default=None
        Weight of each sample, of all its ratings alike. None: 1.
    """

    def __init__(self, X: Any, y: Ratings, consensus_head: bool = False, sample_weight: Any = None) -> None:
        self.X = check_features(X)
        if not isinstance(y, Ratings):
            raise TypeError(f"y must be Ratings, got {type(y).__name__}. Ratings.from_rows makes them from an array.")
        if len(self.X) != len(y):
            raise ValueError(f"X has {len(self.X)} samples, but y has ratings of {len(y)}.")
        self.ratings = y
        self.consensus_head = consensus_head
        self.sample_weight: np.ndarray | None = None
        if sample_weight is not None:
            self.sample_weight = check_sample_weight(sample_weight, len(y)).astype(np.float32)
        self._values, self._weights = self._weighted(y.values, y.rows)
        self._consensus = self._consensus_weights = None
        if consensus_head:
            consensus = y.consensus().reshape(len(y), -1)
            self._consensus, self._consensus_weights = self._weighted(consensus, np.arange(len(y)))
        self.rows = np.flatnonzero(np.diff(y.indptr) > 0)
        if not len(self.rows):
            raise ValueError("y has no ratings: there is nothing to learn from.")

    def _weighted(self, values: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return values with 0 for those missing, and the weight of each, None if all are 1."""
        values = values.astype(np.float32)
        if self.sample_weight is None and self.ratings.is_complete:
            return values, None
        given = np.isfinite(values)
        weights = given.astype(np.float32) if self.sample_weight is None else given * self.sample_weight[rows, None]
        return np.where(given, values, np.float32(0)), weights

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Batch, Tensor]:
        return self.__getitems__([index])

    def __getitems__(self, indices: Any) -> tuple[Batch, Tensor]:
        """Return a batch of samples and, as skorch wants it, its y again."""
        return next(self.batches([np.asarray(indices)]))

    def batches(self, parts: Sequence[np.ndarray]) -> Iterator[tuple[Batch, Tensor]]:
        """Walk over batches, each of the samples at some positions; their ratings are looked up together, for speed."""
        rows, n_codes = self.rows[np.concatenate(parts)], self.ratings.n_annotators + 1
        ends = np.append(0, np.cumsum([len(each) for each in parts]))  # of the rows of each part
        part = np.repeat(np.arange(len(parts)), np.diff(ends))
        row, codes, values, weights = self._look_up(rows, part)
        group = part[row]
        keys, place = np.unique(group * n_codes + codes, return_inverse=True)
        head_ends, rating_ends = (
            np.searchsorted(each, np.arange(len(parts) + 1) * width) for each, width in ((keys, n_codes), (group, 1))
        )
        pairs = (row - ends[group]) * np.diff(head_ends)[group] + place - head_ends[group]
        n_individual = np.bincount(group[codes < n_codes - 1], minlength=len(parts))
        heads, places, y = map(torch.from_numpy, (keys % n_codes, pairs, values))
        weight = None if weights is None else torch.from_numpy(weights)
        slices = ([slice(*each) for each in pairwise(some.tolist())] for some in (ends, head_ends, rating_ends))
        for n, of_rows, of_heads, of_ratings in zip(n_individual.tolist(), *slices, strict=True):
            batch = Batch(
                X=rows_of(self.X, rows[of_rows]),
                heads=heads[of_heads],
                pairs=places[of_ratings],
                y=y[of_ratings],
                n_individual=n,
                weight=None if weight is None else weight[of_ratings],
            )
            yield batch, batch.y

    def _look_up(self, rows: np.ndarray, part: np.ndarray) -> list[Any]:
        """Return of each rating of some rows: which row, code, values and weights; last of a part its consensus."""
        counts, take = self.ratings_of(rows)
        row = np.repeat(np.arange(len(rows)), counts)
        found = [row, self.ratings.codes[take], *self.values_of(take)]
        if self._consensus is None:
            return found
        weights = None if self._consensus_weights is None else self._consensus_weights[rows]
        code = np.full(len(rows), self.ratings.n_annotators)
        consensus = [np.arange(len(rows)), code, self._consensus[rows], weights]
        order = np.argsort(np.concatenate([part[row], part]), kind="stable")
        return [
            None if own is None else np.concatenate([own, more])[order]
            for own, more in zip(found, consensus, strict=True)
        ]

    def ratings_of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many ratings each of some samples has, and where they are, one sample after the other."""
        starts = self.ratings.indptr[rows]
        counts = self.ratings.indptr[rows + 1] - starts
        ends = counts.cumsum()
        return counts, np.arange(ends[-1]) + np.repeat(starts - ends + counts, counts)

    def values_of(self, take: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the values of some ratings, 0 where an output was not rated, and their weights, None if all are 1."""
        return self._values[take], None if self._weights is None else self._weights[take]

    def take(self, rows: np.ndarray) -> RatingsDataset:
        """Return the samples at some positions of X; features and ratings are shared."""
        part = object.__new__(RatingsDataset)
        part.__dict__ = dict(self.__dict__)
        part.rows = np.intersect1d(rows, self.rows)
        return part

    def rating_variance(self) -> Tensor:
        """Return the variance of all ratings of the samples, (n_outputs,)."""
        values = self.ratings.values[np.isin(self.ratings.rows, self.rows)].astype(np.float32)
        values[:, np.isnan(values).all(axis=0)] = 0  # an output that is not rated here
        return torch.from_numpy(np.nanvar(values, axis=0))

    def rated_by(self) -> np.ndarray:
        """Return which annotators have rated some of the samples, (n_annotators,)."""
        _, take = self.ratings_of(self.rows)
        return np.bincount(self.ratings.codes[take], minlength=self.ratings.n_annotators) > 0

    def as_consensus(self) -> RatingsDataset:
        """Return the same samples with their consensus as the only annotator."""
        return RatingsDataset(self.X, self.ratings.as_consensus(), sample_weight=self.sample_weight).take(self.rows)


class BatchLoader:
    """Iterate over a dataset in batches, the last of which may be smaller.

    Parameters
    ----------
    dataset : RatingsDataset
        The data.
    batch_size : int, default=32
        Samples in a batch.
    shuffle : bool, default=False
        Whether to draw a new order for each pass: in a seeded training from its own generator, else from torch's.
    """

    def __init__(self, dataset: RatingsDataset, batch_size: int = 32, shuffle: bool = False) -> None:
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Batch, Tensor]]:
        n = len(self.dataset)
        order = torch.randperm(n, generator=generator(), device="cpu").numpy() if self.shuffle else np.arange(n)
        parts = [order[start : start + self.batch_size] for start in range(0, n, self.batch_size)]
        for start in range(0, len(parts), AT_ONCE):
            yield from self._cut(parts[start : start + AT_ONCE])

    def _cut(self, parts: list[np.ndarray]) -> Iterator[tuple[Batch, Tensor]]:
        """Walk over batches; a dataset that cuts them in its own way is asked for each."""
        if type(self.dataset).__getitems__ is RatingsDataset.__getitems__:
            return self.dataset.batches(parts)
        return map(self.dataset.__getitems__, parts)


class ValidationSplit:
    """Set samples, or whole groups of samples, aside for early stopping.

    Parameters
    ----------
    fraction : float, default=0.25
        Share of the samples, or of the groups, rounded down but at least one.
    random_state : int, default=0
        Seed of the draw.
    chosen : array of bool, shape (n_samples,), default=None
        Which samples are set aside, where that is given and not drawn.

    Examples
    --------
    >>> from sklearn_annoser.network import ValidationSplit
    >>> train, valid = ValidationSplit(0.5).rows(4, groups=["ann", "ann", "bob", "bob"])
    >>> train, valid
    (array([0, 1]), array([2, 3]))
    """

    def __init__(self, fraction: float = 0.25, random_state: int = 0, chosen: Any = None) -> None:
        self.fraction, self.random_state, self.chosen = fraction, random_state, chosen

    def rows(self, n_samples: int, groups: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions of training and validation samples; a group is never on both sides."""
        if self.chosen is not None:
            chosen = np.asarray(self.chosen)
            if chosen.dtype != bool or chosen.shape != (n_samples,) or chosen.all() or not chosen.any():
                raise ValueError(
                    f"validation must be an array of {n_samples} bools, True where a sample is for validation, neither "
                    f"all nor none of them; got {chosen.dtype} of shape {chosen.shape}, {int(np.sum(chosen != 0))} set."
                )
            return np.flatnonzero(~chosen), np.flatnonzero(chosen)
        check_number("validation fraction", self.fraction, low=0, high=1, open_low=True)
        units = np.arange(n_samples) if groups is None else np.asarray(groups)
        if len(units) != n_samples:
            raise ValueError(f"groups has {len(units)} entries, but there are {n_samples} samples.")
        names, member = np.unique(units, return_inverse=True)
        if len(names) < 2:
            raise ValueError(
                f"cannot set a validation split aside from {len(names)} {'sample' if groups is None else 'group'}: at "
                "least 2 are needed. Give more, or train with early_stopping=False."
            )
        n_valid = min(max(int(self.fraction * len(names)), 1), len(names) - 1)
        chosen = np.random.RandomState(self.random_state).permutation(len(names))[:n_valid]
        valid = np.isin(member, chosen)
        return np.flatnonzero(~valid), np.flatnonzero(valid)

    def __call__(
        self, dataset: RatingsDataset, y: Any = None, groups: Any = None
    ) -> tuple[RatingsDataset, RatingsDataset]:
        """Return the training and the validation part of a dataset."""
        train, valid = (dataset.take(rows) for rows in self.rows(len(dataset.X), groups))
        if not (len(train) and len(valid)):
            raise ValueError(
                f"the validation split leaves {len(train)} rated samples for training and {len(valid)} for validation: "
                "both need some. Leave out unrated samples, or try another fraction or random_state."
            )
        return train, valid


def as_tensor(X: Any) -> Tensor:
    """Return features as a float32 tensor that shares memory with a float32 array or tensor."""
    if isinstance(X, Tensor):
        return X.detach().to("cpu", torch.float32)
    X = np.ascontiguousarray(X, dtype=np.float32)
    # joblib hands large arrays to its workers read-only, of which torch warns. Nothing here writes to features.
    return torch.from_numpy(X if X.flags.writeable else np.asarray(_Shared(X)))


class _Shared:
    """The memory of a read-only array, which numpy takes for one that may be written to."""

    def __init__(self, X: np.ndarray) -> None:
        self.X = X
        self.__array_interface__ = X.__array_interface__ | {"data": (X.ctypes.data, False)}


def rows_of(X: Tensor | Features, rows: slice | np.ndarray) -> Tensor:
    """Return some samples as a float32 tensor."""
    if isinstance(X, Features):
        return as_tensor(X[rows])
    return X[rows] if isinstance(rows, slice) else X.index_select(0, torch.from_numpy(rows))


def some_of(X: Tensor | Features, rows: np.ndarray) -> Features:
    """Return some samples, not copied."""
    return select_rows(X if isinstance(X, Features) else X.numpy(), rows)


def check_features(X: Any) -> Tensor | Features:
    """Return finite features, (n_samples, n_features), as a float32 tensor, or streamed; of a dataset its samples'."""
    if isinstance(X, Features):
        return X
    if isinstance(X, RatingsDataset):
        return some_of(X.X, X.rows)
    if not isinstance(X, Tensor):
        if not is_array_like(X):
            raise TypeError(
                f"X must be an array, a DataFrame, a Tensor or a RatingsDataset, got {type(X).__name__}. Of another "
                "dataset collect the features of all samples in one array."
            )
        with np.errstate(over="ignore"):  # what float32 does not hold is refused as infinite
            if is_streamed(X) and X.ndim == 2 and X.size:
                return check_streamed(X)
            return as_tensor(check_array(X, dtype=np.float32))
    if X.ndim != 2 or not X.numel() or X.is_complex() or X.layout != torch.strided:
        raise ValueError(
            f"X must be a dense tensor of real numbers, (n_samples, n_features), neither of them 0; got {X.dtype}, "
            f"{X.layout}, of shape {tuple(X.shape)}."
        )
    X = as_tensor(X)
    if not X.sum().isfinite() and not X.isfinite().all():  # the sum needs no memory
        raise ValueError(f"X contains {'NaN' if X.isnan().any() else 'infinity'}.")
    return X
