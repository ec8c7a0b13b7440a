"""What C's allocator does with the memory that batches free: kept from one to the next, given back after a task."""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from typing import Any

# Where glibc arrives by itself as soon as blocks as large as hidden states are freed, unless its environment says
# otherwise. That of Dask's workers does: what is freed goes back at once, and a third of the time goes into new pages.
LIMITS = {-1: 64 << 20, -3: 32 << 20}  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h


def keep_memory() -> None:
    """Let this process keep what a batch frees, for the next one."""
    _glibc()


def return_memory() -> None:
    """Give what is free back: every thread that embeds leaves some, and joblib ends workers that seem to leak."""
    if library := _glibc():
        library.malloc_trim(ctypes.c_size_t(0))


@cache
def _glibc() -> Any:
    """Return the allocator with its limits set, or None where it is another."""
    if platform.libc_ver()[0] != "glibc":
        return None
    library = ctypes.CDLL(None)
    for option, value in LIMITS.items():
        library.mallopt(option, value)
    return library
