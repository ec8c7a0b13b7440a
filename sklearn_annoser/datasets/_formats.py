"""The formats of the real corpora: how each names its utterances and annotators, and what its files say of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sklearn_annoser.datasets._corpus import OUTPUTS
from sklearn_annoser.datasets._invented import Invented

Rated = list[tuple[str, Any, Any]]  # annotator, activation, valence


class Format(ABC):
    """A corpus that is written utterance by utterance; tables of all of them come last."""

    def __init__(self, root: Any, made: Invented) -> None:
        self.root, self.made = Path(root), made
        self.annotators = self.name_annotators(len(made.kind))

    def write(self, *, audio: bool) -> pd.DataFrame:
        """Write the corpus, and return its ratings, one of each annotator and utterance."""
        rows: list[tuple[Any, ...]] = []
        for i in range(len(self.made.latent)):
            label, folder = self.name(i)
            rated = self.rate(i)
            rows += [(label, *each) for each in rated]
            self.add(i, label, rated)
            if audio:
                self.made.write_audio(self.root / folder / f"{label}.wav", i)
        self.finish()
        long = pd.DataFrame(rows, columns=["utterance", "annotator", *OUTPUTS])
        return long.groupby(["utterance", "annotator"], sort=False)[OUTPUTS].mean().reset_index()

    def rate(self, i: int) -> Rated:
        """Return the ratings of an utterance."""
        return [(self.annotators[who], *self.made.rate(i, who)) for who in self.made.raters()]

    @abstractmethod
    def name_annotators(self, n: int) -> list[str]:
        """Return what annotators are called."""

    @abstractmethod
    def name(self, i: int) -> tuple[str, str]:
        """Return what an utterance is called, and the folder of its audio."""

    @abstractmethod
    def add(self, i: int, label: str, rated: Rated) -> None:
        """Write the words of an utterance, and keep what tables say of it."""

    @abstractmethod
    def finish(self) -> None:
        """Write the tables."""


class PodcastFormat(Format):
    """MSP-Podcast: two tables, whose names and columns depend on the release."""

    def __init__(self, root: Any, made: Invented, release: str) -> None:
        super().__init__(root, made)
        self.release = release
        self.speakers = made.numbers(max(len(made.latent) // 6, 4), 4)
        self.consensus = ["FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"]
        self.detailed = ["FileName,EmoDetail"]
        if release == "2.0":
            self.detailed = ["FileName,WorkerID,EmoClass_Major,EmoClass_Second,EmoAct,EmoVal,EmoDom"]

    def name_annotators(self, n: int) -> list[str]:
        """Return workers."""
        return [f"WORKER{number}" for number in self.made.numbers(n, 8)]

    def name(self, i: int) -> tuple[str, str]:
        """Return a name with the number of a podcast."""
        return f"MSP-PODCAST_{self.speakers[i % len(self.speakers)]}_{i:04d}", "Audios"

    def add(self, i: int, label: str, rated: Rated) -> None:
        """Write the words, and keep a line of the consensus, and one a rating."""
        speaker = i % len(self.speakers)
        development = "Validation" if self.release in ("1.6", "1.7") else "Development"
        split = (["Train"] * 7 + [development] * 2 + ["Test1"])[speaker % 10]
        activation, valence = _mean(rated)
        name = "Unknown" if speaker == 0 else str(speaker)
        self.consensus.append(f"{label}.wav,N,{activation:.6f},{valence:.6f},4.000000,{name},Female,{split}")
        for worker, a, v in rated:
            if self.release == "2.0":
                self.detailed.append(f'{label}.wav,{worker},Neutral,"Happy,Other",{a:.6f},{v:.6f},4.000000')
            else:
                self.detailed.append(f'{label}.wav,"{worker}; Neutral; Happy,Other; A:{a:.6f}; V:{v:.6f}; D:4.000000;"')
        _write_lines(self.root / "Transcripts" / f"{label}.txt", [self.made.words(i)])

    def finish(self) -> None:
        """Write the tables of the consensus and of the ratings."""
        misspelt = self.release in ("1.6", "1.7", "1.8", "1.9")
        name = "labels_concensus.csv" if misspelt else "labels_consensus.csv"
        _write_lines(self.root / "Labels" / name, self.consensus)
        _write_lines(self.root / "Labels" / "labels_detailed.csv", self.detailed)


class ImprovFormat(Format):
    """MSP-Improv: one file of blocks; activation from high to low, some raters twice, some NaN."""

    def __init__(self, root: Any, made: Invented) -> None:
        super().__init__(root, made)
        self.blocks: list[str] = []

    def name_annotators(self, n: int) -> list[str]:
        """Return numbers with one of three parts."""
        return [f"{number}-p{1 + k % 3}" for k, number in enumerate(self.made.numbers(n, 6))]

    def name(self, i: int) -> tuple[str, str]:
        """Return a name of scene, speaker, kind, and who speaks to whom."""
        session, sex, other = 1 + i % 6, "MF"[i // 6 % 2], "FM"[i // 6 % 2]
        scene, kind = f"S{1 + i % 20:02d}{'AHSN'[i % 4]}", "PRST"[i % 4]
        label = f"MSP-IMPROV-{scene}-{sex}{session:02d}-{kind}-{other}{sex}{i // 12:02d}"
        return label, f"Audio/session{session}/{scene}/{kind}"

    def rate(self, i: int) -> Rated:
        """Return the ratings; sometimes somebody rates twice."""
        rated = super().rate(i)
        if i % 7 == 3:
            who = rated[0][0]
            rated.append((who, *self.made.rate(i, self.annotators.index(who))))
        return rated

    def add(self, i: int, label: str, rated: Rated) -> None:
        """Write the words, and keep a block of the consensus and the ratings."""
        activation, valence = _mean(rated)
        lines = [f"UTD-{label[4:]}.avi; N; A:{6 - activation:.6f} ; V:{valence:.6f} ; D:NaN ; N:3.0;"]
        lines += [f"{who}; Neutral; ; A:{6 - a}; V:{v}; D:3; N:NaN;" for who, a, v in rated]
        if i % 9 == 4:  # somebody who left valence out
            lines.append("999999-p_spon; Angry; Other,Sad; A:3; V:NaN; D:NaN; N:NaN;")
        self.blocks.append("\n".join(lines))
        _write(self.root / "Text" / f"{label}.txt", self.made.words(i))

    def finish(self) -> None:
        """Write the evaluation, under the name of the release."""
        _write_lines(self.root / "Evalution.txt", ["\n\n".join(self.blocks)])


class IemocapFormat(Format):
    """IEMOCAP: two files a dialogue; self reports, half points, blanks."""

    def __init__(self, root: Any, made: Invented) -> None:
        super().__init__(root, made)
        self.blocks: dict[str, list[str]] = {}
        self.transcripts: dict[str, list[str]] = {}

    def name_annotators(self, n: int) -> list[str]:
        """Return experts."""
        return [f"E{1 + k}" for k in range(n)]

    def name(self, i: int) -> tuple[str, str]:
        """Return a name of session, dialogue and speaker."""
        session = 1 + i % 5
        dialogue = f"Ses{session:02d}{'MF'[i // 10 % 2]}_impro{1 + i // 20:02d}"
        return f"{dialogue}_{'FM'[i // 5 % 2]}{i:03d}", f"Session{session}/sentences/wav/{dialogue}"

    def rate(self, i: int) -> Rated:
        """Return the ratings; of some utterances they are half points."""
        half = 0.5 if i % 11 == 5 else 0
        return [(who, *np.clip([a - half, v - half], 1, None)) for who, a, v in super().rate(i)]

    def add(self, i: int, label: str, rated: Rated) -> None:
        """Keep a block and the words for the files of a dialogue."""
        dialogue, speaker = label.rsplit("_", 1)
        a, v = _mean(rated)
        lines = [f"[{i}.0100 - {i + 2}.5600]\t{label}\tneu\t[{v:.4f}, {a:.4f}, 3.0000]", "C-E2:\tNeutral;\t()"]
        lines += [f"A-{who}:\tval {v:g}; act {a:g}; dom  3;\t()" for who, a, v in rated]
        lines += [f"C-{speaker[0]}1:\tAnger;\t()", f"A-{speaker[0]}1:\tval 2; act 4; dom  3;\t(of themselves)"]
        if i % 8 == 6:
            lines.append("A-E9:\tval 3; act ; dom  ;\t()")
        self.blocks.setdefault(dialogue, []).append("\n".join(lines))
        words = f"{label} [{i:03d}.0100-{i + 2:03d}.5600]: {self.made.words(i)}"
        self.transcripts.setdefault(dialogue, []).append(words)

    def finish(self) -> None:
        """Write the evaluation and the words of each dialogue."""
        legend = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"
        for dialogue, blocks in self.blocks.items():
            folder = self.root / f"Session{int(dialogue[3:5])}" / "dialog"
            _write_lines(folder / "EmoEvaluation" / f"{dialogue}.txt", [legend, "", "\n\n".join(blocks)])
            _write_lines(folder / "transcriptions" / f"{dialogue}.txt", self.transcripts[dialogue])


class MuseFormat(Format):
    """MuSE: the crowd's table, which does not say who rated, and the table that does."""

    def __init__(self, root: Any, made: Invented) -> None:
        super().__init__(root, made)
        self.crowd = ["Sentence_name,Duration,Gender,Type,Activation_Annotation,Valence_Annotation"]
        self.metadata = ["FileName,soft_act_labels,soft_val_labels,annotators"]

    def name_annotators(self, n: int) -> list[str]:
        """Return numbers of workers."""
        return [f"A{number}" for number in self.made.numbers(n, 9)]

    def name(self, i: int) -> tuple[str, str]:
        """Return a name of speaker and sentence."""
        speaker = 1 + i % 10
        return f"{speaker:02d}_DR-100_{speaker:04d}_1_sentence_{1 + i // 10}", f"Audio/{speaker:02d}"

    def add(self, i: int, label: str, rated: Rated) -> None:
        """Write the words, and keep a line of each table."""
        numbers = [";".join(str(each[column]) for each in rated) for column in (1, 2)]
        self.crowd.append(f"{label},2.5,F,{'S' if i % 2 else 'NS'},{numbers[0]},{numbers[1]}")
        lists = [[*(int(each[column]) for each in rated), 5] for column in (1, 2)]
        people = [*(each[0] for each in rated), f"self_report_{1 + i % 10}"]
        self.metadata.append(f'{label}.wav,"{lists[0]}","{lists[1]}","{people}"')
        _write_lines(self.root / "Transcripts" / f"{label}.txt", [self.made.words(i)])

    def finish(self) -> None:
        """Write the two tables."""
        _write_lines(self.root / "Emotion data from crowdsourcing (invented).csv", self.crowd)
        _write_lines(self.root / "annotators.csv", self.metadata)


def _mean(rated: Rated) -> Any:
    """Return mean activation and valence."""
    return np.mean([each[1:] for each in rated], axis=0)


def _write_lines(path: Path, lines: list[str]) -> None:
    """Write a text file, each line with its end."""
    _write(path, "\n".join(lines) + "\n")


def _write(path: Path, text: str) -> None:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
