"""MSP-Podcast: naturalistic speech of podcasts, rated by thousands of crowd workers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sklearn.utils import Bunch

from sklearn_annoser._validation import check_option
from sklearn_annoser.datasets._corpus import Collected, Corpus
from sklearn_annoser.datasets._files import CorpusError, Place

__all__ = ["read_msp_podcast"]

SCALE = (1.0, 7.0)
RELEASES = ("1.6", "1.7", "1.8", "1.9", "1.10", "1.11", "1.12", "2.0")
SPLITS = {
    "Train": "train",
    "Development": "development",
    "Validation": "development",  # in older releases
    "Test1": "test1",
    "Test2": "test2",
    "Test3": "test3",
}
CONSENSUS_FILES = ("labels_consensus.csv", "labels_concensus.csv")  # the second before release 1.10
DETAILED_FILE = "labels_detailed.csv"
CONSENSUS_COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "SpkrID", "Gender", "Split_Set")
PACKED_COLUMNS = ("FileName", "EmoDetail")
SPLIT_COLUMNS = ("FileName", "WorkerID", "EmoAct", "EmoVal")
NAME = re.compile(r"(MSP-PODCAST_(\d{4})_\d{4}\w*)(?i:\.wav)")
WORKER = re.compile(r"WORKER\d+")
# Between worker and numbers is free text: "Other-..." may have anything in it but a line break and other such numbers.
PACKED = re.compile(
    r"(?!.*A:[^;]*; ?V:.*A:[^;]*; ?V:)(WORKER\d+);[^;\n]*;.*; ?A: ?([^;]*); ?V: ?([^;]*); ?D: ?([^;]*);?"
)
VALUES = re.compile(r"A:[^;]*; ?V:")  # twice in a cell are two lines that ran together
UNDOUBLED = re.compile(rf'({NAME.pattern})[,;\t]"(WORKER\d+;.*)"')  # quotes in it that are not doubled
CORPUS = Corpus(
    "MSP-Podcast",
    SCALE,
    needed=["Labels", *CONSENSUS_FILES],
    reference="R. Lotfian and C. Busso, Building Naturalistic Emotionally Balanced Speech Corpus by Retrieving "
    "Emotional Speech From Existing Podcast Recordings, IEEE Transactions on Affective Computing 10 (4), 2019, "
    "https://doi.org/10.1109/TAFFC.2017.2736999",
)


def read_msp_podcast(root: Any, *, release: str = "1.11", missing: str = "raise", on_error: str = "raise") -> Bunch:
    """Read MSP-Podcast: podcasts in English, each utterance rated for activation and valence by about six of thousands.

    The folder has `Audios/`, `Transcripts/` and `Labels/` with `labels_consensus.csv` and `labels_detailed.csv`, as the
    corpus is distributed (a licence comes from its authors).

    All other parameters are those of :func:`read_iemocap`, with the same defaults.

    Parameters
    ----------
    release : {"1.6", "1.7", "1.8", "1.9", "1.10", "1.11", "1.12", "2.0"}, default="1.11"
        Which release it is: 2.0 has other columns.

    Returns
    -------
    Bunch
        `utterances`, a table with id, path, transcript, speaker, group (the speaker, or the podcast where the speaker
        is unknown), split ("train", "development", "test1", ...) and emotion; `ratings`, Ratings of activation and
        valence rescaled from 1 to 7 to -1 to 1; `consensus`, the corpus' own, rescaled; `groups`; `validation`, True
        for the development split; `scale`, the raw one; `DESCR`.

    Raises
    ------
    CorpusError
        A file is missing, of another release, or damaged; the message names file and line.

    References
    ----------
    R. Lotfian and C. Busso, "Building Naturalistic Emotionally Balanced Speech Corpus by Retrieving Emotional Speech
    From Existing Podcast Recordings", IEEE Transactions on Affective Computing 10 (4), 2019,
    https://doi.org/10.1109/TAFFC.2017.2736999
    """
    check_option("release", release, RELEASES)
    found = Collected(CORPUS, root, on_error)
    found.name = f"{CORPUS.name} {release}"
    _read_consensus(found)
    path = _find(found, DETAILED_FILE)
    (_read_split if release == "2.0" else _read_packed)(path, release, found)
    found.add_audio("Audios")
    found.add_transcripts("Transcripts")
    corpus = found.bunch(missing)
    corpus.validation = (corpus.utterances["split"] == "development").to_numpy()
    return corpus


def _find(found: Collected, *names: str) -> Path:
    """Return a table of labels."""
    path = found.folder.nearest(found.folder.named(*names), "Labels")
    if path is None:
        neither = f"neither {' nor '.join(map(repr, names))} is" if len(names) > 1 else f"there is no {names[0]!r}"
        raise CorpusError(f"{neither} in 'Labels' or elsewhere below {str(found.root)!r}.")
    return path


def _read_consensus(found: Collected) -> None:
    """Collect the utterances with their consensus."""
    path = _find(found, *CONSENSUS_FILES)
    for place, row in found.rows(path, CONSENSUS_COLUMNS, what="the consensus of MSP-Podcast"):
        with found.bad:
            _add_utterance(place, row, found)


def _add_utterance(place: Place, row: dict[str, str], found: Collected) -> None:
    """Collect an utterance with its consensus."""
    name = _name(row["FileName"], place)
    if row["Split_Set"] not in SPLITS:
        raise place.error(f"expected Split_Set to be one of {list(SPLITS)}, got {row['Split_Set']!r}.")
    speaker = row["SpkrID"]
    known = speaker.lower() not in ("", "unknown")
    found.add_utterance(
        place,
        name,
        consensus=(place.number(row["EmoAct"], "EmoAct", SCALE), place.number(row["EmoVal"], "EmoVal", SCALE)),
        speaker=speaker if known else None,
        group=f"speaker {speaker}" if known else f"podcast {name.split('_')[1]}",
        split=SPLITS[row["Split_Set"]],
        emotion=row["EmoClass"],
    )


def _name(file_name: str, place: Place) -> str:
    """Return the id of an utterance."""
    match = NAME.fullmatch(file_name)
    if not match:
        raise place.error(f"expected a FileName such as MSP-PODCAST_0001_0008.wav, got {file_name!r}.")
    return match[1]


def _read_packed(path: Path, release: str, found: Collected) -> None:
    """Collect ratings that are packed into one cell each."""
    what = f"release {release}, which packs a rating into one cell (releases before 2.0)"
    for place, row in found.rows(path, PACKED_COLUMNS, what=what, mend=_split_undoubled):
        with found.bad:
            match = PACKED.fullmatch(row["EmoDetail"])
            if not match or len(VALUES.findall(row["EmoDetail"])) > 1:
                expected = "'WORKER<digits>; ...; ...; A:<number>; V:<number>; D:<number>;'"
                raise place.error(f"expected {expected}, got {row['EmoDetail']!r}.")
            worker, activation, valence, _ = match.groups()
            values = place.number(activation, "A", SCALE), place.number(valence, "V", SCALE)
            _add_rating(place, row["FileName"], worker, values, found)


def _split_undoubled(text: str) -> list[str] | None:
    """Return the cells of a line with quotes in its free text that are not doubled."""
    match = UNDOUBLED.fullmatch(text)
    return [match[1], match[4]] if match else None


def _read_split(path: Path, release: str, found: Collected) -> None:
    """Collect ratings that have a column for each part."""
    what = f"release {release}, which has a column for each part of a rating"
    for place, row in found.rows(path, SPLIT_COLUMNS, what=what):
        with found.bad:
            if not WORKER.fullmatch(row["WorkerID"]):
                raise place.error(f"expected a WorkerID such as WORKER00000001, got {row['WorkerID']!r}.")
            values = place.number(row["EmoAct"], "EmoAct", SCALE), place.number(row["EmoVal"], "EmoVal", SCALE)
            _add_rating(place, row["FileName"], row["WorkerID"], values, found)


def _add_rating(place: Place, file_name: str, worker: str, values: tuple[float, float], found: Collected) -> None:
    """Collect a rating of an utterance that has a consensus."""
    name = _name(file_name, place)
    if name not in found.utterances:
        raise place.error(f"{name!r} has no line in the table of the consensus.")
    found.add_rating(name, worker, values)
