"""Measure on real corpora what the annotators' heads tell of the annotators.

    python benchmarks/annotators.py [--seeds 5] [--parts speech text chance scale]

For each corpus: agreement of the ratings; for models of several seeds similarity, map, groups and outliers; drift along
the order of the files. Two questions have numbers for an answer: is the similarity of the heads the same for every seed
(rank correlation of the matrices), and is it that of the ratings that two annotators gave to common samples? Then how
often chance finds something where nothing is; and seconds and peak memory for the annotators of a corpus of the size of
MSP-Podcast, with simulated heads.
"""

from __future__ import annotations

import itertools
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from command_line import command_line
from data import read_speech, read_text
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import print_table

from sklearn_annoser import AnnotatorMappedRegressor, Ratings
from sklearn_annoser.annotators import (
    agreement_table,
    annotator_agreement,
    annotator_drift,
    annotator_outliers,
    annotator_similarity,
    cluster_annotators,
    embed_annotators,
    pairwise_ccc,
)
from sklearn_annoser.estimators import AnnotatorPredictor
from sklearn_annoser.estimators._unit_scale import UnitScale

N_ANNOTATORS, N_HIDDEN, N_SAMPLES = 12_913, 256, 13_449
PARTS = ["speech", "text", "chance", "scale"]
KINDS = {"CCC of predictions": True, "cosine of heads": False}


def of_pairs(matrix: pd.DataFrame) -> np.ndarray:
    """Return what stands above the diagonal."""
    return matrix.to_numpy()[np.triu_indices(len(matrix), 1)]


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(spearmanr(one, other).statistic)


def over_seeds(values: list[np.ndarray], compare: Callable[[Any, Any], float]) -> dict[str, float]:
    """Return mean and extremes of a comparison of every two seeds."""
    found = [compare(one, other) for one, other in itertools.combinations(values, 2)]
    return {"mean": float(np.mean(found)), "min": min(found), "max": max(found)}


def print_ratings(corpus: Any) -> None:
    print_table("Agreement of the ratings, with 95 % intervals", agreement_table(corpus.ratings, random_state=0))
    each = annotator_agreement(corpus.ratings)
    each = each[each["n_ratings"] >= 30].drop(columns="n_ratings")
    print_table(
        "CCC of an annotator with the others, over annotators", each.describe().loc[["mean", "min", "50%", "max"]]
    )
    consensus = corpus.ratings.consensus().reshape(len(corpus.X), -1)
    trend = [round(rank_correlation(np.arange(len(corpus.X)), values), 3) for values in consensus.T]
    print(f"\nRank correlation of the consensus with the files' order: {trend}")
    print_drift(corpus.ratings, "each rating by itself", None)
    if "groups" in corpus:
        print_drift(corpus.ratings, "ratings of a speaker correlated", corpus.groups)


def print_drift(ratings: Any, name: str, groups: Any) -> None:
    table = annotator_drift(ratings, groups=groups)
    print(f"\nDrift along the files' order, {name}: {int(table['drifts'].sum())} of {len(table)}")
    if table["drifts"].any():
        print_table("Those who drift", table[table["drifts"]].drop(columns=["drifts", "p"]).set_index("annotator"))


def print_heads(models: list[Any], corpus: Any) -> None:
    """Print what the heads of several seeds tell, and whether the seeds tell the same."""
    n_ratings = corpus.ratings.counts()
    for name, with_samples in KINDS.items():
        X = corpus.X if with_samples else None
        similar = [of_pairs(annotator_similarity(model, X)) for model in models]
        percentiles = np.mean([np.percentile(values, [5, 50, 95]) for values in similar], axis=0)
        explained = np.mean([embed_annotators(model, X)[1] for model in models], axis=0)
        print(
            f"\n{name}: 5, 50 and 95 % of the pairs {percentiles.round(3)}; 2 components explain {explained.round(3)}"
        )
        clusters = [cluster_annotators(model, X, random_state=0)["cluster"] for model in models]
        outliers = [annotator_outliers(model, X).sort_index() for model in models]
        print_table(f"Groups and outliers by {name}", groups_and_outliers(clusters, outliers, n_ratings))
        stability = {"similarity, rank correlation": over_seeds(similar, rank_correlation)}
        if len(n_ratings) > 10:
            isolation = [table["distance"].to_numpy() for table in outliers]
            stability["isolation, rank correlation"] = over_seeds(isolation, rank_correlation)
            stability["groups, adjusted Rand index"] = over_seeds(clusters, adjusted_rand_score)
        print_table(f"Every two of {len(models)} seeds, {name}", pd.DataFrame(stability).T.rename_axis("agreement of"))


def groups_and_outliers(clusters: list[pd.Series], outliers: list[pd.DataFrame], n_ratings: pd.Series) -> pd.DataFrame:
    rows = [
        {
            "groups": ", ".join(map(str, cluster[cluster >= 0].value_counts().tolist())),
            "outliers": int(table["outlier"].sum()),
            "isolation with ratings": rank_correlation(table["distance"], n_ratings.reindex(table.index)),
        }
        for cluster, table in zip(clusters, outliers, strict=True)
    ]
    return pd.DataFrame(rows).rename_axis("seed")


def print_heads_against_ratings(models: list[Any], corpus: Any, min_common: int) -> None:
    """Print the rank correlation of the heads' similarity with the CCC of the ratings on common samples."""
    pairs = pairwise_ccc(corpus.ratings, min_common=min_common)
    rows = {}
    for (name, with_samples), output in itertools.product(KINDS.items(), corpus.ratings.outputs):
        found = []
        for model in models:
            similarity = annotator_similarity(model, corpus.X if with_samples else None, output=output)
            codes = [similarity.index.get_indexer(pairs[who]) for who in ("annotator", "other")]
            found.append(rank_correlation(similarity.to_numpy()[codes[0], codes[1]], pairs[output]))
        rows[f"{name}, {output}"] = {"mean": np.mean(found), "min": min(found), "max": max(found)}
    title = f"Heads and ratings: rank correlation over {len(pairs)} pairs with {min_common} common samples, over seeds"
    print_table(title, pd.DataFrame(rows).T.rename_axis("similarity"))


def print_reliability(ratings: Any, min_common: int) -> None:
    """Print how well the CCC of a pair's ratings repeats itself: on one half of the common samples and on the other."""
    halves = np.random.default_rng(0).random(len(ratings)) < 0.5
    keys = ["annotator", "other"]
    one, other = (pairwise_ccc(ratings[half], min_common=min_common // 2) for half in (halves, ~halves))
    both = one.merge(other, on=keys, suffixes=("", " in the other half"))
    for output in ratings.outputs:
        half = rank_correlation(both[output], both[f"{output} in the other half"])
        print(
            f"\nCCC of the ratings of {len(both)} pairs, {output}: halves of the samples agree with {half:.3f}, so all "
            f"are reliable to about {2 * half / (1 + half):.3f} (Spearman and Brown), and nothing can be expected to "
            f"correlate with them by more than {np.sqrt(2 * half / (1 + half)):.3f}"
        )


def fitted(estimator: Any, corpus: Any, n_seeds: int) -> list[Any]:
    return [
        clone(estimator).set_params(annotatormappedregressor__random_state=seed).fit(corpus.X, corpus.ratings)
        for seed in range(n_seeds)
    ]


def measure(name: str, corpus: Any, lr: float, n_seeds: int, min_common: list[int]) -> None:
    print(f"\n## {name}: {corpus.ratings!r}")
    print_ratings(corpus)
    models = fitted(make_pipeline(StandardScaler(), AnnotatorMappedRegressor(lr=lr)), corpus, n_seeds)
    print_heads(models, corpus)
    for least in min_common:
        print_heads_against_ratings(models, corpus, least)
        print_reliability(corpus.ratings, least)


class NormalHeads(AnnotatorPredictor):
    """Normally distributed annotators, who are neither groups nor outliers."""

    def __init__(self, n_annotators: int, decay: float, seed: int) -> None:
        self.n_annotators, self.decay, self.seed = n_annotators, decay, seed

    def fit(self) -> NormalHeads:
        """Draw the heads, along some axes less than along others."""
        spread = (1.0 + np.arange(N_HIDDEN)) ** -self.decay
        heads = np.random.default_rng(self.seed).normal(size=(self.n_annotators, 1, N_HIDDEN + 1))
        heads[:, 0, :-1] *= spread
        self.annotators_, self.outputs_ = np.arange(self.n_annotators), ("valence",)
        self._unit_heads, self._unit_scale = heads, UnitScale.identity(1)
        return self

    def iter_hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Nothing walks over samples here."""
        raise TypeError("there are no samples.")


def normal_ratings(n_samples: int, seed: int, groups: np.ndarray | None = None) -> Ratings:
    """Draw ratings of samples by 20 annotators, whose deviations in a group of samples are correlated."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_samples, 1)) + rng.normal(size=(n_samples, 20))
    return Ratings.from_dense(values if groups is None else values + rng.normal(size=(n_samples, 20))[groups])


def measure_chance(n_corpora: int = 200) -> None:
    rows = {}
    for n_annotators, decay in itertools.product((5, 30, 111), (0.0, 0.5, 2.0)):
        models = [NormalHeads(n_annotators, decay, seed).fit() for seed in range(n_corpora)]
        rows[f"outliers, {n_annotators} annotators, spread falling as 1 / k^{decay}"] = np.mean(
            [annotator_outliers(model)["outlier"].any() for model in models]
        )
    for n_annotators in (30, 111):
        models = [NormalHeads(n_annotators, 0.5, seed).fit() for seed in range(n_corpora)]
        found = [cluster_annotators(model, random_state=0)["cluster"].max() > 0 for model in models]
        rows[f"groups, {n_annotators} annotators"] = np.mean(found)
    for n_samples in (30, 100):
        found = [annotator_drift(normal_ratings(n_samples, seed))["drifts"].any() for seed in range(n_corpora)]
        rows[f"drift, {n_samples} ratings"] = np.mean(found)
    groups = np.repeat(np.arange(40), 10)
    for name, given in (("", groups), (", not said", None)):
        corpora = [normal_ratings(400, seed, groups) for seed in range(n_corpora)]
        found = [annotator_drift(ratings, groups=given)["drifts"].any() for ratings in corpora]
        rows[f"drift, 400 ratings correlated in 40 groups{name}"] = np.mean(found)
    table = pd.DataFrame({"alarms": rows}).rename_axis("what, in corpora without")
    print_table(f"Share of {n_corpora} simulated corpora in which chance finds something", table)


class SimulatedHeads(AnnotatorPredictor):
    """Annotators of 20 kinds, with hidden features that are drawn as they are needed."""

    def fit(self) -> SimulatedHeads:
        """Draw the heads."""
        rng = np.random.default_rng(0)
        kinds = rng.normal(size=(20, 2, N_HIDDEN + 1))
        own = 0.7 * rng.normal(size=(N_ANNOTATORS, 2, N_HIDDEN + 1))
        self._unit_heads = (kinds[np.arange(N_ANNOTATORS) % 20] + own).astype(np.float32)
        self._unit_scale = UnitScale.identity(2)
        self.annotators_, self.outputs_ = np.arange(N_ANNOTATORS), ("activation", "valence")
        return self

    def iter_hidden(self, X: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Walk over hidden features."""
        rng = np.random.default_rng(1)
        for start in range(0, len(X), 2048):
            n_block = min(2048, len(X) - start)
            yield slice(start, start + n_block), rng.random((n_block, 2, N_HIDDEN), dtype=np.float32)


STEPS = {
    "nothing but the heads": lambda model, X: None,
    "annotator_similarity with X": annotator_similarity,
    "annotator_similarity": annotator_similarity,
    "embed_annotators with X": embed_annotators,
    "annotator_outliers with X": annotator_outliers,
    "cluster_annotators with X": lambda model, X: cluster_annotators(model, X, random_state=0),
}


def time_step(name: str) -> dict[str, float]:
    model, X = SimulatedHeads().fit(), np.empty((N_SAMPLES, 0))
    start = time.perf_counter()
    result = STEPS[name](model, X if name.endswith("X") else None)
    seconds = time.perf_counter() - start
    del result
    return {"seconds": seconds, "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measure_scale() -> None:
    print(f"\n## {N_ANNOTATORS} simulated annotators, 2 outputs, {N_HIDDEN} hidden features, {N_SAMPLES} samples")
    rows = {}
    for name in STEPS:  # a fresh process each: the peak is that of the step
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows[name] = pool.apply(time_step, (name,))
    print_table("Seconds and peak memory of the process", pd.DataFrame(rows).T.rename_axis("step"), digits=1)


def main() -> None:
    parser = command_line(__doc__, seeds=5)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    options = parser.parse_args()
    if "speech" in options.parts:
        measure("speechocean762, train split", read_speech()[0], 5e-3, options.seeds, [30])
    if "text" in options.parts:
        measure("politeness, Wikipedia", read_text()[0], 1e-3, options.seeds, [10, 30])
    if "chance" in options.parts:
        measure_chance()
    if "scale" in options.parts:
        measure_scale()


if __name__ == "__main__":
    main()
