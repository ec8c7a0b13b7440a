"""The results of a batch of Mechanical Turk: a CSV with an assignment in each row."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from sklearn.utils import Bunch

from sklearn_annoser.datasets._answers import Answers, as_label, check_wanted, chosen
from sklearn_annoser.datasets._files import CorpusError, Place, Table, as_path
from sklearn_annoser.datasets._surveys import check_patterns, numbered, numbers_in

__all__ = ["read_mturk"]

TOOL = "Mechanical Turk"
INPUT, ANSWER, JSON = "Input.", "Answer.", "Answer.taskAnswers"
STATUS = ("Submitted", "Approved", "Rejected")
TIME = re.compile(r"\w{3} (\w{3}) +(\d+) (\d+):(\d+):(\d+) (P[SD]T|UTC|GMT) (\d{4})")
HOURS = {"PST": -8, "PDT": -7, "UTC": 0, "GMT": 0}
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def read_mturk(
    source: Any,
    *,
    outputs: Any = None,
    sample: str | None = None,
    annotator: str = "WorkerId",
    scale: Any = None,
    classes: Any = None,
    duplicates: str = "error",
    on_error: str = "raise",
) -> Bunch:
    r"""Read ratings from the results of a batch of Mechanical Turk, as its requesters download them.

    Radio buttons with a column for each button, answers in one column of JSON (`Answer.taskAnswers`) and several clips
    in one assignment are read too.

    All other parameters are those of :func:`read_label_studio`, with the same defaults.

    Parameters
    ----------
    source : path
        The CSV.
    outputs : str, sequence of str or dict from str to str, default=None
        Names of the answers, without "Answer.", or a dict from the name of the output to that of the answer. Where an
        assignment has several samples, {} stands for their number: ``{"valence": "valence_{}"}``. None: all answers
        that have numbers.
    sample : str, default=None
        Input that names the sample, without "Input.", or any other column; "audio_{}" for several in an assignment.
        None: the only input.
    annotator : str, default="WorkerId"
        Column that names the annotator.
    duplicates : {"error", "mean", "first", "last"}, default="error"
        What to do where a worker rated a sample more than once; the last is that of the latest `SubmitTime`.

    Returns
    -------
    Bunch
        `utterances`, a table of the samples: sample, and the inputs; `ratings`, Ratings of its rows; `consensus`;
        `DESCR`, which counts what was left out: assignments that are or will be rejected.

    Raises
    ------
    CorpusError
        The file is not such a table, is empty or cut off; an answer is not there, is no number or outside the scale.
        The message names file and line.

    References
    ----------
    Amazon's description of assignments,
    https://docs.aws.amazon.com/AWSMechTurk/latest/AWSMturkAPI/ApiReference_AssignmentDataStructureArticle.html

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_annoser.datasets import read_mturk
    >>> rows = ["WorkerId,AssignmentStatus,Input.audio,Answer.valence", "A1,Approved,a.wav,4", "A2,Rejected,a.wav,1"]
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "batch.csv")
    ...     _ = path.write_text("\n".join(rows))
    ...     read_mturk(path).ratings.to_long()
      sample annotator  valence
    0  a.wav        A1      4.0
    """
    wanted = check_wanted(outputs, scale, classes, duplicates=duplicates, on_error=on_error)
    several = check_patterns(wanted, sample)
    found = Answers(TOOL, wanted)
    path = as_path("source", source)
    table = Table(path, [annotator], what=f"the results of {TOOL}")
    answers = [column for column in table.columns if column.startswith(ANSWER)]
    if not answers:
        raise CorpusError(
            f"{path.name}: there is no column 'Answer.*', so these are no results of {TOOL}; the columns are "
            f"{table.columns}. read_ratings reads other tables."
        )
    name = _input(path.name, table.columns, sample)
    questions = list((wanted.outputs or {}).values())
    numbers = numbers_in(table.columns, [name], path.name) if several else [""]
    for place, row in table.rows(found.bad):
        with found.bad:
            if not _counts(found, place, row):
                continue
            given = _answers(place, {column.removeprefix(ANSWER): row[column] for column in answers})
            columns = {column.removeprefix(INPUT): row[column] for column in row if column.startswith(INPUT)}
            who, time = as_label(place, f"{annotator!r}", row[annotator]), _time(row.get("SubmitTime"))
            for number in numbers:
                own = {question: given.get(numbered(question, number)) for question in questions} if several else given
                cell = row.get(numbered(name, number), "")
                if several and not cell and all(answer in (None, "") for answer in own.values()):
                    continue  # fewer samples than in other assignments
                label = as_label(place, f"a name of the sample in {numbered(name, number)!r}", cell)
                found.add_item(label, {} if several else columns)
                found.add(place, label, who, own, time)
    return found.bunch()


def _input(file: str, columns: Sequence[str], sample: str | None) -> str:
    """Return the column, or columns with a mark, that names the samples."""
    inputs = [column for column in columns if column.startswith(INPUT)]
    if sample is None and len(inputs) == 1:
        return inputs[0]
    if sample is None:
        raise CorpusError(f"{file}: say which input names the sample, as sample=; there are {inputs}.")
    if "{}" in sample or f"{INPUT}{sample}" in columns:
        return f"{INPUT}{sample}"
    if sample not in columns:
        raise CorpusError(f"{file}: there is no input or column {sample!r} for sample=; there are {list(columns)}.")
    return sample


def _counts(found: Answers, place: Place, row: dict[str, str]) -> bool:
    """Say whether an assignment is not rejected; a reason to reject it may be there before it is."""
    status = row.get("AssignmentStatus", "Submitted")
    if status not in STATUS:
        raise place.error(f"expected an 'AssignmentStatus' among {list(STATUS)}, got {status!r}.")
    if status == "Rejected" or row.get("Reject"):
        found.count("assignments that are rejected")
        return False
    return True


def _answers(place: Place, cells: dict[str, str]) -> dict[str, Any]:
    """Return the answers of an assignment: of radio buttons the one that is on, of columns of JSON what it says."""
    given: dict[str, Any] = {}
    tree: dict[str, dict[str, str]] = {}
    for name, cell in cells.items():
        if f"{ANSWER}{name}" == JSON:
            given |= {question: chosen(answer) for question, answer in _from_json(place, cell).items()}
            continue
        given[name] = cell
        question, mark, option = name.rpartition(".")
        if mark:
            tree.setdefault(question, {})[option] = cell
    for question, options in tree.items():
        answer = chosen(options)
        if not isinstance(answer, dict):  # else these are answers of their own
            given = {name: cell for name, cell in given.items() if name.rpartition(".")[0] != question}
            given[question] = answer
    return given


def _from_json(place: Place, cell: str) -> dict[str, Any]:
    """Return the answers in a cell of JSON, a list with one object."""
    if not cell:
        return {}
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise place.error(f"{JSON!r} is not JSON, or it is cut off: {error}.") from error
    found = found[0] if isinstance(found, list) and len(found) == 1 else found
    if not isinstance(found, dict):
        raise place.error(f"expected one object in {JSON!r}, got {cell!r:.80}.")
    return found


def _time(cell: str | None) -> str | None:
    """Return when an assignment was submitted, as ISO 8601; what is no such time as it is, None if there is none."""
    match = TIME.fullmatch(cell or "")
    if match and match[1] in MONTHS:
        day, hour, minute, second = (int(match[n]) for n in (2, 3, 4, 5))
        zone = timezone(timedelta(hours=HOURS[match[6]]))
        try:
            return datetime(
                int(match[7]), MONTHS.index(match[1]) + 1, day, hour, minute, second, tzinfo=zone
            ).isoformat()
        except ValueError:
            return cell
    return cell or None
