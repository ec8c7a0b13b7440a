"""Measure which samples a new annotator should rate: designs of the enrollment against a random one.

    python benchmarks/enrollment.py {speech,text} [--seeds 3] [--splits 10] [--draws 10] [--first-split 0]

Each split parts the samples that an annotator has rated into a pool, of which a design chooses, and samples to be
predicted, the same ones for all designs. Speech: one expert is left out, half of the test split's speakers are
predicted, and 20 others are the pool. Text: unknown raters, 30 of each one's ratings are predicted and the rest is the
pool. The mapping is given the pool, rated or not.

CCC is averaged over outputs, splits, seeds and annotators; random is the mean of several draws. Intervals of the gain
over random: 95 %, bootstrap over raters (text), or over splits of the speakers, the five experts as they are (speech).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from command_line import command_line
from data import read_pairs, read_text
from scipy.spatial.distance import cdist
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import print_table

from sklearn_annoser import AnnotatorMappedRegressor, Ratings
from sklearn_annoser.evaluation._cross_corpus import fit_on_corpus
from sklearn_annoser.mapping import Enroller, comparison_axes, representative_rows
from sklearn_annoser.metrics import ccc_score

SIZES = (5, 10, 20)
MAPPINGS: dict[str, dict[str, Any]] = {
    "joint": {},
    "top-n": {"strategy": "top-n"},
    "blend": {"strategy": "blend"},
    "joint, calibrated": {"calibration": "affine"},
    "top-n, calibrated": {"strategy": "top-n", "calibration": "affine"},
    "blend, calibrated": {"strategy": "blend", "calibration": "affine"},
}
N_HEADS = {"speech": 2, "text": 15}  # of "top-n": of four heads, and of about a hundred
N_HELD_OUT, N_POOL_SPEAKERS = 30, 20
Design = Callable[[np.ndarray, np.ndarray, int], np.ndarray]

# ---------------------------------------------------------------------- designs: hidden, heads, n -> rows


def suggested(hidden: np.ndarray, heads: np.ndarray, n: int) -> np.ndarray:
    """Choose as the package does."""
    coordinates = hidden.reshape(len(hidden), -1) @ comparison_axes(hidden, heads)
    return representative_rows(coordinates, n, coordinates)


def greatest_variance(hidden: np.ndarray, heads: np.ndarray, n: int) -> np.ndarray:
    """Choose the samples on which the heads differ most."""
    variance = np.square(deviations_of(hidden, heads)).sum(axis=(1, 2))
    return np.argsort(-variance, kind="stable")[:n]


def d_optimal(hidden: np.ndarray, heads: np.ndarray, n: int) -> np.ndarray:
    """Choose greedily what tells most about the head, if heads are normal and noise is as large as they differ."""
    return greedy_d_optimal(deviations_of(hidden, heads), n)


def d_optimal_but_shift(hidden: np.ndarray, heads: np.ndarray, n: int) -> np.ndarray:
    """Do the same after taking out each head's mean difference from the others."""
    deviations = deviations_of(hidden, heads)
    return greedy_d_optimal(deviations - deviations.mean(axis=0), n)


def d_optimal_in_strata(hidden: np.ndarray, heads: np.ndarray, n: int) -> np.ndarray:
    """Do the same in turn in each fifth of the range of the consensus."""
    deviations = deviations_of(hidden, heads)
    stratum = consensus_of(hidden, heads).sum(axis=1).argsort().argsort() * 5 // len(hidden)
    return greedy_d_optimal(deviations - deviations.mean(axis=0), n, stratum)


def consensus_quantiles(hidden: np.ndarray, heads: np.ndarray, n: int) -> np.ndarray:
    """Spread the samples over the quantiles of the predicted consensus."""
    order = consensus_of(hidden, heads).sum(axis=1).argsort()
    return order[((np.arange(n) + 0.5) / n * len(order)).astype(int)]


def far_from_each_other(hidden: np.ndarray, heads: np.ndarray, n: int) -> np.ndarray:
    """Choose each next sample farthest from those chosen (k-center), along the axes of the package."""
    points = hidden.reshape(len(hidden), -1) @ comparison_axes(hidden, heads)
    chosen = [int(np.square(points).sum(axis=1).argmin())]
    while len(chosen) < n:
        chosen.append(int(cdist(points, points[chosen]).min(axis=1).argmax()))
    return np.array(chosen)


DESIGNS: dict[str, Design] = {
    "suggested": suggested,
    "consensus quantiles": consensus_quantiles,
    "k-center": far_from_each_other,
    "greatest variance": greatest_variance,
    "D-optimal": d_optimal,
    "D-optimal but shift": d_optimal_but_shift,
    "D-optimal in strata": d_optimal_in_strata,
}


def consensus_of(hidden: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Return each output's mean prediction in standard units, (n_samples, n_outputs)."""
    mean = np.einsum("noh,oh->no", hidden, heads[:, :, :-1].mean(axis=0))
    return (mean - mean.mean(axis=0)) / mean.std(axis=0)


def deviations_of(hidden: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Return (n_samples, n_outputs, rank) whose inner products are the heads' covariances, 1 the mean variance."""
    deviations = heads - heads.mean(axis=0)
    factors = []
    for output in range(heads.shape[1]):
        factor = np.linalg.qr(deviations[:, output].astype(np.float64), mode="r").T
        part = hidden[:, output] @ factor[:-1] + factor[-1]
        factors.append(part / np.sqrt(np.square(part).sum(axis=1).mean()))
    return np.stack(factors, axis=1)


def greedy_d_optimal(factor: np.ndarray, n: int, stratum: np.ndarray | None = None) -> np.ndarray:
    """Choose greedily by the variance that the ratings of those chosen leave, with noise of variance 1."""
    factor, chosen = factor.copy(), []
    for place in range(n):
        variance = np.square(factor).sum(axis=(1, 2))
        variance[chosen] = -1
        if stratum is not None:
            variance[stratum != place % 5] -= 1e9
        chosen.append(int(variance.argmax()))
        for output in range(factor.shape[1]):
            direction = factor[chosen[-1], output].copy()
            square = direction @ direction
            shrinkage = (1 - 1 / np.sqrt(1 + square)) / max(square, 1e-12)
            factor -= shrinkage * (factor @ direction)[:, :, None] * direction
    return np.array(chosen)


# ---------------------------------------------------------------------- the comparison


def speech_cases(seeds: range) -> Iterator[tuple[int, str, np.ndarray, Any, np.ndarray, Any]]:
    """Walk over seeds and experts: hidden features, the model of the other experts, ratings, speakers."""
    pairs = read_pairs("speech")
    for seed in seeds:
        for source, target in pairs:
            model = fitted(source, seed, lr=5e-3)
            (label,) = target.ratings.annotators
            rows, values = target.ratings.of(label)
            yield seed, label, hidden_of(model, target.X[rows]), model[-1], values, target.groups[rows]


def text_cases(seeds: range) -> Iterator[tuple[int, str, np.ndarray, Any, np.ndarray, Any]]:
    """Walk over seeds and raters: hidden features, the model of Wikipedia's raters, ratings, None."""
    source, target = read_text()
    for seed in seeds:
        model = fitted(source, seed)
        hidden = hidden_of(model, target.X)
        for label in target.ratings.annotators:
            rows, values = target.ratings.of(label)
            yield seed, label, hidden[rows], model[-1], values, None


def fitted(source: Any, seed: int, **parameters: Any) -> Any:
    """Fit the regressor of the other benchmarks."""
    estimator = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(random_state=seed, **parameters))
    return fit_on_corpus(estimator, source, source.ratings)


def hidden_of(model: Any, X: np.ndarray) -> np.ndarray:
    """Return the hidden features of all samples."""
    return np.concatenate([hidden for _, hidden in model[-1].iter_hidden(model[:-1].transform(X))])


def split(n_samples: int, groups: np.ndarray | None, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return the pool and what is to be predicted: of 20 and of half of the groups, or the rest and some samples."""
    if groups is None:
        order = rng.permutation(n_samples)
        return order[N_HELD_OUT:], order[:N_HELD_OUT]
    labels = rng.permutation(np.unique(groups))
    n_held_out = len(labels) // 2
    in_pool = np.isin(groups, labels[n_held_out : n_held_out + N_POOL_SPEAKERS])
    return np.flatnonzero(in_pool), np.flatnonzero(np.isin(groups, labels[:n_held_out]))


def compare(
    hidden: np.ndarray,
    model: Any,
    values: np.ndarray,
    parts: tuple[np.ndarray, np.ndarray],
    orders: list[np.ndarray],
    n_heads: int,
) -> pd.DataFrame:
    """Return the CCC of each design, mapping and size on one split into pool and rest; orders are random ones."""
    heads, values = model.heads_, values.reshape(len(hidden), -1)
    pool, rest = parts
    choices = [("random", order) for order in orders]
    prior, rows = model.prior_.with_samples([hidden[pool]]), []
    for n in SIZES:
        designed = [(name, design(hidden[pool], heads, n)) for name, design in DESIGNS.items()]
        names, chosen = zip(*((name, pool[order[:n]]) for name, order in choices + designed), strict=True)
        codes = np.arange(len(chosen)).repeat(n)
        enrolled = Ratings.from_rows(values[np.concatenate(chosen)], codes)
        for mapping, how in MAPPINGS.items():
            hidden_enrolled = hidden[np.concatenate(chosen)]
            mapped = Enroller(heads, prior, n_heads=n_heads, **how).enrol(hidden_enrolled, enrolled).heads
            for name, head in zip(names, mapped, strict=True):
                predicted = np.einsum("noh,oh->no", hidden[rest], head[:, :-1]) + head[:, -1]
                rows.append((name, mapping, n, ccc_score(values[rest], predicted)))
    return pd.DataFrame(rows, columns=["design", "mapping", "n", "ccc"])


def interval(gain: pd.Series, unit: str) -> str:
    """Return the mean gain with the bootstrap interval over the units."""
    each = gain.groupby(unit).mean().to_numpy()
    drawn = np.random.RandomState(0).randint(len(each), size=(2000, len(each)))
    low, high = np.quantile(each[drawn].mean(axis=1), [0.025, 0.975])
    return f"{each.mean():+.3f} ({low:+.3f}, {high:+.3f})"


def main() -> None:
    numbers = {"seeds": 3, "splits": 10, "draws": 10, "first_split": 0}
    options = command_line(__doc__, corpora=("speech", "text"), **numbers).parse_args()
    cases, unit = (speech_cases, "split") if options.corpus == "speech" else (text_cases, "annotator")
    start, frames = time.perf_counter(), []
    for seed, label, hidden, model, values, groups in cases(range(options.seeds)):
        for place in range(options.first_split, options.first_split + options.splits):
            rng = np.random.RandomState(place)  # the same speakers for all experts and seeds
            parts = split(len(hidden), groups, rng)
            orders = [rng.permutation(len(parts[0])) for _ in range(options.draws)]
            frame = compare(hidden, model, values, parts, orders, N_HEADS[options.corpus])
            frames.append(frame.assign(seed=seed, annotator=label, split=place))
    results = pd.concat(frames)
    cells = ["mapping", "n", "design", "seed", "annotator", "split"]
    each = results.groupby(cells, sort=False)["ccc"].mean().unstack("design")
    for mapping in MAPPINGS:
        own = each.xs(mapping)
        table = {f"{n} ratings": own.xs(n).drop(columns="random").sub(own.xs(n)["random"], axis=0) for n in SIZES}
        gains = pd.DataFrame({n: {name: interval(gain[name], unit) for name in DESIGNS} for n, gain in table.items()})
        means = pd.DataFrame({f"{n} ratings": {"random, CCC": f"{own.xs(n)['random'].mean():.3f}"} for n in SIZES})
        print_table(f"{options.corpus}, {mapping}: gain over random", pd.concat([means, gains]).rename_axis("design"))
    best = (each["suggested"] - each["random"]).groupby(["mapping", "n", "annotator"], sort=False).mean()
    if options.corpus == "speech":
        print_table("Gain of what is suggested, by expert", best.unstack("annotator"))
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
