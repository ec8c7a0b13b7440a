"""Tones and noise, sound files of them as bytes, and the law of reading one: whole as promised, or refused."""

import io

import numpy as np
import pytest

from sklearn_annoser.encoders._audio import AudioError, audio_seconds, read_audio

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

RATE = 16000
FREQUENCY = 440.0

MONO = {"GSM610", "G721_32", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32"}


def tone(rate=RATE, *, seconds=0.5, n_channels=None, amplitude=0.5):
    """Return a tone, (n_samples,) or (n_samples, n_channels)."""
    wave = amplitude * np.sin(2 * np.pi * FREQUENCY * np.arange(int(rate * seconds)) / rate)
    return wave if n_channels is None else np.repeat(wave[:, None], n_channels, axis=1)


def noise(n_samples=8000, n_channels=None, *, seed=0):
    """Return noise that no codec makes small."""
    shape = n_samples if n_channels is None else (n_samples, n_channels)
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape)


def encoded(samples, rate=RATE, *, container="WAV", subtype=None, **kwargs):
    """Return the bytes of a sound file."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=container, subtype=subtype, **kwargs)
    return stream.getvalue()


def read_or_refuse(path):
    """Return the samples of a file, which must be as promised, or None if it is refused."""
    try:
        assert audio_seconds(path, sampling_rate=RATE) > 0
        wave = read_audio(path, sampling_rate=RATE)
    except AudioError:
        return None
    assert wave.dtype == np.float32
    assert wave.ndim == 1
    assert wave.size
    assert wave.flags.c_contiguous
    assert np.isfinite(wave).all()
    return wave
