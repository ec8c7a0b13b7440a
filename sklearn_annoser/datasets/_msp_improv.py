"""MSP-Improv: acted and improvised speech of dyads, rated by crowd workers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sklearn.utils import Bunch

from sklearn_annoser.datasets._corpus import (
    Collected,
    fail,
    find_files,
    find_root,
    read_text,
    read_transcripts,
    to_number,
)

__all__ = ["read_msp_improv"]

SCALE = (1.0, 5.0)
FILES = ("Evaluation.txt", "Evalution.txt")  # the second is the release's own spelling
HEADER = re.compile(
    r"UTD-IMPROV-(S\d{2}[AHSN]-[MF](\d{2})-[PRST]-[MF]([MF])\d{2})\.avi; *(\w) *; *A:([^;]*); *V:([^;]*);.*"
)
RATER = re.compile(r"([^;\s][^;]*);([^;]*);([^;]*); *A:([^;]*); *V:([^;]*);(?: *[DN]:[^;]*;?)* *")
REFERENCE = (
    "C. Busso et al., MSP-IMPROV: An Acted Corpus of Dyadic Interactions to Study Emotion Perception, IEEE "
    "Transactions on Affective Computing 8 (1), 2017, https://doi.org/10.1109/TAFFC.2016.2515617"
)


def read_msp_improv(root: Any, *, missing: str = "raise") -> Bunch:
    """Read MSP-Improv: actors in pairs, each utterance rated for activation and valence by crowd workers.

    The folder has `Evaluation.txt`, `Audio/` and `Text/`, as the corpus is distributed (a licence comes from its
    authors). Activation is stored from high to low and turned round here; valence is not.

    Parameters
    ----------
    root : path
        The folder.
    missing : {"raise", "keep", "drop"}, default="raise"
        What to do about utterances whose audio or transcript is not on disk: an error, keep them with None, leave them
        out.

    Returns
    -------
    Bunch
        `utterances`, a table with id, path, transcript, speaker, group (the session of a pair) and emotion; `ratings`,
        Ratings of activation and valence rescaled from 1 to 5 to -1 to 1, of an annotator who rated an utterance twice
        the mean; `consensus`, the corpus' own, rescaled; `groups`; `scale`, the raw one; `DESCR`.

    Raises
    ------
    CorpusError
        A file is missing or damaged; the message names file and line.

    References
    ----------
    C. Busso et al., "MSP-IMPROV: An Acted Corpus of Dyadic Interactions to Study Emotion Perception", IEEE Transactions
    on Affective Computing 8 (1), 2017, https://doi.org/10.1109/TAFFC.2016.2515617
    """
    root = find_root(root, "MSP-Improv", FILES)
    path = next(root / name for name in FILES if (root / name).is_file())
    found = Collected()
    label = None
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            label = None
        elif text.startswith("UTD-IMPROV-"):
            if label is not None:
                raise fail(path, line, "expected a blank line before the next utterance.")
            label = _add_header(text.strip(), path, line, found)
        elif label is None:
            raise fail(path, line, f"expected an utterance, 'UTD-IMPROV-....avi; ...', got {text[:60]!r}.")
        else:
            _add_rater(label, text.strip(), path, line, found)
    audio = find_files(root / "Audio", ".wav")
    words = read_transcripts(find_files(root / "Text", ".txt"), list(found.utterances))
    for name, columns in found.utterances.items():
        columns |= {"path": audio.get(name), "transcript": words.get(name)}
    return found.bunch("MSP-Improv", scale=SCALE, missing=missing, reference=REFERENCE)


def _add_header(text: str, path: Path, line: int, found: Collected) -> str:
    """Collect an utterance, and return its id."""
    match = HEADER.fullmatch(text)
    if not match:
        raise fail(path, line, f"expected 'UTD-IMPROV-S..-...avi; <letter>; A:<n>; V:<n>; ...', got {text[:80]!r}.")
    rest, session, sex, emotion, activation, valence = match.groups()
    label = f"MSP-IMPROV-{rest}"
    found.add_utterance(
        path,
        line,
        label,
        speaker=f"{sex}{session}",
        group=f"session {session}",
        emotion=emotion,
        consensus_activation=6 - to_number(activation, path, line, "A", SCALE),
        consensus_valence=to_number(valence, path, line, "V", SCALE),
    )
    return label


def _add_rater(label: str, text: str, path: Path, line: int, found: Collected) -> None:
    """Collect a rating."""
    match = RATER.fullmatch(text)
    if not match:
        raise fail(
            path, line, f"expected '<annotator>; <emotion>; ...; A:<n>; V:<n>; D:<n>; N:<n>;', got {text[:80]!r}."
        )
    annotator, _, _, activation, valence = match.groups()
    values = (6 - to_number(activation, path, line, "A", SCALE), to_number(valence, path, line, "V", SCALE))
    found.add_rating(label, annotator.strip(), values)
