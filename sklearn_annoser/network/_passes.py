"""Hidden features of many samples, by passes through a network that all have the same shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sklearn_annoser._features import Features
from sklearn_annoser.network._data import check_features, rows_of
from sklearn_annoser.network._torch_state import full_precision

PASS_ROWS = 128  # fewer waste time with many samples, more with few
ALL = slice(None)


def hidden_blocks(
    module: Any, X: Any, *, n_features: int | None, device: Any, block_rows: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Walk over what the heads see of each sample, (n_block, n_outputs, n_hidden), in blocks of samples."""
    X = check_features(X)
    if n_features is not None and X.shape[1] != n_features:
        raise ValueError(f"X has {X.shape[1]} features, but the net was trained on {n_features}.")
    module.eval()
    for start in range(0, len(X), block_rows):
        rows = slice(start, min(start + block_rows, len(X)))
        yield rows, in_passes(module.hidden, X, device, rows).transpose(0, 1).numpy()


def in_passes(function: Any, X: Tensor | Features, device: Any, rows: slice = ALL) -> Tensor:
    """Return a function of some samples, (n_outputs, n_samples, ...), by passes that all have the same shape.

    The kernel of a matrix product depends on its shape, and the last digit on the kernel: this way no sample's
    depends on how many there are beside it.
    """
    passes = []
    with torch.inference_mode(), full_precision():
        start, stop, _ = rows.indices(len(X))
        for first in range(start, stop, PASS_ROWS):
            part = rows_of(X, slice(first, min(first + PASS_ROWS, stop)))
            full = F.pad(part, (0, 0, 0, PASS_ROWS - len(part)))
            passes.append(function(full.to(device))[:, : len(part)].cpu())
    return torch.cat(passes, dim=1)
