"""Measure on real corpora what mapping is worth for a new annotator, and ways to do better than the paper's.

    python benchmarks/strategies.py {speech,text,expressive,odour,odour-within} [--seeds 5] [--draws 10]
                                    [--recommended blended]

The protocols are those of data.py. Some ratings of each new annotator, 30 or 20, are reserved for enrollment, of which
the first few are used; all others are scored. Gains are those of the recommended strategy over each other one, paired,
annotator by annotator, with 95 % intervals: over resampled annotators, but for speech, with five of them, over the
cells of expert and seed. Of several outputs, the mean comes first.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from command_line import command_line
from data import NAMES, PROTOCOLS, Protocol, read_pairs
from intervals import gains, with_mean_output
from tables import print_table
from tqdm.auto import tqdm

from sklearn_annoser.evaluation import STRATEGIES, cross_corpus

RECOMMENDED = "blended"
BLEND = {"strategy": "blend", "calibration": "affine"}
COMPARED = {name: how for name, how in STRATEGIES.items() if name != "blended"} | {
    "all heads, calibrated": ("source", {"strategy": "all", "calibration": "affine"}),
    "top-15, calibrated": ("source", {"strategy": "top-n", "n_heads": 15, "calibration": "affine"}),
    "blended, not calibrated": ("source", {"strategy": "blend"}),
    "aggregate, blended": ("aggregate", BLEND),
    "blended": ("source", BLEND),
}


def compare(name: str, seeds: Iterable[int], n_draws: int) -> pd.DataFrame:
    """Train, enrol and score."""
    protocol = PROTOCOLS[name]
    how = {"enrollment": protocol.sizes, "n_reserved": protocol.n_reserved, "n_draws": n_draws}
    frames = []
    for seed in seeds:
        for source, target in tqdm(read_pairs(name, seed=seed), desc=f"seed {seed}"):
            estimator = protocol.make_estimator()
            frames.append(cross_corpus(estimator, source, target, strategies=COMPARED, seeds=(seed,), **how))
    return pd.concat(frames, ignore_index=True)


def print_scores(results: pd.DataFrame) -> None:
    """Print the CCC by enrollment ratings; first, of several outputs, their mean."""
    results = with_mean_output(results)
    by_size = results.groupby(["strategy", "output", "n_enrollment"], sort=False)["ccc"].mean().unstack()
    for output in pd.unique(results["output"])[::-1]:
        print_table(f"CCC by enrollment ratings, {output}", by_size.xs(output, level="output"))


def print_gains(results: pd.DataFrame, one: str, protocol: Protocol) -> None:
    """Print the gains of a strategy over all others; first, of several outputs, that of their mean."""
    table = gains(results, one, as_cells=protocol.few_annotators)
    for output in pd.unique(table.index.get_level_values("output"))[::-1]:
        print_table(f"Gain of {one} over others, {output}", table.xs(output, level="output"))


def main() -> None:
    parser = command_line(__doc__, corpora=NAMES, seeds=5, draws=10)
    parser.add_argument("--recommended", choices=COMPARED, default=RECOMMENDED)
    options = parser.parse_args()
    results = compare(options.corpus, range(options.seeds), options.draws)
    print_scores(results)
    print_gains(results, options.recommended, PROTOCOLS[options.corpus])


if __name__ == "__main__":
    main()
