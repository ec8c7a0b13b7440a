"""What torch keeps for a process or a thread: here nothing depends on it, and all of it is given back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

import torch

_GENERATOR: ContextVar[torch.Generator | None] = ContextVar("generator", default=None)
_LOCK = threading.RLock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let the nets of this thread draw from a generator of their own; that of torch is not touched."""
    with drawing_from(torch.Generator("cpu").manual_seed(seed)):
        yield


@contextmanager
def drawing_from(source: torch.Generator) -> Iterator[None]:
    """Let the nets of this thread draw from a generator."""
    token = _GENERATOR.set(source)
    try:
        yield
    finally:
        _GENERATOR.reset(token)


def generator() -> torch.Generator | None:
    """Return what the nets of this thread draw from; None is torch's global generator."""
    return _GENERATOR.get()


@contextmanager
def plain_torch(n_threads: int | None = None) -> Iterator[None]:
    """Compute with gradients, in full float32 and with so many threads on the CPU, whatever the user has switched."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(full_precision())
        if n_threads is not None:
            stack.enter_context(limited_threads(n_threads))
        yield


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 matrices as such, not in bfloat16 as the user may have allowed."""
    with ExitStack() as stack:
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(_FULL_PRECISION)
        yield


class _FullPrecision:
    """Precision is the process's: the first thread to want all of it sets it, the last one gives it back."""

    def __init__(self) -> None:
        self.n_holders, self.kept = 0, []  # type: int, list[tuple[Any, str]]

    def __enter__(self) -> None:
        with _LOCK:
            if not self.n_holders:
                self.kept = [(each, each.fp32_precision) for each in _lower_precision()]
                for each, _ in self.kept:
                    each.fp32_precision = "ieee"
            self.n_holders += 1

    def __exit__(self, *error: Any) -> None:
        with _LOCK:
            self.n_holders -= 1
            if not self.n_holders:
                for each, value in self.kept:
                    each.fp32_precision = value


_FULL_PRECISION = _FullPrecision()


class _OlderSetting:
    """The one setting of torch before 2.9, as the settings of the backends are since."""

    @property
    def fp32_precision(self) -> str:
        return torch.get_float32_matmul_precision()

    @fp32_precision.setter
    def fp32_precision(self, value: str) -> None:
        torch.set_float32_matmul_precision("highest" if value == "ieee" else value)


def _lower_precision() -> list[Any]:
    """Return the settings of matrix products that allow less than float32."""
    backends: tuple[Any, ...] = (torch.backends.mkldnn, torch.backends.cuda)
    if not all(hasattr(getattr(each, "matmul", None), "fp32_precision") for each in backends):
        settings: list[Any] = [_OlderSetting()]
    else:
        settings = [each.matmul for each in backends]
    return [each for each in settings if each.fp32_precision not in ("ieee", "highest", "none")]


@contextmanager
def limited_threads(n_threads: int) -> Iterator[None]:
    """Let torch compute with so many threads on the CPU in this thread; other threads keep their number.

    Each thread has a number of its own, but setting it also sets that with which new threads start: the latter is put
    back at once.
    """
    before = torch.get_num_threads()
    if before == n_threads:
        yield
        return
    _set_threads(n_threads)
    try:
        yield
    finally:
        _set_threads(before)


def _set_threads(n_threads: int) -> None:
    """Set the number of torch's threads for this thread only."""
    with _LOCK:
        of_new_threads = _in_new_thread(torch.get_num_threads)
        torch.set_num_threads(n_threads)
        _in_new_thread(lambda: torch.set_num_threads(of_new_threads))


def _in_new_thread(function: Callable[[], Any]) -> Any:
    """Return what a function returns in a thread that has just started."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]
