"""Time the mapping of 100 new annotators to 12,913 heads against a plain loop over the heads.

    python benchmarks/selection.py [--rounds 5]

Each new annotator has 30 ratings of two outputs. The plain loop predicts all heads by one matrix product for each new
annotator and output, then calls a CCC function for each head, and takes the best sum. Each round times it on `--loop`
other annotators and scales up. Both must choose the same head for everyone compared: with five rounds of 20, for all.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from command_line import command_line
from tables import print_table

from sklearn_annoser import Ratings
from sklearn_annoser.mapping import Enroller

N_HEADS, N_TARGETS, N_RATINGS, N_OUTPUTS, N_HIDDEN = 12_913, 100, 30, 2, 256


def ccc(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Return the concordance of two vectors, as one would write it."""
    mean_true, mean_pred = y_true.mean(), y_pred.mean()
    covariance = ((y_true - mean_true) * (y_pred - mean_pred)).mean()
    return 2 * covariance / (y_true.var() + y_pred.var() + (mean_true - mean_pred) ** 2)


def plain_loop(hidden: np.ndarray, heads: np.ndarray, ratings: Ratings, targets: np.ndarray) -> list[int]:
    """Return the head with the best sum of CCC for some targets."""
    chosen = []
    for target in targets:
        rows, values = ratings.of(ratings.annotators[target])
        total = np.zeros(len(heads))
        for output in range(N_OUTPUTS):
            pred = hidden[rows, output].astype(np.float64) @ heads[:, output, :-1].T + heads[:, output, -1]
            total += [ccc(values[:, output], pred[:, head]) for head in range(len(heads))]
        chosen.append(int(total.argmax()))
    return chosen


def simulate(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Ratings]:
    """Return hidden features, heads that share a direction, and targets that resemble one head each."""
    shape = (N_TARGETS * N_RATINGS, N_OUTPUTS, N_HIDDEN)
    hidden = np.maximum(rng.normal(size=shape), 0).astype(np.float32)
    common = rng.normal(size=(1, N_OUTPUTS, N_HIDDEN + 1))
    heads = ((common + rng.normal(size=(N_HEADS, N_OUTPUTS, N_HIDDEN + 1))) / 16).astype(np.float32)
    own = rng.integers(N_HEADS, size=N_TARGETS).repeat(N_RATINGS)
    values = np.einsum("noh,noh->no", hidden, heads[own][:, :, :-1]) + heads[own][:, :, -1]
    values += rng.normal(size=values.shape)
    return hidden, heads, Ratings.from_rows(values, np.arange(N_TARGETS).repeat(N_RATINGS))


def main() -> None:
    options = command_line(__doc__, rounds=5, loop=20).parse_args()
    hidden, heads, ratings = simulate(np.random.default_rng(0))
    same, compared, rows = 0, 0, []
    enroller = Enroller(heads)
    enroller.enrol(hidden, ratings)  # warm up
    for round_ in range(options.rounds):
        start = time.perf_counter()
        mapping = enroller.enrol(hidden, ratings)
        package = time.perf_counter() - start
        targets = np.arange(round_ * options.loop, (round_ + 1) * options.loop) % N_TARGETS
        start = time.perf_counter()
        chosen = plain_loop(hidden, heads, ratings, targets)
        loop = (time.perf_counter() - start) * N_TARGETS / len(targets)
        assert mapping.chosen is not None
        same += int((mapping.chosen[targets, 0, 0] == chosen).sum())
        compared += len(targets)
        rows.append({"package, s": package, "plain loop, s": loop, "ratio": loop / package})
    table = pd.DataFrame(rows).agg(["median", "min", "max"]).rename_axis("over rounds")
    print_table("100 new annotators x 30 ratings x 2 outputs, 12,913 heads", table)
    print(f"\nsame choice: {same} of {compared}")


if __name__ == "__main__":
    main()
