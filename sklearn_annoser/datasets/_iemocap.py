"""IEMOCAP: acted dialogues, rated by a few experts and by the actors themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sklearn.utils import Bunch

from sklearn_annoser.datasets._corpus import Collected, CorpusError, fail, find_files, find_root, read_text, to_number

__all__ = ["read_iemocap"]

SCALE = (1.0, 5.0)
ID = r"Ses(\d{2})[FM]_\w+_([FM])\w{3,4}"
TIME = r"(\d+\.?\d*)"
HEADER = re.compile(rf"\[{TIME} - {TIME}\]\t({ID})\t(\w+)\t\[([^,\]]*),([^,\]]*),([^,\]]*)\]")
RATING = re.compile(r"A-([EFM])(\d+):\tval([^;]*); *act([^;]*);(?: *dom[^;]*;)?(?:\t.*)?")
WORDS = re.compile(rf"({ID}) \[[\d.]+-[\d.]+\]: ?(.*)")
REFERENCE = (
    "C. Busso et al., IEMOCAP: Interactive Emotional Dyadic Motion Capture Database, Language Resources and Evaluation "
    "42, 2008, https://doi.org/10.1007/s10579-008-9076-6"
)


def read_iemocap(root: Any, *, evaluation: Any = None, missing: str = "raise") -> Bunch:
    """Read IEMOCAP: ten actors in pairs, each utterance rated for activation and valence by a few experts.

    The folder has `Session1/` to `Session5/` as the corpus is distributed (a licence comes from its authors).

    Parameters
    ----------
    root : path
        The folder.
    evaluation : path, default=None
        One file with the evaluations of all dialogues. None: those in `Session*/dialog/EmoEvaluation/`.
    missing : {"raise", "keep", "drop"}, default="raise"
        What to do about utterances whose audio or transcript is not on disk: an error, keep them with None, leave them
        out.

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
        A file is missing or damaged; the message names file and line.

    References
    ----------
    C. Busso et al., "IEMOCAP: Interactive Emotional Dyadic Motion Capture Database", Language Resources and Evaluation
    42, 2008, https://doi.org/10.1007/s10579-008-9076-6
    """
    root = find_root(root, "IEMOCAP", [f"Session{n}" for n in range(1, 6)])
    if evaluation is None:
        paths = sorted(root.glob("Session*/dialog/EmoEvaluation/*.txt"))
        paths = [path for path in paths if not path.name.startswith(".")]
    else:
        paths = [Path(evaluation).expanduser()]
    if not paths:
        raise CorpusError(f"there is no file in Session*/dialog/EmoEvaluation/ of {str(root)!r}.")
    found = Collected()
    for path in paths:
        _read_evaluation(path, found)
    audio: dict[str, str] = {}
    words: dict[str, str] = {}
    for session in sorted(root.glob("Session*")):
        audio |= find_files(session / "sentences" / "wav", ".wav")
        for path in sorted((session / "dialog" / "transcriptions").glob("[!.]*.txt")):
            matches = (WORDS.fullmatch(text.strip()) for text in read_text(path).split("\n"))
            words |= {match[1]: match[4].strip() for match in matches if match}
    for name, columns in found.utterances.items():
        columns |= {"path": audio.get(name), "transcript": words.get(name)}
    return found.bunch("IEMOCAP", scale=SCALE, missing=missing, reference=REFERENCE)


def _read_evaluation(path: Path, found: Collected) -> None:
    """Collect the utterances and ratings of a file."""
    label = None
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        text = text.rstrip()
        if not text.strip():
            label = None
        elif text.startswith("["):
            label = _add_header(text, path, line, found)
        elif text.startswith("%") or (text.startswith("C-") and label is not None):
            continue  # the legend; categories
        elif label is None:
            raise fail(path, line, f"expected an utterance, '[start - end]<tab>Ses...', got {text[:60]!r}.")
        else:
            _add_rating(label, text, path, line, found)


def _add_header(text: str, path: Path, line: int, found: Collected) -> str:
    """Collect an utterance, and return its id."""
    match = HEADER.fullmatch(text)
    if not match:
        raise fail(path, line, f"expected '[start - end]<tab>Ses...<tab>emotion<tab>[V, A, D]', got {text[:90]!r}.")
    start, end, label, session, sex, emotion, valence, activation, _ = match.groups()
    if float(end) < float(start):
        raise fail(path, line, f"the end, {end}, is before the start, {start}.")
    found.add_utterance(
        path,
        line,
        label,
        speaker=f"Ses{session}{sex}",
        group=f"session {int(session)}",
        duration=float(end) - float(start),
        emotion=emotion,
        consensus_activation=to_number(activation, path, line, "activation", SCALE),
        consensus_valence=to_number(valence, path, line, "valence", SCALE),
    )
    return label


def _add_rating(label: str, text: str, path: Path, line: int, found: Collected) -> None:
    """Collect a rating by an expert, or by an actor of themselves."""
    match = RATING.fullmatch(text)
    if not match:
        raise fail(path, line, f"expected 'A-E<k>:<tab>val <n>; act <n>; dom <n>;', got {text[:80]!r}.")
    kind, number, valence, activation = match.groups()
    values = (to_number(activation, path, line, "act", SCALE), to_number(valence, path, line, "val", SCALE))
    found.add_rating(label, f"{kind}{number}", values, by_self=kind != "E")
