"""MuSE: monologues of students, stressed or not, rated by crowd workers."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sklearn_annoser.datasets._corpus import Collected, Corpus
from sklearn_annoser.datasets._files import CorpusError, Place, as_path, read_head

__all__ = ["read_muse"]

SCALE = (1.0, 9.0)
CROWD = "Emotion data from crowdsourcing*.csv"
CROWD_COLUMNS = ("Sentence_name", "Duration", "Gender", "Type", "Activation_Annotation", "Valence_Annotation")
METADATA_COLUMNS = ("FileName", "soft_act_labels", "soft_val_labels", "annotators")
NAN = re.compile(r"'[^']*'|\"[^\"]*\"|\bnan\b")  # text as well, which may be the name of an annotator
Rating = tuple[str, str, tuple[float, float]]  # sentence, annotator, activation and valence
NAME = re.compile(r"((\d{2})_DR-100_\d{4}_\d_sentence_\d+)(?i:\.wav)?")
CORPUS = Corpus(
    "MuSE",
    SCALE,
    needed=["."],
    reference="M. Jaiswal et al., MuSE: a Multimodal Dataset of Stressed Emotion, LREC 2020, "
    "https://aclanthology.org/2020.lrec-1.187",
)


def read_muse(root: Any, *, metadata: Any = None, missing: str = "raise", on_error: str = "raise") -> Bunch:
    """Read MuSE: students who speak of themselves, each sentence rated for activation and valence by crowd workers.

    The folder, or one in it, has `Emotion data from crowdsourcing (...).csv`, which says nothing of who rated; that
    comes in a table of its own (FileName, soft_act_labels, soft_val_labels, annotators), which the corpus' authors give
    on request. Audio and transcripts are found by their names, `<sentence>.wav` and `<sentence>.txt`, anywhere below.

    All other parameters are those of :func:`read_iemocap`, with the same defaults.

    Parameters
    ----------
    metadata : path, default=None
        The table with the annotators. None: the one below the folder that has their columns.

    Returns
    -------
    Bunch
        `utterances`, a table with id, path, transcript, speaker, group (the speaker), duration in seconds and condition
        (S, stressed, or NS); `ratings`, Ratings of activation and valence rescaled from 1 to 9 to -1 to 1;
        `self_reports`, a table of what speakers said of themselves, raw; `consensus`, the mean of the crowd, rescaled;
        `groups`; `scale`, the raw one; `DESCR`.

    Raises
    ------
    CorpusError
        A table is missing or damaged; the message names file and line.

    References
    ----------
    M. Jaiswal et al., "MuSE: a Multimodal Dataset of Stressed Emotion", LREC 2020,
    https://aclanthology.org/2020.lrec-1.187
    """
    found = Collected(CORPUS, root, on_error)
    crowd = found.folder.nearest(found.folder.named(CROWD))
    if crowd is None:
        raise CorpusError(f"{str(found.root)!r} is not the folder of MuSE: there is no file {CROWD!r} below it.")
    _read_crowd(crowd, found)
    _read_annotators(_find_metadata(found, metadata), found)
    found.add_audio(".")
    found.add_transcripts(".")
    return found.bunch(missing)


def _name(text: str, place: Place) -> re.Match[str]:
    """Return the parts of a sentence's name."""
    match = NAME.fullmatch(text)
    if not match:
        raise place.error(f"expected a name such as 01_DR-100_0001_1_sentence_1.wav, got {text!r}.")
    return match


def _read_crowd(path: Path, found: Collected) -> None:
    """Collect the sentences, and the mean of the crowd."""
    for place, row in found.rows(path, CROWD_COLUMNS, what="MuSE's crowdsourcing"):
        with found.bad:
            _add_sentence(place, row, found)


def _add_sentence(place: Place, row: dict[str, str], found: Collected) -> None:
    """Collect a sentence, and the mean of the crowd."""
    label, speaker = _name(row["Sentence_name"], place).groups()
    if row["Type"] not in ("S", "NS"):
        raise place.error(f"expected Type to be S or NS, got {row['Type']!r}.")
    means = []
    for output in ("Activation", "Valence"):
        cell = row[f"{output}_Annotation"]
        numbers = [place.number(part, output, SCALE) for part in cell.split(";") if part.strip()]
        means.append(float(np.nanmean(numbers)) if np.isfinite(numbers).any() else np.nan)
    found.add_utterance(
        place,
        label,
        consensus=(means[0], means[1]),
        speaker=speaker,
        group=f"speaker {speaker}",
        duration=place.number(row["Duration"], "Duration", (0, 1e6)),
        condition=row["Type"],
    )


def _find_metadata(found: Collected, metadata: Any) -> Path:
    """Return the table with the annotators."""
    if metadata is not None:
        return as_path("metadata", metadata)
    tables = [path for path in found.folder.named("*.csv") if "annotators" in read_head(path)]
    path = found.folder.nearest(tables)
    if path is None:
        raise CorpusError(
            f"0 tables below {str(found.root)!r} have a column 'annotators'; expected one. Who rated what comes in "
            "a table apart from the corpus, on request from its authors: give its path as metadata."
        )
    return path


def _read_annotators(path: Path, found: Collected) -> None:
    """Collect the ratings with their annotators; the last of a sentence is the speaker's own."""
    for place, row in found.rows(path, METADATA_COLUMNS, what="MuSE's annotators"):
        with found.bad:
            for rating, by_self in _ratings(place, row, found):
                found.add_rating(*rating, by_self=by_self)


def _ratings(place: Place, row: dict[str, str], found: Collected) -> list[tuple[Rating, bool]]:
    """Return the ratings of a sentence, and whether each is the speaker's own."""
    label = _name(row["FileName"], place)[1]
    if label not in found.utterances:
        raise place.error(f"{label!r} has no line in the crowdsourcing table.")
    lists = {name: _to_list(row[name], place, name) for name in METADATA_COLUMNS[1:]}
    lengths = {name: len(each) for name, each in lists.items()}
    if len(set(lengths.values())) != 1:
        raise place.error(f"the lists differ in length: {lengths}.")
    ratings: list[tuple[Rating, bool]] = []
    for annotator, activation, valence in zip(
        lists["annotators"], lists["soft_act_labels"], lists["soft_val_labels"], strict=True
    ):
        if not isinstance(annotator, str) or not annotator.strip():
            raise place.error(f"expected the name of an annotator, got {annotator!r}.")
        values = (
            place.number("" if activation is None else str(activation), "soft_act_labels", SCALE),
            place.number("" if valence is None else str(valence), "soft_val_labels", SCALE),
        )
        ratings.append(((label, annotator.strip(), values), "self_report" in annotator))
    return ratings


def _to_list(text: str, place: Place, column: str) -> list[Any]:
    """Return a printed Python list; a bare nan in it is None."""
    try:
        value = ast.literal_eval(NAN.sub(lambda match: "None" if match[0] == "nan" else match[0], text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise place.error(f"expected {column} to be a printed list, got {text[:60]!r}.")
    return value
