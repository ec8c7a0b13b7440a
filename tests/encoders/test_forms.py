"""What libraries hand out as audio is read as the same wave in a file, and so are parts of files."""

import datetime
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sklearn_annoser import SpeechEncoder
from sklearn_annoser.encoders._audio import audio_seconds, read_audio, segment_digest
from sklearn_annoser.encoders._forms import AudioError, Segment, check_audio
from tests.encoders.sounds import RATE, encoded, noise, soundfile

SUBTYPES = {np.uint8: "PCM_U8", np.int16: "PCM_16", np.int32: "PCM_32", np.float32: "FLOAT", np.float64: "DOUBLE"}
CODECS = [("WAV", "FLOAT"), ("WAV", "IMA_ADPCM"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("MP3", None)]
LAW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(item):
    """Return the samples of an utterance, as long as it says it is."""
    wave = read_audio(item, sampling_rate=RATE)
    assert abs(audio_seconds(item, sampling_rate=RATE) * RATE - len(wave)) <= 1
    return wave


def forms(samples, rate, path):
    """Return everything that libraries make of samples that are in a file; torch's have channels first."""
    content, tensor = path.read_bytes(), torch.as_tensor(samples)
    rows = torch.as_tensor(np.atleast_2d(samples.T).copy())
    found = [(samples, rate), (rate, samples), [np.int64(rate), samples], (tensor, rate), (rate, rows)]
    found += [{"array": samples, "sampling_rate": rate}, {"array": rows, "sampling_rate": np.float64(rate)}]
    found += [{"bytes": content, "path": None}, {"bytes": bytearray(content), "path": "no/such.wav"}]
    found += [{"bytes": None, "path": str(path)}, {"path": path}]
    found += [f"{path}#0-", (path, 0, pd.NaT), (str(path), datetime.timedelta(0), None), (path, 0.0, np.nan)]
    if samples.dtype.kind == "f":
        found.append({"array": samples.tolist(), "sampling_rate": rate})
    return found if rate != RATE else [*found, samples, tensor, rows]


@LAW
@given(st.data())
def test_all_forms_are_the_same_wave_as_the_file(tmp_path, data):
    dtype = data.draw(st.sampled_from(list(SUBTYPES)))
    rate = data.draw(st.sampled_from([8000, RATE, 44100]))
    n_channels = data.draw(st.sampled_from([None, 1, 2, 6]))
    samples = noise(data.draw(st.integers(600, 3000)), n_channels, seed=data.draw(st.integers(0, 9)))
    kind = np.dtype(dtype).kind
    if kind != "f":
        samples = np.round(samples * np.iinfo(dtype).max) if kind == "i" else np.round(samples * 127) + 128
    samples = samples.astype(dtype)
    path = tmp_path / "file.wav"
    if kind == "u":  # soundfile writes no uint8, but 8 bits of what is a whole number of them
        soundfile.write(path, (samples.astype(np.float64) - 128) / 128, rate, subtype="PCM_U8")
    else:
        soundfile.write(path, samples, rate, subtype=SUBTYPES[dtype])
    expected = read(path)
    for item in forms(samples, rate, path):
        assert_array_equal(read(item), expected)
        assert_array_equal(read(check_audio(item)), expected)
        assert_array_equal(read(pickle.loads(pickle.dumps(check_audio(item)))), expected)


def test_eight_bits_are_around_128():
    assert_array_equal(read_audio(np.array([0, 64, 128, 192], dtype=np.uint8), sampling_rate=RATE), [-1, -0.5, 0, 0.5])


def test_the_longer_axis_is_time():
    left, right = noise(seed=1), noise(seed=2)
    mean = read((left + right) / 2)
    for item in (np.stack([left, right]), np.stack([left, right], axis=1), torch.as_tensor(np.stack([left, right]))):
        np.testing.assert_allclose(read(item), mean, atol=1e-7)
    assert len(read(np.zeros((1, 100)))) == 100
    assert len(read(np.zeros((9, 8)))) == 9
    with pytest.raises(AudioError, match=r"shape \(80, 3000\), which does not tell samples from channels"):
        check_audio(np.zeros((80, 3000)))  # a spectrogram


# ---------------------------------------------------------------------- parts of files


@LAW
@given(st.data())
def test_a_part_is_what_it_would_be_in_a_file_of_its_own(tmp_path, data):
    rate = data.draw(st.sampled_from([8000, RATE, 44100]))
    container, subtype = data.draw(st.sampled_from(CODECS))
    (tmp_path / "whole").write_bytes(encoded(noise(20000), rate, container=container, subtype=subtype))
    with soundfile.SoundFile(tmp_path / "whole") as file:  # soundfile.read seeks first: 1e-7 off in MP3
        whole = file.read(dtype="float32")
    start, end = sorted(data.draw(st.lists(st.integers(0, len(whole)), min_size=2, max_size=2, unique=True)))
    soundfile.write(tmp_path / "part.wav", whole[start:end], rate, subtype="FLOAT")
    try:
        expected = read(tmp_path / "part.wav")
    except AudioError as error:
        assert "too short" in str(error)  # noqa: PT017
        return
    path, bounds = str(tmp_path / "whole"), (start / rate, end / rate)
    items = [(path, *bounds), [tmp_path / "whole", *bounds], f"{path}#{bounds[0]!r}-{bounds[1]!r}"]
    items.append((path, *(pd.Timedelta(round(bound * 1e9), "ns") for bound in bounds)))
    items.append((path, *(np.timedelta64(round(bound * 1e9), "ns") for bound in bounds)))
    items += [(path, bounds[0], pd.NaT), f"{path}#{bounds[0]!r}-"] if end == len(whole) else []
    for item in items:
        assert_array_equal(read(item), expected)


@pytest.fixture
def second(tmp_path):
    """A file of one second."""
    path = tmp_path / "second.flac"
    soundfile.write(path, noise(RATE), RATE)
    return str(path)


@pytest.mark.parametrize(
    ("bounds", "match"),
    [
        ((-0.5, 1), r"second\.flac' from -0\.5 to 1 s cannot be: start and end are seconds from the beginning"),
        ((0, -1), "from 0 to -1 s cannot be"),
        ((float("inf"), None), "from inf to its end s cannot be"),
        ((0, 10**400), "from 0 to inf s cannot be"),
        ((0.5, 0.5), r"from 0\.5 to 0\.5 s is empty: the end must be after the start"),
        ((0.9, 0.1), "is empty"),
        ((0.5, 0.50001), r"has no samples at 16000 Hz"),
        ((0.5, 1.001), r"second\.flac' from 0\.5 to 1\.001 s is beyond the end of the file, which has 1 s"),
        ((1, None), "from 1 to its end s is beyond the end"),
        ((1e308, None), "is beyond the end"),
        (("0.5", 1), r"the start in \(file, start, end\) must be seconds or a Timedelta, got '0\.5'"),
        ((0, True), "the end in .* must be seconds or a Timedelta, got True"),
        ((pd.NaT, 1), "the start in .* must be seconds or a Timedelta, got NaT"),
        ((None, 1), "the start in .* must be seconds or a Timedelta, got None"),
        ((0, np.timedelta64(3, "M")), "the end in .* cannot be made seconds"),
    ],
)
def test_bounds_that_cannot_be_are_refused(second, bounds, match):
    for function in (read_audio, audio_seconds):
        with pytest.raises(AudioError, match=match):
            function((second, *bounds), sampling_rate=RATE)


def test_a_file_of_that_very_name_is_the_file(second, tmp_path):
    name = f"{second}#0.25-0.5"
    assert len(read(name)) == RATE // 4
    soundfile.write(name, noise(100), RATE, format="WAV")
    assert len(read(name)) == 100
    assert len(read(f"{name}#0-0.005")) == 80
    assert len(read((name, 0, 0.005))) == 80
    for other in ("#a-b", "#1.5", "#1,5-2", "#1.2.3-4", "#-"):
        with pytest.raises(AudioError, match=rf"{other}' does not exist"):
            read_audio(second + other, sampling_rate=RATE)
    with pytest.raises(AudioError, match=r"such\.wav' does not exist"):
        read_audio(tmp_path / "such.wav#0-1", sampling_rate=RATE)
    assert check_audio("a\0b#0-1") == Segment("a\0b", 0.0, 1.0)


@pytest.mark.parametrize("bounds", ["-0.5-1", "0--1", "0.9-0.1", "0.5-1.001", "1-", "1e308-", "0-1e999", "+.5-.5"])
def test_bounds_in_a_name_that_cannot_be_are_refused(second, bounds):
    with pytest.raises(AudioError, match=r"second\.flac' from .* s (cannot be|is empty|is beyond the end)"):
        read_audio(f"{second}#{bounds}", sampling_rate=RATE)


# ---------------------------------------------------------------------- bytes, and what libsndfile cannot decode


def test_bytes_are_checked_as_files_are():
    whole = encoded(noise())
    for content, match in {
        b"": r"'a\.wav' is empty \(0 bytes\)",
        b"this is no audio": r"'a\.wav' is not audio that can be read: ",
        whole[:9000]: r"'a\.wav' is truncated: 8956 of 16000 bytes",
        whole + noise(500).tobytes(): r"'a\.wav' declares 16000 bytes of samples, but has more after them",
    }.items():
        with pytest.raises(AudioError, match=match):
            read_audio({"bytes": content, "path": "a.wav"}, sampling_rate=RATE)
    with pytest.raises(AudioError, match="the audio in 16 bytes is not audio that can be read"):
        read_audio({"bytes": b"this is no audio"}, sampling_rate=RATE)


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"\0\0\0\x20ftypM4A ", "a b.m4a", r"MP4 \(m4a, aac, 3gp\)"),
        (b"\0\0\0\x18ftypmp42", "call.mp4", "MP4"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81", "a.webm", "WebM"),
        (b"\xff\xf1\x50\x80\x02\x1f\xfc", "a.aac", "AAC"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a.wma", "WMA"),
        (b"#!AMR\n", "a.amr", "AMR"),
    ],
)
def test_what_libsndfile_cannot_decode_is_told_with_the_command_that_mends_it(tmp_path, head, name, kind):
    path = tmp_path / name
    path.write_bytes(head + bytes(range(256)) * 40)
    quoted = f"'{path}'" if " " in name else str(path)
    command = f"ffmpeg -i {quoted} {quoted.replace(path.suffix, '.flac')}$"
    for item in (path, (path, 0, 1), {"bytes": path.read_bytes(), "path": str(path)}):
        for function in (read_audio, audio_seconds):
            with pytest.raises(AudioError, match=f"{name}' is {kind}.*, which libsndfile cannot decode.*{command}"):
                function(item, sampling_rate=RATE)


def test_a_decoder_says_how_to_get_the_file():
    class Decoder:
        def get_all_samples(self):
            """As those of torchcodec."""

    with pytest.raises(AudioError, match=r"of type Decoder. Take .* datasets\.Audio\(decode=False\)"):
        check_audio(Decoder())


# ---------------------------------------------------------------------- vectors


def test_all_forms_in_a_column_have_the_vector_of_the_file(wavlm, tmp_path):
    wave = noise(6000).astype(np.float32)
    path = tmp_path / "file.wav"
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    long = tmp_path / "long.flac"
    soundfile.write(long, np.concatenate([noise(3000, seed=1), wave]), RATE, subtype="PCM_24")
    column = pd.Series(list(forms(wave, RATE, path)))
    encoder = SpeechEncoder(wavlm).fit([path])
    (expected,) = encoder.transform([path])
    found = encoder.transform(column)
    np.testing.assert_allclose(found, np.tile(expected, (len(column), 1)), atol=1e-6)
    segments = [(str(long), pd.Timedelta("187.5ms"), pd.NaT), (str(path), pd.Timedelta(0), pd.Timedelta("1ms"))]
    index = pd.MultiIndex.from_tuples(segments, names=["file", "start", "end"])  # as audformat has it
    part, other = encoder.transform(index)
    np.testing.assert_allclose(part, expected, atol=1e-4)
    assert abs(other - expected).max() > 1e-2


def test_the_key_of_a_part_is_content_and_bounds(wavlm, second, tmp_path, embedded):
    encoder = SpeechEncoder(wavlm, cache_dir=tmp_path / "cache").fit([second])
    expected = encoder.transform([second, (second, 0.25, 0.5), (second, 0.25, None)])
    assert sum(embedded) == 3
    assert len(np.unique(expected, axis=0)) == 3
    copy = tmp_path / "copy.flac"
    copy.write_bytes(content := Path(second).read_bytes())
    same = [{"bytes": content, "path": None}, f"{copy}#0.25-0.5", (copy, pd.Timedelta("250ms"), pd.NaT)]
    assert_array_equal(encoder.transform(same), expected)
    assert sum(embedded) == 3
    soundfile.write(copy, noise(RATE, seed=5), RATE)
    assert abs(encoder.transform([(copy, 0.25, 0.5)])[0] - expected[1]).max() > 1e-3
    assert sum(embedded) == 4
    keys = {segment_digest(Segment("a", *bounds), b"0" * 16) for bounds in [(0.0, 1.0), (0.0, None), (1.0, None)]}
    assert len(keys) == 3


def test_parts_that_cannot_be_read_are_told_by_position(wavlm, second, tmp_path):
    column = [(second, 0, 0.5), (second, 0.5, 2), str(tmp_path / "none.wav#0-1"), (second, -1, 2)]
    encoder = SpeechEncoder(wavlm, on_error="nan").fit([second])
    assert np.isnan(encoder.transform(column)).all(axis=1).tolist() == [False, True, True, True]
    with pytest.raises(AudioError, match=r"at position 1 cannot be embedded: .* from 0\.5 to 2 s is beyond the end"):
        encoder.set_params(on_error="raise").transform(column[:2])
