"""What is no audio, cannot be read, or is truncated or damaged is refused with the reason, or read as promised."""

import io
import os

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal

from sklearn_annoser.encoders._audio import AudioError, array_digest, audio_seconds, check_audio, read_audio
from tests.encoders.sounds import MONO, RATE, encoded, noise, read_or_refuse, soundfile

FUNCTIONS = (read_audio, audio_seconds)

# ---------------------------------------------------------------------- what is no audio

NO_ITEM = [
    (None, "it is missing"),
    (np.nan, "it is missing"),
    (np.float32("nan"), "it is missing"),
    (pd.NA, "it is missing"),
    (3, "expected the path of a file, an array of samples, a pair .*, got 3 of type int"),
    ({"array": noise()}, 'a dict with "array" must have its "sampling_rate"'),
    ({"array": noise(), "sampling_rate": 16}, r"must be from 1000 to 1e\+09 Hz, got 16"),
    ({"array": [1, 2, 3], "sampling_rate": RATE}, "must be floating .*, got int64"),
    ({"bytes": None, "path": None}, r"it is missing: a dict with the keys \['bytes', 'path'\] has no audio"),
    ({"bytes": None, "path": np.nan}, "it is missing: a dict with the keys"),
    ({"path": 3}, '"path" must be the path of a file, got 3'),
    ({"path": b"a.wav"}, '"path" must be the path of a file, got b.a.wav'),
    ({}, "it is missing: a dict with the keys"),
    ({"bytes": "RIFF"}, '"bytes" must be the bytes of a sound file, got .RIFF'),
    (b"a.wav", "expected the path of a file, .* of type bytes"),
    (io.BytesIO(), "expected the path of a file, .* of type BytesIO"),
    ([0.1, 0.2], r"a pair .*, got the list \[0.1, 0.2\]"),
    ((noise(), RATE, 1), "a pair .*, got the tuple"),
    ((), r"a pair .*, got the tuple \(\)"),
    (("a.wav", RATE), "a pair .*, got the tuple"),
    (("16000", noise()), "the sampling rate must be a number of Hz, got '16000'"),
    ((np.float64(0.1), np.float64(0.2)), r"must have shape \(n_samples,\) or \(n_samples, n_channels\), got \(\)"),
    ((noise(), noise()), "the sampling rate comes second in a pair"),
    (np.float64(1), r"must have shape \(n_samples,\) or \(n_samples, n_channels\), got \(\)"),
    (np.zeros((2, 3, 4)), r"must have shape .*, got \(2, 3, 4\)"),
    (np.zeros(0), r"has no samples: its shape is \(0,\)"),
    (np.zeros((0, 2)), r"has no samples: its shape is \(0, 2\)"),
    (np.zeros((5, 0)), r"has no samples: its shape is \(5, 0\)"),
    (np.zeros((9, 800)), r"has shape \(9, 800\), which does not tell samples from channels. Give .* more samples than"),
    (torch.zeros((2, 2)), r"has shape \(2, 2\), which does not tell .*, or the mean of the channels"),
    (np.zeros(9, dtype=np.int8), "must be floating with full scale 1, or uint8, int16 or int32, got int8"),
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
    ((noise(), np.float16("inf")), r"must be from 1000 to 1e\+09 Hz, got inf"),
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


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("shape", [(8000,), (8000, 2)])
def test_samples_that_are_not_finite_are_counted(tmp_path, bad, shape):
    samples = noise(*shape)
    samples[[1234, 5000]] = bad
    samples[4321] = -samples[1234]  # in one channel +inf, in the other -inf
    match = "has samples that are NaN or infinite: 3 of 8000, the first at position 1234"
    for item in (samples, (samples, 44100)):
        with pytest.raises(AudioError, match=f"the array {match}"):
            read_audio(item, sampling_rate=RATE)
    path = tmp_path / "bad.wav"
    soundfile.write(path, samples, RATE, subtype="DOUBLE")
    with pytest.raises(AudioError, match=f"{str(path)!r} {match}"):
        read_audio(path, sampling_rate=RATE)


WAVE = noise()


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        ((WAVE * 32767).astype(np.int16).astype(np.float32), "array reaches 1.*, but the full scale of floats is 1"),
        (np.round(WAVE * 5), "array reaches 2, but .* Divide by their full scale, 32768 for 16 bits"),
        (WAVE.astype(np.float16) * 60_000, "array reaches 3.*, but the full scale"),
        (WAVE * 32767.3, "but the full scale"),
        ((WAVE * 2e38).astype(np.float32), r"array reaches 9.99.*e\+37, but the full scale"),
        (np.repeat(np.round(WAVE * 5)[:, None], 2, axis=1), "array reaches 2, but"),
        ((WAVE * 32767).astype(np.int32), "reaches 1.* of the 2147483648 .* samples of 16 bits. Give them as int16"),
        (np.ma.masked_greater(WAVE, 0.4), "array has masked samples: fill them"),
    ],
)
def test_samples_on_another_scale_are_refused(tmp_path, samples, match):
    with pytest.raises(AudioError, match=match):
        read_audio(samples, sampling_rate=RATE)
    if samples.dtype == np.float32:
        soundfile.write(tmp_path / "scale.wav", samples, RATE, subtype="FLOAT")
        with pytest.raises(AudioError, match=r"scale\.wav' reaches .* full scale of floats is 1"):
            read_audio(tmp_path / "scale.wav", sampling_rate=RATE)


@pytest.mark.parametrize("rate", [RATE, 44100])
@pytest.mark.parametrize(
    "samples",
    [
        np.sign(WAVE),
        np.sign(WAVE).astype(np.int16),
        WAVE * 2.7,  # clipped later, or as MP3 overshoots
        (WAVE - WAVE.mean()) / WAVE.std() * 20,
        np.zeros(8000, dtype=np.int32),
        (WAVE * 2**20).astype(np.int32),
        np.ma.masked_array(WAVE),
    ],
)
def test_loud_and_quiet_samples_are_audio(samples, rate):
    assert np.isfinite(read_audio((samples, rate), sampling_rate=RATE)).all()


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


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("size", [2, 4000, 8000, 8001, 14_000])
def test_a_header_that_declares_fewer_samples_than_follow_is_refused(tmp_path, size, quiet):
    data = encoded(np.zeros(8000) if quiet else noise())
    for container in (size + 36, len(data) - 8, 2**32 - 1):
        (tmp_path / "a.wav").write_bytes(with_field(with_field(data, 40, size), 4, container))
        refused(tmp_path / "a.wav", f"declares {size} bytes of samples, but has more after them: its header is wrong")
    (tmp_path / "a.wav").write_bytes(with_field(with_field(data, 40, 0), 4, 0))
    refused(tmp_path / "a.wav", "has no samples")


@pytest.mark.parametrize(
    "after",
    [
        b"LIST" + (4).to_bytes(4, "little") + b"INFO",
        b"zzzz" + (4000).to_bytes(4, "little") + b"x" * 4000,
        b"ID3\3" + b"x" * 4000,
        bytes(1000),
        b"\1\2\3",
    ],
)
def test_what_else_lies_after_the_samples_is_no_damage(tmp_path, after):
    data = encoded(noise())
    (tmp_path / "a.wav").write_bytes(data)
    whole = read_audio(tmp_path / "a.wav", sampling_rate=RATE)
    (tmp_path / "a.wav").write_bytes(data + after)
    assert_array_equal(read_audio(tmp_path / "a.wav", sampling_rate=RATE), whole)


def test_a_list_right_after_an_odd_number_of_bytes_is_no_damage(tmp_path):
    data = encoded(noise(7999), subtype="PCM_U8")[: 44 + 7999]
    (tmp_path / "odd.wav").write_bytes(data + b"LIST" + (2000).to_bytes(4, "little") + b"INFO" + bytes(1996))
    assert len(read_audio(tmp_path / "odd.wav", sampling_rate=RATE)) == 7999


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
