"""Measure what missing outputs, standardized annotators and weights of samples do to a new annotator's predictions.

    python benchmarks/outputs.py {speech,text} [--seeds 3] [--draws 5]

Data and protocol are those of strategies.py, with 20 enrollment ratings. The correlation is that of the mean of all
heads with each new annotator's ratings: it does not depend on scales. Gaps: 30 % of the values of the training ratings
are taken away at random, never all of a rating; "dropped" leaves such ratings out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from command_line import command_line
from data import PROTOCOLS, read_pairs
from tables import print_table

from sklearn_annoser import Ratings
from sklearn_annoser.evaluation import compare_strategies

GAPS = 0.3
STRATEGIES = {
    "mapped": ("source", {"strategy": "joint"}),
    "blended": ("source", {"strategy": "blend", "calibration": "affine"}),
}


def with_gaps(ratings: Ratings, seed: int) -> Ratings:
    """Take a share of the values away."""
    rng, values = np.random.RandomState(seed), ratings.values.copy()
    gone = rng.uniform(size=values.shape) < GAPS
    gone[gone.all(axis=1), 0] = False
    return ratings.with_values(np.where(gone, np.nan, values))


def trainings(ratings: Ratings, seed: int) -> dict[str, tuple[Ratings, np.ndarray | None]]:
    """Name -> ratings to train on, and the weights of the samples."""
    counts = ratings.counts("sample").to_numpy()
    table: dict[str, tuple[Ratings, np.ndarray | None]] = {
        "all": (ratings, None),
        "weighted by raters": (ratings, counts / counts.mean()),
        "standardized": (ratings.standardized(), None),
    }
    if ratings.n_outputs > 1:
        gaps = with_gaps(ratings, seed)
        complete = gaps.keep_ratings(np.isfinite(gaps.values).all(axis=1))
        table |= {"gaps": (gaps, None), "gaps, dropped": (complete, None)}
    return table


def correlation(model: object, X: np.ndarray, ratings: Ratings) -> float:
    """Return the mean over annotators and outputs of the correlation of predictions and ratings."""
    predicted = np.asarray(model.predict(X)).reshape(len(X), -1)  # type: ignore[attr-defined]
    found = []
    for annotator in ratings.annotators:
        rows, values = ratings.of(annotator)
        columns = zip(values.reshape(len(rows), -1).T, predicted[rows].T, strict=True)
        found += [np.corrcoef(true, pred)[0, 1] for true, pred in columns]
    return float(np.mean(found))


def main() -> None:
    options = command_line(__doc__, corpora=("speech", "text"), seeds=3, draws=5).parse_args()
    rows = []
    for seed in range(options.seeds):
        for source, target in read_pairs(options.corpus, seed=seed):
            for name, (ratings, weight) in trainings(source.ratings, seed).items():
                model = PROTOCOLS[options.corpus].make_estimator(random_state=seed)
                fit = {"groups": source.get("groups"), "sample_weight": weight}
                model.fit(source.X, ratings, **{f"annotatormappedregressor__{key}": fit[key] for key in fit})
                row = {"training": name, "correlation": correlation(model, target.X, target.ratings)}
                if name != "standardized":  # whose predictions are on another scale
                    results = compare_strategies(
                        model,
                        target.X,
                        target.ratings,
                        strategies=STRATEGIES,
                        n_reserved=30,
                        n_draws=options.draws,
                        random_state=seed,
                    )
                    row |= results.groupby("strategy")["ccc"].mean().to_dict()
                rows.append(row)
    print_table("Correlation and CCC by training", pd.DataFrame(rows).groupby("training", sort=False).mean())


if __name__ == "__main__":
    main()
