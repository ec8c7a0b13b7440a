"""Measure the forecast where new samples are unlike those of the training: a new expert rates new speakers.

    python benchmarks/new_speakers.py [--draws 10]

speechocean762, the clips with audio, the last layer of Whisper tiny.en. The recommended model, without groups, learns
four experts on the train split. The expert left out gives 20 ratings of the test split, whose speakers are others, and
is scored on its other clips. Then what the samples have to do with it, as correlations: of a ridge regression of the
four experts' mean with that mean, in folds of the train split, in folds of its speakers and on the test split, there
also with the expert left out; and of each of the four experts' own heads with their own ratings of the test split.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from command_line import command_line
from data import read_pairs
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from tables import print_table

from sklearn_annoser import AnnotatorCommittee, AnnotatorMapper, Ratings
from sklearn_annoser.metrics import ccc_score

LEFT_OUT = ("expert4", "expert5")
OUTPUTS = ("accuracy", "fluency", "prosodic")
LAST_LAYER = slice(4 * 384, 5 * 384)
N_ENROLLED, N_FOLDS = 20, 10


def with_audio(corpus: Bunch) -> Bunch:
    """Return the clips that have audio: features, ratings, speakers, and what the known ones gave, if that is there."""
    heard = np.flatnonzero(corpus.utterances["has_audio"].astype(bool))
    ratings = {name: corpus[name][heard] for name in ("ratings", "by_known") if name in corpus}
    return Bunch(X=corpus.X[heard, LAST_LAYER], groups=corpus.groups[heard], **ratings)


def pairs() -> Iterator[tuple[str, Bunch, Bunch]]:
    """Walk over experts left out: the clips on which the others are known, and those that they rate themselves."""
    for source, target in read_pairs("speech", outputs=OUTPUTS):
        (expert,) = target.ratings.annotators
        if expert in LEFT_OUT:
            yield expert, with_audio(source), with_audio(target)


def forecasts(model: Pipeline, target: Bunch, n_draws: int) -> pd.DataFrame:
    """Return forecasts from a few ratings, and the CCC and correlation on all others, by draw and output."""
    truth, rows = target.ratings.values, []
    for draw in range(n_draws):
        chosen = np.random.RandomState(draw).choice(len(truth), N_ENROLLED, replace=False)
        enrolled = target.ratings.keep_ratings(np.isin(target.ratings.rows, chosen))
        mapper = AnnotatorMapper(FrozenEstimator(model), strategy="blend", calibration="affine", random_state=0)
        mapper.fit(target.X, enrolled)
        predicted, found = mapper.predict_annotators(target.X)[:, 0], mapper.mapping_.iloc[0]
        rest = np.setdiff1d(np.arange(len(truth)), chosen)
        for output, name in enumerate(OUTPUTS):
            seen, told = truth[rest, output], predicted[rest, output]
            rows.append(
                {"output": name}
                | {kind: found[f"{kind}_{name}"] for kind in ("expected", "low", "high")}
                | {"CCC": ccc_score(seen, told), "correlation": correlation(seen, told)}
            )
    return pd.DataFrame(rows)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def within_speakers(corpus: Bunch, ratings: Ratings) -> list[float]:
    """Return by how much the mean rating of each output deviates within speakers, on the scale of 0 to 10."""
    by_speaker = pd.DataFrame(5 * ratings.consensus()).groupby(corpus.groups)  # they are rescaled to -1 to 1
    return np.sqrt(by_speaker.var(ddof=0).mean()).tolist()


def expected_at_first(model: Pipeline, source: Bunch, target: Bunch) -> pd.DataFrame:
    """Return the correlation from which the forecast starts, and by how much ratings deviate here and there."""
    columns = {
        "correlation on training clips kept apart": model[-1].prior_.correlation,
        "deviation within speakers, training": within_speakers(source, source.ratings),
        "new clips": within_speakers(target, target.by_known),
    }
    return pd.DataFrame(columns, index=pd.Index(OUTPUTS, name="output"))


def of_a_ridge(source: Bunch, target: Bunch) -> pd.DataFrame:
    """Return the correlation of a ridge regression of the known experts' mean with that mean, here and there."""
    ridge, rows = make_pipeline(StandardScaler(), RidgeCV(np.logspace(1, 5, 9))), {}
    for output, name in enumerate(OUTPUTS):
        known, there = source.ratings.consensus()[:, output], target.by_known.consensus()[:, output]
        clips = cross_val_predict(ridge, source.X, known, cv=KFold(N_FOLDS, shuffle=True, random_state=0))
        speakers = cross_val_predict(ridge, source.X, known, cv=GroupKFold(N_FOLDS), groups=source.groups)
        predicted = ridge.fit(source.X, known).predict(target.X)
        rows[name] = {
            "training, in folds": correlation(clips, known),
            "in folds of speakers": correlation(speakers, known),
            "new clips": correlation(predicted, there),
            "new clips, with the one left out": correlation(predicted, target.ratings.values[:, output]),
        }
    return pd.DataFrame(rows).T.rename_axis("output")


def of_known_experts(model: Pipeline, X: np.ndarray, by_known: Ratings) -> pd.DataFrame:
    """Return the correlation of each known expert's head with their own ratings of new clips."""
    rows = {}
    for expert in model[-1].annotators_:
        clips, values = by_known.of(expert)
        predicted = model.predict(X, annotator=expert)[clips]
        rows[expert] = {name: correlation(predicted[:, o], values[:, o]) for o, name in enumerate(OUTPUTS)}
    return pd.DataFrame(rows).T.rename_axis("expert")


def main() -> None:
    options = command_line(__doc__, draws=10).parse_args()
    tables: dict[str, pd.DataFrame] = {}
    further: dict[str, pd.DataFrame] = {}
    for expert, source, target in pairs():
        model = make_pipeline(StandardScaler(), AnnotatorCommittee(lr=1e-3, random_state=0))
        model.fit(source.X, source.ratings)
        tables[expert] = forecasts(model, target, options.draws)
        if not further:
            further = {
                "A ridge regression of the mean of those known: correlation": of_a_ridge(source, target),
                "Own heads of those known, on new clips: correlation": of_known_experts(
                    model, target.X, target.by_known
                ),
                "What is expected at first": expected_at_first(model, source, target),
            }
    found = pd.concat(tables, names=["left out"]).reset_index("left out")
    found["holds"] = found["CCC"].between(found["low"], found["high"])
    by_output = found.groupby(["left out", "output"])
    print_table(
        "Forecast and truth: means, and how many 80 % intervals hold",
        by_output.mean().assign(holds=by_output["holds"].sum().astype(str) + f" of {options.draws}"),
        digits=2,
    )
    too_high = int((found["low"] > found["CCC"]).sum())
    print(f"\n{int(found['holds'].sum())} of {len(found)} intervals hold; {too_high} are too high")
    for title, table in further.items():
        print_table(f"{title} ({LEFT_OUT[0]} left out)", table, digits=2)


if __name__ == "__main__":
    main()
