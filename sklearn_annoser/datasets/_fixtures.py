"""Writers of small invented corpora in the formats of the real ones: tones as audio, random ids, known ratings."""

from __future__ import annotations

from typing import Any

import pandas as pd

from sklearn_annoser.datasets._formats import IemocapFormat, ImprovFormat, MuseFormat, PodcastFormat
from sklearn_annoser.datasets._invented import Invented

__all__ = ["write_iemocap", "write_msp_improv", "write_msp_podcast", "write_muse"]


def write_msp_podcast(
    root: Any,
    *,
    n_utterances: int = 60,
    n_annotators: int = 8,
    n_ratings: int = 5,
    release: str = "1.11",
    audio: bool = True,
    random_state: Any = 0,
) -> pd.DataFrame:
    """Write an invented corpus in the format of MSP-Podcast.

    Parameters
    ----------
    root : path
        Folder to write to.
    n_utterances, n_annotators, n_ratings : int, default=60 and 8 and 5
        Size; `n_ratings` of each utterance.
    release : str, default="1.11"
        Which release's format; before 1.10 the table of the consensus has its old name.
    audio : bool, default=True
        Whether to write tones.
    random_state : int, default=0
        Seed.

    Returns
    -------
    DataFrame
        The ratings: utterance, annotator, activation, valence; raw.
    """
    made = Invented(n_utterances, n_annotators, n_ratings, (1, 7), random_state)
    return PodcastFormat(root, made, release).write(audio=audio)


def write_msp_improv(
    root: Any,
    *,
    n_utterances: int = 60,
    n_annotators: int = 8,
    n_ratings: int = 5,
    audio: bool = True,
    random_state: Any = 0,
) -> pd.DataFrame:
    """Write an invented corpus in the format of MSP-Improv: activation from high to low, some raters twice, some NaN.

    All parameters are those of :func:`write_msp_podcast`, with the same defaults.

    Returns
    -------
    DataFrame
        The ratings: utterance, annotator, activation (from low to high), valence; raw, a second rating averaged.
    """
    made = Invented(n_utterances, n_annotators, n_ratings, (1, 5), random_state)
    return ImprovFormat(root, made).write(audio=audio)


def write_iemocap(
    root: Any,
    *,
    n_utterances: int = 60,
    n_annotators: int = 4,
    n_ratings: int = 2,
    audio: bool = True,
    random_state: Any = 0,
) -> pd.DataFrame:
    """Write an invented corpus in the format of IEMOCAP: a file a dialogue, self reports, half points, blanks.

    All other parameters are those of :func:`write_msp_podcast`, with the same defaults.

    Parameters
    ----------
    n_utterances, n_annotators, n_ratings : int, default=60 and 4 and 2
        Size; `n_ratings` of each utterance.

    Returns
    -------
    DataFrame
        The ratings by others: utterance, annotator, activation, valence; raw.
    """
    made = Invented(n_utterances, n_annotators, n_ratings, (1, 5), random_state)
    return IemocapFormat(root, made).write(audio=audio)


def write_muse(
    root: Any,
    *,
    n_utterances: int = 60,
    n_annotators: int = 8,
    n_ratings: int = 5,
    audio: bool = True,
    random_state: Any = 0,
) -> pd.DataFrame:
    """Write an invented corpus in the format of MuSE, with the table of annotators beside the crowd's.

    All parameters are those of :func:`write_msp_podcast`, with the same defaults.

    Returns
    -------
    DataFrame
        The ratings by others: utterance, annotator, activation, valence; raw.
    """
    made = Invented(n_utterances, n_annotators, n_ratings, (1, 9), random_state)
    return MuseFormat(root, made).write(audio=audio)
