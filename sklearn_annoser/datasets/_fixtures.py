"""Writers of small invented corpora in the formats of the real ones: tones as audio, random ids, known ratings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser._optional import import_soundfile
from sklearn_annoser.datasets._corpus import OUTPUTS

__all__ = ["write_iemocap", "write_msp_improv", "write_msp_podcast", "write_muse"]

RATE = 16_000
WORDS = {
    "low": ["sorry", "lost", "broken", "tired", "never", "alone", "wrong", "cold"],
    "middle": ["well", "then", "maybe", "today", "there", "about", "thing", "going"],
    "high": ["great", "thanks", "lovely", "happy", "wonderful", "yes", "bright", "warm"],
}
# How a kind of annotator hears: the weight of activation and valence in each of their own two ratings.
KINDS = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.6], [0.0, 1.0]], [[1.0, 0.0], [-0.6, 0.6]]])


class _Invented:
    """Utterances whose activation and valence are known, and annotators who rate them in ways of their own."""

    def __init__(self, n_utterances: int, n_annotators: int, scale: tuple[int, int], random_state: Any) -> None:
        self.rng = np.random.default_rng(random_state)
        self.latent = self.rng.uniform(-1, 1, size=(n_utterances, 2))  # activation and valence
        self.kind = self.rng.integers(len(KINDS), size=n_annotators)
        self.bias = self.rng.normal(0, 0.15, size=(n_annotators, 2))
        self.scale = scale

    def raters(self, n: int) -> np.ndarray:
        """Return who rates an utterance."""
        return np.sort(self.rng.choice(len(self.kind), size=min(n, len(self.kind)), replace=False))

    def rate(self, utterance: int, annotator: int) -> np.ndarray:
        """Return a rating, activation and valence, whole numbers on the scale."""
        low, high = self.scale
        heard = KINDS[self.kind[annotator]] @ self.latent[utterance] + self.bias[annotator]
        heard = heard + self.rng.normal(0, 0.2, size=2)
        return np.clip(np.round((low + high) / 2 + heard * (high - low) / 2), low, high).astype(int)

    def words(self, utterance: int) -> str:
        """Return a few words that carry valence."""
        tone = "low" if self.latent[utterance, 1] < -0.33 else "high" if self.latent[utterance, 1] > 0.33 else "middle"
        return " ".join(self.rng.choice(WORDS[tone] * 2 + WORDS["middle"], size=6))

    def write_audio(self, path: Path, utterance: int) -> None:
        """Write a tone: the higher and louder the more activation, the brighter the more valence."""
        activation, valence = self.latent[utterance]
        time = np.arange(int(RATE * self.rng.uniform(0.3, 1.0))) / RATE
        pitch = 220 * 2**activation
        overtone = (valence + 1) / 2
        wave = np.sin(2 * np.pi * pitch * time) + overtone * np.sin(6 * np.pi * pitch * time)
        wave = 0.1 * 2**activation * wave + 0.005 * self.rng.normal(size=len(time))
        path.parent.mkdir(parents=True, exist_ok=True)
        import_soundfile().write(path, wave.astype(np.float32), RATE)

    def numbers(self, n: int, digits: int) -> list[str]:
        """Return different numbers of so many digits."""
        return [f"{number:0{digits}d}" for number in np.sort(self.rng.choice(10**digits - 1, size=n, replace=False))]


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
    root = Path(root)
    made = _Invented(n_utterances, n_annotators, (1, 7), random_state)
    workers = [f"WORKER{number}" for number in made.numbers(n_annotators, 8)]
    speakers = made.numbers(max(n_utterances // 6, 4), 4)
    splits = ["Train"] * 7 + ["Validation" if release in ("1.6", "1.7") else "Development"] * 2 + ["Test1"]
    (root / "Labels").mkdir(parents=True, exist_ok=True)
    (root / "Transcripts").mkdir(exist_ok=True)
    truth, consensus, detailed = [], [], []
    for i in range(n_utterances):
        speaker = i % len(speakers)
        label = f"MSP-PODCAST_{speakers[speaker]}_{i:04d}"
        values = {workers[who]: made.rate(i, who) for who in made.raters(n_ratings)}
        truth += [(label, worker, *value) for worker, value in values.items()]
        mean = np.mean(list(values.values()), axis=0)
        name = "Unknown" if speaker == 0 else str(speaker)
        split = splits[speaker % len(splits)]
        consensus.append(f"{label}.wav,N,{mean[0]:.6f},{mean[1]:.6f},4.000000,{name},Female,{split}")
        for worker, (a, v) in values.items():
            if release == "2.0":
                detailed.append(f'{label}.wav,{worker},Neutral,"Happy,Other",{a:.6f},{v:.6f},4.000000')
            else:
                detailed.append(f'{label}.wav,"{worker}; Neutral; Happy,Other; A:{a:.6f}; V:{v:.6f}; D:4.000000;"')
        (root / "Transcripts" / f"{label}.txt").write_text(made.words(i) + "\n", encoding="utf-8")
        if audio:
            made.write_audio(root / "Audios" / f"{label}.wav", i)
    old = release in ("1.6", "1.7", "1.8", "1.9")
    header = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"
    _write_lines(root / "Labels" / ("labels_concensus.csv" if old else "labels_consensus.csv"), [header, *consensus])
    header = "FileName,EmoDetail"
    if release == "2.0":
        header = "FileName,WorkerID,EmoClass_Major,EmoClass_Second,EmoAct,EmoVal,EmoDom"
    _write_lines(root / "Labels" / "labels_detailed.csv", [header, *detailed])
    return _table(truth)


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

    Parameters
    ----------
    root : path
        Folder to write to.
    n_utterances, n_annotators, n_ratings : int, default=60 and 8 and 5
        Size; `n_ratings` of each utterance.
    audio : bool, default=True
        Whether to write tones.
    random_state : int, default=0
        Seed.

    Returns
    -------
    DataFrame
        The ratings: utterance, annotator, activation (from low to high), valence; raw, a second rating averaged.
    """
    root = Path(root)
    made = _Invented(n_utterances, n_annotators, (1, 5), random_state)
    names = [f"{number}-p{1 + k % 3}" for k, number in enumerate(made.numbers(n_annotators, 6))]
    (root / "Text").mkdir(parents=True, exist_ok=True)
    truth, blocks = [], []
    for i in range(n_utterances):
        session, sex = 1 + i % 6, "MF"[i // 6 % 2]
        scene, kind, other = f"S{1 + i % 20:02d}{'AHSN'[i % 4]}", "PRST"[i % 4], "FM"[i // 6 % 2]
        rest = f"{scene}-{sex}{session:02d}-{kind}-{other}{sex}{i // 12:02d}"
        label = f"MSP-IMPROV-{rest}"
        values = [(names[who], *made.rate(i, who)) for who in made.raters(n_ratings)]
        if i % 7 == 3:  # somebody twice
            values.append((values[0][0], *made.rate(i, names.index(values[0][0]))))
        truth += [(label, *value) for value in values]
        mean = np.mean([value[1:] for value in values], axis=0)
        lines = [f"UTD-IMPROV-{rest}.avi; N; A:{6 - mean[0]:.6f} ; V:{mean[1]:.6f} ; D:NaN ; N:3.0;"]
        lines += [f"{who}; Neutral; ; A:{6 - a}; V:{v}; D:3; N:NaN;" for who, a, v in values]
        if i % 9 == 4:  # somebody who left valence out
            lines.append("999999-p_spon; Angry; Other,Sad; A:3; V:NaN; D:NaN; N:NaN;")
        blocks.append("\n".join(lines))
        (root / "Text" / f"{label}.txt").write_text(made.words(i), encoding="utf-8")
        if audio:
            made.write_audio(root / "Audio" / f"session{session}" / scene / kind / f"{label}.wav", i)
    (root / "Evalution.txt").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return _table(truth)


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

    Parameters
    ----------
    root : path
        Folder to write to.
    n_utterances, n_annotators, n_ratings : int, default=60 and 4 and 2
        Size; `n_ratings` of each utterance.
    audio : bool, default=True
        Whether to write tones.
    random_state : int, default=0
        Seed.

    Returns
    -------
    DataFrame
        The ratings by others: utterance, annotator, activation, valence; raw.
    """
    root = Path(root)
    made = _Invented(n_utterances, n_annotators, (1, 5), random_state)
    truth: list[tuple[Any, ...]] = []
    dialogues: dict[str, list[str]] = {}
    transcripts: dict[str, list[str]] = {}
    for i in range(n_utterances):
        session, sex = 1 + i % 5, "FM"[i // 5 % 2]
        dialogue = f"Ses{session:02d}{'MF'[i // 10 % 2]}_impro{1 + i // 20:02d}"
        label = f"{dialogue}_{sex}{i:03d}"
        half = 0.5 if i % 11 == 5 else 0
        values = [(f"E{who + 1}", *(made.rate(i, who) - half).clip(1)) for who in made.raters(n_ratings)]
        truth += [(label, *value) for value in values]
        a, v = np.mean([value[1:] for value in values], axis=0)
        lines = [f"[{i}.0100 - {i + 2}.5600]\t{label}\tneu\t[{v:.4f}, {a:.4f}, 3.0000]", "C-E2:\tNeutral;\t()"]
        lines += [f"A-{who}:\tval {_plain(v)}; act {_plain(a)}; dom  3;\t()" for who, a, v in values]
        lines += [f"C-{sex}1:\tAnger;\t()", f"A-{sex}1:\tval 2; act 4; dom  3;\t(of themselves)"]
        if i % 8 == 6:
            lines.append("A-E9:\tval 3; act ; dom  ;\t()")
        dialogues.setdefault(dialogue, []).append("\n".join(lines))
        transcripts.setdefault(dialogue, []).append(f"{label} [{i:03d}.0100-{i + 2:03d}.5600]: {made.words(i)}")
        if audio:
            made.write_audio(root / f"Session{session}" / "sentences" / "wav" / dialogue / f"{label}.wav", i)
    for dialogue, blocks in dialogues.items():
        folder = root / f"Session{int(dialogue[3:5])}" / "dialog"
        legend = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"
        _write_lines(folder / "EmoEvaluation" / f"{dialogue}.txt", [legend, "", "\n\n".join(blocks)])
        _write_lines(folder / "transcriptions" / f"{dialogue}.txt", transcripts[dialogue])
    return _table(truth)


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

    Parameters
    ----------
    root : path
        Folder to write to.
    n_utterances, n_annotators, n_ratings : int, default=60 and 8 and 5
        Size; `n_ratings` of each utterance.
    audio : bool, default=True
        Whether to write tones.
    random_state : int, default=0
        Seed.

    Returns
    -------
    DataFrame
        The ratings by others: utterance, annotator, activation, valence; raw.
    """
    root = Path(root)
    made = _Invented(n_utterances, n_annotators, (1, 9), random_state)
    names = [f"A{number}" for number in made.numbers(n_annotators, 9)]
    truth, crowd, metadata = [], [], []
    for i in range(n_utterances):
        speaker = 1 + i % 10
        label = f"{speaker:02d}_DR-100_{speaker:04d}_1_sentence_{1 + i // 10}"
        values = [(names[who], *made.rate(i, who)) for who in made.raters(n_ratings)]
        truth += [(label, *value) for value in values]
        numbers = [";".join(str(value[column]) for value in values) for column in (1, 2)]
        crowd.append(f"{label},2.5,F,{'S' if i % 2 else 'NS'},{numbers[0]},{numbers[1]}")
        listed = [[*(int(value[column]) for value in values), 5] for column in (1, 2)]
        people = [*(value[0] for value in values), f"self_report_{speaker}"]
        metadata.append(f'{label}.wav,"{listed[0]}","{listed[1]}","{people}"')
        _write_lines(root / "Transcripts" / f"{label}.txt", [made.words(i)])
        if audio:
            made.write_audio(root / "Audio" / f"{speaker:02d}" / f"{label}.wav", i)
    header = "Sentence_name,Duration,Gender,Type,Activation_Annotation,Valence_Annotation"
    _write_lines(root / "Emotion data from crowdsourcing (invented).csv", [header, *crowd])
    _write_lines(root / "annotators.csv", ["FileName,soft_act_labels,soft_val_labels,annotators", *metadata])
    return _table(truth)


def _plain(number: float) -> str:
    """Return a number without a needless point."""
    return f"{number:g}"


def _write_lines(path: Path, lines: list[str]) -> None:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _table(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """Return ratings as a table, one of each annotator and utterance."""
    long = pd.DataFrame(rows, columns=["utterance", "annotator", *OUTPUTS])
    return long.groupby(["utterance", "annotator"], sort=False)[OUTPUTS].mean().reset_index()
