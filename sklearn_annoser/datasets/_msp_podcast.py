"""MSP-Podcast: naturalistic speech of podcasts, rated by thousands of crowd workers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sklearn.utils import Bunch

from sklearn_annoser._validation import check_option
from sklearn_annoser.datasets._corpus import Collected, Corpus
from sklearn_annoser.datasets._files import CorpusError, Place, read_rows

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
CONSENSUS_COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "SpkrID", "Gender", "Split_Set")
PACKED_COLUMNS = ("FileName", "EmoDetail")
SPLIT_COLUMNS = ("FileName", "WorkerID", "EmoAct", "EmoVal")
NAME = re.compile(r"(MSP-PODCAST_(\d{4})_\d{4}\w*)\.wav")
WORKER = re.compile(r"WORKER\d+")
PACKED = re.compile(r"(WORKER\d+); ?([^;]*); ?([^;]*); ?A: ?([^;]*); ?V: ?([^;]*); ?D: ?([^;]*);?")
Rating = tuple[Place, str, str, tuple[float, float]]  # utterance, worker, activation and valence
CORPUS = Corpus(
    "MSP-Podcast",
    SCALE,
    needed=["Labels"],
    reference="R. Lotfian and C. Busso, Building Naturalistic Emotionally Balanced Speech Corpus by Retrieving "
    "Emotional Speech From Existing Podcast Recordings, IEEE Transactions on Affective Computing 10 (4), 2019, "
    "https://doi.org/10.1109/TAFFC.2017.2736999",
)


def read_msp_podcast(root: Any, *, release: str = "1.11", missing: str = "raise") -> Bunch:
    """Read MSP-Podcast: podcasts in English, each utterance rated for activation and valence by about six of thousands.

    The folder has `Audios/`, `Transcripts/` and `Labels/` with `labels_consensus.csv` and `labels_detailed.csv`, as the
    corpus is distributed (a licence comes from its authors).

    Parameters
    ----------
    root : path
        The folder.
    release : {"1.6", "1.7", "1.8", "1.9", "1.10", "1.11", "1.12", "2.0"}, default="1.11"
        Which release it is: 2.0 has other columns.
    missing : {"raise", "keep", "drop"}, default="raise"
        What becomes of utterances whose audio or transcript is not on disk: an error, None in the table, or nothing.

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
    found = Collected(CORPUS, root)
    found.name = f"{CORPUS.name} {release}"
    _read_consensus(found.root / "Labels", found)
    read = _read_split if release == "2.0" else _read_packed
    for place, name, worker, values in read(found.root / "Labels" / "labels_detailed.csv", release):
        if name not in found.utterances:
            raise place.error(f"{name!r} has no line in the table of the consensus.")
        found.add_rating(name, worker, values)
    found.add_audio(found.root / "Audios")
    found.add_transcripts(found.root / "Transcripts")
    corpus = found.bunch(missing)
    corpus.validation = (corpus.utterances["split"] == "development").to_numpy()
    return corpus


def _read_consensus(labels: Path, found: Collected) -> None:
    """Collect the utterances with their consensus."""
    paths = [labels / name for name in CONSENSUS_FILES if (labels / name).is_file()]
    if not paths:
        raise CorpusError(f"neither {CONSENSUS_FILES[0]!r} nor {CONSENSUS_FILES[1]!r} is in {str(labels)!r}.")
    for place, row in read_rows(paths[0], CONSENSUS_COLUMNS, what="the consensus of MSP-Podcast"):
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


def _read_packed(path: Path, release: str) -> Iterator[Rating]:
    """Yield ratings that are packed into one cell each."""
    what = f"release {release}, which packs a rating into one cell (releases before 2.0)"
    for place, row in read_rows(path, PACKED_COLUMNS, what=what):
        match = PACKED.fullmatch(row["EmoDetail"])
        if not match:
            expected = "'WORKER<digits>; ...; ...; A:<number>; V:<number>; D:<number>;'"
            raise place.error(f"expected {expected}, got {row['EmoDetail']!r}.")
        activation, name = place.number(match[4], "A", SCALE), _name(row["FileName"], place)
        yield place, name, match[1], (activation, place.number(match[5], "V", SCALE))


def _read_split(path: Path, release: str) -> Iterator[Rating]:
    """Yield ratings that have a column for each part."""
    what = f"release {release}, which has a column for each part of a rating"
    for place, row in read_rows(path, SPLIT_COLUMNS, what=what):
        if not WORKER.fullmatch(row["WorkerID"]):
            raise place.error(f"expected a WorkerID such as WORKER00000001, got {row['WorkerID']!r}.")
        values = place.number(row["EmoAct"], "EmoAct", SCALE), place.number(row["EmoVal"], "EmoVal", SCALE)
        yield place, _name(row["FileName"], place), row["WorkerID"], values
