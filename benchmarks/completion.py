"""Measure what others' ratings of an item are worth when a new rater's rating of it is filled in.

    python benchmarks/completion.py {speech,text,expressive,odour,odour-within} [--seeds 3] [--draws 5]

The protocols are those of data.py. Each new rater enrols with 20 ratings, 10 where samples are few, of one half of the
items; all their ratings of the other half are scored, of items that at least four others have rated, known raters and
new ones. Of the others' ratings of an item 0, 1, 2 or 4 are given, drawn at random. Against the completed ratings stand
the same mapper without the others, and their mean, calibrated to the rater's enrollment ratings as the mapper
calibrates. The last column is the share of ratings within the intervals of 80 %. Of several outputs, the mean comes
first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from command_line import command_line
from data import NAMES, PROTOCOLS, read_pairs
from tables import print_table
from tqdm.auto import tqdm

from sklearn_annoser import AnnotatorCommittee, AnnotatorMapper, Ratings
from sklearn_annoser.evaluation import draw_enrollment
from sklearn_annoser.evaluation._cross_corpus import fit_on_corpus
from sklearn_annoser.evaluation._remembered import Remembered
from sklearn_annoser.mapping import Prior, calibrate_heads
from sklearn_annoser.metrics import ccc_score

N_OTHERS = (0, 1, 2, 4)
N_SCORED = 5  # ratings of a rater, at least
MAPPER: dict[str, Any] = {
    "strategy": "blend",
    "calibration": "affine",
    "n_bootstrap": 0,
    "n_folds": 0,
    "on_unknown": "consensus",
}


class Table:
    """All ratings of the samples of a target, dense; the new raters come first."""

    def __init__(self, new: Ratings, by_known: Ratings | None) -> None:
        frames = [each.to_long() for each in (new, by_known) if each is not None]
        samples = np.arange(len(new)) if new.samples is None else new.samples
        names: dict[str, Any] = {"outputs": list(new.outputs), "samples": samples, "scale": new.scale}
        everybody = Ratings.from_long(pd.concat(frames), **names)
        order = np.argsort(~np.isin(everybody.annotators, new.annotators), kind="stable")
        self.ratings = everybody
        self.place = np.argsort(order)  # of each of everybody
        self.values = everybody.to_dense().reshape(len(new), everybody.n_annotators, -1)[:, order]
        self.there = np.isfinite(self.values).all(axis=2)

    def some(self, keep: np.ndarray) -> Ratings:
        """Return the ratings that are kept, (n_samples, n_annotators)."""
        return self.ratings.keep_ratings(keep[self.ratings.rows, self.place[self.ratings.codes]])

    def rounds(self, n_others: int, enrolled: Ratings, rng: np.random.RandomState) -> Iterator[tuple[np.ndarray, ...]]:
        """Let one new rater of each item after the other be without theirs: yield which, whose are kept, what is given.

        Those who enrol with an item are not without it, and all they enrol with is given.
        """
        theirs = np.zeros(self.there.shape, dtype=bool)
        theirs[enrolled.rows, enrolled.codes] = True
        new = self.there & (np.arange(self.there.shape[1]) < enrolled.n_annotators)
        turn = np.where(new, rng.uniform(size=new.shape), np.inf).argsort(axis=1).argsort(axis=1)
        for number in range(new.sum(axis=1).max()):
            out = new & (turn == number)
            chance = np.where(self.there & ~out, rng.uniform(size=new.shape), np.inf)
            kept = self.there & ~out & (chance.argsort(axis=1).argsort(axis=1) < n_others)
            yield out, kept, kept | (theirs if n_others else False)


def complete(
    mapper: Any, X: Any, table: Table, n_others: int, enrolled: Ratings, rng: np.random.RandomState
) -> np.ndarray:
    """Return what new raters are expected to give where they have rated, its low and high bounds, and the others' mean.

    The array has shape (4, n_samples, n_new, n_outputs), NaN elsewhere.
    """
    shape = (len(table.values), len(mapper.annotators_), table.values.shape[2])
    found = np.full((4, *shape), np.nan)
    for out, kept, given in table.rounds(n_others, enrolled, rng):
        done = mapper.complete(X, table.some(given))
        rows, raters = np.nonzero(out)
        for which, part in enumerate((done.ratings, done.low, done.high)):
            found[which, rows, raters] = part.to_dense().reshape(shape)[rows, raters]
        if n_others:
            some = kept[rows].sum(axis=1) > 0
            rows, raters = rows[some], raters[some]
            total = np.where(kept[rows][:, :, None], table.values[rows], 0.0).sum(axis=1)
            found[3, rows, raters] = total / kept[rows].sum(axis=1)[:, None]
    return found


def calibrated_mean(means: np.ndarray, truth: np.ndarray, enrolled: np.ndarray, told: Prior) -> np.ndarray:
    """Give the others' means, for one rater and output, the mean and the spread that enrollment ratings tell."""
    there = np.isfinite(means)
    if not there.any():
        return means
    one = np.column_stack([means[there], np.ones(there.sum())])
    moments = {"mean": one.mean(axis=0)[None], "second": (one.T @ one / len(one))[None]}
    own = Ratings.from_dense(np.where(enrolled, truth, np.nan)[there, None])
    slope, offset = calibrate_heads(one[:, None, :1], np.array([[[1.0, 0.0]]]), own, replace(told, **moments))
    return np.asarray(means * slope[0, 0] + offset[0, 0])


def of_output(prior: Prior, output: int) -> Prior:
    """Return what is known of one output, the samples aside."""
    told = ("variance", "n_worth", "offset_variance", "correlation", "common")
    return replace(prior, **{name: getattr(prior, name)[output, None] for name in told})


def score(
    mapper: Any, table: Table, enrolled: Ratings, found: np.ndarray, apart: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Score each rater on what they have not enrolled with, of items that enough others have rated."""
    source = mapper.estimator
    is_enrolled = np.zeros(found.shape[1:3], dtype=bool)
    is_enrolled[enrolled.rows, enrolled.codes] = True
    truth = table.values[:, : found.shape[2]]
    scored = table.there[:, : found.shape[2]] & (apart & (table.there.sum(axis=1) > max(N_OTHERS)))[:, None]
    for output, name in enumerate(mapper.outputs_):
        prior = of_output(source.prior_, output)
        to_unit = source._unit_scale.centre[output], source._unit_scale.half[output]
        for rater, label in enumerate(mapper.annotators_):
            rows = scored[:, rater]
            if rows.sum() < N_SCORED:
                continue
            own = truth[:, rater, output]
            completed, low, high, mean = found[:, :, rater, output]
            unit_mean, unit_own = ((each - to_unit[0]) / to_unit[1] for each in (mean, own))
            mean = calibrated_mean(unit_mean, unit_own, is_enrolled[:, rater], prior)
            yield {
                "annotator": label,
                "output": name,
                "completed": ccc_score(own[rows], completed[rows]),
                "the others' mean, calibrated": ccc_score(unit_own[rows], mean[rows])
                if np.isfinite(mean[rows]).all()
                else np.nan,
                "inside": np.mean((low <= own)[rows] & (own <= high)[rows]),
            }


def compare(name: str, seed: int, n_draws: int) -> Iterator[dict[str, Any]]:
    """Train, enrol, complete and score."""
    protocol = PROTOCOLS[name]
    n_enrolled = 20 if protocol.n_reserved > 20 else 10
    for source, target in tqdm(read_pairs(name, seed=seed), desc=f"seed {seed}"):
        model = fit_on_corpus(protocol.make_estimator(AnnotatorCommittee), source, source.ratings, random_state=seed)
        known, X = Remembered(model, target.X), np.arange(len(target.X))[:, None]
        table = Table(target.ratings, target.get("by_known"))
        for draw in range(n_draws):
            rng = np.random.RandomState(1000 * seed + draw)
            first = rng.permutation(len(X)) < len(X) // 2
            pool = target.ratings.keep_ratings(first[target.ratings.rows])
            enrolled, _ = draw_enrollment(pool, n_enrolled, random_state=rng)
            mapper = AnnotatorMapper(known, **MAPPER, random_state=0).fit(X, enrolled)
            for n_others in N_OTHERS:
                found = complete(mapper, X, table, n_others, enrolled, rng)
                for row in score(mapper, table, enrolled, found, ~first):
                    yield row | {"seed": seed, "draw": draw, "others": n_others}


def print_scores(results: pd.DataFrame) -> None:
    """Print the CCC by number of others; first, of several outputs, their mean."""
    measures = ["completed", "the others' mean, calibrated", "inside"]
    keys = ["annotator", "seed", "draw", "others"]
    if results["output"].nunique() > 1:
        whole = results.groupby(keys)[measures].mean().reset_index().assign(output="mean")
        results = pd.concat([whole, results])
    for output, own in results.groupby("output", sort=False):
        by_others = own.groupby("others")[measures].mean()
        without = own[own["others"] == 0].groupby(keys[:-1])["completed"].mean()
        by_others.insert(1, "gain over the model", [gain(each, without) for _, each in own.groupby("others")])
        by_others.insert(3, "gain over the mean", [gain(each, measures[1]) for _, each in own.groupby("others")])
        print_table(f"CCC by others' ratings of the item, {output}", by_others.rename(columns={"inside": "in 80 %"}))


def gain(results: pd.DataFrame, over: str | pd.Series) -> str:
    """Return the mean gain of the completed ratings, and the share of raters who gain."""
    own = results.set_index(["annotator", "seed", "draw"])
    differences = own["completed"] - (own[over] if isinstance(over, str) else over)
    by_rater = differences.groupby("annotator").mean().dropna()
    if by_rater.empty or not by_rater.any():
        return ""
    return f"{by_rater.mean():+.3f} ({(by_rater > 0).mean():.0%} of raters)"


def main() -> None:
    options = command_line(__doc__, corpora=NAMES, seeds=3, draws=5).parse_args()
    rows = [row for seed in range(options.seeds) for row in compare(options.corpus, seed, options.draws)]
    print_scores(pd.DataFrame(rows))


if __name__ == "__main__":
    main()
