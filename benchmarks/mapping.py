"""Time the mapping of many new annotators to many known ones, and its memory, beside the blend of version 0.1.0.

    python benchmarks/mapping.py [--people 500] [--heads 12913] [--rounds 3] [--only-blend]

Each new annotator has 20 ratings of two outputs. The heads are those of one network (256 hidden features), or of a
committee (five networks, five columns of the consensus, the ridge's and 128 of content: 1,414). Told are the mapping to
the most similar head, and what its confidence (100 resamples) and its forecast take beside it; the blend of version
0.1.0; and the blend and what its forecast takes. The rounds of all alternate; a ratio is to the mapping to the same
heads, the median over rounds. With --only-blend the heads are those of one network, and only the blend and its
forecast are told, which keep no score of each pair. Memory is what is allocated at most, beyond heads and features, in
megabytes.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import former_blend  # noqa: F401 - it adds itself to the strategies
import numpy as np
import pandas as pd
from command_line import command_line
from tables import print_table

from sklearn_annoser import Ratings
from sklearn_annoser.mapping import Enroller, Mapping, Prior, confidences, forecast_scores, learn_prior

N_OUTPUTS, N_RATINGS, N_SAMPLES = 2, 20, 4000
PLAIN = "to the most similar"
WIDTHS = {"one network": (256, 0), "committee": (1414, 128)}


def make_case(width: int, n_content: int, n_people: int, n_heads: int) -> tuple[np.ndarray, np.ndarray, Prior, Ratings]:
    """Return hidden features, known heads, a prior and the ratings of new annotators, drawn at random."""
    rng = np.random.RandomState(0)
    hidden = rng.normal(size=(N_SAMPLES, N_OUTPUTS, width)).astype(np.float32) / np.float32(np.sqrt(width))
    heads = rng.normal(size=(1, N_OUTPUTS, width + 1)).astype(np.float32)
    heads = heads + np.float32(0.3) * rng.normal(size=(n_heads, N_OUTPUTS, width + 1)).astype(np.float32)
    rows = np.concatenate([rng.choice(N_SAMPLES, N_RATINGS, replace=False) for _ in range(n_people)])
    values = np.einsum("roh,oh->ro", hidden[rows], heads[0, :, :-1]) + rng.normal(size=(len(rows), N_OUTPUTS))
    names = [f"rating_{output}" for output in range(N_OUTPUTS)]
    frame = pd.DataFrame(values, columns=names).assign(sample=rows, annotator=np.repeat(np.arange(n_people), N_RATINGS))
    ratings = Ratings.from_long(frame, outputs=names, samples=range(N_SAMPLES))
    prior = learn_prior([hidden], heads.mean(axis=0), ratings, ratings, n_content=n_content)
    return hidden, heads, prior, ratings


def steps(hidden: np.ndarray, heads: np.ndarray, prior: Prior, ratings: Ratings) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name, in an order in which each has what it needs."""
    made: dict[str, Mapping] = {}

    def enrol(strategy: str) -> None:
        enroller = Enroller(heads, prior, strategy, calibration="affine")
        made[strategy] = enroller.enrol(hidden, ratings, with_scores=False)

    def rng() -> np.random.RandomState:
        return np.random.RandomState(0)

    return {
        PLAIN: lambda: enrol("joint"),
        "its confidence": lambda: confidences(made["joint"], rng=rng()),
        "its forecast": lambda: forecast_scores(made["joint"], rng=rng()),
        "former blend": lambda: enrol("former blend"),
        "blend": lambda: enrol("blend"),
        "the blend's forecast": lambda: forecast_scores(made["blend"], rng=rng()),
    }


def main() -> None:
    parser = command_line(__doc__, people=500, heads=12913, rounds=3)
    parser.add_argument("--only-blend", action="store_true")
    options = parser.parse_args()
    timed = {}
    left_out = {("committee", "former blend")}
    for name, width in list(WIDTHS.items())[: 1 if options.only_blend else None]:
        each = steps(*make_case(*width, options.people, options.heads))
        if options.only_blend:
            each = {step: each[step] for step in ("blend", "the blend's forecast")}
        timed |= {(name, step): do for step, do in each.items() if (name, step) not in left_out}
    seconds: dict[tuple[str, str], list[float]] = {name: [] for name in timed}
    peaks = {}
    for number in range(options.rounds + 1):
        for name, do in timed.items():
            if not number:
                tracemalloc.start()
            start = time.perf_counter()
            do()
            if number:
                seconds[name].append(time.perf_counter() - start)
            else:
                peaks[name] = tracemalloc.get_traced_memory()[1] / 2**20
                tracemalloc.stop()
    times = pd.DataFrame(seconds)
    unit = "blend" if options.only_blend else PLAIN
    ratios = {name: (times[name] / times[name[0], unit]).median() for name in timed}
    print_table(
        f"{options.people} people, {options.heads} heads",
        pd.DataFrame({"seconds": times.median(), "ratio": pd.Series(ratios), "memory": pd.Series(peaks)}).rename_axis(
            ["heads of", "mapping"]
        ),
        digits=2,
    )


if __name__ == "__main__":
    main()
