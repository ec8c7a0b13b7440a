"""Batches of several networks that train side by side, each with samples of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_annoser.network._data import RatingsDataset, rows_of


@dataclass(frozen=True, slots=True)
class StackBatch:
    """Some samples for each member, and all of their ratings, filled up to the largest number of each."""

    X: Tensor  # (n_members, n_samples, n_features): the filling is samples without their ratings
    heads: Tensor  # (n_members, n_heads): the heads that a member's ratings need, each once, then n_annotators
    pairs: Tensor  # (n_members, n_ratings): a rating's place in (n_samples, n_heads), flattened, then 0
    y: Tensor  # (n_members, n_outputs, n_ratings)
    weight: Tensor  # (n_members, n_outputs, n_ratings), 0 where nothing was rated

    def to(self, device: Any) -> StackBatch:
        """Return the batch on a device."""
        if torch.device(device).type == self.X.device.type == "cpu":
            return self
        return StackBatch(**{each.name: getattr(self, each.name).to(device) for each in fields(self)})


def cut_batch(dataset: RatingsDataset, rows: Sequence[np.ndarray]) -> StackBatch:
    """Return the samples in some rows of a dataset for each member, with their ratings."""
    n_members, n_samples = len(rows), max(map(len, rows))
    n_annotators = dataset.ratings.n_annotators
    filled = np.stack([each if len(each) == n_samples else np.resize(each, n_samples) for each in rows])
    first = np.arange(n_members) * n_samples
    counts, take = dataset.ratings_of(np.concatenate(rows))
    place = np.concatenate([at + np.arange(len(each)) for at, each in zip(first, rows, strict=True)])
    sample = np.repeat(place, counts)
    member = sample // n_samples
    keys, key = np.unique(member * n_annotators + dataset.ratings.codes[take], return_inverse=True)
    n_heads, number = _number_within(keys // n_annotators, n_members)
    heads = np.full((n_members, n_heads), n_annotators)
    heads[keys // n_annotators, number] = keys % n_annotators
    n_ratings, slot = _number_within(member, n_members)
    pairs = np.zeros((n_members, n_ratings), dtype=np.int64)
    pairs[member, slot] = sample % n_samples * n_heads + number[key]
    values, weights = dataset.values_of(take)
    y, weight = np.zeros((2, n_members, values.shape[1], n_ratings), dtype=np.float32)
    y[member, :, slot] = values
    weight[member, :, slot] = 1 if weights is None else weights
    X = rows_of(dataset.X, filled.ravel()).view(n_members, n_samples, -1)
    return StackBatch(X, *map(torch.from_numpy, (heads, pairs, y, weight)))


def _number_within(group: np.ndarray, n_groups: int) -> tuple[int, np.ndarray]:
    """Return the size of the largest group, and the number of each item within its group; groups are in order."""
    sizes = np.bincount(group, minlength=n_groups)
    return int(sizes.max()), np.arange(len(group)) - (sizes.cumsum() - sizes)[group]
