"""MSP-Improv: acted and improvised speech of dyads, rated by crowd workers."""

from __future__ import annotations

import re
from typing import Any

from sklearn.utils import Bunch

from sklearn_annoser.datasets._corpus import Collected, Corpus
from sklearn_annoser.datasets._files import CorpusError, Place

__all__ = ["read_msp_improv"]

SCALE = (1.0, 5.0)
FILES = ("Evaluation.txt", "Evalution.txt")  # the second is the release's own spelling
HEADER = re.compile(
    r"UTD-IMPROV-(S\d{2}[AHSN]-[MF](\d{2})-[PRST]-[MF]([MF])\d{2})(?i:\.avi); *(\w) *; *A:([^;]*); *V:([^;]*);.*"
)
# Between name and numbers is free text, which may have semicolons.
RATER = re.compile(r"([^;\s][^;]*);[^;]*;.*; *A:([^;]*); *V:([^;]*);(?: *[DN]:[^;]*(?:;|$))* *")
VALUES = re.compile(r"A:[^;]*; *V:")  # twice in a line are two lines that ran together
CORPUS = Corpus(
    "MSP-Improv",
    SCALE,
    needed=FILES,
    reference="C. Busso et al., MSP-IMPROV: An Acted Corpus of Dyadic Interactions to Study Emotion Perception, IEEE "
    "Transactions on Affective Computing 8 (1), 2017, https://doi.org/10.1109/TAFFC.2016.2515617",
)


def read_msp_improv(root: Any, *, missing: str = "raise", on_error: str = "raise") -> Bunch:
    """Read MSP-Improv: actors in pairs, each utterance rated for activation and valence by crowd workers.

    The folder has `Evaluation.txt`, `Audio/` and `Text/`, as the corpus is distributed (a licence comes from its
    authors). Activation is stored from high to low and turned round here; valence is not.

    All parameters are those of :func:`read_iemocap`, with the same defaults.

    Returns
    -------
    Bunch
        `utterances`, a table with id, path, transcript, speaker, group (the session of a pair) and emotion; `ratings`,
        Ratings of activation and valence rescaled from 1 to 5 to -1 to 1, of an annotator who rated an utterance twice
        the mean; `consensus`, the corpus' own, rescaled; `groups`; `scale`, the raw one; `DESCR`.

    Raises
    ------
    CorpusError
        The evaluation is missing or damaged; the message names file and line.

    References
    ----------
    C. Busso et al., "MSP-IMPROV: An Acted Corpus of Dyadic Interactions to Study Emotion Perception", IEEE Transactions
    on Affective Computing 8 (1), 2017, https://doi.org/10.1109/TAFFC.2016.2515617
    """
    found = Collected(CORPUS, root, on_error)
    path = found.folder.nearest(found.folder.named(*FILES))
    if path is None:
        raise CorpusError(f"there is no file {FILES[0]!r} below {str(found.root)!r}.")
    label = None
    for place, text in found.lines(path):
        text = text.strip()
        with found.bad:
            if not text:
                label = None
            elif text.startswith("UTD-IMPROV-"):
                before, label = label, None  # if this line is left out, so are its ratings
                if before is not None:
                    raise place.error("expected a blank line before the next utterance.")
                label = _add_header(text, place, found)
            elif label is None:
                raise place.error(f"expected an utterance, 'UTD-IMPROV-....avi; ...', got {text[:60]!r}.")
            else:
                rated, label = label, None  # what is no rating may be a damaged utterance, whose ratings follow
                match = _match_rater(text, place)
                label = rated
                _add_rater(label, match, place, found)
    found.add_audio("Audio")
    found.add_transcripts("Text")
    return found.bunch(missing)


def _add_header(text: str, place: Place, found: Collected) -> str:
    """Collect an utterance, and return its id."""
    match = HEADER.fullmatch(text)
    if not match or len(VALUES.findall(text)) > 1:
        raise place.error(f"expected 'UTD-IMPROV-S..-...avi; <letter>; A:<n>; V:<n>; ...', got {text[:80]!r}.")
    rest, session, sex, emotion, activation, valence = match.groups()
    return found.add_utterance(
        place,
        f"MSP-IMPROV-{rest}",
        consensus=(6 - place.number(activation, "A", SCALE), place.number(valence, "V", SCALE)),
        speaker=f"{sex}{session}",
        group=f"session {session}",
        emotion=emotion,
    )


def _match_rater(text: str, place: Place) -> re.Match[str]:
    """Return the parts of a rating."""
    match = RATER.fullmatch(text)
    if not match or len(VALUES.findall(text)) > 1:
        raise place.error(f"expected '<annotator>; <emotion>; ...; A:<n>; V:<n>; D:<n>; N:<n>;', got {text[:80]!r}.")
    return match


def _add_rater(label: str, match: re.Match[str], place: Place, found: Collected) -> None:
    """Collect a rating."""
    annotator, activation, valence = match.groups()
    values = (6 - place.number(activation, "A", SCALE), place.number(valence, "V", SCALE))
    found.add_rating(label, annotator.strip(), values)
