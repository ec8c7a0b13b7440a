"""Potato's output: what each user answered about each instance, in the folder that it fills or in a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sklearn.utils import Bunch

from sklearn_annoser.datasets._answers import Answers, Spot, as_label, check_wanted, chosen
from sklearn_annoser.datasets._files import CorpusError, Table, as_path
from sklearn_annoser.datasets._json import entries, read_json, read_json_lines

__all__ = ["read_potato"]

TOOL = "Potato"
STATE, LINES = "user_state.json", "annotated_instances.jsonl"
LABELS = "instance_id_to_label_to_value"
FREE_TEXT = ("free_response", "text_box")
NOT_GIVEN = (None, "", False, "false")
IN_VALUE = ("slider", "number", "select-one", "confidence_level", "scale")  # labels that say nothing
POINT = re.compile(r"(?:scale_)?(\d+)")


def read_potato(
    source: Any,
    *,
    outputs: Any = None,
    scale: Any = None,
    classes: Any = None,
    duplicates: str = "error",
    on_error: str = "raise",
) -> Bunch:
    """Read ratings from the output of Potato: its folder, or a file that it has exported.

    All other parameters are those of :func:`read_label_studio`, with the same defaults.

    Parameters
    ----------
    source : path
        The folder `output_annotation_dir`, with a folder for each user (`user_state.json`, before version 2
        `annotated_instances.jsonl`), or an exported `annotations.jsonl`, CSV or TSV.
    outputs : str, sequence of str or dict from str to str, default=None
        Names of the schemes (likert, slider, number, radio, select), or a dict from the name of the output to that of
        the scheme. A multirate has a number for each of its rows: "scheme.row". None: all schemes that have numbers.

    Returns
    -------
    Bunch
        `utterances`, a table of the instances: sample, and the text that was shown if the output has it; `ratings`,
        Ratings of its rows; `consensus`; `DESCR`, which counts what was left out.

    Raises
    ------
    CorpusError
        The folder or file is not of Potato, is empty or cut off; a scheme is not there; an answer is no number, one
        outside the scale or one of several. The message names user and instance, or file and line.

    References
    ----------
    Potato's description of what it exports,
    https://github.com/davidjurgens/potato/blob/master/docs/data-export/export_formats.md

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn_annoser.datasets import read_potato
    >>> answers = {"clip_1": [[{"schema": "valence", "name": "4"}, "4"]]}
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "ann", "user_state.json")
    ...     path.parent.mkdir()
    ...     _ = path.write_text(json.dumps({"user_id": "ann", "instance_id_to_label_to_value": answers}))
    ...     read_potato(folder).ratings.to_long()
       sample annotator  valence
    0  clip_1       ann      4.0
    """
    found = Answers(TOOL, check_wanted(outputs, scale, classes, duplicates=duplicates, on_error=on_error))
    path = as_path("source", source)
    if path.is_dir():
        _read_folder(found, path)
    elif path.suffix.lower() in (".csv", ".tsv"):
        _read_table(found, path)
    else:
        _read_lines(found, path, None)
    return found.bunch()


def _read_folder(found: Answers, root: Path) -> None:
    """Collect the answers of all users that have a folder."""
    folders = [root, *sorted(each for each in root.iterdir() if each.is_dir())]
    n_users = 0
    for folder in folders:
        if (folder / STATE).exists():
            _read_state(found, folder / STATE)
        elif folder is not root and (folder / LINES).exists():
            _read_lines(found, folder / LINES, folder.name)
        else:
            continue
        n_users += 1
    if not n_users:
        raise CorpusError(
            f"{str(root)!r} is not a folder of Potato's: no folder in it has a {STATE!r} or {LINES!r}. Give the folder "
            "that its configuration calls output_annotation_dir."
        )


def _read_state(found: Answers, path: Path) -> None:
    """Collect the answers in the state of a user."""
    _, state = read_json(path, TOOL)
    place = Spot(os.path.join(path.parent.name, path.name))
    entries(place, state, dict, "the state of a user")
    if LABELS not in state:
        raise place.error(f"expected the field {LABELS!r}, got {list(state)}: this is no state of a user of Potato's.")
    user = as_label(place, "the user's name, 'user_id'", state.get("user_id", path.parent.name))
    for instance, labels in entries(place, state[LABELS], dict, "the answers by instance").items():
        where = place.within(f"instance {instance!r}")
        with found.bad:
            _add(found, where, (instance, user), _by_scheme(where, labels), {})


def _by_scheme(place: Spot, labels: Any) -> dict[str, Any]:
    """Return pairs of a label of a scheme and its value as scheme -> label -> value."""
    if isinstance(labels, dict):
        return {
            scheme: given["labels"] if isinstance(given, dict) and set(given) == {"labels"} else given
            for scheme, given in labels.items()
        }
    schemes: dict[str, Any] = {}
    for pair in entries(place, labels, list, "its answers"):
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], dict) or "schema" not in pair[0]:
            raise place.error(f"expected a pair of a label and its value, got {pair!r:.80}.")
        schemes.setdefault(str(pair[0]["schema"]), {})[str(pair[0].get("name"))] = pair[1]
    return schemes


def _read_lines(found: Answers, path: Path, user: str | None) -> None:
    """Collect the answers of a file with an instance of a user on each line."""
    for place, record in read_json_lines(path, TOOL, found.bad):
        with found.bad:
            entries(place, record, dict, "an instance")
            labels = record.get("labels", record.get("label_annotations"))
            instance = record.get("instance_id", record.get("id"))
            if labels is None or instance is None:
                raise place.error(
                    f"expected an instance of Potato's with 'labels' or 'label_annotations', got {list(record)}."
                )
            who = record.get("user_id", record.get("user", user))
            if who is None:
                raise place.error("it is not told who answered. Give the folder with the folders of the users instead.")
            shown = {key: record[key] for key in ("displayed_text",) if key in record}
            _add(found, place, (instance, who), entries(place, labels, dict, "its answers"), shown)


def _read_table(found: Answers, path: Path) -> None:
    """Collect the answers of a table with an instance of a user in each row."""
    if not path.exists():
        raise CorpusError(f"{str(path)!r} is not there: give the file that Potato has exported.")
    table = Table(path, ["instance_id"], what="Potato's table")
    user = next((name for name in ("user_id", "user") if name in table.columns), None)
    if user is None:
        raise CorpusError(f"{path.name}: there is no column 'user_id' or 'user'; the columns are {table.columns}.")
    for place, row in table.rows(found.bad):
        with found.bad:
            schemes: dict[str, Any] = {}
            for column, cell in row.items():
                scheme, mark, name = column.partition(":::" if ":::" in column else ".")
                if mark and cell:
                    schemes.setdefault(scheme, {})[name] = cell
            shown = {key: row[key] for key in ("displayed_text",) if key in row}
            _add(found, place, (row["instance_id"], row[user]), schemes, shown)


def _add(
    found: Answers, place: Any, names: tuple[Any, Any], schemes: Mapping[str, Any], columns: dict[str, Any]
) -> None:
    """Keep the answers of a user about an instance."""
    sample = found.add_item(as_label(place, "the instance's id", names[0]), columns)
    who = as_label(place, "the user's name", names[1])
    whole = () if found.wanted.outputs is None else found.wanted.outputs.values()
    found.add(place, sample, who, {name: _answer(name, given, name in whole) for name, given in schemes.items()})


def _answer(scheme: str, given: Any, whole: bool) -> Any:
    """Return what was answered in a scheme: a number, a choice, or an answer by row; `whole` if it is to be one answer.

    What was chosen in a likert or a radio is in the label: old versions stored the key that was pressed as the value.
    """
    if not isinstance(given, dict):
        return given
    taken = {name: value for name, value in given.items() if name not in FREE_TEXT and value not in NOT_GIVEN}
    points = [POINT.fullmatch(name) for name in taken]
    if not taken:
        return None
    if all(points):  # several points of one likert are left behind by old versions
        return [int(point[1]) for point in points if point]
    if len(taken) == 1:
        ((name, value),) = taken.items()
        if name == "rank_order":
            return {option: rank for rank, option in enumerate(str(value).split(","), start=1)}
        if name in (*IN_VALUE, scheme):
            return value
        return name if whole or value == name else chosen(taken)
    return list(taken) if all(name == value for name, value in taken.items()) else chosen(taken)
