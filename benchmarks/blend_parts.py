"""Measure what each part of a blended, calibrated head is worth, by leaving it out.

    python benchmarks/blend_parts.py {speech,text} [--seeds 3] [--draws 10]

Data and protocol are those of strategies.py; CCC on held-out ratings, mean over annotators, outputs, seeds and draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from command_line import command_line
from forecast import trained
from tables import print_table

from sklearn_annoser.evaluation._draws import Draws
from sklearn_annoser.evaluation._remembered import Remembered
from sklearn_annoser.mapping import Enroller, Prior, _posterior, _prior, predict_pairs
from sklearn_annoser.metrics import annotator_ccc

SIZES = (5, 10, 20, 30)
CONSTANTS = {
    "whole": {},
    "nothing of its own": {"OWN_SHARE": 0.0},
    "half the variance is noise": {"NOISE_SHARES": np.array([0.5])},
}


@contextmanager
def constants(**values: Any) -> Iterator[None]:
    """Change constants of prior and blend for a while."""
    with ExitStack() as stack:
        for name, value in values.items():
            stack.enter_context(patch.object(_prior if hasattr(_prior, name) else _posterior, name, value))
        yield


def variants(prior: Prior, everyone: np.ndarray, enrolled: np.ndarray) -> dict[str, tuple[dict[str, Any], Prior, str]]:
    """Name -> constants, prior and strategy."""
    with_all, with_enrolled = prior.with_samples([everyone]), prior.with_samples([enrolled])
    table = {name: (changed, with_all, "blend") for name, changed in CONSTANTS.items()}
    with constants(SOURCE_SAMPLES=0):
        alone = prior.with_samples([enrolled])
    table["samples of the enrollment only"] = ({}, alone, "blend")
    table["samples of source and enrollment"] = ({}, with_enrolled, "blend")
    table["spread of the ratings alone"] = ({}, replace(with_all, n_worth=np.full_like(prior.n_worth, 1e-6)), "blend")
    table["spread of the source alone"] = ({}, replace(with_all, n_worth=np.full_like(prior.n_worth, 1e6)), "blend")
    table["mean of all, calibrated"] = ({}, with_all, "all")
    return table


def main() -> None:
    options = command_line(__doc__, corpora=("speech", "text"), seeds=3, draws=10).parse_args()
    rows = []
    for seed, model, X, ratings in trained(options.corpus, range(options.seeds)):
        known, rng = Remembered(model, X), np.random.RandomState(seed)
        draws = Draws(ratings, SIZES, n_reserved=None, n_draws=options.draws, n_scored=2)
        for draw in draws.walk(rng):
            seen = known.hidden_[np.unique(draw.enrolled.rows)]
            for name, (changed, prior, strategy) in variants(known.prior_, known.hidden_, seen).items():
                with constants(**changed):
                    enroller = Enroller(known._unit_heads, prior, strategy, calibration="affine", min_ratings=1)
                    mapping = enroller.enrol(known.hidden_, known.to_unit(draw.enrolled), with_scores=False)
                predicted = known._unit_scale.from_unit(
                    predict_pairs(known.hidden_, mapping.heads, draw.test.rows, draw.test.codes)
                )
                scores = annotator_ccc(draw.test, draw.test.with_values(predicted)).drop(columns="n_ratings")
                rows.append((name, draw.n_enrollment, scores.to_numpy().mean()))
    table = pd.DataFrame(rows, columns=["part", "n_enrollment", "ccc"])
    print_table(
        "CCC by enrollment ratings", table.groupby(["part", "n_enrollment"], sort=False)["ccc"].mean().unstack()
    )


if __name__ == "__main__":
    main()
