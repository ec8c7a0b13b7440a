"""MSP-Improv: acted and improvised speech of dyads, rated by crowd workers."""

from __future__ import annotations

import re
from typing import Any

from sklearn.utils import Bunch

from sklearn_annoser.datasets._corpus import Collected, Corpus
from sklearn_annoser.datasets._files import Place, read_lines

__all__ = ["read_msp_improv"]

SCALE = (1.0, 5.0)
FILES = ("Evaluation.txt", "Evalution.txt")  # the second is the release's own spelling
HEADER = re.compile(
    r"UTD-IMPROV-(S\d{2}[AHSN]-[MF](\d{2})-[PRST]-[MF]([MF])\d{2})\.avi; *(\w) *; *A:([^;]*); *V:([^;]*);.*"
)
RATER = re.compile(r"([^;\s][^;]*);([^;]*);([^;]*); *A:([^;]*); *V:([^;]*);(?: *[DN]:[^;]*;?)* *")
CORPUS = Corpus(
    "MSP-Improv",
    SCALE,
    needed=FILES,
    reference="C. Busso et al., MSP-IMPROV: An Acted Corpus of Dyadic Interactions to Study Emotion Perception, IEEE "
    "Transactions on Affective Computing 8 (1), 2017, https://doi.org/10.1109/TAFFC.2016.2515617",
)


def read_msp_improv(root: Any, *, missing: str = "raise") -> Bunch:
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
    found = Collected(CORPUS, root)
    label = None
    for place, text in read_lines(next(found.root / name for name in FILES if (found.root / name).is_file())):
        if not text.strip():
            label = None
        elif text.startswith("UTD-IMPROV-"):
            if label is not None:
                raise place.error("expected a blank line before the next utterance.")
            label = _add_header(text.strip(), place, found)
        elif label is None:
            raise place.error(f"expected an utterance, 'UTD-IMPROV-....avi; ...', got {text[:60]!r}.")
        else:
            _add_rater(label, text.strip(), place, found)
    found.add_audio(found.root / "Audio")
    found.add_transcripts(found.root / "Text")
    return found.bunch(missing)


def _add_header(text: str, place: Place, found: Collected) -> str:
    """Collect an utterance, and return its id."""
    match = HEADER.fullmatch(text)
    if not match:
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


def _add_rater(label: str, text: str, place: Place, found: Collected) -> None:
    """Collect a rating."""
    match = RATER.fullmatch(text)
    if not match:
        raise place.error(f"expected '<annotator>; <emotion>; ...; A:<n>; V:<n>; D:<n>; N:<n>;', got {text[:80]!r}.")
    annotator, _, _, activation, valence = match.groups()
    values = (6 - place.number(activation, "A", SCALE), place.number(valence, "V", SCALE))
    found.add_rating(label, annotator.strip(), values)
