"""Choose learning rate and features of the small protocols on their sources alone: no rating of the target is read.

    python benchmarks/rates.py {expressive,odour,odour-within} [--seeds 2] [--pairs 2]

Each quarter of the source's samples (of its groups) is held out in turn; the CCC is that of the known raters on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from command_line import command_line
from data import PROTOCOLS, RANKED, read_pairs
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from tables import print_table

from sklearn_annoser import AnnotatorMappedRegressor
from sklearn_annoser.evaluation._cross_corpus import fit_on_corpus
from sklearn_annoser.metrics import annotator_ccc

RATES = (1e-3, 1e-2, 3e-2)
FEATURES: dict[str, tuple[Any, dict[str, str]]] = {  # scaler, and what to read
    "descriptors, ranked": (RANKED, {"features": "descriptors"}),
    "Morgan": (StandardScaler(), {"features": "morgan"}),
}


def held_out_scores(estimator: Pipeline, source: Bunch, seed: int) -> list[np.ndarray]:
    """Return the mean CCC with known raters, by output, of each quarter."""
    groups = source.get("groups", np.arange(len(source.X)))
    scores = []
    for train, test in GroupKFold(4, shuffle=True, random_state=seed).split(source.X, groups=groups):
        part = Bunch(X=source.X[train], ratings=source.ratings[train], groups=groups[train])
        model = fit_on_corpus(estimator, part, part.ratings, random_state=seed)
        truth = source.ratings[test].keep_annotators(model[-1].annotators_)
        predicted = model[-1].predict_ratings(model[:-1].transform(source.X[test]), truth)
        scores.append(annotator_ccc(truth, predicted).drop(columns="n_ratings").mean().to_numpy())
    return scores


def main() -> None:
    names = ("expressive", "odour", "odour-within")
    options = command_line(__doc__, corpora=names, seeds=2, pairs=2).parse_args()
    choices = FEATURES if options.corpus != "expressive" else {"Whisper": (PROTOCOLS["expressive"].scaler, {})}
    rows = []
    for name, (scaler, reading) in choices.items():
        for seed in range(options.seeds):
            for source, _ in read_pairs(options.corpus, seed=seed, **reading)[: options.pairs]:
                for lr in RATES:
                    estimator = make_pipeline(scaler, AnnotatorMappedRegressor(lr=lr))
                    for ccc in held_out_scores(estimator, source, seed):
                        outputs = dict(zip(source.ratings.outputs, ccc, strict=True))
                        rows.append({"features": name, "lr": str(lr), **outputs, "mean": ccc.mean()})
    table = pd.DataFrame(rows).groupby(["features", "lr"], sort=False).mean()
    print_table("CCC of known raters on held-out samples of the source", table)


if __name__ == "__main__":
    main()
