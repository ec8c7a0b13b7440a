"""How all displays look: colours, markers, frames and the names beside a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, GREY = "#0072B2", "#767676"  # Okabe and Ito's blue, and a grey with enough contrast on white
# Okabe and Ito's colours without yellow, which is hard to see on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
LONGEST_LABEL = 18


def open_frame(ax: Axes, *, grid: Literal["x", "y"] | None = None) -> None:
    """Leave out the top and the right side of the frame; a grid, if any, is across "x" or "y" and below the rest."""
    ax.spines[["top", "right"]].set_visible(False)
    if grid is not None:
        ax.grid(axis=grid, color="0.9")
        ax.set_axisbelow(True)


def short_label(label: Any) -> str:
    """Return a label that fits, its middle left out if it is long."""
    text = str(label)
    half = (LONGEST_LABEL - 1) // 2
    return text if len(text) <= LONGEST_LABEL else f"{text[:half]}\u2026{text[-half:]}"


def name_rows_and_columns(ax: Axes, rows: pd.Index, columns: pd.Index) -> None:
    """Write the labels of a table that is drawn as colours beside it."""
    tilted: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(np.arange(len(columns)), [short_label(label) for label in columns], fontsize=8, **tilted)
    ax.set_yticks(np.arange(len(rows)), [short_label(label) for label in rows], fontsize=8)
