"""IEMOCAP: acted dialogues, rated by a few experts and by the actors themselves."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

from sklearn.utils import Bunch

from sklearn_annoser.datasets._corpus import Collected, Corpus
from sklearn_annoser.datasets._files import CorpusError, Place, as_path

__all__ = ["read_iemocap"]

SCALE = (1.0, 5.0)
ID = r"Ses(\d{2})[FM]_\w+_([FM])\w{3,4}"
TIME = r"(\d+\.?\d*)"
HEADER = re.compile(rf"\[{TIME} - {TIME}\]\s+({ID})\s+(\w+)\s+\[([^,\]]*),([^,\]]*),([^,\]]*)\]")
VALUES = re.compile(r"val[^;]*; *act")  # twice in a line are two lines that ran together
RATING = re.compile(r"A-([EFM])(\d+):\s+val([^;]*); *act([^;]*);(?: *dom[^;]*;)?(?:\s.*)?")
WORDS = re.compile(rf"({ID}) \[[\d.]+-[\d.]+\]: ?(.*)")
CORPUS = Corpus(
    "IEMOCAP",
    SCALE,
    needed=[f"Session{n}" for n in range(1, 6)],
    reference="C. Busso et al., IEMOCAP: Interactive Emotional Dyadic Motion Capture Database, Language Resources and "
    "Evaluation 42, 2008, https://doi.org/10.1007/s10579-008-9076-6",
)


def read_iemocap(root: Any, *, evaluation: Any = None, missing: str = "raise", on_error: str = "raise") -> Bunch:
    """Read IEMOCAP: ten actors in pairs, each utterance rated for activation and valence by a few experts.

    The folder has `Session1/` to `Session5/` as the corpus is distributed (a licence comes from its authors).

    Parameters
    ----------
    root : path
        The folder.
    evaluation : path, default=None
        One file with the evaluations of all dialogues. None: those in `Session*/dialog/EmoEvaluation/`.
    missing : {"raise", "keep", "drop"}, default="raise"
        What becomes of utterances whose audio or transcript is not on disk: an error, None in the table, or nothing.
    on_error : {"raise", "drop"}, default="raise"
        What becomes of a line that is not as it should be: an error, or it is left out, with all that depends on it;
        a warning and `DESCR` say how many were.

    Returns
    -------
    Bunch
        `utterances`, a table with id, path, transcript, speaker, group (the session), duration in seconds and emotion;
        `ratings`, Ratings of activation and valence by the experts, rescaled from 1 to 5 to -1 to 1; `self_reports`, a
        table of what actors said of themselves, raw; `consensus`, the corpus' own, rescaled; `groups`; `scale`, the raw
        one; `DESCR`.

    Raises
    ------
    CorpusError
        A file of a dialogue is damaged or has no utterance; the message names file and line. A dialogue that has a
        transcript but no file of ratings makes a warning.

    References
    ----------
    C. Busso et al., "IEMOCAP: Interactive Emotional Dyadic Motion Capture Database", Language Resources and Evaluation
    42, 2008, https://doi.org/10.1007/s10579-008-9076-6
    """
    found = Collected(CORPUS, root, on_error)
    if evaluation is None:
        paths = found.folder.in_folders("Session*/dialog/EmoEvaluation/*.txt")
    else:
        paths = [as_path("evaluation", evaluation)]
    if not paths:
        raise CorpusError(f"there is no file in Session*/dialog/EmoEvaluation/ of {str(found.root)!r}.")
    for path in paths:
        _read_evaluation(path, found)
    if evaluation is None:
        _warn_of_lost({path.stem for path in paths}, found)
    found.add_audio("Session*/sentences/wav")
    _read_words(found)
    return found.bunch(missing)


def _read_evaluation(path: Path, found: Collected) -> None:
    """Collect the utterances and ratings of a file."""
    label, is_empty, n_bad = None, True, found.bad.n
    for place, text in found.lines(path):
        text = text.strip()
        with found.bad:
            if not text:
                label = None
            elif text.startswith("["):
                label, is_empty = None, False  # if this line is left out, so are its ratings
                label = _add_header(text, place, found)
            elif text.startswith("%") or (label is not None and text.startswith("C-") and not VALUES.search(text)):
                continue  # the legend; categories
            elif label is None:
                raise place.error(f"expected an utterance, '[start - end]<tab>Ses...', got {text[:60]!r}.")
            else:
                rated, label = label, None  # what is no rating may be a damaged utterance, whose ratings follow
                match = _match_rating(text, place)
                label = rated
                _add_rating(label, match, place, found)
    if is_empty and found.bad.n == n_bad:  # a dialogue that is gone is not missed anywhere else
        raise CorpusError(f"{path.name} has no utterance: it is empty or cut off, or no file of evaluations.")


def _warn_of_lost(evaluated: set[str], found: Collected) -> None:
    """Warn of dialogues that have words but no ratings: a file that is gone is not missed anywhere else."""
    spoken = {path.stem for path in found.folder.in_folders("Session*/dialog/transcriptions/*.txt")}
    lost = sorted(spoken - evaluated)
    if lost:
        warnings.warn(
            f"{len(lost)} dialogues have a transcript but no file of ratings in Session*/dialog/EmoEvaluation/, for "
            f"example {lost[0]}: they are left out.",
            stacklevel=3,
        )


def _read_words(found: Collected) -> None:
    """Collect the words of the utterances, from a file a dialogue."""
    found.sought["transcript"] = "Session*/dialog/transcriptions"
    for path in found.folder.in_folders("Session*/dialog/transcriptions/*.txt"):
        lines = (found.read_words(path) or "").split("\n")
        matches = (WORDS.fullmatch(text.strip()) for text in lines)
        found.transcripts |= {match[1]: match[4].strip() for match in matches if match}


def _add_header(text: str, place: Place, found: Collected) -> str:
    """Collect an utterance, and return its id."""
    match = HEADER.fullmatch(text)
    if not match:
        raise place.error(f"expected '[start - end]<tab>Ses...<tab>emotion<tab>[V, A, D]', got {text[:90]!r}.")
    start, end, label, session, sex, emotion, valence, activation, _ = match.groups()
    if float(end) < float(start):
        raise place.error(f"the end, {end}, is before the start, {start}.")
    return found.add_utterance(
        place,
        label,
        consensus=(place.number(activation, "activation", SCALE), place.number(valence, "valence", SCALE)),
        speaker=f"Ses{session}{sex}",
        group=f"session {int(session)}",
        duration=float(end) - float(start),
        emotion=emotion,
    )


def _match_rating(text: str, place: Place) -> re.Match[str]:
    """Return the parts of a rating."""
    match = RATING.fullmatch(text)
    if not match or len(VALUES.findall(text)) > 1:
        raise place.error(f"expected 'A-E<k>:<tab>val <n>; act <n>; dom <n>;', got {text[:80]!r}.")
    return match


def _add_rating(label: str, match: re.Match[str], place: Place, found: Collected) -> None:
    """Collect a rating by an expert, or by an actor of themselves."""
    kind, number, valence, activation = match.groups()
    values = (place.number(activation, "act", SCALE), place.number(valence, "val", SCALE))
    found.add_rating(label, f"{kind}{number}", values, by_self=kind != "E")
