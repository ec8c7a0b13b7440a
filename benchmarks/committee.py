"""Measure what the parts of a committee are worth, before anybody new has rated anything.

    python benchmarks/committee.py {speech,text,expressive,odour,odour-within} [--seeds 3]

The protocols are those of data.py. The correlation of predictions with the ratings of new annotators, within each of
them; the mean over outputs, seeds and, where one annotator is left out, annotators.

one network     the first of the committee's networks, the mean of its heads
five networks   the mean of the five
consensus       the mean of the five networks of the consensus
ridge           the ridge regression of the consensus
equal           all eleven, each brought to mean 0 and variance 1
committee       as the committee weighs them
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from command_line import command_line
from data import NAMES, PROTOCOLS, read_pairs
from tables import print_table
from tqdm.auto import tqdm

from sklearn_annoser import AnnotatorCommittee, Ratings
from sklearn_annoser.evaluation._cross_corpus import fit_on_corpus
from sklearn_annoser.metrics._within import within_correlation
from sklearn_annoser.network._passes import in_passes


def correlations(model: AnnotatorCommittee, X: np.ndarray, ratings: Ratings) -> dict[str, float]:
    """Return the correlation of each part's predictions with ratings."""
    X = np.ascontiguousarray(X, dtype=np.float32)
    parts = in_passes(model.net_.module_.mean_predictions, torch.from_numpy(X), "cpu").numpy()  # (n_outputs, n, 11)
    scaled = (parts - parts.mean(axis=1, keepdims=True)) / parts.std(axis=1, keepdims=True)
    n = model.n_members
    predicted = {
        "one network": parts[:, :, 0],
        "five networks": parts[:, :, :n].mean(axis=2),
        "consensus": parts[:, :, n:-1].mean(axis=2),
        "ridge": parts[:, :, -1],
        "equal": scaled.mean(axis=2),
        "committee": model.predict(X).reshape(len(X), -1).T,
    }
    return {name: float(within_correlation(each.T[ratings.rows], ratings).mean()) for name, each in predicted.items()}


def main() -> None:
    options = command_line(__doc__, corpora=NAMES, seeds=3).parse_args()
    rows = []
    for seed in range(options.seeds):
        for source, target in tqdm(read_pairs(options.corpus, seed=seed), desc=f"seed {seed}"):
            estimator = PROTOCOLS[options.corpus].make_estimator(AnnotatorCommittee)
            model = fit_on_corpus(estimator, source, source.ratings, random_state=seed)
            rows.append(correlations(model[-1], model[:-1].transform(target.X), target.ratings))
    table = pd.DataFrame(rows).mean().to_frame(options.corpus).T.rename_axis("protocol")
    print_table("Correlation within new annotators", table)


if __name__ == "__main__":
    main()
