"""How all displays look: colours, markers, frames and the names beside a table."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

BLUE, GREY = "#0072B2", "#767676"  # Okabe and Ito's blue, and a grey with enough contrast on white
# Okabe and Ito's colours without yellow, which is hard to see on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
LONGEST_LABEL = 18  # beside a dot, a row or a column
LONGEST_OUTPUT = 24  # above a panel
LONGEST_NAME = 40  # of a strategy
LONGEST_TITLE = 70
PLAIN: dict[str, Any] = {"parse_math": False}  # for text that may hold a $


def open_frame(ax: Axes, *, grid: Literal["x", "y"] | None = None) -> None:
    """Leave out the top and the right side of the frame; a grid, if any, is across "x" or "y" and below the rest."""
    ax.spines[["top", "right"]].set_visible(False)
    if grid is not None:
        ax.grid(axis=grid, color="0.9")
        ax.set_axisbelow(True)


def short_label(label: Any, longest: int = LONGEST_LABEL) -> str:
    """Return a label that fits, on one line, its middle left out if it is long."""
    text = str(label).encode("utf-8", "backslashreplace").decode()  # no font has half characters
    text = "".join(character if character.isprintable() else " " for character in text)
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}\u2026{text[-half:]}"


def short_labels(labels: Iterable[Any], longest: int = LONGEST_LABEL) -> list[str]:
    """Return labels that fit, no two alike: what would be, shows where it differs, or gets a number."""
    texts = [short_label(label if str(label).strip() else repr(label), 10_000) for label in labels]
    shorts = [short_label(text, longest) for text in texts]
    for same in _alike(shorts):
        parts = {texts[index] for index in same}
        columns = zip(*parts, strict=False)  # of the characters at one place
        start, head = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns)), longest // 3
        for index in same if len(parts) > 1 else ():
            rest, n_left = texts[index][start - 2 :], longest - head - 1
            rest = rest if len(rest) <= n_left else f"{rest[: n_left - 1]}\u2026"
            shorts[index] = f"{texts[index][:head]}\u2026{rest}"
    number = 0
    while alike := _alike(shorts):
        for index in alike[0]:
            number += 1
            mark = f" #{number}"
            shorts[index] = shorts[index][: longest - len(mark)] + mark
    return shorts


def _alike(labels: list[str]) -> list[list[int]]:
    """Return the positions of each label that is there more than once."""
    places: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        places.setdefault(label, []).append(index)
    return [same for same in places.values() if len(same) > 1]


def name_places(axis: Axis, names: Iterable[Any], longest: int = LONGEST_LABEL, **style: Any) -> None:
    """Write names beside the places 0, 1, 2 ... of an axis."""
    shorts = short_labels(names, longest)
    axis.set_ticks(np.arange(len(shorts)), shorts, **PLAIN, **style)


def name_rows_and_columns(ax: Axes, rows: pd.Index, columns: pd.Index) -> None:
    """Write the labels of a table that is drawn as colours beside it."""
    name_places(ax.xaxis, columns, fontsize=8, rotation=60, ha="right", rotation_mode="anchor")
    name_places(ax.yaxis, rows, fontsize=8)


def name_axes(ax: Axes, **names: Any) -> None:
    """Write `title`, `xlabel` and `ylabel` as they are: no $ is mathematics."""
    for what, name in names.items():
        getattr(ax, f"set_{what}")(short_label(name, LONGEST_TITLE), **PLAIN)


def name_lines(figure: Figure, handles: list[Any], names: Iterable[Any]) -> None:
    """Write a legend beside the panels, whatever the names are: one that begins with _ would be left out."""
    numbers = [str(number) for number in range(len(handles))]
    legend = figure.legend(handles, numbers, loc="outside right upper", frameon=False, fontsize="small")
    for text, name in zip(legend.get_texts(), short_labels(names, LONGEST_NAME), strict=True):
        text.set(text=name, **PLAIN)
