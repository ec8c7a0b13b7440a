"""Interrupts: Ctrl-C stops an experiment, also where a training has swallowed it."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SWALLOWED = "training was interrupted"  # what a net says that keeps the weights which it has


@contextmanager
def watching_interrupts() -> Iterator[Callable[[], None]]:
    """Give a check that raises KeyboardInterrupt if there has been one, whoever has caught it since."""
    seen: list[int] = []

    def check() -> None:
        if seen:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()  # signals come nowhere else

    def note(number: int, frame: Any) -> None:
        seen.append(number)
        if callable(before):
            before(number, frame)

    watched = is_main and callable(before)  # not if it is ignored, as in the background of a shell
    if watched:
        signal.signal(signal.SIGINT, note)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=SWALLOWED)
            yield check
    except UserWarning as warning:
        if not str(warning).startswith(SWALLOWED):
            raise
        raise KeyboardInterrupt from warning
    finally:
        if watched:
            signal.signal(signal.SIGINT, before)
