import importlib.util
import io
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal

from sklearn_annoser._optional import import_soundfile, import_soxr, import_transformers
from sklearn_annoser.encoders import _audio
from sklearn_annoser.encoders._audio import AudioError, array_digest, audio_seconds, check_audio, read_audio

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

RATE = 16000
FREQUENCY = 440.0
FUNCTIONS = (read_audio, audio_seconds)

# What libsndfile reads but does not write.
READ_ONLY = {("WAV", "MPEG_LAYER_III"), ("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II")}
MONO = {"GSM610", "G721_32", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32"}
STEREO = {"IMA_ADPCM", "MS_ADPCM", "MPEG_LAYER_III"}
CODECS = [  # container, subtype, channels, rate
    (container, subtype, n_channels, rate)
    for container in ("WAV", "FLAC", "OGG", "MP3")
    for subtype in soundfile.available_subtypes(container)
    for n_channels in (1, 2, 6)
    for rate in (8000, 16000, 22050, 44100, 48000)
    if (container, subtype) not in READ_ONLY
    and n_channels <= (1 if subtype in MONO else 2 if subtype in STEREO else 6)
    and (subtype != "OPUS" or rate in (8000, 16000, 48000))
]
# Codecs in blocks fill the last one: the most samples that they add.
BLOCK = {"IMA_ADPCM": 8192, "MS_ADPCM": 8192, "GSM610": 640, "G721_32": 160, "NMS_ADPCM_16": 160}
BLOCK |= {"NMS_ADPCM_24": 160, "NMS_ADPCM_32": 160}
# Root mean square of the error, for a tone of amplitude 0.5. Lossy codecs keep the tone, but not each sample.
NOISE = {"PCM_16": 2e-5, "PCM_U8": 5e-3, "PCM_S8": 5e-3, "ULAW": 0.01, "ALAW": 0.01}
NOISE |= dict.fromkeys(("PCM_24", "PCM_32", "FLOAT", "DOUBLE"), 1e-5)


def tone(rate=RATE, *, seconds=0.5, n_channels=None, amplitude=0.5):
    """Return a tone, (n_samples,) or (n_samples, n_channels)."""
    wave = amplitude * np.sin(2 * np.pi * FREQUENCY * np.arange(int(rate * seconds)) / rate)
    return wave if n_channels is None else np.repeat(wave[:, None], n_channels, axis=1)


def noise(n_samples=8000, n_channels=None, *, seed=0):
    """Return noise that no codec makes small."""
    shape = n_samples if n_channels is None else (n_samples, n_channels)
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape)


def frequency(wave):
    """Return the frequency of a tone at 16 kHz, to a part of a Hz."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 2**17))
    return spectrum.argmax() * RATE / 2**17


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


# ---------------------------------------------------------------------- formats


@pytest.mark.parametrize(("container", "subtype", "n_channels", "rate"), CODECS)
def test_every_format_gives_the_tone_that_was_written(tmp_path, container, subtype, n_channels, rate):
    path = tmp_path / "tone"
    soundfile.write(path, tone(rate, n_channels=n_channels), rate, format=container, subtype=subtype)
    wave = read_or_refuse(path)
    expected = tone()
    padding = BLOCK.get(subtype, 0) * RATE / rate
    assert -1 <= len(wave) - len(expected) <= padding + 1
    assert abs(audio_seconds(path, sampling_rate=RATE) * RATE - len(wave)) <= 1
    middle = slice(1000, 7000)
    assert frequency(wave[middle]) == pytest.approx(FREQUENCY, abs=1)
    error = np.sqrt(np.mean((wave[middle] - expected[middle]) ** 2))
    assert error < NOISE.get(subtype, 0.15)


@pytest.mark.parametrize(("container", "subtype"), [("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "ALAC_16")])
def test_other_containers_are_read_too(tmp_path, container, subtype):
    (tmp_path / "tone").write_bytes(encoded(tone(), container=container, subtype=subtype))
    np.testing.assert_allclose(read_audio(tmp_path / "tone", sampling_rate=RATE), tone(), atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_a_tone_sounds_the_same_at_any_rate(rate):
    wave = read_audio((tone(rate), rate), sampling_rate=RATE)
    np.testing.assert_allclose(wave[1000:7000], tone()[1000:7000], atol=2e-5)


def test_frequencies_that_the_rate_cannot_hold_are_removed_not_folded():
    high = np.sin(2 * np.pi * 15000 * np.arange(24000) / 48000)  # would come back as 1 kHz
    assert np.abs(read_audio((high, 48000), sampling_rate=RATE)[1000:7000]).max() < 1e-4


def test_the_mean_of_channels_is_what_is_resampled():
    channels = noise(48000, 3)
    mean = channels.astype(np.float32).mean(axis=1, dtype=np.float64)
    wave = read_audio((channels.astype(np.float32), 48000), sampling_rate=RATE)
    assert_array_equal(wave, read_audio((mean, 48000), sampling_rate=RATE))


# ---------------------------------------------------------------------- arrays


@pytest.mark.parametrize("rate", [RATE, 44100])
@pytest.mark.parametrize("shape", [(8000,), (8000, 1), (8000, 2), (8000, 6)])
@pytest.mark.parametrize(
    ("dtype", "subtype"),
    [(np.int16, "PCM_16"), (np.int32, "PCM_32"), (np.float32, "FLOAT"), (np.float64, "DOUBLE"), (">i2", "PCM_16")],
)
def test_an_array_gives_what_its_file_gives(tmp_path, dtype, subtype, shape, rate):
    samples = noise(*shape)
    if np.dtype(dtype).kind == "i":
        samples = np.round(samples * np.iinfo(dtype).max)
    samples = samples.astype(dtype)
    native = samples.astype(np.dtype(dtype).newbyteorder("="))
    soundfile.write(tmp_path / "file.wav", native, rate, subtype=subtype)
    expected = read_audio(tmp_path / "file.wav", sampling_rate=RATE)
    assert_array_equal(read_audio((samples, rate), sampling_rate=RATE), expected)
    assert audio_seconds((samples, rate), sampling_rate=RATE) == audio_seconds(
        tmp_path / "file.wav", sampling_rate=RATE
    )
    if rate == RATE:
        assert_array_equal(read_audio(samples, sampling_rate=RATE), expected)


def test_full_scale_of_integers_is_one():
    extremes = read_audio(np.array([-(2**15), 0, 2**14], dtype=np.int16), sampling_rate=RATE)
    assert_array_equal(extremes, [-1.0, 0.0, 0.5])
    extremes = read_audio(np.array([-(2**31), 0, 2**30], dtype=np.int32), sampling_rate=RATE)
    assert_array_equal(extremes, [-1.0, 0.0, 0.5])


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        lambda wave: np.asarray(wave, dtype=">f4"),
        lambda wave: np.asarray(wave, dtype=np.longdouble),
        lambda wave: np.repeat(wave, 2)[::2],
        lambda wave: wave[:, None],
        torch.as_tensor,
        pd.Series,
        lambda wave: (wave, RATE),
        lambda wave: [torch.as_tensor(wave), np.float32(RATE)],
        lambda wave: (wave, np.int64(RATE)),
    ],
)
def test_any_kind_of_array_is_read(convert):
    wave = noise().astype(np.float32)
    found = read_audio(convert(wave), sampling_rate=RATE)
    assert_array_equal(found, wave)
    assert found.dtype == np.float32
    assert found.dtype.isnative
    assert found.flags.c_contiguous
    assert audio_seconds(convert(wave), sampling_rate=RATE) == 0.5


def test_what_needs_no_change_is_not_copied():
    wave = noise().astype(np.float32)
    assert np.shares_memory(read_audio(wave, sampling_rate=RATE), wave)


def test_the_array_itself_is_left_as_it_was():
    for samples in (noise(8000, 2), (noise() * 1000).astype(np.int16)):
        before = samples.copy()
        read_audio((samples, 44100), sampling_rate=RATE)
        array_digest(samples, sampling_rate=RATE)
        assert_array_equal(samples, before)


def test_silence_is_audio(tmp_path):
    soundfile.write(tmp_path / "silence.flac", np.zeros(4000), 8000)
    assert_array_equal(read_audio(tmp_path / "silence.flac", sampling_rate=RATE), np.zeros(8000))


def test_what_was_checked_can_be_checked_again(tmp_path):
    for item in (tmp_path / "a.wav", "a.wav", np.str_("a.wav"), noise(), [noise(), 8000], (torch.zeros(9), 8000.0)):
        audio = check_audio(item)
        again = check_audio(audio)
        assert type(again) is type(audio)
        if isinstance(audio, tuple):
            assert again[0] is audio[0]
            assert again[1] == audio[1] == 8000
        else:
            assert again is audio
    assert type(check_audio(np.str_("a.wav"))) is str


# ---------------------------------------------------------------------- what is no audio

NO_ITEM = [
    (None, "it is missing"),
    (np.nan, "it is missing"),
    (np.float32("nan"), "it is missing"),
    (pd.NA, "it is missing"),
    (3, "expected the path of a file, an array of samples, or a pair .*, got 3 of type int"),
    ({"array": noise()}, "expected the path of a file, .* of type dict"),
    (b"a.wav", "expected the path of a file, .* of type bytes"),
    (io.BytesIO(), "expected the path of a file, .* of type BytesIO"),
    ([0.1, 0.2], r"or a pair .*, got the list \[0.1, 0.2\]"),
    ((noise(), RATE, 1), "or a pair .*, got the tuple"),
    ((), r"or a pair .*, got the tuple \(\)"),
    (("a.wav", RATE), "or a pair .*, got the tuple"),
    ((RATE, noise()), "or a pair .*, got the tuple"),
    ((np.int64(RATE), noise()), r"must have shape \(n_samples,\) or \(n_samples, n_channels\), got \(\)"),
    ((noise(), noise()), "the sampling rate comes second in a pair"),
    (np.float64(1), r"must have shape \(n_samples,\) or \(n_samples, n_channels\), got \(\)"),
    (np.zeros((2, 3, 4)), r"must have shape .*, got \(2, 3, 4\)"),
    (np.zeros(0), r"has no samples: its shape is \(0,\)"),
    (np.zeros((0, 2)), r"has no samples: its shape is \(0, 2\)"),
    (np.zeros((5, 0)), r"has no samples: its shape is \(5, 0\)"),
    (np.zeros((2, 800)), r"more channels than samples, shape \(2, 800\): it is transposed"),
    (np.zeros(9, dtype=np.uint8), "must be floating with full scale 1, or int16 or int32, got uint8"),
    (np.zeros(9, dtype=np.int8), "must be floating .*, got int8"),
    (np.zeros(9, dtype=np.uint16), "must be floating .*, got uint16"),
    (np.zeros(9, dtype=np.int64), "must be floating .*, got int64"),
    (np.zeros(9, dtype=bool), "must be floating .*, got bool"),
    (np.zeros(9, dtype=complex), "must be floating .*, got complex128"),
    (np.zeros(9, dtype=object), "must be floating .*, got object"),
    (np.array(["a.wav"]), "must be floating .*, got <U5"),
    (torch.zeros(9, requires_grad=True), "the Tensor cannot be made a numpy array: "),
    (torch.zeros(9, dtype=torch.bfloat16), "the Tensor cannot be made a numpy array: "),
    (torch.zeros(9, device="meta"), "the Tensor cannot be made a numpy array: "),
    ((noise(), 0), r"must be from 1000 to 1e\+09 Hz, got 0"),
    ((noise(), -RATE), r"must be from 1000 to 1e\+09 Hz, got -16000"),
    ((noise(), 44.1), r"must be from 1000 to 1e\+09 Hz, got 44.1"),
    ((noise(), np.nan), r"must be from 1000 to 1e\+09 Hz, got nan"),
    ((noise(), 10**400), r"must be from 1000 to 1e\+09 Hz, got 1000"),
    ((noise(), np.inf), r"must be from 1000 to 1e\+09 Hz, got inf"),
    ((noise(), None), "must be a number of Hz, got None"),
    ((noise(), "16000"), "must be a number of Hz, got '16000'"),
    ((noise(), True), "must be a number of Hz, got True"),
    ((noise(), 1j), "must be a number of Hz, got 1j"),
]


@pytest.mark.parametrize(("item", "match"), NO_ITEM)
def test_an_item_that_is_none_is_refused_with_the_reason(item, match):
    for function in (*FUNCTIONS, array_digest):
        with pytest.raises(AudioError, match=match):
            function(item, sampling_rate=RATE)
    with pytest.raises(AudioError, match=match):
        check_audio(item)


def test_a_path_of_bytes_is_refused():
    class BytesPath(os.PathLike):
        def __fspath__(self):
            return b"a.wav"

    with pytest.raises(AudioError, match=r"is a path of bytes; expected str"):
        check_audio(BytesPath())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38, 1e300])
@pytest.mark.parametrize("shape", [(8000,), (8000, 2)])
def test_samples_that_are_not_finite_are_counted(tmp_path, bad, shape):
    samples = noise(*shape)
    samples[[1234, 5000]] = bad
    samples[4321] = -samples[1234]  # in one channel +inf, in the other -inf
    match = "has samples that are NaN, infinite or beyond 1e\\+30: 3 of 8000, the first at position 1234"
    for item in (samples, (samples, 44100)):
        with pytest.raises(AudioError, match=f"the array {match}"):
            read_audio(item, sampling_rate=RATE)
    path = tmp_path / "bad.wav"
    soundfile.write(path, samples, RATE, subtype="DOUBLE")
    with pytest.raises(AudioError, match=f"{str(path)!r} {match}"):
        read_audio(path, sampling_rate=RATE)


def test_the_loudest_samples_stay_finite():
    wave = read_audio((np.sign(noise()) * 9e29, 44100), sampling_rate=RATE)
    assert np.isfinite(wave).all()


def test_opposite_infinities_of_two_channels_are_found():
    samples = noise(8000, 2)
    samples[7] = np.inf, -np.inf
    with pytest.raises(AudioError, match="1 of 8000, the first at position 7"):
        read_audio(samples, sampling_rate=RATE)


def test_too_few_samples_to_make_one_are_refused(tmp_path):
    with pytest.raises(AudioError, match="the array is too short: 1 samples at 48000 Hz make none at 16000 Hz"):
        read_audio((np.ones(1), 48000), sampling_rate=RATE)
    soundfile.write(tmp_path / "short.wav", np.ones(1), 48000)
    with pytest.raises(AudioError, match=r"short\.wav' is too short: 1 samples at 48000 Hz make none at 16000 Hz"):
        read_audio(tmp_path / "short.wav", sampling_rate=RATE)
    assert len(read_audio((np.ones(1), 8000), sampling_rate=RATE)) == 2


# ---------------------------------------------------------------------- files that cannot be read


def refused(path, match):
    """Check that both functions refuse a file, and name it."""
    for function in FUNCTIONS:
        with pytest.raises(AudioError, match=match) as caught:
            function(path, sampling_rate=RATE)
        assert str(caught.value).startswith(repr(str(path)))


def test_a_missing_file_is_named_and_so_is_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused("no/such.wav", rf"does not exist \(the current folder is {str(tmp_path)!r}\)\.$")
    refused("", r"does not exist \(the current folder")
    refused("~/such.wav", r"does not exist \(the current folder")
    refused(tmp_path / "such.wav", r"such\.wav' does not exist\.$")


def test_what_is_not_a_file_is_refused(tmp_path):
    refused(tmp_path, "is a folder; expected an audio file")
    os.mkfifo(tmp_path / "pipe.wav")
    refused(tmp_path / "pipe.wav", "is not a regular file; expected an audio file")
    (tmp_path / "file").write_bytes(b"x")
    refused(tmp_path / "file" / "a.wav", "cannot be opened: .*Not a directory")
    refused("a\0.wav", "cannot be opened: embedded null")
    refused("a" * 5000, "cannot be opened: .*too long")


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "secret.wav", noise(), RATE)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who may read all
    refused(tmp_path / "secret.wav", "cannot be opened: there is no permission to read it")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.raw", "a"])
def test_an_empty_file_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    refused(tmp_path / name, r"is empty \(0 bytes\)")


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU"])
def test_a_header_without_samples_is_refused(tmp_path, container):
    (tmp_path / "none").write_bytes(encoded(np.zeros(0), container=container))
    refused(tmp_path / "none", r"has no samples\.$")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.raw", "a"])
@pytest.mark.parametrize("content", [b"utterance,annotator,activation\n", b"<html>" * 100, b"\0" * 1000])
def test_what_is_not_audio_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, "is not audio that can be read: .*\\w\\.$")


def with_field(data, start, value, n_bytes=4):
    """Return a file with a number of its header changed."""
    return data[:start] + value.to_bytes(n_bytes, "little") + data[start + n_bytes :]


@pytest.mark.parametrize(
    ("rate", "match"),
    [
        (0, "is not audio that can be read"),
        (1, "has a sampling rate of 1 Hz, below 1000"),
        (999, "has a sampling rate of 999 Hz, below 1000"),
        (2**32 - 1, "is not audio that can be read"),
    ],
)
def test_a_sampling_rate_that_cannot_be_is_refused(tmp_path, rate, match):
    (tmp_path / "rate.wav").write_bytes(with_field(encoded(noise()), 24, rate))
    refused(tmp_path / "rate.wav", match)


def with_flac_length(data, n_samples):
    """Return a FLAC file whose header tells another number of samples."""
    packed = int.from_bytes(data[18:26], "big") >> 36 << 36 | n_samples
    return data[:18] + packed.to_bytes(8, "big") + data[26:]


def test_flac_that_does_not_tell_its_length_is_refused(tmp_path):
    (tmp_path / "a.flac").write_bytes(with_flac_length(encoded(noise(), container="FLAC"), 0))
    refused(tmp_path / "a.flac", "does not say how many samples it has, as if written to a pipe. Write it again")


@pytest.mark.parametrize("n_samples", [8001, 10**6, 2**36 - 1])
def test_flac_that_promises_more_than_it_has_is_refused(tmp_path, n_samples):
    (tmp_path / "a.flac").write_bytes(with_flac_length(encoded(noise(), container="FLAC"), n_samples))
    with pytest.raises(AudioError, match=f"truncated.* of {n_samples} samples|promises {n_samples} samples"):
        read_audio(tmp_path / "a.flac", sampling_rate=RATE)


def test_more_samples_than_memory_can_hold_are_refused(tmp_path, monkeypatch):
    def read(*args, **kwargs):
        raise MemoryError

    soundfile.write(tmp_path / "a.wav", noise(), RATE)
    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    with pytest.raises(AudioError, match=r"a\.wav' promises 8000 samples, more than memory can hold"):
        read_audio(tmp_path / "a.wav", sampling_rate=RATE)


def test_a_failure_of_the_decoder_is_told_even_where_it_cannot_tell_its_position(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise soundfile.LibsndfileError(39)

    soundfile.write(tmp_path / "a.wav", noise(), RATE)
    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    monkeypatch.setattr(soundfile.SoundFile, "tell", fail)
    with pytest.raises(AudioError, match="is truncated or damaged: 0 of 8000 samples could be read: Internal"):
        read_audio(tmp_path / "a.wav", sampling_rate=RATE)


# ---------------------------------------------------------------------- truncated files

DECLARED = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "FLOAT"),
    ("WAV", "ULAW"),
    ("WAV", "IMA_ADPCM"),
    ("WAV", "MS_ADPCM"),
    ("WAV", "GSM610"),
    ("WAVEX", "PCM_16"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("W64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("MP3", "MPEG_LAYER_III"),
]


def cuts(n_bytes, *, step):
    """Return lengths at which to cut a file: each of the header and of the end, some between."""
    return sorted({*range(90), *range(90, n_bytes, step), *range(max(0, n_bytes - 9), n_bytes)})


@pytest.mark.parametrize(
    ("container", "subtype", "n_channels"),
    [(*each, n_channels) for each in DECLARED for n_channels in ((1,) if each[1] in MONO else (1, 2))],
)
def test_a_file_that_declares_its_length_is_refused_when_cut_anywhere(tmp_path, container, subtype, n_channels):
    data = encoded(noise(4000, n_channels), container=container, subtype=subtype)
    path = tmp_path / "cut"
    path.write_bytes(data)
    whole = read_or_refuse(path)
    assert len(whole) >= 4000
    for n_bytes in cuts(len(data), step=501):
        path.write_bytes(data[:n_bytes])
        wave = read_or_refuse(path)
        if n_bytes == len(data) - 1 and wave is not None:  # the last byte only made the chunk's length even
            assert_array_equal(wave[:4000], whole[:4000])
        else:
            assert wave is None, n_bytes


@pytest.mark.parametrize(
    ("container", "match"),
    [
        ("WAV", "is truncated: 4004 of 16000 bytes of samples"),
        ("FLAC", r"is truncated or damaged: \d+ of 8000 samples could be read: flac decoder lost sync\.$"),
        ("MP3", r"is truncated: \d+ of 8000 samples\.$"),
    ],
)
def test_a_truncated_file_is_said_to_be(tmp_path, container, match):
    data = encoded(noise(), container=container)
    (tmp_path / "cut").write_bytes(data[: 44 + 4004 if container == "WAV" else len(data) // 2])
    with pytest.raises(AudioError, match=match):
        read_audio(tmp_path / "cut", sampling_rate=RATE)
    if container == "WAV":  # here the header is enough
        refused(tmp_path / "cut", match)


def test_flac_cut_before_its_samples_has_none_that_could_be_read(tmp_path):
    (tmp_path / "cut.flac").write_bytes(encoded(noise(), container="FLAC")[:44])
    with pytest.raises(AudioError, match="is truncated or damaged: 0 of 8000 samples could be read"):
        read_audio(tmp_path / "cut.flac", sampling_rate=RATE)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_ends_with_its_last_whole_page(tmp_path, subtype):
    data = encoded(noise(64000), container="OGG", subtype=subtype)
    path = tmp_path / "cut.ogg"
    path.write_bytes(data)
    whole = read_or_refuse(path)
    pages = [position for position in range(len(data)) if data.startswith(b"OggS", position)]
    lengths = set()
    for n_bytes in cuts(len(data), step=1001):
        path.write_bytes(data[:n_bytes])
        wave = read_or_refuse(path)
        if wave is not None:
            lengths.add(len(wave))
            np.testing.assert_allclose(wave, whole[: len(wave)], atol=1e-6)
    assert 2 <= len(lengths) <= len(pages)
    assert max(lengths) < len(whole)


def without_xing(data):
    """Return an MP3 file without its first frame, which holds the header that tells the length."""
    return data[data.index(data[:2], 4) :]


def test_mp3_of_constant_bit_rate_without_header_is_shorter_if_cut_between_frames_else_refused(tmp_path):
    # At the default level of compression even a constant rate is not the same in all frames.
    options = {"bitrate_mode": "CONSTANT", "compression_level": 0.5}
    data = without_xing(encoded(noise(64000), container="MP3", **options))
    n_frame_bytes, n_frame_samples = data.index(data[:3], 4), 576
    path = tmp_path / "a.mp3"
    for n_frames in (2, 10, 50, len(data) // n_frame_bytes):
        path.write_bytes(data[: n_frames * n_frame_bytes])
        assert len(read_or_refuse(path)) == n_frames * n_frame_samples
        path.write_bytes(data[: n_frames * n_frame_bytes - 10])
        assert read_or_refuse(path) is None


def test_mp3_of_variable_bit_rate_without_header_is_too_short_or_refused(tmp_path):
    quiet, loud = noise(64000) * 1e-4, noise(64000)
    path = tmp_path / "a.mp3"
    for parts in ([quiet, loud], [loud, quiet]):
        path.write_bytes(without_xing(encoded(np.concatenate(parts), container="MP3", bitrate_mode="VARIABLE")))
        wave = read_or_refuse(path)
        assert wave is None or len(wave) != 128000


def test_sizes_in_the_header_that_hide_no_samples_are_no_truncation(tmp_path):
    data = encoded(noise())
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    whole = read_audio(path, sampling_rate=RATE)
    for size in (0, len(data) + 100, 2**32 - 1):  # of the container
        path.write_bytes(with_field(data, 4, size))
        assert_array_equal(read_audio(path, sampling_rate=RATE), whole)
    for size in (2**31 - 4096, 2**31, 2**32 - 1):  # of the samples: written to a pipe
        path.write_bytes(with_field(data, 40, size))
        assert_array_equal(read_audio(path, sampling_rate=RATE), whole)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_tag_after_the_samples_is_no_damage(tmp_path, container):
    data = encoded(noise(), container=container)
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "b").write_bytes(data + b"TAG" + bytes(125))
    whole = read_audio(tmp_path / "a", sampling_rate=RATE)
    assert_array_equal(read_audio(tmp_path / "b", sampling_rate=RATE), whole)


# ---------------------------------------------------------------------- damaged files


@pytest.mark.parametrize(
    "magic", [b"", b"RIFF\0\0\0\0WAVEfmt ", b"fLaC\0\0\0\x22", b"OggS\0\2", b"\xff\xfb\x90", b"ID3\3"]
)
def test_random_bytes_are_refused_or_read_never_anything_else(tmp_path, magic):
    rng = np.random.default_rng(0)
    for n_bytes in rng.integers(1, 3000, 30):
        (tmp_path / "random").write_bytes(magic + rng.bytes(n_bytes))
        read_or_refuse(tmp_path / "random")


@pytest.mark.parametrize(("container", "subtype"), [*DECLARED, ("OGG", "VORBIS"), ("OGG", "OPUS"), ("CAF", "ALAC_16")])
def test_changed_bytes_are_refused_or_read_never_anything_else(tmp_path, container, subtype):
    rng = np.random.default_rng(0)
    data = np.frombuffer(encoded(noise(2000), container=container, subtype=subtype), dtype=np.uint8)
    for n_bytes in (60, len(data)) * 10:  # half of the time in the header
        damaged = data.copy()
        damaged[rng.integers(0, n_bytes, 3)] = rng.integers(0, 256, 3)
        (tmp_path / "damaged").write_bytes(damaged.tobytes())
        read_or_refuse(tmp_path / "damaged")


# ---------------------------------------------------------------------- names, threads, imports


@pytest.mark.parametrize("name", ["é ü 語.wav", "a'b\"c.wav", "~.wav", "no ending", "a.txt", "b\udce9.wav"])
def test_any_name_of_a_file_will_do(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(encoded(noise()))
    whole = read_audio(noise(), sampling_rate=RATE)
    for path in (tmp_path / name, str(tmp_path / name)):
        np.testing.assert_allclose(read_audio(path, sampling_rate=RATE), whole, atol=1e-4)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_allclose(read_audio(name, sampling_rate=RATE), whole, atol=1e-4)
    assert audio_seconds(name, sampling_rate=RATE) == 0.5


def test_threads_read_what_one_reads(tmp_path):
    for number, container in enumerate(["WAV", "FLAC", "OGG", "MP3"] * 4):
        (tmp_path / f"{number}").write_bytes(encoded(noise(20000, seed=number), 22050, container=container))
        (tmp_path / f"{number}.bad").write_bytes(noise(100, seed=number).tobytes())
    paths = sorted(tmp_path.iterdir())
    serial = list(map(read_or_refuse, paths))
    assert [wave is None for wave in serial] == [path.suffix == ".bad" for path in paths]
    with ThreadPoolExecutor(8) as pool:
        for wave, expected in zip(pool.map(read_or_refuse, paths * 4), serial * 4, strict=True):
            assert (wave is None) == (expected is None)
            assert wave is None or np.array_equal(wave, expected)


def test_an_error_survives_a_process():
    with pytest.raises(AudioError, match="it is missing"):
        raise pickle.loads(pickle.dumps(AudioError("it is missing")))
    assert issubclass(AudioError, ValueError)


def test_the_module_alone_loads_no_heavy_package():
    load = "import importlib.util as u; s = u.spec_from_file_location('audio', sys.argv[1]); m = u.module_from_spec(s)"
    use = "m.read_audio(m.np.zeros(9), sampling_rate=16000)"
    probe = f"import sys; {load}; s.loader.exec_module(m); {use}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", probe, _audio.__file__], capture_output=True, text=True, check=True)
    assert {"soundfile", "soxr", "transformers", "torch"} & set(run.stdout.split()) == set()


@pytest.mark.parametrize(
    ("function", "package", "match"),
    [
        (import_soundfile, "soundfile", r"Audio files need soundfile: pip install 'sklearn-annoser\[audio\]'"),
        (import_soxr, "soxr", r"Resampling needs soxr: pip install 'sklearn-annoser\[audio\]'"),
        (import_transformers, "transformers", r"Encoders need transformers: pip install 'sklearn-annoser\[audio\]'"),
    ],
)
def test_a_package_that_is_not_there_is_named(monkeypatch, function, package, match):
    if importlib.util.find_spec(package):
        assert function().__name__ == package
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=match):
        function()


def test_libsndfile_that_is_not_there_is_no_fault_of_the_file(tmp_path, monkeypatch):
    def fail(name):
        raise OSError("sndfile library not found")

    (tmp_path / "a.wav").write_bytes(encoded(noise()))
    monkeypatch.setattr("sklearn_annoser._optional.import_module", fail)
    with pytest.raises(ImportError, match="Audio files need soundfile"):
        read_audio(tmp_path / "a.wav", sampling_rate=RATE)


# ---------------------------------------------------------------------- digests


def test_the_same_array_has_the_same_digest():
    samples = noise(8000, 2)
    digest = array_digest(samples, sampling_rate=RATE)
    assert isinstance(digest, bytes)
    assert len(digest) == 16
    for same in (samples.copy(), (samples, RATE), [samples, float(RATE)], np.asfortranarray(samples), samples[::1]):
        assert array_digest(same, sampling_rate=RATE) == digest
    assert array_digest((samples, RATE), sampling_rate=8000) == digest


def test_whatever_changes_gives_another_digest():
    samples = noise(40, 2).astype(np.float32)
    digests = [array_digest(samples, sampling_rate=RATE)]
    for position in np.ndindex(samples.shape):
        changed = samples.copy()
        changed[position] = np.nextafter(changed[position], np.float32(1))
        digests.append(array_digest(changed, sampling_rate=RATE))
    others = [samples.ravel(), samples.reshape(20, 4), samples[:-1], samples.astype(np.float64), samples.view(np.int32)]
    others += [
        samples.astype(">f4"),
        samples.view(">f4"),
        (samples, 8000),
        (samples, RATE + 0.5),
        -samples,
        samples[::-1],
    ]
    digests += [array_digest(other, sampling_rate=RATE) for other in others]
    digests.append(array_digest(samples, sampling_rate=RATE + 1))
    assert len(set(digests)) == len(digests)


def test_a_file_is_not_digested_as_an_array():
    with pytest.raises(AudioError, match=r"'a\.wav' is a path; expected an array of samples, or a pair"):
        array_digest(Path("a.wav"), sampling_rate=RATE)
