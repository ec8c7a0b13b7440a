"""Measure what hangs on each constant and each part of a blend: at half and at twice its value, and left out.

    python benchmarks/blend_parts.py [text odour-within odour expressive speech] [--seeds 2] [--draws 1] [--new-samples]

Protocols are those of data.py, learned by a committee. New annotators have 5 or 20 ratings each, and are enrolled all
together, or alone: each without the others' ratings. Told is the mean CCC on held-out ratings of the blend as it is,
calibrated, and what changes make of it, in thousandths, on the same draws. Scored samples may have been rated by others
who enrolled; with --new-samples they are the half of the samples that nobody has rated, and nobody is enrolled alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from command_line import command_line
from data import NAMES, PROTOCOLS, read_pairs
from fine_tuning import split
from tables import print_table

from sklearn_annoser import AnnotatorCommittee, Ratings
from sklearn_annoser.evaluation._cross_corpus import fit_on_corpus
from sklearn_annoser.evaluation._draws import Draw, Draws
from sklearn_annoser.evaluation._remembered import Remembered
from sklearn_annoser.mapping import Prior, _axes, _crossed, calibrate_heads, predict_pairs
from sklearn_annoser.mapping._axes import Axes
from sklearn_annoser.mapping._crossed import CrossedModel
from sklearn_annoser.mapping._prior import OWN_CONTENT as GUESS
from sklearn_annoser.metrics import annotator_ccc
from sklearn_annoser.ratings import shuffled_places

SIZES = (5, 20)
AS_IT_IS = "as it is"
OWN_CONTENT, KNOWN_HEADS = "own content", "ways of known heads"  # learned at fit: of each the variance is changed
SCALED = {
    "SHARED_OFFSET": _axes,
    "N_CONTENT": _axes,
    "N_HEADS": _axes,
    "SHIFTS": _crossed,
    "FEW_ITEMS": _crossed,
    "OWN_ITEMS": _crossed,
    "CONSENSUS_DEVIATION": _crossed,
    "LEAST_ITEM": _crossed,
    "MOST_ITEMS": _crossed,
}
LEFT_OUT = {
    "nothing shared": {"SHIFTS": np.zeros(1), "SHARED_OFFSET": 0.0},
    "no content of one's own": {OWN_CONTENT: 0.0},
    "own content not learned": {OWN_CONTENT: None},
    "no ways of known heads": {KNOWN_HEADS: 0.0},
    "no effect of the item": {"MOST_ITEMS": 0},
}


def variants() -> dict[str, dict[str, Any]]:
    """Name -> constants that are changed."""
    changed: dict[str, dict[str, Any]] = {AS_IT_IS: {}}
    for name in (OWN_CONTENT, KNOWN_HEADS):
        changed |= {f"{name}, half": {name: 0.5}, f"{name}, twice": {name: 2.0}}
    for name, module in SCALED.items():
        value = getattr(module, name)
        changed[f"{name}, half"] = {name: value // 2 if isinstance(value, int) else value / 2}
        changed[f"{name}, twice"] = {name: value * 2}
    return changed | LEFT_OUT


@contextmanager
def constants(values: dict[str, Any]) -> Iterator[None]:
    """Change constants of the blend for a while."""
    with ExitStack() as stack:
        for name in values.keys() & SCALED:
            stack.enter_context(patch.object(SCALED[name], name, values[name]))
        yield


def changed_prior(prior: Prior, values: dict[str, Any]) -> Prior:
    """Return the prior with more or less of what is learned at fit; None: as if nothing had been learned."""
    own, heads = values.get(OWN_CONTENT, 1.0), values.get(KNOWN_HEADS, 1.0)
    content = np.full_like(prior.own_content, GUESS) if own is None else own * prior.own_content
    return replace(prior, own_content=content, individual_share=prior.individual_share / np.sqrt(max(heads, 1e-12)))


class Blender:
    """A blend of one source for one corpus, which finds the axes but once for each number of them."""

    def __init__(self, known: Remembered) -> None:
        self.known, self.prior = known, known.prior_.with_samples([known.hidden_])
        self.axes: dict[tuple[Any, ...], Axes] = {}

    def heads(self, enrolled: Ratings, values: dict[str, Any]) -> np.ndarray:
        """Return calibrated heads, for ratings from -1 to 1, with some constants changed."""
        prior = changed_prior(self.prior, values)
        heads = np.empty((enrolled.n_annotators, *self.known._unit_heads.shape[1:]))
        for output in range(heads.shape[1]):
            key = (output, _axes.N_CONTENT, _axes.N_HEADS, prior.individual_share)
            if key not in self.axes:
                self.axes[key] = Axes.of(self.known._unit_heads[:, output], prior, output)
            model = CrossedModel(self.axes[key], self.known.hidden_[:, output], enrolled, prior, output)
            heads[:, output] = model.heads()
        slope, offset = calibrate_heads(self.known.hidden_, heads, enrolled, self.prior, with_offset=False)
        heads *= slope[:, :, None]
        heads[:, :, -1] += offset
        return heads

    def score(self, draw: Draw, alone: bool, values: dict[str, Any]) -> float:
        """Return the mean CCC if all are enrolled together, or each one alone, with some constants changed."""
        enrolled = self.known.to_unit(draw.enrolled)
        groups = [enrolled.keep_annotators([label]) for label in enrolled.annotators] if alone else [enrolled]
        heads = np.concatenate([self.heads(each, values) for each in groups])
        predicted = predict_pairs(self.known.hidden_, heads.astype(np.float32), draw.test.rows, draw.test.codes)
        ratings = draw.test.with_values(self.known._unit_scale.from_unit(predicted))
        return float(annotator_ccc(draw.test, ratings).drop(columns="n_ratings").to_numpy().mean())


def draws_of(target: Any, n_reserved: int, n_draws: int, seed: int, new_samples: bool) -> Iterable[Draw]:
    """Walk over draws of ratings to enrol with and to score."""
    rng = np.random.RandomState(seed)
    if not new_samples:
        yield from Draws(target.ratings, SIZES, n_reserved=n_reserved, n_draws=n_draws, n_scored=2).walk(rng)
        return
    for number in range(n_draws):
        pool, test = split(target, max(SIZES), rng)
        place = shuffled_places(pool, rng)
        for size in SIZES:
            yield Draw(number, size, pool.keep_ratings(place < size), test)


def measure(corpus: str, n_seeds: int, n_draws: int, new_samples: bool) -> pd.DataFrame:
    """Return the CCC of every variant, (n_variants, n_ways of enrolling)."""
    protocol, rows = PROTOCOLS[corpus], []
    pairs = [(seed, *pair) for seed in range(n_seeds) for pair in read_pairs(corpus, seed=seed)]
    for seed, source, target in pairs:
        model = fit_on_corpus(protocol.make_estimator(AnnotatorCommittee, random_state=seed), source, source.ratings)
        blender = Blender(Remembered(model, target.X))
        for draw in draws_of(target, protocol.n_reserved, n_draws, seed, new_samples):
            for alone in (False,) if new_samples or draw.test.n_annotators == 1 else (False, True):
                way = f"{corpus} {draw.n_enrollment}{' alone' if alone else ''}"
                for name, changed in variants().items():
                    with constants(changed):
                        rows.append((name, way, blender.score(draw, alone, changed)))
    table = pd.DataFrame(rows, columns=["blend", "way", "ccc"])
    return table.groupby(["blend", "way"], sort=False)["ccc"].mean().unstack()


def main() -> None:
    parser = command_line(__doc__, seeds=2, draws=1)
    parser.add_argument("corpora", nargs="*", default=list(NAMES), help=f"of {list(NAMES)}; default: all")
    parser.add_argument("--new-samples", action="store_true")
    options = parser.parse_args()
    asked = (options.seeds, options.draws, options.new_samples)
    table = pd.concat([measure(corpus, *asked) for corpus in options.corpora], axis=1)
    told = (1000 * (table - table.loc[AS_IT_IS])).map("{:+.1f}".format)
    told.loc[AS_IT_IS] = table.loc[AS_IT_IS].map("{:.3f}".format)
    print_table("CCC, and what changes make of it in thousandths", told)


if __name__ == "__main__":
    main()
