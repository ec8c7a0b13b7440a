"""What annotators answered in a tool, whichever it was: which answers count, and the bunch that its reader returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_annoser._validation import check_option
from sklearn_annoser.datasets._cells import Rows, as_classes, as_ratings
from sklearn_annoser.datasets._files import BadLines, CorpusError
from sklearn_annoser.ratings import Ratings
from sklearn_annoser.ratings._classes import decode
from sklearn_annoser.ratings._constructors import DUPLICATES

UNFINISHED = ("drop", "keep")


class Spot(NamedTuple):
    """A place in something that has no lines, such as JSON: what an error about it names."""

    name: str

    def error(self, what: str) -> CorpusError:
        """Return the error about this place."""
        return CorpusError(f"{self.name}: {what}")

    def within(self, name: str) -> Spot:
        """Return a place in this one."""
        return Spot(f"{self.name}, {name}")


class Wanted(NamedTuple):
    """What is asked of a reader of a tool's answers: options that all of them have."""

    outputs: dict[str, str] | None  # name -> question; None: every question that has numbers
    scale: Any
    classes: Any
    duplicates: str
    on_error: str
    unfinished: str = "drop"
    declared: Any = None  # a scale that the tool itself knows of; the ratings stay on it


def check_wanted(outputs: Any, scale: Any, classes: Any, **options: str) -> Wanted:
    """Return the options that all readers of answers have."""
    for name, allowed in (("duplicates", DUPLICATES), ("unfinished", UNFINISHED)):
        if name in options:
            check_option(name, options[name], allowed)
    if classes is not None and scale is not None:
        raise ValueError(f"classes have no scale, got scale={scale!r}.")
    if classes is not None and outputs is None:
        raise ValueError("say which questions have classes for answers: outputs=, a question or several.")
    return Wanted(_check_questions(outputs), scale, classes, **options)


def _check_questions(outputs: Any) -> dict[str, str] | None:
    """Return the question of each output, or None."""
    if outputs is None:
        return None
    if isinstance(outputs, str):
        outputs = [outputs]
    if not isinstance(outputs, (Mapping, Sequence)):
        raise TypeError(f"outputs must be a question, several, or a dict from output to question, got {outputs!r}.")
    found = dict(outputs) if isinstance(outputs, Mapping) else dict(zip(outputs, outputs, strict=True))
    if not all(isinstance(each, str) for pair in found.items() for each in pair):
        raise TypeError(f"outputs and questions must be strings, got {outputs!r}.")
    if not found or len(set(found.values())) < len(outputs):
        raise ValueError(f"outputs must be at least one question, each once, got {outputs!r}.")
    return found


def as_label(place: Any, what: str, value: Any) -> str:
    """Return who or what an answer is of, as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise place.error(f"expected {what}, a text or a whole number, got {value!r:.80}.")
    return value


def chosen(answer: Any) -> Any:
    """Return the option that was chosen, of options with true or false; anything else as it is."""
    if not isinstance(answer, dict) or not answer:
        return answer
    if set(answer) == {"label"}:
        return answer["label"]
    marks = {option: _mark(mark) for option, mark in answer.items()}
    if None in marks.values():
        return answer
    taken = [option for option, mark in marks.items() if mark]
    return taken[0] if len(taken) == 1 else taken or None


def _mark(value: Any) -> bool | None:
    """Return whether a box is checked; None of what is no box."""
    text = str(value).strip().lower() if isinstance(value, (str, bool)) or value is None else "?"
    return {"true": True, "on": True, "false": False, "none": False, "": False}.get(text)


class Answers:
    """What a reader finds in a tool's files: samples and answers one by one, and what of it does not count."""

    def __init__(self, tool: str, wanted: Wanted) -> None:
        self.tool, self.wanted = tool, wanted
        self.bad = BadLines(wanted.on_error)
        self.items: dict[str, dict[str, Any]] = {}
        self.questions: dict[str, bool] = {}  # whether there are numbers among the answers
        self.rows: list[tuple[str, str, dict[str, Any]]] = []
        self.places: list[Any] = []
        self.times: list[Any] = []
        self.left_out: dict[str, int] = {}

    def add_item(self, label: str, columns: Mapping[str, Any]) -> str:
        """Keep what is known of a sample, once, and return its label."""
        if label not in self.items:
            names = {name: _free("sample_", columns) if name == "sample" else str(name) for name in columns}
            self.items[label] = {names[name]: value for name, value in columns.items()}
        return label

    def is_asked(self, question: str) -> bool:
        """Say whether a question, or a part of it, is asked for."""
        outputs = self.wanted.outputs
        return outputs is None or any(each == question or each.startswith(f"{question}.") for each in outputs.values())

    def count(self, why: str, n: int = 1) -> None:
        """Count what does not count as a rating."""
        self.left_out[why] = self.left_out.get(why, 0) + n

    def counts(self, finished: bool) -> bool:
        """Say whether what may be unfinished is to be read."""
        if finished or self.wanted.unfinished == "keep":
            return True
        self.count("answers that are not finished")
        return False

    def add(self, place: Any, sample: str, annotator: str, answers: Mapping[str, Any], time: Any = None) -> None:
        """Keep the answers of an annotator about a sample: question -> a number, a text, or such an answer by part."""
        flat: dict[str, Any] = {}
        for question, answer in answers.items():
            parts = answer if isinstance(answer, dict) else {None: answer}
            for part, value in parts.items():
                name = question if part is None else f"{question}.{part}"
                value = value[0] if isinstance(value, list) and len(value) == 1 else value
                self.questions[name] = self.questions.get(name, False) or _is_number(value)
                flat[name] = self._check(place, name, value)
        self.rows.append((sample, annotator, flat))
        self.places.append(place)
        self.times.append(time)

    def _check(self, place: Any, question: str, answer: Any) -> Any:
        """Return an answer to a question, None of what cannot be one but is not asked for either."""
        if answer is None or (isinstance(answer, (int, float, str)) and not isinstance(answer, bool)):
            return None if isinstance(answer, str) and not answer.strip() else answer
        if self.wanted.outputs is not None and self.is_asked(question):
            raise place.error(f"expected one answer to {question!r}, a number or a choice, got {answer!r:.80}.")
        return None

    def bunch(self) -> Bunch:
        """Return samples, Ratings and a description; raise if there are none."""
        wanted = self._questions()
        sample, annotator = (_free(name, wanted) for name in ("sample", "annotator"))
        table = pd.DataFrame(
            [[what, who, *(flat.get(question) for question in wanted.values())] for what, who, flat in self.rows],
            columns=[sample, annotator, *wanted],
            dtype=object,
        )
        places = self.places
        rows = Rows(
            table.assign(**{_free("time", wanted): pd.Series(self.times, dtype=object)}), lambda row: places[row]
        )
        empty = table[list(wanted)].isna().all(axis=1).to_numpy()
        if empty.any():
            self.count("answers to none of these questions", int(empty.sum()))
            rows = rows.without(empty)
        scale, classes = self.wanted.scale, self.wanted.classes
        if classes is None:
            rows = as_ratings(rows, list(wanted), scale, self.bad)
        else:
            rows = as_classes(rows, list(wanted), classes, self.bad)
        if rows.frame.empty:
            first = f" The first that is not as it should be: {self.bad.first}" if self.bad.n else ""
            raise CorpusError(f"there is no rating in {self.tool}. {self._tell_left_out()}{first}".strip())
        self.bad.warn(self.tool, stacklevel=3)
        # Not from_dict: pandas 2.2 has no rows for samples of which nothing else is known.
        known = pd.DataFrame(list(self.items.values()), index=pd.Index(list(self.items), dtype=object, name="sample"))
        items = known.reset_index()
        ratings = Ratings.from_long(
            self._in_order(rows, [sample, annotator], _free("time", wanted)).frame,
            sample=sample,
            annotator=annotator,
            outputs=list(wanted),
            samples=items["sample"],
            duplicates=self.wanted.duplicates,
            scale=self.wanted.declared if scale is None else scale,
            classes=classes,
        )
        ratings = ratings if scale is None else ratings.rescaled()
        consensus = decode(ratings._consensus(), ratings.classes).reshape(ratings.shape)
        return Bunch(utterances=items, ratings=ratings, consensus=consensus, DESCR=self._describe(ratings))

    def _questions(self) -> dict[str, str]:
        """Return the question of each output, all of them being there."""
        if self.wanted.outputs is None:
            numbers = [question for question, has_numbers in self.questions.items() if has_numbers]
            if not numbers:
                raise CorpusError(
                    f"there is no question with numbers for answers in {self.tool}. {self._tell_left_out()}Its "
                    f"questions are {list(self.questions)}; classes=True with outputs= reads choices."
                )
            return {question: question for question in numbers}
        for question in self.wanted.outputs.values():
            if question not in self.questions:
                raise CorpusError(
                    f"there is no answer to a question {question!r} in {self.tool}. {self._tell_left_out()}Its "
                    f"questions are {list(self.questions)}: name some of them as outputs=."
                )
        return self.wanted.outputs

    def _in_order(self, rows: Rows, pair: list[str], time: str) -> Rows:
        """Return rows as they were submitted, where that decides which of two counts; else as they are."""
        twice = rows.frame.duplicated(pair, keep=False).to_numpy()
        n_again = int(rows.frame.duplicated(pair).sum())
        if not n_again or self.wanted.duplicates not in ("first", "last"):
            if n_again:
                self.count("second ratings by the same annotator, which are averaged", n_again)
            return rows
        other = "earlier" if self.wanted.duplicates == "last" else "later"
        self.count(f"{other} ratings by the same annotator of the same sample", n_again)
        raw = rows.frame[time]
        if raw[twice].isna().all():
            return rows  # the file's order is all there is
        times = pd.to_datetime(raw.where(twice), errors="coerce", utc=True, format="ISO8601")
        unknown = np.flatnonzero(twice & times.isna().to_numpy())
        if len(unknown):
            row = unknown[0]
            raise rows.place(row).error(
                f"this sample was rated twice by this annotator: expected a date that tells when, got {raw[row]!r}, "
                f'so which one is {self.wanted.duplicates} cannot be told. duplicates="mean" needs no time.'
            )
        order = np.argsort(times.to_numpy(), kind="stable")
        return Rows(rows.frame.iloc[order].reset_index(drop=True), lambda row: rows.place(order[row]))

    def _tell_left_out(self) -> str:
        """Return what was left out, in a sentence."""
        counted = ", ".join(f"{n:,} {why}" for why, n in self.left_out.items())
        return f"Left out: {counted}. " if counted else ""

    def _describe(self, ratings: Ratings) -> str:
        """Return what was read, in a few lines."""
        first = f" The first: {self.bad.first}" if self.bad.n else ""
        if self.bad.n:
            self.count("answers that are not as they should be", self.bad.n)
        counts = (
            f"{self.tool}: {ratings.n_samples:,} samples, {ratings.n_ratings:,} ratings by "
            f"{ratings.n_annotators:,} annotators."
        )
        return "\n".join([counts, *(f"Left out: {n:,} {why}." for why, n in self.left_out.items())]) + first


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """Return a name for a column that no other one has."""
    while name in taken:
        name += "_"
    return name


def _is_number(value: Any) -> bool:
    """Say whether an answer is a number, or one in text."""
    if isinstance(value, str):
        return value.strip().replace(".", "", 1).replace("-", "", 1).isdecimal()
    return isinstance(value, (int, float)) and not isinstance(value, bool)
