"""Run the paper's protocol on open corpora: politeness across sites, and speech across age groups.

    python benchmarks/protocol.py politeness [--seeds 5] [--out protocol]
    python benchmarks/protocol.py speech [--seeds 3] [--out protocol]

Politeness: Wikipedia's raters with 30 ratings are the source; the target are Stack Exchange's raters unknown to it, in
five folds of its requests. An annotator needs 30 ratings in the training split. Enrollment 5 to 30, and all.

Speech: speechocean762 from children to adults and from adults to children, one expert left out. Of the expert's
ratings 30 are reserved for enrollment, ten draws.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from command_line import command_line
from data import data_folder, read_text
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from tables import print_table

from sklearn_annoser import AnnotatorMappedRegressor, Ratings
from sklearn_annoser.datasets import read_speechocean762
from sklearn_annoser.displays import EnrollmentDisplay
from sklearn_annoser.evaluation import (
    STRATEGIES,
    bootstrap_interval,
    leave_one_annotator_out,
    mapping_stability,
    paired_ttest,
    summarize_strategies,
)
from sklearn_annoser.reproduce import PAPER_STRATEGIES, reproduce, summarize_levels

PAIRS = [("mapped", "random"), ("mapped", "aggregate"), ("mapped, calibrated", "aggregate, calibrated")]
SIZES = (5, 10, 15, 20, 25, 30)


def politeness(n_seeds: int, out: Path) -> None:
    """Wikipedia to Stack Exchange."""
    source, target = read_text()
    estimator = make_pipeline(StandardScaler(), AnnotatorMappedRegressor())
    results = reproduce(
        source,
        {"Stack Exchange": target},
        estimator=estimator,
        out=out,
        strategies=PAPER_STRATEGIES,
        enrollment=(*SIZES, "all"),
        seeds=range(n_seeds),
        verbose=1,
    )
    print_table("All ratings of the training split enrolled", summarize_levels(results))
    own = results[results["level"] == "individual"]
    by_size = own.groupby(["strategy", "n_enrollment"], sort=False)["ccc"].mean().unstack()
    print_table("CCC with each annotator, by enrollment ratings", by_size)
    print_significance(results, source.ratings.n_annotators)


def print_significance(results: pd.DataFrame, n_source: int) -> None:
    """Print what holds, over runs and over annotators, and how stable the mapping is."""
    whole = results[results["n_enrollment"].astype(str) == "all"]
    tests, intervals = {}, {}
    for one, other in PAIRS:
        name = f"{one} - {other}"
        plain, corrected = (paired_ttest(whole, one, other, corrected=corrected) for corrected in (False, True))
        tests[name] = plain.assign(**{"p, corrected": corrected["p"]})
        intervals[name] = bootstrap_interval(whole, one, other, random_state=0)
    for title, tables in (("Gain over runs: paired t-test", tests), ("Gain over annotators, 95 % interval", intervals)):
        table = pd.concat(tables, names=["gain"]).droplevel(1)
        print_table(title, table.drop(columns=["n_enrollment", "output"]), digits=4)
    own = results[results["level"] == "individual"]
    stability = mapping_stability(own, n_source=n_source)
    table = stability.groupby(["over", "n_enrollment"], sort=False, dropna=False)[
        ["agreement", "share", "chance"]
    ].mean()
    print_table("How often two runs choose the same source annotator", table)


def speech(n_seeds: int, out: Path) -> None:
    """Children to adults and back, one expert left out."""
    parts = [read_speechocean762(data_folder() / "speechocean762", split=split) for split in ("train", "test")]
    X = np.concatenate([part.X for part in parts])
    table = pd.concat([part.utterances for part in parts], ignore_index=True)
    long = pd.concat([part.ratings.to_long() for part in parts], ignore_index=True)
    for source_group, target_group in (("child", "adult"), ("adult", "child")):
        source, target = (_group(X, table, long, group) for group in (source_group, target_group))
        results = leave_one_annotator_out(
            make_pipeline(StandardScaler(), AnnotatorMappedRegressor(lr=5e-3)),
            source,
            target,
            seeds=range(n_seeds),
            strategies=STRATEGIES,
            enrollment=SIZES,
            n_reserved=30,
            n_draws=10,
            verbose=1,
        )
        title = f"speechocean762, {source_group} to {target_group}"
        out.mkdir(parents=True, exist_ok=True)
        figure = EnrollmentDisplay.from_results(results, title=title).figure_
        figure.savefig(out / f"speech-{source_group}-to-{target_group}.png", dpi=150)
        print_table(f"{title}, 20 enrollment ratings", summarize_strategies(results[results["n_enrollment"] == 20]))
        by_size = results.groupby(["strategy", "output", "n_enrollment"], sort=False)["ccc"].mean().unstack()
        for output in pd.unique(results["output"]):
            print_table(f"{title}, {output}, by enrollment ratings", by_size.xs(output, level="output"))


def _group(X: np.ndarray, table: pd.DataFrame, long: pd.DataFrame, group: str) -> Bunch:
    """Return the utterances of children or of adults."""
    rows = np.flatnonzero(table["group"] == group)
    items = table["item_id"].iloc[rows]
    outputs = [column for column in long.columns if column not in ("sample", "annotator")]
    some = long[long["sample"].isin(items)]
    ratings = Ratings.from_long(some, outputs=outputs, samples=items, scale=(-1, 1))
    return Bunch(X=X[rows], ratings=ratings, groups=table["speaker"].to_numpy()[rows])


def main() -> None:
    parser = command_line(__doc__, corpora=("politeness", "speech"), seeds=5)
    parser.add_argument("--out", type=Path, default=Path("protocol"))
    options = parser.parse_args()
    if options.corpus == "politeness":
        politeness(options.seeds, options.out)
    else:
        speech(options.seeds, options.out)


if __name__ == "__main__":
    main()
