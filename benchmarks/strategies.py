"""Measure on real corpora what mapping is worth for a new annotator, and ways to do better than the paper's.

    python benchmarks/strategies.py {speech,text,expressive,odour,odour-within} [--seeds 5] [--draws 10]
                                    [--recommended recommended]

The protocols are those of data.py. Some ratings of each new annotator, 30 or 20, are reserved for enrollment, of which
the first few are used; all others are scored. Gains are those of the recommended strategy over each other one, paired,
annotator by annotator, with 95 % intervals: over resampled annotators, but for speech, with five of them, over the
cells of expert and seed. Of several outputs, the mean comes first.

recommended       a committee, blended and calibrated, with all new annotators enrolled together
one by one        the same, but each new annotator enrolled alone
former blend      one network, blended as version 0.1.0 did, and calibrated
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import former_blend  # noqa: F401 - it adds itself to the strategies
import numpy as np
import pandas as pd
from command_line import command_line
from data import NAMES, PROTOCOLS, Protocol, read_pairs
from intervals import gains, with_mean_output
from tables import print_table
from tqdm.auto import tqdm

from sklearn_annoser import AnnotatorCommittee, AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.evaluation import STRATEGIES
from sklearn_annoser.evaluation._cross_corpus import fit_on_corpus
from sklearn_annoser.evaluation._draws import Draw, Draws, _score_draw
from sklearn_annoser.evaluation._remembered import Remembered
from sklearn_annoser.evaluation._scores import tidy
from sklearn_annoser.evaluation._strategies import PREDICT_ONLY
from sklearn_annoser.mapping import predict_rated
from sklearn_annoser.metrics import annotator_ccc

RECOMMENDED, ONE_BY_ONE = "recommended", "one by one"
BLEND = {"strategy": "blend", "calibration": "affine"}
COMPARED = {name: how for name, how in STRATEGIES.items() if name != "blended"} | {
    "all heads, calibrated": ("source", {"strategy": "all", "calibration": "affine"}),
    "former blend": ("source", {"strategy": "former blend", "calibration": "affine"}),
    "blended": ("source", BLEND),
    "committee, all heads, calibrated": ("committee", {"strategy": "all", "calibration": "affine"}),
    ONE_BY_ONE: ("committee", BLEND),
    RECOMMENDED: ("committee", BLEND),
}
MAKERS: dict[str, dict[str, Any]] = {
    "source": {"kind": AnnotatorMappedRegressor},
    "aggregate": {"kind": AnnotatorMappedRegressor, "variant": "aggregate"},
    "committee": {"kind": AnnotatorCommittee},
}


def learn(protocol: Protocol, source: Any, X: Any, names: Iterable[str], seed: int) -> dict[str, Remembered]:
    """Train what some strategies need, and return each with its hidden features of X."""
    needed = dict.fromkeys(COMPARED[name][0] for name in names)
    makers = {who: protocol.make_estimator(**MAKERS[who]) for who in needed}
    fitted = {who: fit_on_corpus(maker, source, source.ratings, random_state=seed) for who, maker in makers.items()}
    return {who: Remembered(model, X) for who, model in fitted.items()}


def score_ours(
    known: dict[str, Remembered], draw: Draw, names: Iterable[str], rng: Any
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Walk over strategies and their scores."""
    for name in names:
        who, parameters = COMPARED[name]
        if name == ONE_BY_ONE:
            yield name, _score_one_by_one(known[who], parameters, draw)
        else:
            yield name, _score_draw(name, known[who], parameters, draw, rng)


def _score_one_by_one(source: Remembered, parameters: dict[str, Any], draw: Draw) -> pd.DataFrame:
    """Enrol each annotator alone, predict the test ratings, and score each."""
    enroller = source.enroller(AnnotatorMapper(source, **(PREDICT_ONLY | parameters)))
    enrolled, test = source.to_unit(draw.enrolled), source.to_unit(draw.test)
    heads = np.concatenate(
        [
            enroller.enrol(source.hidden_, enrolled.keep_annotators([label]), with_scores=False).heads
            for label in test.annotators
        ]
    )
    predicted = predict_rated([(slice(0, len(source.hidden_)), source.hidden_)], heads, test, test.codes)
    return tidy(annotator_ccc(test, test.with_values(predicted)).drop(columns="n_ratings"))


def compare(name: str, seeds: Iterable[int], n_draws: int) -> pd.DataFrame:
    """Train, enrol and score."""
    protocol, frames = PROTOCOLS[name], []
    for seed in seeds:
        for source, target in tqdm(read_pairs(name, seed=seed), desc=f"seed {seed}"):
            known = learn(protocol, source, target.X, COMPARED, seed)
            draws = Draws(target.ratings, protocol.sizes, n_reserved=protocol.n_reserved, n_draws=n_draws, n_scored=2)
            rng = np.random.RandomState(seed)
            for draw in draws.walk(rng):
                for strategy, table in score_ours(known, draw, COMPARED, rng):
                    cell = {"strategy": strategy, "draw": draw.number, "n_enrollment": draw.n_enrollment}
                    frames.append(table.assign(**cell, seed=seed))
    return pd.concat(frames, ignore_index=True)


def print_scores(results: pd.DataFrame) -> None:
    """Print the CCC by enrollment ratings; first, of several outputs, their mean."""
    results = with_mean_output(results)
    by_size = results.groupby(["strategy", "output", "n_enrollment"], sort=False)["ccc"].mean().unstack()
    for output in pd.unique(results["output"])[::-1]:
        print_table(f"CCC by enrollment ratings, {output}", by_size.xs(output, level="output"))


def print_gains(results: pd.DataFrame, one: str, protocol: Protocol) -> None:
    """Print the gains of a strategy over all others; first, of several outputs, that of their mean."""
    table = gains(results, one, as_cells=protocol.few_annotators)
    for output in pd.unique(table.index.get_level_values("output"))[::-1]:
        print_table(f"Gain of {one} over others, {output}", table.xs(output, level="output"))


def main() -> None:
    parser = command_line(__doc__, corpora=NAMES, seeds=5, draws=10)
    parser.add_argument("--recommended", choices=COMPARED, default=RECOMMENDED)
    options = parser.parse_args()
    results = compare(options.corpus, range(options.seeds), options.draws)
    print_scores(results)
    print_gains(results, options.recommended, PROTOCOLS[options.corpus])


if __name__ == "__main__":
    main()
