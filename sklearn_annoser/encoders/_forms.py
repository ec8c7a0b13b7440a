"""What an utterance's audio may be given as, by whatever library, and what it becomes: one of four things."""

from __future__ import annotations

import math
import os
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

EXPECTED = (
    "the path of a file, an array of samples, a pair (array, sampling rate in Hz), (file, start, end) in seconds, or a "
    "dict as datasets has them, with array and sampling_rate or with bytes and path"
)
LOWEST_RATE, HIGHEST_RATE = 1e3, 1e9  # Hz; below, somebody gave kHz, and resampling to 16 kHz would fill the memory
CLEARLY = 100  # times as many samples as channels: what has fewer and is channels first may be something else
# The end of a path that names a part of its file. Signs too: a bound that cannot be is told, not taken for a name.
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
PART = re.compile(rf"(.+)#({NUMBER})-({NUMBER})?", re.DOTALL)


class AudioError(ValueError):
    """An utterance is not audio, or its audio cannot be read; the message says why."""


@dataclass(frozen=True)
class Undecoded:
    """The bytes of a sound file, which may have had a name."""

    content: bytes
    path: str | None = None

    def __str__(self) -> str:
        return f"the audio in {len(self.content)} bytes" if self.path is None else repr(self.path)


@dataclass(frozen=True)
class Segment:
    """A part of a sound file, in seconds; without an end it goes to that of the file."""

    path: str
    start: float
    end: float | None = None

    def __str__(self) -> str:
        return f"{str(self.path)!r} from {self.start:g} to {'its end' if self.end is None else f'{self.end:g}'} s"

    def of(self, n_frames: int, rate: int) -> slice:
        """Return which frames of the file it is."""
        bounds = self.start * rate, n_frames if self.end is None else self.end * rate
        if max(bounds) >= n_frames + 0.5 or bounds[0] >= n_frames:
            raise AudioError(f"{self} is beyond the end of the file, which has {n_frames / rate:.9g} s.")
        start, end = map(round, bounds)
        if start == end:
            raise AudioError(f"{self} has no samples at {rate} Hz.")
        return slice(start, end)


# A path; samples at the model's rate; or samples and their rate in Hz; and the two above.
Audio = str | np.ndarray | tuple[np.ndarray, float] | Undecoded | Segment


def check_audio(item: Any) -> Audio:
    """Return what an utterance is, without reading a file or looking at the samples.

    Parameters
    ----------
    item : path, array, tuple, list or dict
        A str or path object, with ``#start-end`` at its end for a part of the file, unless there is a file of that very
        name; samples at the model's sampling rate, shape (n_samples,), (n_samples, n_channels) or (n_channels,
        n_samples), floating with full scale 1, or uint8, int16 or int32; a tuple or list of such an array and its
        sampling rate in Hz, in either order; ``(file, start, end)``, in seconds or as Timedelta, a missing end being
        that of the file; ``{"array": ..., "sampling_rate": ...}``; or ``{"bytes": ..., "path": ...}``.

    Returns
    -------
    audio : str, array, tuple of array and float, Undecoded or Segment
        The path, or the samples, (n_samples,) or (n_samples, n_channels), with their rate if it was given; the bytes of
        a file; or a part of one. Checking it again returns it again.

    Raises
    ------
    AudioError
        It is none of these, the array has another dtype, no samples, or axes that cannot be told, or the part of the
        file cannot be.

    Examples
    --------
    >>> check_audio("speech/one.flac")
    'speech/one.flac'
    >>> check_audio([np.zeros(8000, dtype=np.float32), 8000])[1]
    8000.0
    >>> check_audio("speech/one.flac#0.5-2") == check_audio(("speech/one.flac", 0.5, pd.Timedelta("2s")))
    True
    """
    if isinstance(item, (Undecoded, Segment)):
        return item
    if _is_missing(item):
        raise AudioError(f"it is missing ({item!r}); expected {EXPECTED}.")
    if isinstance(item, (str, os.PathLike)):
        return _path_or_part(_check_path(item))
    if isinstance(item, Mapping):
        return _check_mapping(item)
    if isinstance(item, (tuple, list)):
        return _check_sequence(item)
    if not hasattr(item, "__array__"):
        mend = ""
        if hasattr(item, "get_all_samples"):
            mend = " Take the files as they are: cast_column(name, datasets.Audio(decode=False))."
        raise AudioError(f"expected {EXPECTED}, got {reprlib.repr(item)} of type {type(item).__name__}.{mend}")
    return _check_samples(item)


# ---------------------------------------------------------------------- paths and parts of files


def _check_path(item: Any) -> str:
    """Return a path as a string."""
    path = os.fspath(item)
    if not isinstance(path, str):
        raise AudioError(f"{item!r} is a path of bytes; expected str: os.fsdecode(path).")
    return str(path)


def _path_or_part(path: str) -> str | Segment:
    """Return a path, or the part of a file that it names by bounds after a #."""
    part = PART.fullmatch(path)
    if part is None or _is_there(path):
        return path
    return _segment(part[1], float(part[2]), None if part[3] is None else float(part[3]))


def _is_there(path: str) -> bool:
    """Return whether something has this very name."""
    try:
        return os.path.lexists(path)
    except ValueError:
        return False


def _segment(path: str, start: float, end: float | None) -> Segment:
    """Return a part of a file whose bounds can be."""
    segment = Segment(path, start, end)
    bounds = [start] if end is None else [start, end]
    if not all(0 <= bound < math.inf for bound in bounds):
        raise AudioError(f"{segment} cannot be: start and end are seconds from the beginning of the file, 0 or more.")
    if end is not None and end <= start:
        raise AudioError(f"{segment} is empty: the end must be after the start.")
    return segment


def _seconds(bound: Any, name: str) -> float:
    """Return a start or an end in seconds."""
    if isinstance(bound, (timedelta, np.timedelta64)) and not pd.isna(bound):
        try:
            return float(pd.Timedelta(bound) / pd.Timedelta(1, "s"))
        except (ValueError, OverflowError) as error:  # months, and what no Timedelta can hold
            raise AudioError(f"the {name} in (file, start, end) cannot be made seconds: {error}.") from error
    if isinstance(bound, (bool, np.bool_)) or not isinstance(bound, (int, float, np.integer, np.floating)):
        raise AudioError(f"the {name} in (file, start, end) must be seconds or a Timedelta, got {reprlib.repr(bound)}.")
    try:
        return float(bound)
    except OverflowError:
        return math.inf


# ---------------------------------------------------------------------- what holds samples


def _check_mapping(item: Mapping[Any, Any]) -> Audio:
    """Return what a dict of datasets has: samples and their rate, a file's bytes, or its path."""
    if item.get("array") is not None:
        if item.get("sampling_rate") is None:
            raise AudioError('a dict with "array" must have its "sampling_rate" in Hz, too.')
        return _check_samples(item["array"]), _check_rate(item["sampling_rate"])
    content, path = (None if _is_missing(item.get(key)) else item[key] for key in ("bytes", "path"))
    if path is not None:
        if not isinstance(path, (str, os.PathLike)):
            raise AudioError(f'"path" must be the path of a file, got {reprlib.repr(path)}.')
        path = _check_path(path)
    if content is not None:
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise AudioError(f'"bytes" must be the bytes of a sound file, got {reprlib.repr(content)}.')
        return Undecoded(bytes(content), path)
    if path is None:
        raise AudioError(f"it is missing: a dict with the keys {[*item]} has no audio; expected {EXPECTED}.")
    return _path_or_part(path)


def _check_sequence(item: tuple[Any, ...] | list[Any]) -> Audio:
    """Return samples and their rate, which may come first, or a part of a file."""
    if len(item) == 3 and isinstance(item[0], (str, os.PathLike)):
        path, start, end = item
        return _segment(_check_path(path), _seconds(start, "start"), None if _is_missing(end) else _seconds(end, "end"))
    if len(item) == 2 and _is_array(item[1]) and not _is_array(item[0]):
        return _check_samples(item[1]), _check_rate(item[0])
    if len(item) != 2 or not hasattr(item[0], "__array__"):
        raise AudioError(f"expected {EXPECTED}, got the {type(item).__name__} {reprlib.repr(item)}.")
    return _check_samples(item[0]), _check_rate(item[1])


def _is_missing(item: Any) -> bool:
    """Return whether something is None, NaN, NA or NaT."""
    return bool(pd.api.types.is_scalar(item) and pd.isna(item))


def _is_array(item: Any) -> bool:
    """Return whether something is an array and no single number."""
    return hasattr(item, "__array__") and bool(getattr(item, "ndim", 1))


def _check_samples(item: Any) -> np.ndarray:
    """Return samples as an array, checked all but for their values."""
    if np.ma.is_masked(item):
        raise AudioError("the array has masked samples: fill them, or leave them out.")
    try:
        samples = np.asarray(item)
    except Exception as error:  # each library has its own for an array that is on a GPU, sparse, or part of a graph
        raise AudioError(f"the {type(item).__name__} cannot be made a numpy array: {error}") from error
    if samples.ndim not in (1, 2):
        raise AudioError(f"the array must have shape (n_samples,) or (n_samples, n_channels), got {samples.shape}.")
    if not samples.size:
        raise AudioError(f"the array has no samples: its shape is {samples.shape}.")
    if samples.dtype.kind != "f" and samples.dtype.newbyteorder("=") not in (np.uint8, np.int16, np.int32):
        raise AudioError(
            f"the array must be floating with full scale 1, or uint8, int16 or int32, got {samples.dtype}. "
            "Other integers do not tell their full scale: divide by it."
        )
    return samples if samples.ndim == 1 else _channels_last(samples)


def _channels_last(samples: np.ndarray) -> np.ndarray:
    """Return samples as (n_samples, n_channels); channels are fewer than samples, by far where they come first."""
    first, second = samples.shape
    if first > second or first == second == 1:
        return samples
    if second >= CLEARLY * first:
        return samples.T
    raise AudioError(
        f"the array has shape {samples.shape}, which does not tell samples from channels. Give one of shape "
        "(n_samples, n_channels) with more samples than channels, or the mean of the channels, of shape (n_samples,)."
    )


def _check_rate(rate: Any) -> float:
    """Return the sampling rate of a pair."""
    if hasattr(rate, "__array__") and np.ndim(rate):
        raise AudioError("the sampling rate comes second in a pair: (array, sampling rate), got two arrays.")
    if isinstance(rate, bool) or not isinstance(rate, (int, float, np.integer, np.floating)):
        raise AudioError(f"the sampling rate must be a number of Hz, got {reprlib.repr(rate)}.")
    rate = rate.item() if isinstance(rate, np.generic) else rate
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(
            f"the sampling rate must be from {LOWEST_RATE:g} to {HIGHEST_RATE:g} Hz, got {reprlib.repr(rate)}."
        )
    return float(rate)
