"""The only loop over batches: read ahead in threads, embedded here or by joblib's workers, stored as they come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from tqdm.auto import tqdm

from sklearn_annoser.encoders._batches import claim_batches, plan_batches
from sklearn_annoser.encoders._cache import SECONDS_TO_STORE, Cache
from sklearn_annoser.encoders._memory import return_memory

if TYPE_CHECKING:
    from sklearn_annoser.encoders._base import FrozenEncoder

N_READERS = 4
N_AHEAD = 2  # batches that are read while the model works on the one before
MOST_ROUNDS = 8  # batches that each core gets, at most, before cores wait for each other
SECONDS_OF_ROUNDS = 1.0  # that these may take: a kill loses them
MOST_A_TASK = 64  # batches that a worker is given at a time, at most
SECONDS_OF_TASKS = 2.0  # that these may take
SECONDS_TO_WAIT = 0.2  # before looking again whether another process has finished
SECONDS_OF_PATIENCE = 20.0  # without a vector from those who claimed, before we embed it too: they may hang
BAR = "{desc}: {percentage:3.0f}%{postfix} |{bar}| [{elapsed}<{remaining}]"

Vectors = dict[bytes, np.ndarray]
Failures = dict[bytes, Exception]
Batch = dict[bytes, Any]
Results = Generator[tuple[Vectors, Failures], None, None]


def embed(encoder: FrozenEncoder, todo: Batch, cache: Cache) -> Results:
    """Yield vectors as they come, and why some cannot be made; store them."""
    if not todo:
        return
    sizes, unreadable = encoder._measure(todo)
    yield {}, unreadable
    fresh: Vectors = {}
    stored_at = time.monotonic()
    try:
        # Filled by amount, not by count: the longest come first, and the time that remains would seem too long.
        total = sum(sizes.values())
        with tqdm(total=total, desc=type(encoder).__name__, bar_format=BAR, disable=not encoder.verbose) as bar:
            n_done, amount = 0, 0.0
            for vectors, broken in embed_each(encoder, todo, sizes, cache):
                fresh |= vectors
                if time.monotonic() - stored_at > SECONDS_TO_STORE:
                    cache.put(fresh)
                    fresh, stored_at = {}, time.monotonic()
                n_done += len(vectors) + len(broken)
                done = sum(sizes[key] for key in (*vectors, *broken))
                amount += done
                bar.set_postfix_str(
                    f"{n_done:,} of {len(sizes):,} utterances, {encoder._amount(amount)} of {encoder._amount(total)}",
                    refresh=False,
                )
                bar.update(min(done, total - bar.n))  # sums of floats may differ
                yield vectors, broken
    finally:
        cache.put(fresh)
        cache.release(list(sizes))


def embed_each(encoder: FrozenEncoder, todo: Batch, sizes: Mapping[bytes, float], cache: Cache) -> Results:
    """Yield vectors of all utterances; those which other processes are embedding already are waited for."""
    waiting = dict(sizes)
    waited = 0.0
    while waiting:
        elsewhere: list[bytes] = []
        batches = plan_batches(waiting, encoder._budget())
        if waited < SECONDS_OF_PATIENCE:
            batches = claim_batches(batches, cache, elsewhere)
        yield from spread(encoder, ({key: todo[key] for key in batch} for batch in batches))
        found = cache.get(elsewhere)
        if found:
            yield found, {}
            waited = 0.0
        elif elsewhere:
            time.sleep(SECONDS_TO_WAIT)
            waited += SECONDS_TO_WAIT
        waiting = {key: waiting[key] for key in elsewhere if key not in found}


def spread(encoder: FrozenEncoder, batches: Iterator[Batch]) -> Results:
    """Yield what batches give, from this process or from joblib's workers."""
    n_jobs = effective_n_jobs(encoder.n_jobs)
    if n_jobs == 1:
        yield from embed_batches(encoder, batches)
        return
    n_each = 1
    with Parallel(n_jobs=encoder.n_jobs) as parallel:
        while some := list(islice(batches, n_each * n_jobs)):
            start = time.monotonic()
            # Dealt out like cards: batches come sorted by length, and each worker shall have as much to do.
            tasks = [some[first::n_jobs] for first in range(min(n_jobs, len(some)))]
            yield from chain.from_iterable(parallel(delayed(embed_task)(encoder, task) for task in tasks))
            n_each = rounds_within(SECONDS_OF_TASKS, (time.monotonic() - start) / n_each, MOST_A_TASK)


def rounds_within(seconds: float, taken: float, most: int) -> int:
    """Return how many rounds, each of which has taken some time, fit into some seconds: one at least."""
    return int(np.clip(seconds / max(taken, 1e-6), 1, most))


def embed_task(encoder: FrozenEncoder, batches: list[Batch]) -> list[tuple[Vectors, Failures]]:
    """Embed batches in a worker, which loads the model at its first task."""
    made = list(embed_batches(encoder, iter(batches)))
    return_memory()
    return made


def embed_batches(encoder: FrozenEncoder, batches: Iterator[Batch]) -> Results:
    """Yield the vectors of batches, a few at a time; the next are read in threads while the model works."""
    model = encoder._model()
    how = {
        "layers": encoder.layers_,
        "average": encoder.combine == "mean",
        "poolings": encoder.pooling.split("+"),
        "budget": encoder._budget(),
    }
    n_workers = model.n_workers()
    most = MOST_ROUNDS if n_workers > 1 else 1
    n_rounds = 1
    with closing(read_ahead(encoder._read, batches, max(most * n_workers, N_AHEAD))) as ready:
        while some := list(islice(ready, n_rounds * n_workers)):
            start = time.monotonic()
            filled = [inputs for inputs, _ in some if inputs]
            rows = model.embed_batches([list(inputs.values()) for inputs in filled], **how)
            vectors = dict(zip(chain.from_iterable(filled), chain.from_iterable(rows), strict=True))
            broken = {key: error for _, errors in some for key, error in errors.items()}
            for key in [key for key, vector in vectors.items() if not np.isfinite(vector).all()]:
                del vectors[key]
                broken[key] = ValueError(f"the model gives numbers that are not finite in {encoder._dtype()}.")
            n_rounds = rounds_within(SECONDS_OF_ROUNDS, (time.monotonic() - start) / n_rounds, most)
            yield vectors, broken


def read_ahead(
    read: Callable[[Any], Any], batches: Iterable[Batch], n_ahead: int
) -> Generator[tuple[Batch, Failures], None, None]:
    """Yield the inputs of each batch, and why some cannot be read, while threads read the batches after it."""
    pool = ThreadPoolExecutor(N_READERS)
    ahead: deque[dict[bytes, Future[Any]]] = deque()
    try:
        for batch in batches:
            ahead.append({key: pool.submit(read, item) for key, item in batch.items()})
            if len(ahead) > n_ahead:
                yield gather(ahead.popleft())
        while ahead:
            yield gather(ahead.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def gather(futures: Mapping[bytes, Future[Any]]) -> tuple[Batch, Failures]:
    """Return what was read, and why some could not be."""
    inputs: Batch = {}
    broken: Failures = {}
    for key, future in futures.items():
        try:
            inputs[key] = future.result()
        except (OSError, TypeError, ValueError) as error:
            broken[key] = error
    return inputs, broken
