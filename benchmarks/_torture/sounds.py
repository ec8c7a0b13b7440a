"""Sound files that are damaged, and caches of vectors that are; tiny encoders with random weights read them."""

from __future__ import annotations

import io
import re
import struct
import tempfile
import wave
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from sklearn_annoser import BertEncoder, WavLMEncoder
from sklearn_annoser.reproduce import write_random_encoders

from .judge import Trial

RATE = 16_000
WORDS = ["good day", "no", "yes and no", "thanks", "maybe today"]
HOME: list[Any] = []  # folders that are there until the end


@cache
def models() -> tuple[str, str]:
    """Return the folders of a tiny WavLM and a tiny BERT."""
    HOME.append(folder := tempfile.TemporaryDirectory(prefix="torture-models-"))
    return write_random_encoders(folder.name)


def drawn_sound(trial: Trial) -> tuple[np.ndarray, str, int]:
    """Draw samples as a file can hold them, how it does, and the channels."""
    n, n_channels = int(trial.rng.integers(800, 4000)), int(trial.pick([1, 1, 2]))
    samples = trial.rng.uniform(-0.5, 0.5, size=(n, n_channels))
    subtype = trial.pick(["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "PCM_U8"])
    return samples, subtype, n_channels


def audio(trial: Trial) -> None:
    """Check that a WAV file, whole, damaged or truncated, has the vector of its samples, or is refused."""
    samples, subtype, n_channels = drawn_sound(trial)
    stream = io.BytesIO()
    soundfile.write(stream, samples, RATE, format="WAV", subtype=subtype)
    content = stream.getvalue()
    how = trial.pick([whole, whole, cut, tail, header_sizes, header_fields, no_sound, not_finite])
    trial.kind = f"{subtype}, {n_channels} channels, {len(samples)} samples: {how.__name__}"
    content, law = how(trial, content)
    trial.must_work = law == "the same"
    path = trial.folder / "sound.wav"
    path.write_bytes(content)
    encoder = WavLMEncoder(models()[0])
    vector = encoder.fit_transform([str(path)])
    trial.check(law != "refused", "what must be refused was read")
    trial.check(np.isfinite(vector).all(), "a vector is not finite")
    if law == "the same" or (found := plain_samples(content)) is None:
        step = 0.01 if subtype == "PCM_U8" else 1e-3
        expected = encoder.transform([samples.mean(axis=1).astype(np.float32)])
    else:
        step, expected = 1e-3, encoder.transform([found])
    trial.check(np.abs(vector - expected).max() < 10 * step, "another vector than that of the samples")


def plain_samples(content: bytes) -> np.ndarray | None:
    """Return the samples as Python's own module reads them, or None where it does not read such files."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            if file.getsampwidth() != 2 or file.getframerate() != RATE:
                return None
            numbers = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
            return (numbers.reshape(-1, file.getnchannels()) / 2**15).mean(axis=1).astype(np.float32)
    except (wave.Error, EOFError, ValueError):
        return None


def whole(trial: Trial, content: bytes) -> tuple[bytes, str]:
    """Leave it alone."""
    return content, "the same"


def cut(trial: Trial, content: bytes) -> tuple[bytes, str]:
    """Cut it off."""
    return content[: int(trial.rng.integers(len(content) - 4))], "refused"


def tail(trial: Trial, content: bytes) -> tuple[bytes, str]:
    """Put a chunk of notes at the end, as recorders do."""
    return content + b"LIST" + struct.pack("<I", 8) + b"INFOabcd", "the same"


def header_sizes(trial: Trial, content: bytes) -> tuple[bytes, str]:
    """Let the header declare more samples than there are."""
    at = content.index(b"data") + 4
    (size,) = struct.unpack("<I", content[at : at + 4])
    return content[:at] + struct.pack("<I", size + int(trial.pick([2, 16, 1000])) * 8) + content[at + 4 :], "refused"


def header_fields(trial: Trial, content: bytes) -> tuple[bytes, str]:
    """Let the header say nonsense."""
    field = trial.pick([b"RIFF", b"WAVE", b"fmt ", b"data"])
    at = content.index(field)
    return content[:at] + bytes(trial.rng.integers(97, 123, size=4, dtype=np.uint8)) + content[at + 4 :], "refused"


def no_sound(trial: Trial, content: bytes) -> tuple[bytes, str]:
    """Be no sound at all."""
    return trial.pick([b"", b"RIFF", trial.rng.bytes(500), b"<html>not found</html>" * 9]), "refused"


def not_finite(trial: Trial, content: bytes) -> tuple[bytes, str]:
    """Hold a sample that is no number."""
    samples = np.zeros(900, dtype=np.float32)
    samples[int(trial.rng.integers(900))] = trial.pick([np.nan, np.inf])
    stream = io.BytesIO()
    soundfile.write(stream, samples, RATE, format="WAV", subtype="FLOAT")
    return stream.getvalue(), "refused"


@cache
def right_vectors() -> np.ndarray:
    """Return the vectors of the words, made without a cache."""
    return BertEncoder(models()[1]).fit_transform(WORDS)


def vectors(trial: Trial) -> None:
    """Check that a cache that was damaged gives the right vectors, or a word."""
    trial.must_work = True
    expected = right_vectors()
    rows = trial.rng.permutation(len(WORDS))[: int(trial.rng.integers(1, len(WORDS) + 1))]
    encoder = BertEncoder(models()[1], cache_dir=trial.folder)
    encoder.fit_transform([WORDS[row] for row in rows])
    files = sorted(path for path in trial.folder.rglob("*") if path.is_file())
    path = trial.pick(files)
    how = trial.pick([flip, flip, shorten, replace, remove, untouched])
    trial.kind = f"{len(rows)} vectors, {path.name}: {how.__name__}"
    how(trial, path)
    for _ in range(2):
        found = BertEncoder(models()[1], cache_dir=trial.folder).fit_transform(WORDS)
        trial.check(np.abs(found - expected).max() < 1e-4, "another vector than without the cache")
    told = [str(each.message) for each in trial.warned]
    trial.check(all(re.search(r"cache", each) for each in told), f"warnings of something else: {told}")


def flip(trial: Trial, path: Path) -> None:
    """Flip a few bytes."""
    content = bytearray(path.read_bytes())
    for _ in range(int(trial.pick([1, 5, 100])) if content else 0):
        content[int(trial.rng.integers(len(content)))] ^= int(trial.rng.integers(1, 256))
    path.write_bytes(content)


def shorten(trial: Trial, path: Path) -> None:
    """Cut it off."""
    content = path.read_bytes()
    path.write_bytes(content[: int(trial.rng.integers(len(content) + 1))])


def replace(trial: Trial, path: Path) -> None:
    """Put something else in its place."""
    path.write_bytes(trial.rng.bytes(5000))


def remove(trial: Trial, path: Path) -> None:
    """Delete it."""
    path.unlink()


def untouched(trial: Trial, path: Path) -> None:
    """Leave it alone."""
