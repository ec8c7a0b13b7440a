"""Tables that the benchmarks print, in Markdown so that the docs can quote them."""

from __future__ import annotations

import pandas as pd


def print_table(title: str, table: pd.DataFrame, digits: int = 3) -> None:
    """Print a table with its title, numbers rounded, levels of columns joined."""
    flat = table.copy()
    flat.columns = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in flat.columns]
    flat = flat.reset_index()
    cells = [[_cell(value, digits) for value in row] for row in flat.itertuples(index=False)]
    print(f"\n**{title}**\n")
    print("| " + " | ".join(map(str, flat.columns)) + " |")
    print("|" + "---|" * len(flat.columns))
    for row in cells:
        print("| " + " | ".join(row) + " |")


def _cell(value: object, digits: int) -> str:
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
