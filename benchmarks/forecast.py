"""Measure whether the forecast of a mapping's CCC holds, and whether leaving out the least promising annotators helps.

    python benchmarks/forecast.py {speech,text,expressive,odour,odour-within} [--seeds 5] [--draws 10] [--figure PATH]

Data, protocol and what is recommended are those of strategies.py. The forecast is made from the enrollment ratings
alone, and compared with the CCC on all ratings beyond the reserved ones; intervals allow for the number of those. The
rank correlation is that of the annotators in each draw, averaged over draws and outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from command_line import command_line
from data import NAMES, PROTOCOLS, read_pairs
from tables import print_table

from sklearn_annoser import AnnotatorCommittee, AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.displays import ForecastDisplay
from sklearn_annoser.evaluation import check_forecasts, coverage_table, risk_coverage
from sklearn_annoser.evaluation._cross_corpus import fit_on_corpus

RECOMMENDED = "recommended"
COMPARED = {  # by whom, and how
    "mapped": (AnnotatorMappedRegressor, {"strategy": "joint"}),
    RECOMMENDED: (AnnotatorCommittee, {"strategy": "blend", "calibration": "affine"}),
}
SIZES = (5, 10, 20)
SHARES = (1.0, 0.75, 0.5, 0.25)


def trained(corpus: str, seeds: range) -> Iterator[tuple[int, str, AnnotatorMapper, Any]]:
    """Walk over seeds and strategies: mappers of fitted models, and what new annotators have rated."""
    for seed in seeds:
        for source, target in read_pairs(corpus, seed=seed):
            for name, (kind, how) in COMPARED.items():
                estimator = PROTOCOLS[corpus].make_estimator(kind, random_state=seed)
                model = fit_on_corpus(estimator, source, source.ratings)
                yield seed, name, AnnotatorMapper(model, **how), target


def quality(results: pd.DataFrame) -> pd.DataFrame:
    """Return how near forecasts are, by enrollment ratings."""
    one = results[results["level"] == results["level"].iloc[0]]
    rows = {}
    for keys, part in one.groupby(["strategy", "n_enrollment"], sort=False):
        error = part["expected"] - part["ccc"]
        rows[keys] = {
            "CCC": part["ccc"].mean(),
            "expected": part["expected"].mean(),
            "mean error": error.abs().mean(),
            "rank correlation": ranked(part),
        }
    return pd.DataFrame(rows).T.rename_axis(["strategy", "n_enrollment"])


def ranked(results: pd.DataFrame) -> float:
    """Return the rank correlation of forecasts and CCC over annotators, averaged over draws and outputs."""
    draws = results.groupby(["seed", "draw", "output"])
    return float(np.nanmean([draw["expected"].corr(draw["ccc"], method="spearman") for _, draw in draws]))


def kept(results: pd.DataFrame) -> pd.DataFrame:
    """Return the mean CCC if only the most promising are served."""
    rows = {}
    for keys, part in results.groupby(["strategy", "n_enrollment"], sort=False):
        curve = risk_coverage(part)
        rows[keys] = {f"best {share:.0%}": np.interp(share, curve["coverage"], curve["ccc"]) for share in SHARES}
    return pd.DataFrame(rows).T.rename_axis(["strategy", "n_enrollment"])


def main() -> None:
    parser = command_line(__doc__, corpora=NAMES, seeds=5, draws=10)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    protocol, frames = PROTOCOLS[options.corpus], []
    sizes = {"enrollment": SIZES, "n_reserved": protocol.n_reserved, "n_draws": options.draws}
    for seed, name, mapper, target in trained(options.corpus, range(options.seeds)):
        results = check_forecasts(mapper, target.X, target.ratings, random_state=seed, **sizes)
        frames.append(results.assign(strategy=name, seed=seed))
    results = pd.concat(frames, ignore_index=True)
    print_table("Forecast and truth", quality(results))
    print_table("Share of intervals that hold", coverage_table(results, by=("strategy", "n_enrollment")))
    print_table("CCC of the most promising annotators", kept(results))
    if options.figure:
        at_20 = results[(results["n_enrollment"] == 20) & (results["strategy"] == RECOMMENDED)]
        ForecastDisplay.from_results(at_20, title=f"{options.corpus}: {RECOMMENDED}, 20 ratings").figure_.savefig(
            options.figure, dpi=150
        )


if __name__ == "__main__":
    main()
