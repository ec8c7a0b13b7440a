"""Qualtrics' table of responses: three lines of headers, and a respondent in each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sklearn_annoser.datasets._answers import Answers, Wanted, as_label, check_wanted
from sklearn_annoser.datasets._files import CorpusError, Place, Table, as_path
from sklearn_annoser.datasets._surveys import MARK, check_patterns, label_of, numbered, numbers_in
from sklearn_annoser.ratings._scale import check_scale

__all__ = ["read_qualtrics"]

TOOL = "Qualtrics"
NO_PEOPLE = ("preview", "test", "spam")  # in words, and as numbers
NO_PEOPLE_CODES = ("1", "2", "8", "9", "10", "12", "17", "40", "48")
FINISHED = {"true": True, "1": True, "false": False, "0": False}
UNANSWERED = -99  # of a question that was seen


def read_qualtrics(
    source: Any,
    *,
    outputs: Any,
    sample: Any = None,
    annotator: str = "ResponseId",
    scale: Any = None,
    classes: Any = None,
    duplicates: str = "error",
    unfinished: str = "drop",
    on_error: str = "raise",
) -> Bunch:
    r"""Read ratings from responses to a survey of Qualtrics, exported as CSV or TSV with numeric values.

    In most surveys a respondent rates many clips, which are rows of a matrix ("Q5_1", "Q5_2", ...), sliders of one
    question, or passes of a loop ("1_Q3", "2_Q3", ...). {} stands for the number of the clip in `outputs`.

    All other parameters are those of :func:`read_label_studio`, with the same defaults.

    Parameters
    ----------
    source : path
        The CSV or TSV, packed or not, with its three lines of headers.
    outputs : str, sequence of str or dict from str to str
        Columns of the ratings, or a dict from the name of the output to its column, such as ``{"valence": "Q5_{}"}``.
    sample : str or dict, default=None
        What names the samples: a dict from the number to the name, or the column that has the name, in which {} is the
        number too. None: the number itself.
    annotator : str, default="ResponseId"
        Column that names the annotator, such as an embedded "PROLIFIC_PID".
    duplicates : {"error", "mean", "first", "last"}, default="error"
        What to do where an annotator rated a sample more than once; the last is that of the latest `EndDate`.
    unfinished : {"drop", "keep"}, default="drop"
        Whether responses that were not finished are left out.

    Returns
    -------
    Bunch
        `utterances`, a table of the samples: sample, and the text of the first question about it; `ratings`, Ratings
        of its rows; `consensus`; `DESCR`, which counts what was left out: previews, tests, spam, unfinished responses.

    Raises
    ------
    CorpusError
        The file is not such a table, is empty or cut off; a column is not there; an answer is no number or outside
        the scale. The message names file and line.

    Notes
    -----
    -99, which Qualtrics writes for questions that were seen and not answered if it is told to, is no answer unless it
    is on `scale`.

    References
    ----------
    Qualtrics' description of the table,
    https://www.qualtrics.com/support/survey-platform/data-and-analysis-module/data/download-data/understanding-your-dataset/

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_annoser.datasets import read_qualtrics
    >>> rows = ["ResponseId,Finished,Q5_1,Q5_2", "Response ID,Finished,How pleasant? - a,How pleasant? - b"]
    >>> rows += ['"{""ImportId"":""_recordId""}"' + ',"{""ImportId"":""x""}"' * 3, "R_1,True,4,5"]
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "survey.csv")
    ...     _ = path.write_text("\n".join(rows))
    ...     read_qualtrics(path, outputs={"valence": "Q5_{}"}, sample={1: "a.wav", 2: "b.wav"}).ratings.to_long()
      sample annotator  valence
    0  a.wav       R_1      4.0
    1  b.wav       R_1      5.0
    """
    options = {"duplicates": duplicates, "unfinished": unfinished, "on_error": on_error}
    wanted = check_wanted(outputs, scale, classes, **options)
    if wanted.outputs is None:
        raise ValueError("say which columns have the ratings: outputs=, such as {'valence': 'Q5_{}'}.")
    several = check_patterns(wanted, sample)
    if not several and not isinstance(sample, str):
        raise ValueError(f"say which column names the sample, sample=, or use {MARK} in outputs, got {sample!r}.")
    found = Answers(TOOL, wanted)
    path = as_path("source", source)
    table = Table(path, [annotator], what=f"the responses of {TOOL}")
    questions = list(wanted.outputs.values())
    numbers = numbers_in(table.columns, questions, path.name) if several else [""]
    columns = questions if not several else []
    columns += [numbered(sample, number) for number in numbers] if isinstance(sample, str) else []
    for column in columns:
        if column not in table.columns:
            raise CorpusError(f"{path.name}: there is no column {column!r}; the columns are {table.columns}.")
    rows = table.rows(found.bad)
    texts = _texts(path.name, [next(rows, (None, {}))[1], next(rows, (None, {}))[1]])
    survey = Survey(found, wanted, sample, texts)
    for place, row in rows:
        with found.bad:
            if survey.counts(place, row):
                who = as_label(place, f"{annotator!r}", row[annotator])
                for number in numbers:
                    survey.add(place, row, who, number)
    return found.bunch()


def _texts(file: str, headers: list[dict[str, str]]) -> dict[str, str]:
    """Return the text of each question, or raise if the lines are not those of Qualtrics."""
    if not all('"ImportId"' in cell for cell in headers[1].values()) or not headers[1]:
        raise CorpusError(
            f"{file}: expected the three lines of headers that {TOOL} writes, the third of which has 'ImportId's. "
            "Export the responses again as CSV, or read a table of one header with read_ratings."
        )
    return headers[0]


class Survey:
    """What a row of a survey says of each sample."""

    def __init__(self, found: Answers, wanted: Wanted, sample: Any, texts: dict[str, str]) -> None:
        self.found, self.sample, self.texts = found, sample, texts
        self.questions = list((wanted.outputs or {}).values())
        limits = check_scale(wanted.scale, len(self.questions))
        low = np.full(len(self.questions), np.inf) if limits is None else limits[:, 0]
        self.none = [UNANSWERED if low[k] > UNANSWERED else None for k in range(len(low))]

    def counts(self, place: Place, row: dict[str, str]) -> bool:
        """Say whether a response is one of a person, and finished."""
        status, channel = row.get("Status", ""), row.get("DistributionChannel", "")
        words = f"{status} {channel}".lower()
        if status in NO_PEOPLE_CODES or any(word in words for word in NO_PEOPLE):
            self.found.count("responses that are previews, tests or spam")
            return False
        finished = row.get("Finished", "True")
        if finished.lower() not in FINISHED:
            raise place.error(f"expected 'Finished' to be True or False, 1 or 0, got {finished!r}.")
        return self.found.counts(FINISHED[finished.lower()])

    def add(self, place: Place, row: dict[str, str], who: str, number: str) -> None:
        """Keep what a row says of one sample."""
        answers = {}
        for question, none in zip(self.questions, self.none, strict=True):
            cell = row.get(numbered(question, number), "")
            if none is not None and _is(cell, none):
                self.found.count(f"answers of {UNANSWERED}, which are no answer")
                cell = ""
            answers[question] = cell
        if isinstance(self.sample, Mapping):
            name = label_of(self.sample, number)
            if name is None:
                raise place.error(f"sample has no name for the number {number!r}, only for {list(self.sample)}.")
        else:
            name = number if self.sample is None else row[numbered(self.sample, number)]
        if any(answers.values()):
            label = as_label(place, "a name of the sample", name)
            text = self.texts.get(numbered(self.questions[0], number), "")
            self.found.add_item(label, {"text": text})
            self.found.add(place, label, who, answers, row.get("EndDate") or None)


def _is(cell: str, number: float) -> bool:
    """Say whether a cell is a number."""
    try:
        return float(cell) == number
    except ValueError:
        return False
