"""Time the mapping of many new annotators to many known ones, and its memory, beside the blend of version 0.1.0.

    python benchmarks/mapping.py [--people 500] [--heads 12913] [--rounds 3]

Each new annotator has 20 ratings of two outputs. The former blend maps to the heads of one network (256 hidden
features), the blend to those of one network and to those of a committee (five networks, five columns of the consensus,
the ridge's and 128 of content: 1,414). The rounds of all alternate; a ratio is the median over rounds. Memory is what a
mapping allocates at most, beyond heads and features, in megabytes.
"""

from __future__ import annotations

import time
import tracemalloc

import former_blend  # noqa: F401 - it adds itself to the strategies
import numpy as np
import pandas as pd
from command_line import command_line
from tables import print_table

from sklearn_annoser import Ratings
from sklearn_annoser.mapping import Enroller, Prior, learn_prior

N_OUTPUTS, N_RATINGS, N_SAMPLES = 2, 20, 4000
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


def main() -> None:
    options = command_line(__doc__, people=500, heads=12913, rounds=3).parse_args()
    cases = {name: make_case(*width, options.people, options.heads) for name, width in WIDTHS.items()}
    mapped = {
        "former blend, one network": ("one network", "former blend"),
        "blend, one network": ("one network", "blend"),
        "blend, committee": ("committee", "blend"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in mapped}
    peaks = {}
    for number in range(options.rounds + 1):
        for name, (case, strategy) in mapped.items():
            hidden, heads, prior, ratings = cases[case]
            if not number:
                tracemalloc.start()
            start = time.perf_counter()
            Enroller(heads, prior, strategy, calibration="affine").enrol(hidden, ratings, with_scores=False)
            if number:
                seconds[name].append(time.perf_counter() - start)
            else:
                peaks[name] = tracemalloc.get_traced_memory()[1] / 2**20
                tracemalloc.stop()
    times = pd.DataFrame(seconds)
    ratios = times.div(times["former blend, one network"], axis=0).median()
    print_table(
        f"{options.people} people, {options.heads} heads",
        pd.DataFrame({"seconds": times.median(), "ratio": ratios, "memory": pd.Series(peaks)}),
        digits=2,
    )


if __name__ == "__main__":
    main()
