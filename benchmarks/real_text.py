"""Measure on politeness, Wikipedia to Stack Exchange, what mapping is worth for unknown raters.

    python benchmarks/real_text.py [--seeds 3] [--draws 10]

Source: Wikipedia's raters with at least 30 ratings. Target: Stack Exchange's raters unknown to Wikipedia with at least
60, of which 30 are reserved for enrollment and the rest is scored. CCC, mean over raters, seeds and draws.
"""

from __future__ import annotations

import argparse

from data import read_text
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import gains, print_table

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.evaluation import STRATEGIES, cross_corpus, summarize_strategies

TOP_15 = {"strategy": "top-n", "n_heads": 15}
PAIRS = [
    ("mapped", "random"),
    ("mapped", "aggregate"),
    ("mapped, calibrated", "mapped"),
    ("mapped, calibrated", "aggregate"),
    ("top-15, calibrated", "mapped, calibrated"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=10)
    options = parser.parse_args()
    source, target = read_text()
    more = {
        "top-15": ("source", TOP_15),
        "top-15, calibrated": ("source", TOP_15 | {"calibration": "affine"}),
        "all heads, calibrated": ("source", {"strategy": "all", "calibration": "affine"}),
    }
    results = cross_corpus(
        make_pipeline(StandardScaler(), AnnotatorMappedRegressor()),
        source,
        target,
        seeds=range(options.seeds),
        strategies=STRATEGIES | more,
        enrollment=(5, 10, 15, 20, 30),
        n_reserved=30,
        n_draws=options.draws,
        verbose=1,
    )
    at_20 = results[results["n_enrollment"] == 20]
    print_table("CCC with 20 enrollment ratings", summarize_strategies(at_20))
    print_table("Gain with 20 enrollment ratings, with its standard deviation over the seeds", gains(at_20, PAIRS))
    by_size = results.groupby(["strategy", "n_enrollment"], sort=False)["ccc"].mean().unstack()
    print_table("CCC by enrollment ratings", by_size)


if __name__ == "__main__":
    main()
