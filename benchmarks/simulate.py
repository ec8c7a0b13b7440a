"""Corpora of a given size whose annotators have a long tail, as crowds do: a few rate thousands, most a few dozen."""

from __future__ import annotations

import numpy as np

from sklearn_annoser import Ratings


def long_tailed_ratings(n_samples: int, n_annotators: int, per_sample: float, *, n_outputs: int, seed: int) -> Ratings:
    """Draw 4 to 7 or so different annotators for each sample, annotator number r with a probability of about 1 / r."""
    rng = np.random.default_rng(seed)
    low = int(per_sample)
    counts = low + (rng.random(n_samples) < per_sample - low)
    rows = np.repeat(np.arange(n_samples), counts)
    weight = 1 / (np.arange(n_annotators) + 10.0) ** 0.8
    codes = rng.choice(n_annotators, size=len(rows), p=weight / weight.sum())
    # Nobody rates a sample twice: draw again, uniformly, until that is so.
    while True:
        _, first = np.unique(rows * n_annotators + codes, return_index=True)
        again = np.setdiff1d(np.arange(len(rows)), first)
        if not len(again):
            break
        codes[again] = rng.integers(n_annotators, size=len(again))
    values = rng.uniform(-1, 1, size=(len(rows), n_outputs)).astype(np.float32)
    return Ratings(
        np.concatenate([[0], counts.cumsum()]),
        codes,
        values,
        annotators=np.char.add("worker_", np.arange(n_annotators).astype(str)),
        outputs=["activation", "valence"][:n_outputs],
        scale=(-1, 1),
    )
