"""One utterance's audio, from a file or an array, as the samples that a speech model takes."""

from __future__ import annotations

import io
import os
import re
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

import numpy as np

from sklearn_annoser._optional import import_soundfile, import_soxr
from sklearn_annoser.encoders._forms import LOWEST_RATE, AudioError, Segment, Undecoded, check_audio

LOUDEST = 100.0  # full scale is 1: what is 40 dB above it was never divided by that of its integers
QUIETEST = 2.0**-16  # of full scale: what reaches no farther in int32 are samples of 16 bits
# What libsndfile notes on opening when less follows than the header of WAV, AIFF, AU or W64 declares.
SHORTER = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
# What it notes where more follows than the header declares: no chunk, no tag, and too much to be padding.
STRAY = re.compile(
    r"^data : (\d+).*?^\W*(?:Unknown chunk marker |Have 0 marker )(?!\(\w*334449\))[^\n]*position (\d+)"
    r"(?!\. Resynching\.\n(?!\*\*\*))",
    re.MULTILINE | re.DOTALL,
)
PADDING = 1024  # bytes
# How files begin that libsndfile cannot decode, or takes for MP3.
UNDECODABLE = {
    "MP4 (m4a, aac, 3gp)": re.compile(rb".{4}ftyp", re.DOTALL),
    "WebM or Matroska": re.compile(rb"\x1a\x45\xdf\xa3"),
    "AAC (ADTS)": re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"),
    "WMA (ASF)": re.compile(rb"\x30\x26\xb2\x75"),
    "AMR": re.compile(rb"#!AMR"),
}
SAMPLEWISE = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")  # subtypes in which a sample does not depend on others
ENDLESS = 2**31 - 4096  # writers to a pipe declare this size or a larger one, as they cannot know it


def read_audio(item: Any, *, sampling_rate: int) -> np.ndarray:
    """Return an utterance's samples as a speech model takes them: one channel, at its rate.

    Files are what libsndfile reads: WAV, FLAC, Ogg, MP3 and more. Channels are averaged, then samples are resampled by
    soxr (quality "HQ") if the rates differ. Any thread may call it; decoding and resampling let other threads run.

    A truncated WAV, AIFF, AU, W64 or FLAC file is an error, as is a truncated MP3 with a Xing or Info header. Where
    libsndfile cannot notice it, there is no error but a shorter result: Ogg (Vorbis, Opus) ends with its last whole
    page, RF64 and CAF with the file. An MP3 without such a header has as many samples as its size and the bit rate of
    its first frame tell: cut off between two frames it is just shorter; if its bit rate varies, it is too short, or an
    error although it is whole.

    Parameters
    ----------
    item : path, array or pair
        As for `check_audio`.
    sampling_rate : int
        Samples a second that the model takes, in Hz; also the rate of an array that comes without one.

    Returns
    -------
    samples : array of float32, shape (n_samples,)
        C-contiguous and finite, at least one sample. A float32 array of one channel at this rate is not copied.

    Raises
    ------
    AudioError
        The file is missing, empty, truncated or not audio, there are no samples, or some are not finite, or they are
        on another scale: floats as loud as integers, or int32 that no more than 16 bits are used of.

    Examples
    --------
    >>> stereo = np.ones((44100, 2), dtype=np.int16)
    >>> read_audio((stereo, 44100), sampling_rate=16000).shape
    (16000,)
    """
    audio = check_audio(item)
    if isinstance(audio, (np.ndarray, tuple)):
        name = "the array"
        samples, rate = _with_rate(audio, sampling_rate)
    else:
        name = _name(audio)
        samples, rate = _read_file(audio)
    wave = _to_mono(samples)
    _check_finite(wave, name)
    _check_scale(samples, wave, name)
    if rate == sampling_rate:
        return wave
    resampled = import_soxr().resample(wave, rate, sampling_rate, quality="HQ")
    if not len(resampled):
        raise AudioError(f"{name} is too short: {len(wave)} samples at {rate:g} Hz make none at {sampling_rate} Hz.")
    return resampled


def audio_seconds(item: Any, *, sampling_rate: int) -> float:
    """Return how long an utterance is, from the header of its file or the length of its array.

    Parameters
    ----------
    item : path, array or pair
        As for `check_audio`.
    sampling_rate : int
        Rate of an array that comes without one, in Hz.

    Returns
    -------
    seconds : float
        More than 0. As for `read_audio`, an MP3 without a Xing or Info header tells only roughly.

    Raises
    ------
    AudioError
        The file is missing, empty or not audio, or the header shows that it is truncated or has no samples.

    Examples
    --------
    >>> audio_seconds(np.zeros(8000), sampling_rate=16000)
    0.5
    """
    audio = check_audio(item)
    if isinstance(audio, (np.ndarray, tuple)):
        samples, rate = _with_rate(audio, sampling_rate)
        return len(samples) / rate
    with _opened(audio) as file:
        frames = _frames(audio, file)
        return (frames.stop - frames.start) / file.samplerate


def array_digest(item: Any, *, sampling_rate: int) -> bytes:
    """Return 16 bytes that identify the samples, shape, dtype and rate of an array or pair.

    Parameters
    ----------
    item : array or pair
        As for `check_audio`; a file is identified by its content instead.
    sampling_rate : int
        Rate of an array that comes without one, in Hz.

    Returns
    -------
    digest : bytes
        BLAKE2b; the same for an array and for a pair of it and `sampling_rate`.

    Raises
    ------
    AudioError
        The item is not an array or pair as it should be.

    Examples
    --------
    >>> len(array_digest(np.zeros(8000), sampling_rate=16000))
    16
    """
    audio = check_audio(item)
    if not isinstance(audio, (np.ndarray, tuple)):
        raise AudioError(
            f"{_name(audio)} is a path; expected an array of samples, or a pair (array, sampling rate in Hz)."
        )
    samples, rate = _with_rate(audio, sampling_rate)
    digest = blake2b(f"{samples.dtype.str} {samples.shape} {float(rate)!r} ".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(samples).data)
    return digest.digest()


def content_digest(audio: Undecoded) -> bytes:
    """Return what a file of these bytes is identified by."""
    return blake2b(audio.content, digest_size=16).digest()


def segment_digest(segment: Segment, file_digest: bytes) -> bytes:
    """Return 16 bytes that identify a part of a file by the file's digest and the part's bounds."""
    return blake2b(file_digest + f"{segment.start!r} {segment.end!r}".encode(), digest_size=16).digest()


# ---------------------------------------------------------------------- arrays


def _with_rate(audio: np.ndarray | tuple[np.ndarray, float], sampling_rate: int) -> tuple[np.ndarray, float]:
    """Return samples and their rate, which is the model's if none was given."""
    return audio if isinstance(audio, tuple) else (audio, sampling_rate)


def _to_mono(samples: np.ndarray) -> np.ndarray:
    """Return one channel of float32 with full scale 1."""
    if samples.dtype.kind == "u":  # of 8 bits, as in WAV: silence is 128
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = np.multiply(samples, 2.0 ** (1 - 8 * samples.itemsize), dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):  # samples that are not finite are reported next
        samples = np.ascontiguousarray(samples, dtype=np.float32)
        return samples if samples.ndim == 1 else samples.mean(axis=1, dtype=np.float64).astype(np.float32)


def _check_finite(wave: np.ndarray, name: str) -> None:
    """Refuse samples that are NaN or infinite."""
    bad = ~np.isfinite(wave)
    if bad.any():
        raise AudioError(
            f"{name} has samples that are NaN or infinite: {bad.sum()} of {len(wave)}, the first at position "
            f"{bad.argmax()}."
        )


def _check_scale(samples: np.ndarray, wave: np.ndarray, name: str) -> None:
    """Refuse samples whose full scale is not what their dtype says."""
    peak = float(np.abs(wave).max())
    if peak > LOUDEST or (peak > 1 and samples.dtype.kind == "f" and (samples == np.round(samples)).all()):
        raise AudioError(
            f"{name} reaches {peak:g}, but the full scale of floats is 1: these are integers that were made floats. "
            "Divide by their full scale, 32768 for 16 bits, or give them as int16."
        )
    if samples.dtype.newbyteorder("=") == np.int32 and 0 < peak <= QUIETEST:
        raise AudioError(
            f"{name} reaches {peak * 2**31:g} of the 2147483648 that are full scale of int32: these are samples of 16 "
            "bits. Give them as int16."
        )


# ---------------------------------------------------------------------- files


def check_file(path: str) -> None:
    """Refuse a path which is not that of a file with something in it."""
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        where = "" if os.path.isabs(path) else f" (the current folder is {os.getcwd()!r})"
        raise AudioError(f"{path!r} does not exist{where}.") from error
    except (OSError, ValueError) as error:
        raise AudioError(f"{path!r} cannot be opened: {error}.") from error
    if stat.S_ISDIR(status.st_mode):
        raise AudioError(f"{path!r} is a folder; expected an audio file.")
    if not stat.S_ISREG(status.st_mode):  # a pipe would block
        raise AudioError(f"{path!r} is not a regular file; expected an audio file.")
    if not status.st_size:
        raise AudioError(f"{path!r} is empty (0 bytes).")
    if not os.access(path, os.R_OK):
        raise AudioError(f"{path!r} cannot be opened: there is no permission to read it.")


Source = str | Undecoded | Segment


def _name(audio: Source) -> str:
    """Return what a message calls a file, its bytes, or a part of it."""
    return repr(audio) if isinstance(audio, str) else str(audio)


def _check_source(audio: Source) -> str | Undecoded:
    """Refuse what has nothing in it, or begins as what libsndfile cannot decode; return the whole of a segment."""
    whole = audio.path if isinstance(audio, Segment) else audio
    if isinstance(whole, str):
        check_file(whole)
    elif not whole.content:
        raise AudioError(f"{whole} is empty (0 bytes).")
    with _stream(whole) as file:
        head = file.read(12)
    for kind, start in UNDECODABLE.items():
        if start.match(head):
            path = whole if isinstance(whole, str) else whole.path or "audio.m4a"
            command = f"ffmpeg -i {shlex.quote(path)} {shlex.quote(os.path.splitext(path)[0] + '.flac')}"
            raise AudioError(f"{_name(whole)} is {kind}, which libsndfile cannot decode. Make it FLAC: {command}")
    return whole


def _stream(whole: str | Undecoded) -> Any:
    """Return a file's bytes as an open file."""
    if isinstance(whole, Undecoded):
        return io.BytesIO(whole.content)
    try:
        return open(whole, "rb")
    except OSError as error:
        raise AudioError(f"{whole!r} cannot be opened: {error}.") from error


@contextmanager
def _opened(audio: Source) -> Iterator[Any]:
    """Open a sound file whose header promises samples."""
    soundfile = import_soundfile()
    whole = _check_source(audio)
    name = _name(whole)
    try:
        if isinstance(whole, Undecoded):
            file = soundfile.SoundFile(io.BytesIO(whole.content))
        else:  # As bytes, names that are not UTF-8 open too; Windows has names in Unicode only.
            file = soundfile.SoundFile(whole if os.name == "nt" else os.fsencode(whole))
    except (RuntimeError, TypeError, ValueError) as error:  # TypeError: headerless, by its name
        raise AudioError(f"{name} is not audio that can be read: {_reason(error)}") from error
    with file:
        shorter = SHORTER.search(file.extra_info)
        if shorter and int(shorter[2]) < int(shorter[1]) < ENDLESS:
            raise AudioError(f"{name} is truncated: {shorter[2]} of {shorter[1]} bytes of samples.")
        if file.frames <= 0:
            raise AudioError(f"{name} has no samples.")
        _check_rest(whole, file.extra_info)
        if file.frames == np.iinfo(np.int64).max:
            raise AudioError(
                f"{name} does not say how many samples it has, as if written to a pipe. Write it again to a file."
            )
        if file.samplerate < LOWEST_RATE:
            raise AudioError(f"{name} has a sampling rate of {file.samplerate} Hz, below {LOWEST_RATE:g}.")
        yield file


def _check_rest(whole: str | Undecoded, info: str) -> None:
    """Refuse a file whose header declares fewer samples than it has, by what libsndfile notes of the rest."""
    stray = STRAY.search(info)
    if not stray:
        return
    with _stream(whole) as file:
        if file.seek(0, os.SEEK_END) - int(stray[2]) <= PADDING:
            return
        file.seek(int(stray[2]) - 1)
        follows = file.read(4)
    if int(stray[1]) % 2 and follows.strip().isalnum():  # a chunk that begins right after an odd number of bytes
        return
    raise AudioError(
        f"{_name(whole)} declares {stray[1]} bytes of samples, but has more after them: its header is wrong, as if "
        "it was never finished. Write it again."
    )


def _frames(audio: Source, file: Any) -> slice:
    """Return which frames of an open file are asked for."""
    if isinstance(audio, Segment):
        return audio.of(file.frames, file.samplerate)
    return slice(0, file.frames)


def _read_file(audio: Source) -> tuple[np.ndarray, float]:
    """Return the samples of a sound file, or of a part of it, as float32, and their rate."""
    with _opened(audio) as file:
        name, frames = _name(audio), _frames(audio, file)
        # Where samples depend on others a decoder that begins in the middle gives slightly other ones.
        first = frames.start if file.subtype.startswith(SAMPLEWISE) else 0
        n_frames = frames.stop - first
        try:
            if first:
                file.seek(first)
            samples = file.read(n_frames, dtype="float32")
        except MemoryError as error:
            raise AudioError(f"{name} promises {n_frames} samples, more than memory can hold.") from error
        except (RuntimeError, ValueError) as error:
            raise AudioError(
                f"{name} is truncated or damaged: {_position(file)} of {file.frames} samples "
                f"could be read: {_reason(error)}"
            ) from error
        if len(samples) < n_frames:
            raise AudioError(f"{name} is truncated: {len(samples)} of {n_frames} samples.")
        return samples[frames.start - first :], file.samplerate


def _position(file: Any) -> int:
    """Return how many samples were read before an error, as far as the decoder knows."""
    try:
        return max(file.tell(), 0)
    except RuntimeError:
        return 0


def _reason(error: Exception) -> str:
    """Return what libsndfile says, without the path."""
    words = str(getattr(error, "error_string", error)).removeprefix("Error : ").strip().rstrip(".")
    # So it says where it looked for MP3 and found none; that the file exists has been checked.
    return "no MP3 frame found." if words.startswith("File does not exist") else f"{words}."
