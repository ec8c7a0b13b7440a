"""Measure on real corpora from how many ratings on it pays to fine-tune after a mapping, and what.

    python benchmarks/fine_tuning.py [speech text ...] [--out DIR] [--seeds 3] [--draws 2]

Curves, each over the same annotators:

speech           speechocean762, one expert left out; the test split, 200 ratings of each reserved for enrollment
text             politeness, raters of Stack Exchange unknown to Wikipedia; half of the samples are for enrollment, the
                 others are scored, which nobody has rated before; raters with 30 ratings or more in the first half
text-frequent    as above, raters with 100 or more
text-rated       as text, but every sample may be enrolled with: what is scored, others may have rated

Results go to DIR/<curve>.csv, and are not computed again where they are there; the figure goes to DIR/fine-tuning.png.
Gains are paired, annotator by annotator, with 95 % intervals: for text over resampled annotators, for speech, with five
of them, over the cells of expert and seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from command_line import command_line
from data import read_pairs, read_text
from intervals import expert_cases, told
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tables import print_table
from tqdm.auto import tqdm

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper, Ratings
from sklearn_annoser.evaluation import bootstrap_interval
from sklearn_annoser.evaluation._cross_corpus import fit_on_corpus
from sklearn_annoser.evaluation._strategies import PREDICT_ONLY
from sklearn_annoser.metrics import annotator_ccc
from sklearn_annoser.ratings import shuffled_places

CURVES = {
    "speech": (5, 10, 20, 30, 50, 100, 200),
    "text": (5, 10, 20, 30),
    "text-frequent": (5, 10, 20, 30, 50, 100),
    "text-rated": (5, 10, 20, 30),
}
STARTS = {
    "mapped": ("source", "joint"),
    "random": ("source", "random"),
    "aggregate": ("aggregate", "all"),
    "blended": ("source", "blend"),
}
TRAINED = {"nothing": None, "head": "head", "tower": "tower", "all": "all"}
MIN_TEST_RATINGS = 20
COLORS = {"nothing": "0.4", "head": "C0", "tower": "C1", "all": "C3"}


@dataclass
class Trial:
    """One draw of enrollment and test ratings for a pair of fitted sources."""

    models: dict[str, Any]
    X: Any
    pool: Ratings
    test: Ratings
    place: np.ndarray  # (n_ratings,) in the order in which each annotator rates

    def score(self, n_enrollment: int, who: str, **parameters: Any) -> pd.DataFrame:
        """Enrol everyone with so many ratings, and score the test ratings."""
        mapper = AnnotatorMapper(FrozenEstimator(self.models[who]), random_state=0, **(PREDICT_ONLY | parameters))
        mapper.fit(self.X, self.pool.keep_ratings(self.place < n_enrollment))
        ccc = annotator_ccc(self.test, mapper.predict_ratings(self.X, self.test)).drop(columns="n_ratings")
        return ccc.rename_axis("annotator").reset_index().melt("annotator", var_name="output", value_name="ccc")


def strategies() -> dict[str, dict[str, Any]]:
    """Return what is compared: name -> who predicts, and the parameters of the mapper."""
    compared: dict[str, dict[str, Any]] = {"mapped, not calibrated": {"who": "source"}}
    for start, (who, strategy) in STARTS.items():
        for trained, fine_tune in TRAINED.items():
            how = {"who": who, "strategy": strategy, "calibration": "affine", "fine_tune": fine_tune}
            compared[f"{start}, {trained}"] = how
    return compared


def fit_models(source: Any, seed: int, **parameters: Any) -> dict[str, Any]:
    """Fit a model with a head for each annotator, and one of the consensus."""
    estimator = make_pipeline(StandardScaler(), AnnotatorMappedRegressor(random_state=seed, **parameters))
    variants = {"source": "individual", "aggregate": "aggregate"}
    return {who: fit_on_corpus(estimator, source, source.ratings, variant=each) for who, each in variants.items()}


def speech_trials(n_seeds: int, n_draws: int) -> Iterator[tuple[int, int, Trial]]:
    """Leave one expert out."""
    pairs = read_pairs("speech")
    for seed in range(n_seeds):
        for source, target in pairs:
            models, rng = fit_models(source, seed, lr=5e-3), np.random.RandomState(seed)
            for draw in range(n_draws):
                place = shuffled_places(target.ratings, rng)
                test = target.ratings.keep_ratings(place >= max(CURVES["speech"]))
                yield seed, draw, Trial(models, target.X, target.ratings, test, place)


def text_trials(curve: str, n_seeds: int, n_draws: int) -> Iterator[tuple[int, int, Trial]]:
    """Half of the samples, or of each one's ratings, are for enrollment."""
    source, target = read_text()
    for seed in range(n_seeds):
        models, rng = fit_models(source, seed), np.random.RandomState(seed)
        for draw in range(n_draws):
            ratings = target.ratings
            if curve == "text-rated":
                first = shuffled_places(ratings, rng) < max(CURVES[curve])
            else:
                first = (rng.permutation(len(ratings)) < len(ratings) // 2)[ratings.rows]
            pool = ratings.keep_ratings(first).keep_annotators(min_ratings=max(CURVES[curve]))
            test = ratings.keep_ratings(~first).keep_annotators(min_ratings=MIN_TEST_RATINGS)
            both = np.intersect1d(pool.annotators, test.annotators)
            pool, test = pool.keep_annotators(both), test.keep_annotators(both)
            yield seed, draw, Trial(models, target.X, pool, test, shuffled_places(pool, rng))


def compare(curve: str, n_seeds: int, n_draws: int) -> pd.DataFrame:
    """Return the CCC of every strategy, seed, draw, enrollment size, annotator and output of a curve."""
    trials = speech_trials(n_seeds, n_draws) if curve == "speech" else text_trials(curve, n_seeds, n_draws)
    compared, frames = strategies(), []
    for seed, draw, trial in tqdm(trials, desc=curve):
        for size in CURVES[curve]:
            for name, how in compared.items():
                cell = {"strategy": name, "n_enrollment": size, "seed": seed, "draw": draw}
                frames.append(trial.score(size, **how).assign(**cell))
    return pd.concat(frames, ignore_index=True)


def in_all_draws(results: pd.DataFrame, curve: str) -> pd.DataFrame:
    """Average the outputs, and keep the cases that every run has: annotators, or for speech expert and seed."""
    keys = ["annotator", "strategy", "n_enrollment", "seed", "draw"]
    results = results.groupby(keys, sort=False)["ccc"].mean().reset_index().assign(output="mean")
    if curve == "speech":
        return expert_cases(results)
    runs = results[["seed", "draw"]].drop_duplicates()
    n_runs = results.groupby("annotator")[["seed", "draw"]].apply(lambda own: len(own.drop_duplicates()))
    return results[results["annotator"].isin(n_runs.index[n_runs == len(runs)])]


def gain(results: pd.DataFrame, one: str, other: str) -> pd.Series:
    """Return the paired difference and its interval, by enrollment ratings."""
    return told(bootstrap_interval(results, one, other, random_state=0).set_index("n_enrollment"))


def least_gain(results: pd.DataFrame, one: str, other: str) -> pd.Series:
    """Return the mean difference in the run (seed and draw) where it is least, by enrollment ratings."""
    run = results.groupby(["strategy", "n_enrollment", "seed", "draw"])["ccc"].mean()
    return (run[one] - run[other]).groupby("n_enrollment").min()


def report(curve: str, results: pd.DataFrame) -> None:
    """Print the curve, the gain of fine-tuning, that of a start over the aggregate, and the worst run."""
    mean = results.groupby(["strategy", "n_enrollment"], sort=False)["ccc"].mean().unstack()
    print_table(f"{curve}: CCC by enrollment ratings, {results['annotator'].nunique()} cases", mean)
    tuned = [trained for trained, fine_tune in TRAINED.items() if fine_tune]
    pairs = [(f"{start}, {trained}", f"{start}, nothing") for start in STARTS for trained in tuned]
    pairs += [(f"mapped, {trained}", f"aggregate, {trained}") for trained in TRAINED]
    pairs += [("mapped, head", "blended, nothing"), ("blended, all", "aggregate, all")]
    gains = {f"{one} - {other}": gain(results, one, other) for one, other in pairs}
    print_table(f"{curve}: gains, with 95 % intervals", pd.DataFrame(gains).T.rename_axis("gain"))
    if curve != "speech":  # whose runs are the cases
        least = {f"{one} - {other}": least_gain(results, one, other) for one, other in pairs if "nothing" in other}
        print_table(f"{curve}: gain in the worst run", pd.DataFrame(least).T.rename_axis("gain"))


def draw_curves(found: dict[str, pd.DataFrame], path: Path) -> None:
    """Draw a row of panels for each curve, one for each start."""
    size = (3 * len(STARTS), 2.6 * len(found))
    figure, axes = plt.subplots(
        len(found), len(STARTS), figsize=size, squeeze=False, sharey="row", layout="constrained"
    )
    for row, (curve, results) in zip(axes, found.items(), strict=True):
        mean = results.groupby(["strategy", "n_enrollment"], sort=False)["ccc"].mean().unstack()
        for axis, start in zip(row, STARTS, strict=True):
            for trained, color in COLORS.items():
                line = mean.loc[f"{start}, {trained}"]
                axis.plot(line.index, line, color=color, marker=".", label=trained)
            axis.set(xscale="log", title=f"{curve}, {start}")
            axis.set_xticks(CURVES[curve], [str(size) for size in CURVES[curve]])
            axis.minorticks_off()
            axis.grid(axis="y", alpha=0.3)
    figure.supxlabel("enrollment ratings of each annotator")
    figure.supylabel("CCC with held-out ratings, calibrated")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, title="trained")
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = command_line(__doc__, seeds=3, draws=2)
    parser.add_argument("curves", nargs="*", default=list(CURVES), help=f"of {list(CURVES)}; default: all")
    parser.add_argument("--out", type=Path, default=Path("fine_tuning"))
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    found = {}
    for curve in options.curves:
        path = options.out / f"{curve}.csv"
        if not path.exists():
            compare(curve, options.seeds, options.draws).to_csv(path, index=False)
        found[curve] = in_all_draws(pd.read_csv(path), curve)
        report(curve, found[curve])
    draw_curves(found, options.out / "fine-tuning.png")


if __name__ == "__main__":
    main()
