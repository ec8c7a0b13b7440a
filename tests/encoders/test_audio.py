"""Audio of every format, rate and kind of array is read as the samples that a speech model takes."""

import importlib.util
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
from tests.encoders.sounds import FREQUENCY, MONO, RATE, encoded, noise, read_or_refuse, soundfile, tone

# What libsndfile reads but does not write.
READ_ONLY = {("WAV", "MPEG_LAYER_III"), ("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II")}
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


def frequency(wave):
    """Return the frequency of a tone at 16 kHz, to a part of a Hz."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 2**17))
    return spectrum.argmax() * RATE / 2**17


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


def test_soxr_that_is_not_there_is_missed_by_files_of_another_rate_only(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(encoded(noise()))
    monkeypatch.setitem(sys.modules, "soxr", None)
    assert len(read_audio(tmp_path / "a.wav", sampling_rate=RATE))
    with pytest.raises(ImportError, match=r"Resampling needs soxr: pip install 'sklearn-annoser\[audio\]'"):
        read_audio(tmp_path / "a.wav", sampling_rate=RATE // 2)


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
