"""Measure what missing outputs, standardized annotators and weights of samples do to a new annotator's predictions.

    python benchmarks/outputs.py {speech,text} [--seeds 3] [--draws 5]

Data and protocol are those of strategies.py, with 20 enrollment ratings. The correlation is that of the mean of all
heads with each new annotator's ratings: it does not depend on scales. Gaps: 30 % of the values of the training ratings
are taken away at random, never all of a rating; "dropped" leaves such ratings out.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from data import read_speech, read_text
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import print_table

from sklearn_annoser import AnnotatorMappedRegressor, Ratings
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=("speech", "text"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()
    source, target = read_speech() if options.corpus == "speech" else read_text()
    rate = {"lr": 5e-3} if options.corpus == "speech" else {}
    new = [[label] for label in target.ratings.annotators] if options.corpus == "speech" else [None]
    rows = []
    for seed in range(options.seeds):
        for left_out in new:
            known = source.ratings.annotators[~np.isin(source.ratings.annotators, left_out or [])]
            own = target.ratings if left_out is None else target.ratings.keep_annotators(left_out)
            for name, (ratings, weight) in trainings(source.ratings.keep_annotators(known), seed).items():
                model = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(random_state=seed, **rate))
                fit = {"groups": source.get("groups"), "sample_weight": weight}
                model.fit(source.X, ratings, **{f"annotatormappedregressor__{key}": fit[key] for key in fit})
                row = {"training": name, "correlation": correlation(model, target.X, own)}
                if name != "standardized":  # whose predictions are on another scale
                    results = compare_strategies(
                        model,
                        target.X,
                        own,
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
