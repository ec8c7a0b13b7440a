"""Compare with what one would try instead of the package: same splits, same draws, same scored ratings.

    python benchmarks/rivals.py {speech,text,expressive,odour,odour-within} [--seeds 3] [--draws 5]
                                [--recommended recommended]

own ridge                ridge regression on the enrollment ratings alone
matched consensus        ridge regression of the source's consensus, with the new rater's mean and spread
Gaussian process         the consensus as its mean, a rater's offset, slope and taste in its covariance
boosting                 gradient boosting, trained on known raters as if they were new
collaborative filtering  biases and factors of the samples by known raters' ratings of them, which no other row reads;
                         not where known raters have not rated the target's samples (odour)

What a rival leaves open (penalties, ranks, kernels, how much to trust a mean or a spread) is chosen for each number of
ratings on known raters, left out of the source as if they were new. Features are the protocol's, scaled, at most 384
principal components of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from _rivals.boosting import boosting
from _rivals.factors import collaborative_filtering
from _rivals.known import Episode, Known, Table, components, learn_known
from _rivals.process import gaussian_process
from _rivals.ridge import matched_consensus, own_ridge
from _rivals.tuning import Predict
from command_line import command_line
from data import NAMES, PROTOCOLS, Protocol, read_pairs
from sklearn.base import clone
from strategies import COMPARED, RECOMMENDED, learn, print_gains, print_scores, score_ours
from tqdm.auto import tqdm

from sklearn_annoser import Ratings
from sklearn_annoser.evaluation._draws import Draw, Draws
from sklearn_annoser.evaluation._scores import tidy
from sklearn_annoser.metrics import annotator_ccc

RIVALS: dict[str, Callable[[Known], Predict | None]] = {
    "own ridge": own_ridge,
    "matched consensus": matched_consensus,
    "Gaussian process": gaussian_process,
    "boosting": boosting,
    "collaborative filtering": collaborative_filtering,
}


def table_of(ratings: Ratings, output: int) -> Table:
    """Return the ratings that have an output."""
    values = ratings.values[:, output]
    given = np.isfinite(values)
    return Table(ratings.rows[given], ratings.codes[given], values[given].astype(float))


def learn_output(protocol: Protocol, source: Any, target: Any, output: int) -> tuple[Known, dict[str, Predict]]:
    """Tune every rival for an output, on the source alone."""
    scaler, by_known = clone(protocol.scaler), target.get("by_known")
    X, X_new = components(scaler.fit_transform(source.X), scaler.transform(target.X))
    shared = None if by_known is None else table_of(by_known, output)
    asked = {"groups": source.get("groups"), "sizes": protocol.sizes}
    known = learn_known(X, table_of(source.ratings, output), X_new, shared, **asked)
    learned = {name: rival(known) for name, rival in RIVALS.items()}
    return known, {name: predict for name, predict in learned.items() if predict is not None}


def predict_draw(predict: Predict, known: Known, draw: Draw, output: int) -> np.ndarray:
    """Return predictions of an output for the test ratings; the consensus for who has not rated it."""
    enrolled, test = table_of(draw.enrolled, output), draw.test
    predicted = known.new.consensus[test.rows]
    for code in range(test.n_annotators):
        few, asked = enrolled.only(enrolled.codes == code), test.codes == code
        if len(few.rows):
            episode = Episode(known.new, draw.n_enrollment, few.rows, few.values, test.rows[asked])
            predicted[asked] = predict(episode)[: asked.sum()]
    return predicted


def score_rivals(learned: list[tuple[Known, dict[str, Predict]]], draw: Draw) -> Iterator[tuple[str, pd.DataFrame]]:
    """Walk over rivals and their scores."""
    for name in learned[0][1]:
        columns = [predict_draw(rivals[name], known, draw, output) for output, (known, rivals) in enumerate(learned)]
        predicted = draw.test.with_values(np.column_stack(columns))
        yield name, tidy(annotator_ccc(draw.test, predicted).drop(columns="n_ratings"))


def compare_pair(
    protocol: Protocol, source: Any, target: Any, seed: int, n_draws: int, names: list[str]
) -> pd.DataFrame:
    """Train strategies and rivals on a source, and score them on a target."""
    ours = learn(protocol, source, target.X, names, seed)
    learned = [learn_output(protocol, source, target, output) for output in range(source.ratings.n_outputs)]
    draws = Draws(target.ratings, protocol.sizes, n_reserved=protocol.n_reserved, n_draws=n_draws, n_scored=2)
    frames, rng = [], np.random.RandomState(seed)
    for draw in draws.walk(rng):
        for scored in (score_ours(ours, draw, names, rng), score_rivals(learned, draw)):
            for name, table in scored:
                frames.append(table.assign(strategy=name, draw=draw.number, n_enrollment=draw.n_enrollment))
    return pd.concat(frames, ignore_index=True).assign(seed=seed)


def main() -> None:
    parser = command_line(__doc__, corpora=NAMES, seeds=3, draws=5)
    parser.add_argument("--recommended", choices=COMPARED, default=RECOMMENDED)
    options = parser.parse_args()
    protocol, names = PROTOCOLS[options.corpus], list(dict.fromkeys([options.recommended, "former blend"]))
    frames = []
    for seed in range(options.seeds):
        for source, target in tqdm(read_pairs(options.corpus, seed=seed), desc=f"seed {seed}"):
            frames.append(compare_pair(protocol, source, target, seed, options.draws, names))
    results = pd.concat(frames, ignore_index=True)
    print_scores(results)
    print_gains(results, options.recommended, protocol)


if __name__ == "__main__":
    main()
