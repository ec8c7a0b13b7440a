"""Packages that only some parts need: loaded when used, with a word on how to get them."""

from __future__ import annotations

from typing import Any


def import_matplotlib() -> Any:
    """Return matplotlib.pyplot."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Displays need matplotlib: pip install 'sklearn-annoser[plot]'.") from error
    return plt
