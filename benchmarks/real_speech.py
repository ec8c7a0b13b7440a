"""Measure on speechocean762, one expert left out, what mapping is worth for a new expert.

    python benchmarks/real_speech.py [--seeds 3] [--draws 10]

Source: the train split and four experts. Target: the test split (other speakers) and the expert left out. Of the test
ratings 30 are reserved for enrollment, all others are scored. CCC, mean over experts, seeds and draws.
"""

from __future__ import annotations

import argparse

import pandas as pd
from data import read_speech
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import gains, print_table

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.evaluation import STRATEGIES, leave_one_annotator_out, summarize_strategies

PAIRS = [("mapped", "random"), ("mapped", "aggregate"), ("mapped, calibrated", "mapped")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=10)
    options = parser.parse_args()
    source, target = read_speech()
    results = leave_one_annotator_out(
        make_pipeline(StandardScaler(), AnnotatorMappedRegressor(lr=5e-3)),
        source,
        target,
        seeds=range(options.seeds),
        strategies=STRATEGIES
        | {"top-2, calibrated": ("source", {"strategy": "top-n", "n_heads": 2, "calibration": "affine"})},
        enrollment=(5, 10, 15, 20, 30),
        n_reserved=30,
        n_draws=options.draws,
        verbose=1,
    )
    at_20 = results[results["n_enrollment"] == 20]
    print_table("CCC with 20 enrollment ratings", summarize_strategies(at_20))
    print_table("Gain with 20 enrollment ratings, with its standard deviation over the seeds", gains(at_20, PAIRS))
    by_size = results.groupby(["strategy", "output", "n_enrollment"], sort=False)["ccc"].mean().unstack()
    for output in pd.unique(results["output"]):
        print_table(f"CCC by enrollment ratings, {output}", by_size.xs(output, level="output"))


if __name__ == "__main__":
    main()
