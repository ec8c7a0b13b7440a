"""Label Studio's JSON: tasks, and in each the annotations of all who did it."""

from __future__ import annotations

from typing import Any

from sklearn.utils import Bunch

from sklearn_annoser.datasets._answers import Answers, Spot, as_label, check_wanted
from sklearn_annoser.datasets._files import CorpusError
from sklearn_annoser.datasets._json import entries, read_json

__all__ = ["read_label_studio"]

TOOL = "Label Studio"
# Where the answer is in the value of a control; others (text areas, regions) are no ratings.
ANSWERS = {"rating": "rating", "number": "number", "choices": "choices", "pairwise": "selected", "ranker": "ranker"}
# What the value of a part of a sample has, and of an answer about such a part.
REGIONS = {"start", "end", "startOffset", "x", "points", "sequence"}


def read_label_studio(
    source: Any,
    *,
    outputs: Any = None,
    sample: str | None = None,
    annotator: str = "id",
    scale: Any = None,
    classes: Any = None,
    duplicates: str = "error",
    unfinished: str = "drop",
    on_error: str = "raise",
) -> Bunch:
    """Read ratings from a JSON export of Label Studio ("JSON", not "JSON-MIN" or CSV).

    Parameters
    ----------
    source : path or list of dict
        The export, or the tasks in it.
    outputs : str, sequence of str or dict from str to str, default=None
        Names of the controls (Rating, Number, Choices, Pairwise) whose answers are the ratings, or a dict from the name
        of the output to that of the control. A Ranker gives a rank to each of its items: "ranker.item". None: all
        controls that have numbers.
    sample : str, default=None
        Field of the tasks' `data` that names the sample, such as "audio". None: the task's id.
    annotator : str, default="id"
        Field of `completed_by` that names the annotator: "id", or "email" in exports that have it.
    scale : (low, high), default=None
        The scale on which was rated; the ratings are rescaled from it to -1 to 1. None: they are taken as they are.
    classes : True or array-like of labels, default=None
        As for :meth:`Ratings.from_long`: the answers are classes. `outputs` has to be given.
    duplicates : {"error", "mean", "first", "last"}, default="error"
        What to do where an annotator did a sample more than once; the last is that with the latest `updated_at`.
    unfinished : {"drop", "keep"}, default="drop"
        Whether drafts are left out.
    on_error : {"raise", "drop"}, default="raise"
        What becomes of an annotation that is not as it should be: an error, or it is left out, with a warning.

    Returns
    -------
    Bunch
        `utterances`, a table of the tasks: sample, and all of their `data`; `ratings`, Ratings of its rows;
        `consensus`; `DESCR`, which counts what was left out: skipped tasks, drafts, earlier ratings.

    Raises
    ------
    CorpusError
        The file is no such export, is empty or cut off; a control is not there; an answer is no number, outside the
        scale, of a region or one of several of the same control. The message names task and annotation.

    References
    ----------
    Label Studio's description of its JSON, https://labelstud.io/guide/task_format

    Examples
    --------
    >>> from sklearn_annoser.datasets import read_label_studio
    >>> answer = {"from_name": "valence", "type": "rating", "value": {"rating": 4}}
    >>> tasks = [{"id": 7, "data": {"audio": "a.wav"}, "annotations": [{"completed_by": 1, "result": [answer]}]}]
    >>> read_label_studio(tasks, sample="audio").ratings.to_long()
      sample annotator  valence
    0  a.wav         1      4.0
    """
    options = {"duplicates": duplicates, "unfinished": unfinished, "on_error": on_error}
    found = Answers(TOOL, check_wanted(outputs, scale, classes, **options))
    name, tasks = read_json(source, TOOL)
    tasks = [tasks] if isinstance(tasks, dict) else entries(Spot(name), tasks, list, "the tasks of Label Studio")
    if not tasks:
        raise CorpusError(f"{name}: there is no task in it.")
    for number, task in enumerate(tasks):
        _read_task(found, Spot(f"{name}, task {number}"), task, sample, annotator)
    return found.bunch()


def _read_task(found: Answers, place: Spot, task: Any, sample: str | None, annotator: str) -> None:
    """Collect a task and its annotations."""
    entries(place, task, dict, "a task of Label Studio")
    if "annotations" not in task or not isinstance(task.get("data"), dict):
        raise place.error(
            f"expected 'data' and 'annotations', got the fields {list(task)}. Export as JSON: JSON-MIN and CSV do not "
            "say what was skipped, and other tools have other readers."
        )
    data = task["data"]
    if sample is not None and sample not in data:
        raise place.error(f"there is no field {sample!r} in its data; name another as sample=, of {list(data)}.")
    label = found.add_item(
        as_label(place, "the sample's name", task.get("id") if sample is None else data[sample]),
        data if sample is None else {"task": task.get("id"), **data},
    )
    for kind in ("annotations", "drafts"):
        for number, annotation in enumerate(entries(place, task.get(kind) or [], list, f"its {kind}")):
            where = place.within(f"{kind.removesuffix('s')} {number}")
            with found.bad:
                _read_annotation(found, where, label, annotation, kind == "annotations", annotator)


def _read_annotation(found: Answers, place: Spot, label: str, annotation: Any, finished: bool, annotator: str) -> None:
    """Collect what somebody answered in a task, unless it was skipped."""
    entries(place, annotation, dict, "an annotation")
    if annotation.get("was_cancelled"):
        found.count("tasks that were skipped")
        return
    if not found.counts(finished):
        return
    who = annotation.get("completed_by", annotation.get("user"))
    if isinstance(who, dict):
        who = who.get(annotator)
    elif annotator != "id":
        raise place.error(f'there is no {annotator!r} of who did it, only {who!r}: annotator="id" takes that.')
    answers: dict[str, Any] = {}
    results = entries(place, annotation.get("result") or [], list, "its result")
    regions = {result.get("id") for result in results if isinstance(result, dict) and _is_region(result)}
    for result in results:
        entries(place, result, dict, "a result")
        control, kind = result.get("from_name"), result.get("type")
        if not isinstance(control, str) or kind not in ANSWERS:
            continue
        if not found.is_asked(control):
            answers.setdefault(control, None)  # it is there, whatever it says
            continue
        value = entries(place, result.get("value"), dict, f"the value of {control!r}")
        if _is_region(result) or result.get("id") in regions or "item_index" in result:
            raise place.error(
                f"{control!r} is of a region or an item within the sample (perRegion, perItem), which is no rating of "
                "the sample. Make a task of each region, or leave the control out of outputs=."
            )
        if control in answers:
            raise place.error(f"{control!r} is answered more than once in it: one rating is expected.")
        answer = value.get(ANSWERS[kind])
        answers[control] = _ranks(place, answer) if kind == "ranker" else answer
    time = annotation.get("updated_at") or annotation.get("created_at")
    found.add(place, label, as_label(place, "who did it, 'completed_by'", who), answers, time)


def _is_region(result: dict[str, Any]) -> bool:
    """Say whether a result is a part of the sample, or about one."""
    value = result.get("value")
    return isinstance(value, dict) and bool(REGIONS & set(value))


def _ranks(place: Spot, order: Any) -> dict[str, Any]:
    """Return the rank of each item, from 1, or the bucket that it is in."""
    if isinstance(order, dict) and len(order) == 1:
        (order,) = order.values()
    buckets = order if isinstance(order, dict) else {None: order}
    ranks: dict[str, Any] = {}
    for bucket, items in buckets.items():
        for rank, item in enumerate(entries(place, items, list, "the items that were ranked"), start=1):
            ranks[as_label(place, "an item that was ranked", item)] = rank if bucket is None else bucket
    return ranks
