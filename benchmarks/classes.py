"""Measure what mapping is worth for labels: politeness in three classes, fluency of speech in four.

    python benchmarks/classes.py {speech,text} [--seeds 3] [--draws 5]

Data and protocol are those of strategies.py. Politeness is cut at 10 and 16 of 1 to 25, fluency at 6, 8 and 9 of 0 to
10. Mean over new annotators, seeds and draws of log loss (lower is better), kappa, kappa with quadratic weights and
macro F1 (higher is better). "ratings blended, then cut" learns the ratings themselves, and cuts what it predicts; it
has no probabilities.
Differences are paired, with 95 % intervals over annotators; of speech, with five of them, over expert and seed.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from command_line import command_line
from data import read_pairs
from intervals import expert_cases, metric_differences
from sklearn.metrics import cohen_kappa_score, f1_score, log_loss
from sklearn.preprocessing import StandardScaler
from tables import print_table

from sklearn_annoser import AnnotatorMappedClassifier, AnnotatorMappedRegressor, Ratings

KEYS = ["annotator", "seed", "draw", "strategy", "n_enrollment"]
SIZES, RESERVED = (5, 10, 20, 30), 30
STRATEGIES: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("source", {"strategy": "random"}),
    "aggregate": ("aggregate", {"strategy": "all"}),
    "aggregate, calibrated": ("aggregate", {"strategy": "all", "calibration": "prior"}),
    "all heads": ("source", {"strategy": "all"}),
    "all heads, calibrated": ("source", {"strategy": "all", "calibration": "prior"}),
    "mapped by likelihood": ("source", {}),
    "mapped by likelihood, calibrated": ("source", {"calibration": "prior"}),
    "mapped by kappa": ("source", {"scoring": "kappa"}),
    "mapped by macro F1": ("source", {"scoring": "f1_macro"}),
    "top 15 by likelihood, calibrated": ("source", {"strategy": "top-n", "n_heads": 15, "calibration": "prior"}),
    "blended": ("source", {"strategy": "blend"}),
    "blended, calibrated": ("source", {"strategy": "blend", "calibration": "prior"}),
}
CUT = "ratings blended, then cut"
PAIRS = (
    ("mapped by likelihood", "random"),
    ("mapped by likelihood", "aggregate"),
    ("mapped by likelihood", "mapped by kappa"),
    ("mapped by likelihood, calibrated", "aggregate, calibrated"),
    ("blended, calibrated", "mapped by likelihood, calibrated"),
    ("blended, calibrated", "aggregate, calibrated"),
    (CUT, "blended, calibrated"),
)


def in_classes(ratings: Ratings, edges: np.ndarray) -> Ratings:
    """Cut ratings of one output, on -1 to 1, into numbered classes."""
    return ratings.with_values(np.digitize(ratings.values, edges).astype(np.float64), classes=True)


def score(true: np.ndarray, predicted: np.ndarray, classes: np.ndarray, probability: Any = None) -> dict[str, float]:
    """Return the three scores of one annotator."""
    warnings.filterwarnings("ignore", message=".*only one label in common")  # kappa is NaN there, and left out
    return {
        "log loss": np.nan if probability is None else log_loss(true, probability.astype(np.float64), labels=classes),
        "kappa": cohen_kappa_score(true, predicted),
        "quadratic kappa": cohen_kappa_score(true, predicted, weights="quadratic"),
        "macro F1": f1_score(true, predicted, labels=classes, average="macro", zero_division=0),
    }


def enrol_and_score(
    models: dict[str, Any], X: np.ndarray, values: np.ndarray, some: np.ndarray, rest: np.ndarray, edges: np.ndarray
) -> dict[str, dict[str, float]]:
    """Enrol one annotator with some of their ratings, in every way, and score the rest."""
    labels, found = np.digitize(values, edges).astype(np.float64), {}
    for name, (who, how) in STRATEGIES.items():
        model = models[who]
        model.select_annotator(X[some], labels[some], **how)
        probability = model.predict_proba(X[rest])
        predicted = model.classes_[probability.argmax(axis=1)]
        found[name] = score(labels[rest], predicted, model.classes_, probability)
    regressor, classes = models["ratings"], models["source"].classes_
    regressor.select_annotator(X[some], values[some], strategy="blend", calibration="affine", n_bootstrap=0)
    found[CUT] = score(labels[rest], np.digitize(regressor.predict(X[rest]), edges), classes)
    return found


def compare(
    models: dict[str, Any], X: np.ndarray, ratings: Ratings, edges: np.ndarray, n_draws: int, seed: int
) -> list[dict[str, Any]]:
    """Enrol every annotator and score the rest."""
    rng, rows = np.random.RandomState(seed), []
    for annotator in ratings.annotators:
        mine, values = ratings.of(annotator)
        for draw in range(n_draws):
            order = rng.permutation(len(mine))
            for size in SIZES:
                found = enrol_and_score(models, X[mine], values, order[:size], order[RESERVED:], edges)
                cell = {"annotator": annotator, "seed": seed, "draw": draw, "n_enrollment": size}
                rows += [cell | {"strategy": name} | scores for name, scores in found.items()]
    return rows


def fit_models(X: np.ndarray, ratings: Ratings, edges: np.ndarray, groups: Any, seed: int, lr: float) -> dict[str, Any]:
    """Fit who knows the labels of each annotator, of all together, and the ratings of each."""
    labels = in_classes(ratings, edges)
    models: dict[str, Any] = {
        "source": AnnotatorMappedClassifier(random_state=seed).fit(X, labels, groups=groups),
        "aggregate": AnnotatorMappedClassifier(variant="aggregate", random_state=seed).fit(X, labels, groups=groups),
        "ratings": AnnotatorMappedRegressor(lr=lr, random_state=seed).fit(X, ratings, groups=groups),
    }
    for model in models.values():  # an integer would draw the same random annotator each time
        model.set_params(random_state=np.random.RandomState(seed))
    return models


def report(results: pd.DataFrame) -> None:
    """Print the means and the differences."""
    mean = results.drop(columns=["annotator", "seed", "draw"]).groupby(["strategy", "n_enrollment"], sort=False).mean()
    print_table("20 enrollment labels", mean.xs(20, level="n_enrollment"))
    differences = {f"{one} - {other}": metric_differences(results, KEYS, one, other, size=20) for one, other in PAIRS}
    print_table("differences at 20 labels", pd.DataFrame(differences).T[list(mean)].rename_axis("difference"))
    for metric in mean:
        print_table(f"{metric} by enrollment labels", mean[metric].unstack())


def main() -> None:
    options = command_line(__doc__, corpora=("speech", "text"), seeds=3, draws=5).parse_args()
    if options.corpus == "text":
        pairs, edges, lr = read_pairs("text"), (np.array([10, 16]) - 13) / 12 + 1e-6, 1e-2
    else:
        pairs, edges, lr = read_pairs("speech", outputs=("fluency",)), (np.array([6, 8, 9]) - 5) / 5 - 1e-6, 5e-3
    rows = []
    for seed in range(options.seeds):
        for source, target in pairs:
            scaler = StandardScaler().fit(source.X)
            X, X_new = (scaler.transform(corpus.X).astype(np.float32) for corpus in (source, target))
            models = fit_models(X, source.ratings, edges, source.get("groups"), seed, lr)
            rows += compare(models, X_new, target.ratings, edges, options.draws, seed)
    results = pd.DataFrame(rows)
    report(expert_cases(results) if options.corpus == "speech" else results)


if __name__ == "__main__":
    main()
