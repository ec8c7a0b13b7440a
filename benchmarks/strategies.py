"""Measure on real corpora what mapping is worth for a new annotator, and ways to do better than the paper's.

    python benchmarks/strategies.py {speech,text} [--seeds 5] [--draws 10]

Speech: speechocean762, one expert left out. Source: the train split and four experts; target: the test split (other
speakers) and the expert left out. Text: politeness; source: Wikipedia's raters with at least 30 ratings; target: Stack
Exchange's raters unknown to Wikipedia with at least 60.

30 ratings of each new annotator are reserved for enrollment, of which 5, 10, 20 or 30 are used; all others are scored.
Gains are paired, annotator by annotator, with 95 % intervals: for text over resampled annotators, for speech, with five
of them, over the cells of expert and seed.
"""

from __future__ import annotations

import pandas as pd
from command_line import command_line
from data import read_speech, read_text
from intervals import expert_cases, told
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import print_table

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.evaluation import (
    STRATEGIES,
    bootstrap_interval,
    cross_corpus,
    leave_one_annotator_out,
    summarize_strategies,
)

BLEND = {"strategy": "blend", "calibration": "affine"}
COMPARED = {name: how for name, how in STRATEGIES.items() if name != "blended"} | {
    "all heads, calibrated": ("source", {"strategy": "all", "calibration": "affine"}),
    "top-15, calibrated": ("source", {"strategy": "top-n", "n_heads": 15, "calibration": "affine"}),
    "blended, not calibrated": ("source", {"strategy": "blend"}),
    "aggregate, blended": ("aggregate", BLEND),
    "blended": ("source", BLEND),
}
RIVALS = ("mapped", "aggregate", "mapped, calibrated", "aggregate, calibrated", "all heads, calibrated", "oracle")


def compare(corpus: str, seeds: range, n_draws: int) -> pd.DataFrame:
    """Train, enrol and score."""
    options = {
        "strategies": COMPARED,
        "enrollment": (5, 10, 20, 30),
        "n_reserved": 30,
        "n_draws": n_draws,
        "seeds": seeds,
        "verbose": 1,
    }
    source, target = read_speech() if corpus == "speech" else read_text()
    if corpus == "speech":
        estimator = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(lr=5e-3))
        return leave_one_annotator_out(estimator, source, target, **options)
    return cross_corpus(make_pipeline(StandardScaler(), AnnotatorMappedRegressor()), source, target, **options)


def gains(results: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """Return the mean gain of blending over each rival, with its interval, by enrollment ratings."""
    if corpus == "speech":
        results = expert_cases(results)
    if results["output"].nunique() > 1:  # beside the outputs, their mean
        keys = ["annotator", "strategy", "seed", "draw", "n_enrollment"]
        mean = results.groupby(keys, sort=False)["ccc"].mean().reset_index().assign(output="mean")
        results = pd.concat([results, mean], ignore_index=True)
    rows = []
    for rival in RIVALS:
        table = bootstrap_interval(results, "blended", rival, random_state=0)
        rows.append(table.assign(gain=f"blended - {rival}", told=told(table)))
    wide = pd.concat(rows).set_index(["gain", "output", "n_enrollment"])["told"].unstack()
    return wide.loc[[f"blended - {rival}" for rival in RIVALS]]


def main() -> None:
    options = command_line(__doc__, corpora=("speech", "text"), seeds=5, draws=10).parse_args()
    results = compare(options.corpus, range(options.seeds), options.draws)
    at_20 = results[results["n_enrollment"] == 20]
    print_table("CCC with 20 enrollment ratings", summarize_strategies(at_20))
    by_size = results.groupby(["strategy", "output", "n_enrollment"], sort=False)["ccc"].mean().unstack()
    for output in pd.unique(results["output"]):
        print_table(f"CCC by enrollment ratings, {output}", by_size.xs(output, level="output"))
    print_table("Gain of blending, with 95 % intervals", gains(results, options.corpus))


if __name__ == "__main__":
    main()
