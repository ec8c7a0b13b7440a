"""A simulated pair of corpora: a few kinds of annotators, each a way to hear, with a taste and a scale of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from sklearn_annoser._validation import check_number
from sklearn_annoser.ratings import Ratings

__all__ = ["make_corpora"]


def make_corpora(
    *,
    n_samples: int = 2000,
    n_features: int = 64,
    n_annotators: int = 40,
    n_targets: int = 20,
    n_types: int = 5,
    n_raters: int = 6,
    disagreement: float = 1.0,
    noise: float = 0.3,
    random_state: Any = None,
) -> tuple[Bunch, Bunch]:
    """Make a source and a target corpus with different annotators of the same kinds.

    Emotion is a smooth, nonlinear function of the features. Each *type* of annotator hears another such function,
    beside one that all share; an annotator is a type, plus a small taste, a leniency and a use of the scale of their
    own, plus noise. A target annotator is best served by a source annotator of the same type: that is the known truth.

    Parameters
    ----------
    n_samples : int, default=2000
        Samples in each corpus.
    n_features : int, default=64
        Features of a sample.
    n_annotators, n_targets : int, default=40 and 20
        Annotators of the source and of the target corpus.
    n_types : int, default=5
        Number of types.
    n_raters : int, default=6
        Ratings of each sample of the source; in the target each annotator rates as many samples on average as there
        would be with these.
    disagreement : float, default=1.0
        Weight of what a type hears beside what all share; with 0 all annotators agree.
    noise : float, default=0.3
        Standard deviation of a rating's noise; that of the ratings is about 1.
    random_state : int, RandomState or None, default=None
        Seed.

    Returns
    -------
    source, target : Bunch
        Each with `X`, float32 of shape (n_samples, n_features); `ratings`, Ratings of activation and valence; `groups`,
        the speaker of each sample; `types`, the type of each annotator; and `truth`, what each annotator would say
        without noise, of shape (n_samples, n_annotators, 2).

    Examples
    --------
    >>> from sklearn_annoser.datasets import make_corpora
    >>> source, target = make_corpora(n_samples=100, random_state=0)
    >>> source.ratings
    Ratings(n_samples=100, n_ratings=600, n_annotators=40, outputs=['activation', 'valence'])
    """
    for name, value in (("n_samples", n_samples), ("n_features", n_features), ("n_raters", n_raters)):
        check_number(name, value, low=1, integer=True)
    for name, value in (("n_annotators", n_annotators), ("n_targets", n_targets), ("n_types", n_types)):
        check_number(name, value, low=1, integer=True)
    if n_raters > min(n_annotators, n_targets):
        raise ValueError(f"n_raters={n_raters} must not exceed n_annotators={n_annotators} nor n_targets={n_targets}.")
    check_number("disagreement", disagreement, low=0)
    check_number("noise", noise, low=0)
    rng = check_random_state(random_state)
    n_outputs, n_waves = 2, 16
    # What a type hears: a sum of waves over a plane of the features. The last "type" is what all share.
    directions = rng.normal(size=(n_types + 1, n_outputs, n_features, n_waves)) / np.sqrt(n_features)
    phases = rng.uniform(0, 2 * np.pi, size=(n_types + 1, n_outputs, n_waves))
    weights = rng.normal(size=(n_types + 1, n_outputs, n_waves)) * np.sqrt(2 / n_waves)

    def hear(X: np.ndarray) -> np.ndarray:
        """Return what each type hears, (n_samples, n_types, n_outputs)."""
        waves = np.sin(np.einsum("nf,tofw->ntow", X, directions, optimize=True) + phases)
        heard = np.einsum("ntow,tow->nto", waves, weights)
        mixed = heard[:, -1:] + disagreement * heard[:, :-1]
        return mixed / np.sqrt(1 + disagreement**2)

    def corpus(prefix: str, n_people: int, shift: float) -> Bunch:
        X = (rng.normal(size=(n_samples, n_features)) + shift).astype(np.float32)
        types = rng.permutation(np.arange(n_people) % n_types)
        leniency = rng.normal(scale=0.3, size=(n_people, n_outputs))
        spread = np.exp(rng.normal(scale=0.25, size=(n_people, n_outputs)))
        taste = rng.normal(scale=0.15, size=(n_features, n_people, n_outputs)) / np.sqrt(n_features)
        truth = (hear(X)[:, types] + np.einsum("nf,fpo->npo", X, taste)) * spread + leniency
        codes = np.argsort(rng.uniform(size=(n_samples, n_people)), axis=1)[:, :n_raters]
        rows = np.repeat(np.arange(n_samples), n_raters)
        values = truth[rows, codes.ravel()] + noise * rng.normal(size=(len(rows), n_outputs))
        ratings = Ratings(
            np.arange(0, len(rows) + 1, n_raters),
            codes.ravel(),
            values.astype(np.float32),
            annotators=[f"{prefix}_{index:03d}" for index in range(n_people)],
            outputs=["activation", "valence"],
        )
        groups = rng.randint(max(n_samples // 20, 2), size=n_samples)
        return Bunch(X=X, ratings=ratings, groups=groups, types=types, truth=truth.astype(np.float32))

    return corpus("source", n_annotators, 0.0), corpus("target", n_targets, 0.1)
