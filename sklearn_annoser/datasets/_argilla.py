"""Argilla's records: fields of a sample, and the responses of each user to each question."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from sklearn.utils import Bunch

from sklearn_annoser.datasets._answers import Answers, Spot, as_label, check_wanted
from sklearn_annoser.datasets._files import CorpusError
from sklearn_annoser.datasets._json import entries, read_json
from sklearn_annoser.ratings._tables import as_records

__all__ = ["read_argilla"]

TOOL = "Argilla"
STATUS = ("submitted", "draft", "discarded")


def read_argilla(
    source: Any,
    *,
    outputs: Any = None,
    sample: str | None = None,
    scale: Any = None,
    classes: Any = None,
    duplicates: str = "error",
    unfinished: str = "drop",
    on_error: str = "raise",
) -> Bunch:
    """Read ratings from records of Argilla: a JSON file, lists of dicts or a `datasets.Dataset`.

    What ``dataset.records.to_json(path)`` writes does not say which responses are drafts or discarded, so that all
    count, with a warning; ``to_list(flatten=True)`` and ``to_datasets()`` say it.

    All other parameters are those of :func:`read_label_studio`, with the same defaults.

    Parameters
    ----------
    source : path, list of dict, or table
        The records: the file of `to_json`, what `to_list` returns, or a dataset or table with the columns
        "question.responses" and "question.responses.users".
    outputs : str, sequence of str or dict from str to str, default=None
        Names of the questions (rating, label, ranking), or a dict from the name of the output to that of the question.
        A ranking gives a rank to each of its options: "question.option". None: all questions that have numbers.
    sample : str, default=None
        Field or metadata of the records that names the sample. None: the record's id.
    duplicates : {"error", "mean", "first", "last"}, default="error"
        What to do where a user rated a sample in several records; the last is that of the later record.
    unfinished : {"drop", "keep"}, default="drop"
        Whether drafts are left out. Discarded responses always are.

    Returns
    -------
    Bunch
        `utterances`, a table of the records: sample, fields and metadata; `ratings`, Ratings of its rows by the users'
        ids; `consensus`; `DESCR`, which counts what was left out.

    Raises
    ------
    CorpusError
        The file holds no such records, is empty or cut off; a question is not there; a response is no number or outside
        the scale. The message names record and question.

    References
    ----------
    Argilla's description of records and responses, https://docs.argilla.io/latest/reference/argilla/records/responses

    Examples
    --------
    >>> from sklearn_annoser.datasets import read_argilla
    >>> record = {"id": "r1", "text": "Oh.", "valence.responses": [2, 5], "valence.responses.users": ["u1", "u2"]}
    >>> record["valence.responses.status"] = ["submitted", "draft"]
    >>> read_argilla([record]).ratings.to_long()
      sample annotator  valence
    0     r1        u1      2.0
    """
    options = {"duplicates": duplicates, "unfinished": unfinished, "on_error": on_error}
    found = Answers(TOOL, check_wanted(outputs, scale, classes, **options))
    name, records = read_json(source, TOOL)
    records = entries(Spot(name), as_records(records), list, "the records of Argilla")
    if not records:
        raise CorpusError(f"{name}: there is no record in it.")
    told = [_read_record(found, Spot(f"{name}, record {row}"), record, sample) for row, record in enumerate(records)]
    if None in told:
        warnings.warn(
            f"{name} does not say which responses are drafts or discarded, so all of them count. Records of "
            "to_list(flatten=True) or to_datasets() say it.",
            stacklevel=2,
        )
    return found.bunch()


class Response(NamedTuple):
    """What a user responded to a question."""

    question: str
    user: Any
    value: Any
    status: Any


def _read_record(found: Answers, place: Spot, record: Any, sample: str | None) -> Any:
    """Collect a record and its responses; return None if some response has no status."""
    entries(place, record, dict, "a record of Argilla")
    if isinstance(record.get("responses"), (dict, list)):
        columns = {**(record.get("fields") or {}), **(record.get("metadata") or {})}
        responses = list(_nested(place, record["responses"]))
    else:
        asked = [key.removesuffix(".responses") for key in record if str(key).endswith(".responses")]
        if not asked:
            raise place.error(
                f"expected 'responses' or columns such as 'question.responses', got {list(record)}: these are no "
                "records of Argilla with responses."
            )
        marks = tuple(f"{question}.{kind}" for question in asked for kind in ("responses", "suggestion"))
        columns = {key: value for key, value in record.items() if not key.startswith(marks)}
        responses = list(_flat(place, record, asked))
    if sample is not None and sample not in columns:
        raise place.error(f"there is no field or metadata {sample!r}; there are {list(columns)}: name one as sample=.")
    label = found.add_item(
        as_label(place, "the sample's name", record.get("id") if sample is None else columns[sample]), columns
    )
    by_user: dict[str, dict[str, Any]] = defaultdict(dict)
    for each in responses:
        where = place.within(f"question {each.question!r}")
        with found.bad:
            _read_response(found, where, each, by_user)
    for user, answers in by_user.items():
        with found.bad:
            found.add(place.within(f"user {user!r}"), label, user, answers)
    return None if any(each.status is None for each in responses) else True


def _read_response(found: Answers, place: Spot, each: Response, by_user: dict[str, dict[str, Any]]) -> None:
    """Collect a response, if it counts."""
    user = as_label(place, "the user's id", each.user)
    status = getattr(each.status, "value", each.status)
    if status not in (None, *STATUS):
        raise place.error(f"expected a status among {list(STATUS)}, got {status!r:.80}.")
    if status == "discarded":
        found.count("responses that were discarded")
        return
    if not found.counts(status != "draft"):
        return
    if each.question in by_user[user]:
        raise place.error(f"user {user!r} has responded more than once.")
    by_user[user][each.question] = _ranks(place, each.value)


def _nested(place: Spot, responses: Any) -> Iterator[Response]:
    """Yield responses by question, as Argilla 2 writes them, or by user, as Argilla 1 does."""
    if isinstance(responses, dict):
        for question, given in responses.items():
            for each in entries(place, given, list, f"the responses to {question!r}"):
                entries(place, each, dict, f"a response to {question!r}")
                yield Response(question, each.get("user_id"), each.get("value"), each.get("status"))
        return
    for each in responses:
        entries(place, each, dict, "a response")
        for question, given in entries(place, each.get("values") or {}, dict, "its values").items():
            value = given.get("value") if isinstance(given, dict) else given
            yield Response(question, each.get("user_id"), value, each.get("status"))


def _flat(place: Spot, record: dict[str, Any], asked: list[str]) -> Iterator[Response]:
    """Yield responses of columns with one list for values, users and status each."""
    for question in asked:
        values = record[f"{question}.responses"]
        if values is None:
            continue
        users, status = record.get(f"{question}.responses.users"), record.get(f"{question}.responses.status")
        values = entries(place, values, list, f"the responses to {question!r}")
        users = entries(place, users, list, f"the users who responded to {question!r}")
        status = [None] * len(values) if status is None else entries(place, status, list, "their status")
        if not len(values) == len(users) == len(status):
            raise place.error(f"{question!r} has {len(values)} responses, {len(users)} users and {len(status)} status.")
        for value, user, state in zip(values, users, status, strict=True):
            yield Response(question, user, value, state)


def _ranks(place: Spot, value: Any) -> Any:
    """Return the rank of each option of a ranking; any other answer as it is."""
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return {as_label(place, "an option that was ranked", each.get("value")): each.get("rank") for each in value}
    return value
