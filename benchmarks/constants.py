"""How much hangs on the constants behind warnings and refusals: each halved, as it is, and doubled, on real corpora.

    python benchmarks/constants.py

Trainings: 12 of each kind, on 60 to 1,500 samples of speechocean762 and of Stanford politeness; how many warn that they
have learned next to nothing (n), or that they ended while they were learning (e). Good ones should not; of the others
those should that have 100 validation ratings, which are 10. Each is trained once, and judged with all constants.

Scales: each rater of the target corpora brings their ratings to a model of the source, as they are, and brought from
-1 to 1 to 1 to 7; the share that is refused (r) or warned of (w). The ratings of the training declare their scale, or
are by a single rater, whose range is all that the model has seen. Constants that nothing hangs on there are left out.
"""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from data import read_speech, read_text
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from tables import print_table

from sklearn_annoser import AnnotatorMappedRegressor, Ratings
from sklearn_annoser.estimators import _unit_scale
from sklearn_annoser.estimators._unit_scale import UnitScale
from sklearn_annoser.network import _ratings_net
from sklearn_annoser.network._ratings_net import RatingsNet

FACTORS = {"half": 0.5, "as is": 1.0, "twice": 2.0}
SIZES = (60, 120, 240, 480, 900, 1500)
WARNS = ("LITTLE", "TELLING", "LONG")
REFUSES = {"declared": ("A_QUARTER", "MOST"), "seen": ("A_HALF", "ONE", "MANY", "MOST")}
KINDS: dict[str, dict[str, Any]] = {
    "good": {"lr": 0.01},
    "3 epochs": {"lr": 0.01, "max_epochs": 3},
    "15 slow epochs, patience 1": {"lr": 3e-4, "max_epochs": 15, "patience": 1, "pretrain_epochs": 0},
    "lr=1e-8": {"lr": 1e-8, "pretrain_epochs": 0},
    "shuffled ratings": {"lr": 0.01},
}


class Judge:
    """What trainings warn of, by constant and factor: put in place of the net's own verdict."""

    def __init__(self) -> None:
        self.told: Counter[tuple[str, str, str]] = Counter()
        self.own = RatingsNet._warn_if_little_is_learned

    def __call__(self, net: Any, valid: Any) -> Any:
        """Judge a training with every constant, and return the net as its own verdict does."""
        for name in WARNS:
            for factor, times in FACTORS.items():
                changed = mock.patch.object(_ratings_net, name, getattr(_ratings_net, name) * times)
                with changed, warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    self.own(net, valid)
                for each in caught:
                    if issubclass(each.category, ConvergenceWarning):
                        self.told[name, factor, "n" if "next to nothing" in str(each.message) else "e"] += 1
        return net

    def cell(self, name: str, factor: str) -> str:
        """Say how many warned."""
        return " ".join(f"{self.told[name, factor, what]}{what}" for what in "ne")


def train(kind: str, corpus: Any, size: int, seed: int) -> None:
    """Train on some samples."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(corpus.X))[:size]
    ratings = corpus.ratings[rows].keep_annotators()
    if kind == "shuffled ratings":
        ratings = ratings.with_values(rng.permutation(ratings.values))
    model = AnnotatorMappedRegressor(n_hidden=64, **({"max_epochs": 100, "random_state": seed} | KINDS[kind]))
    model.fit(StandardScaler().fit_transform(corpus.X[rows]), ratings)


def trainings(corpora: list[Any]) -> pd.DataFrame:
    """Return how many of each kind warn."""
    lines = []
    for kind in KINDS:
        judge = Judge()
        # A function, not the judge: only functions become methods.
        with mock.patch.object(
            RatingsNet, "_warn_if_little_is_learned", lambda net, valid, judge=judge: judge(net, valid)
        ):
            for seed, corpus in enumerate(corpora):
                for size in SIZES:
                    train(kind, corpus, size, seed)
        cells = {f"{name} {factor}": judge.cell(name, factor) for name in WARNS for factor in FACTORS}
        lines.append({"training": kind} | cells)
    return pd.DataFrame(lines).set_index("training")


def verdict(scale: UnitScale, values: np.ndarray) -> str:
    """Say whether a rater's values are refused, warned of, or taken."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            scale.check_values(values, [str(output) for output in range(values.shape[1])])
        except ValueError:
            return "r"
    return "w" if caught else "taken"


def raters_of(ratings: Ratings) -> list[np.ndarray]:
    """Return the values of each rater with at least ten."""
    return [
        ratings.of(label)[1].reshape(-1, ratings.n_outputs)
        for label in ratings.keep_annotators(min_ratings=10).annotators
    ]


def scales(pairs: list[tuple[Any, Any]]) -> pd.DataFrame:
    """Return the share of raters that is refused or warned of."""
    cases: dict[str, list[tuple[UnitScale, np.ndarray]]] = {"declared": [], "seen": []}
    for source, target in pairs:
        new = raters_of(target.ratings)
        cases["declared"] += [(UnitScale.of(source.ratings), values) for values in new]
        for own in raters_of(source.ratings):
            seen = UnitScale.of(Ratings.from_rows(own, "one"))
            cases["seen"] += [(seen, values) for values in new]
    lines = []
    for case, judged in cases.items():
        for brought, change in {"as they are": lambda v: v, "1 to 7": lambda v: 4 + 3 * v}.items():
            for name in REFUSES[case]:
                line = {"scale": case, "ratings": brought, "constant": name}
                for factor, times in FACTORS.items():
                    with mock.patch.object(_unit_scale, name, getattr(_unit_scale, name) * times):
                        told = Counter(verdict(scale, change(values)) for scale, values in judged)
                    line[factor] = " ".join(f"{told[what] / len(judged):.1%} {what}" for what in "rw")
                lines.append(line)
    return pd.DataFrame(lines).set_index("scale")


def main() -> None:
    speech, text = read_speech(), read_text()
    print_table("Trainings that warn, of 12", trainings([speech[0], text[0]]))
    print_table("Raters refused and warned of", scales([speech, text]))


if __name__ == "__main__":
    main()
