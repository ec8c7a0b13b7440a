"""What fills a batch: utterances of like length, the longest first, as many as its budget holds, padding included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

from sklearn_annoser.encoders._cache import Cache

# The budget of a batch where no other is asked for, by the device whose memory it fills.
SECONDS_A_BATCH = {"cpu": 4.0, "gpu": 320.0}
TOKENS_A_BATCH = {"cpu": 512, "gpu": 65_536}
BATCHES_A_CLAIM = 8  # that a process claims at a time


def budget_on(device: Any, budgets: Mapping[str, float]) -> float:
    """Return the budget of a batch on a torch device."""
    return budgets["cpu" if device.type == "cpu" else "gpu"]


def plan_batches(sizes: Mapping[bytes, float], budget: float) -> Iterator[list[bytes]]:
    """Yield batches of utterances of like length, the longest first, each alone or within the budget when padded."""
    batch: list[bytes] = []
    longest = 0.0
    for key in sorted(sizes, key=lambda key: -sizes[key]):
        if batch and (len(batch) + 1) * longest > budget:
            yield batch
            batch = []
        if not batch:
            longest = sizes[key]
        batch.append(key)
    if batch:
        yield batch


def claim_batches(batches: Iterator[list[bytes]], cache: Cache, elsewhere: list[bytes]) -> Iterator[list[bytes]]:
    """Yield what no other process has embedded or is embedding; the rest goes to `elsewhere`."""
    while some := list(islice(batches, BATCHES_A_CLAIM)):
        ours = set(cache.claim(list(chain.from_iterable(some))))
        for batch in some:
            elsewhere += [key for key in batch if key not in ours]
            if mine := [key for key in batch if key in ours]:
                yield mine
