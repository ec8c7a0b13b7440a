"""Seconds of each step of a job, from what its parts take on this machine."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator

from sklearn_annoser.encoders import BertEncoder, WavLMEncoder
from sklearn_annoser.estimators import AnnotatorCommittee, AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.ratings import Ratings
from sklearn_annoser.reproduce import write_random_encoders

__all__ = ["Corpus", "describe_plan", "make_plan"]

RATE = 16000  # Hz
N_WORDS = 16  # of a transcript
N_FEATURES = 1536  # of WavLM and BERT side by side
N_KNOWN, N_SAMPLES = 40, 640  # annotators and samples to measure training with
N_RATINGS, MOST_PEOPLE = 20, 20  # of a new annotator; who are enrolled to measure
BATCH = 32  # samples in a training step


@dataclass(frozen=True)
class Corpus:
    """The size of a corpus that is yet to be worked on.

    Parameters
    ----------
    hours : float
        Audio.
    annotators : int
        Annotators to learn.
    seconds : float, default=6.0
        Length of an utterance.
    ratings_each : float, default=6.0
        Ratings of an utterance.
    outputs : int, default=2
        Outputs of a rating.
    epochs : int, default=30
        Epochs of training, as many as early stopping usually leaves.
    people : int, default=100
        New annotators to enrol, with 20 ratings each.
    """

    hours: float
    annotators: int
    seconds: float = 6.0
    ratings_each: float = 6.0
    outputs: int = 2
    epochs: int = 30
    people: int = 100

    @property
    def n_utterances(self) -> int:
        """How many utterances there are."""
        return max(round(self.hours * 3600 / self.seconds), 1)


def make_plan(corpus: Corpus, *, budget: float = 20.0, with_encoders: bool = True) -> pd.DataFrame:
    """Tell how long each step will take, from a measurement on this machine.

    The encoders have the size of WavLM base and BERT base, with random weights: the arithmetic is the same. What is
    measured is drawn at random, and thrown away.

    Parameters
    ----------
    corpus : Corpus
        Its size.
    budget : float, default=20.0
        Seconds to measure for, about, beyond what it takes to make the networks.
    with_encoders : bool, default=True
        Whether to measure the encoders, which needs transformers.

    Returns
    -------
    DataFrame
        For each step: `measured`, in seconds a unit; `unit`; `n_units`; `seconds` for the corpus.

    Examples
    --------
    >>> from sklearn_annoser.planning import Corpus, make_plan
    >>> plan = make_plan(Corpus(hours=1, annotators=50), budget=0.1, with_encoders=False)
    >>> plan.index.tolist()
    ['train one network', 'train a committee', 'map to the most similar', 'blend, and forecast', 'predict']
    >>> bool((plan["seconds"] == plan["measured"] * plan["n_units"]).all())
    True
    """
    share = budget / (7 if with_encoders else 5)
    rows: dict[str, tuple[float, str, int]] = {}
    if with_encoders:
        rows |= _plan_encoders(corpus, share)
    rows |= _plan_models(corpus, share)
    plan = pd.DataFrame(rows, index=["measured", "unit", "n_units"]).T.rename_axis("step")
    plan["seconds"] = plan["measured"] * plan["n_units"]
    return plan.astype({"measured": float, "n_units": int, "seconds": float})


def _plan_encoders(corpus: Corpus, share: float) -> dict[str, tuple[float, str, int]]:
    """Measure both encoders on noise, and on words of a few letters."""
    rng = np.random.RandomState(0)

    def waves(n: int) -> list[np.ndarray]:  # all different: what is the same is embedded but once
        return list((0.1 * rng.normal(size=(n, round(corpus.seconds * RATE)))).astype(np.float32))

    def texts(n: int) -> list[str]:
        return [" ".join(words) for words in rng.choice(list("abcdefgh"), size=(n, N_WORDS))]

    with tempfile.TemporaryDirectory() as folder:
        speech, text = write_random_encoders(folder, size="base")
        heard, read = WavLMEncoder(speech).fit(waves(1)), BertEncoder(text).fit(texts(1))
        found = {
            "encode audio": (_seconds(lambda n: heard.transform(waves(n)), share), "utterance"),
            "encode text": (_seconds(lambda n: read.transform(texts(n)), share), "utterance"),
        }
    return {step: (*told, corpus.n_utterances) for step, told in found.items()}


def _plan_models(corpus: Corpus, share: float) -> dict[str, tuple[float, str, int]]:
    """Measure training steps, mapping and predicting, with heads for as many annotators."""
    rng = np.random.RandomState(0)
    X, ratings = _drawn(corpus, rng, N_KNOWN, N_SAMPLES, each=corpus.ratings_each)
    n_steps = -(-corpus.n_utterances // BATCH) * corpus.epochs
    rows: dict[str, tuple[float, str, int]] = {}
    for step, kind in {"train one network": AnnotatorMappedRegressor, "train a committee": AnnotatorCommittee}.items():
        model = kind(batch_size=BATCH, patience=1000, random_state=0)
        rows[step] = _step_seconds(model, X, ratings, share), "step", n_steps
    known = AnnotatorMappedRegressor(batch_size=BATCH, max_epochs=1, random_state=0).fit(X, ratings)
    heads = known.heads_[rng.randint(N_KNOWN, size=corpus.annotators)]
    known = known.with_heads(np.arange(corpus.annotators), heads + rng.normal(scale=0.01, size=heads.shape))
    n_people = min(corpus.people, MOST_PEOPLE)
    new = _drawn(corpus, rng, n_people, N_RATINGS * n_people, each=1)
    ways: dict[str, dict[str, Any]] = {
        "map to the most similar": {"strategy": "joint", "n_folds": 0},
        "blend, and forecast": {"strategy": "blend"},
    }
    for step, how in ways.items():
        mapper = AnnotatorMapper(FrozenEstimator(known), calibration="affine", n_bootstrap=0, random_state=0, **how)
        start = time.perf_counter()
        mapper.fit(*new)
        rows[step] = (time.perf_counter() - start) / n_people, "person", corpus.people
    all_at_once = _seconds(lambda n: known.predict(np.resize(X, (BATCH * n, N_FEATURES))), share)
    rows["predict"] = all_at_once / BATCH, "utterance", corpus.n_utterances
    return rows


def _drawn(
    corpus: Corpus, rng: np.random.RandomState, n_annotators: int, n_samples: int, *, each: float
) -> tuple[np.ndarray, Ratings]:
    """Return features and ratings, drawn at random: of each sample by so many annotators, who take turns."""
    X = rng.normal(size=(n_samples, N_FEATURES)).astype(np.float32)
    n = min(max(round(each), 1), n_annotators)
    values = np.full((n_samples, n_annotators, corpus.outputs), np.nan)
    turns = (np.arange(n_samples)[:, None] + np.arange(n)) % n_annotators
    values[np.arange(n_samples)[:, None], turns] = rng.uniform(-1, 1, size=(n_samples, n, corpus.outputs))
    return X, Ratings.from_dense(values, scale=(-1, 1))


def _step_seconds(model: Any, X: np.ndarray, ratings: Ratings, share: float) -> float:
    """Return what a step of training takes, validation and all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # there is nothing to learn
        n_epochs = 2
        while True:
            history = model.set_params(max_epochs=n_epochs).fit(X, ratings).history_
            epochs = history.groupby("epoch")["dur"].max().iloc[1:]  # the first one makes what the others use
            if epochs.sum() > share / 2 or n_epochs > 500:
                return float(epochs.median()) / -(-len(X) // BATCH)
            n_epochs *= 3


def _seconds(do: Callable[[int], Any], share: float) -> float:
    """Return what one of many takes, doing more and more of them until the time is up."""
    do(1)
    n, spent = 1, 0.0
    while True:
        start = time.perf_counter()
        do(n)
        spent = time.perf_counter() - start
        if spent > share / 2:
            return spent / n
        n *= 2


def describe_plan(corpus: Corpus, plan: pd.DataFrame) -> str:
    """Write a plan down for people, with what it was made for and on.

    Parameters
    ----------
    corpus : Corpus
        Its size.
    plan : DataFrame
        What :func:`make_plan` returned.

    Returns
    -------
    str
    """
    table = pd.DataFrame(
        {
            "measured": [
                f"{_in_words(each)} a {unit}" for each, unit in zip(plan["measured"], plan["unit"], strict=True)
            ],
            "for the corpus": [_in_words(seconds) for seconds in plan["seconds"]],
        },
        index=plan.index,
    )
    return (
        f"{corpus.n_utterances:,} utterances, {corpus.hours:g} hours; {corpus.annotators:,} annotators, "
        f"{corpus.epochs} epochs; {corpus.people:,} new annotators with {N_RATINGS} ratings each\n"
        f"measured on {os.cpu_count()} cores with random weights and ratings\n\n{table.to_string()}"
    )


def _in_words(seconds: float) -> str:
    """Return a time with the unit that suits it."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60), ("s", 1), ("ms", 1e-3)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"
