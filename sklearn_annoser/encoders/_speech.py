"""`SpeechEncoder` and `WavLMEncoder`: columns of audio to vectors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np

from sklearn_annoser._validation import check_number
from sklearn_annoser.encoders._audio import (
    array_digest,
    audio_seconds,
    check_file,
    content_digest,
    read_audio,
    segment_digest,
)
from sklearn_annoser.encoders._base import FrozenEncoder
from sklearn_annoser.encoders._batches import SECONDS_A_BATCH, budget_on
from sklearn_annoser.encoders._files import file_state
from sklearn_annoser.encoders._forms import Audio, AudioError, Segment, Undecoded, check_audio
from sklearn_annoser.encoders._loop import Failures

__all__ = ["SpeechEncoder", "WavLMEncoder"]


class SpeechEncoder(FrozenEncoder):
    """Audio to vectors by a frozen pretrained speech network: WavLM, HuBERT, wav2vec 2.0, data2vec, UniSpeech, Whisper.

    Each utterance gets the hidden states of a layer, pooled over time. The vector of an utterance does not depend on
    what else is in its batch: waveforms go through the convolutions one at a time, and padding is kept out of the
    transformer's attention and of the pooling. Audio shorter than what the first frame sees (25 ms for most networks)
    is followed by silence up to that length; longer than `max_seconds` it is cut into equal pieces, whose frames are
    pooled together. Whisper works on the audio as long as it is, not on 30 seconds of mostly silence.

    Parameters
    ----------
    model : str or path, default="microsoft/wavlm-base-plus"
        A folder with a saved model and its feature extractor, or a name on the Hugging Face hub.
    revision : str, default=None
        Branch, tag or commit on the hub.
    local_files_only : bool, default=False
        Whether to use what is on this machine only.
    layers : int, sequence of int or "all", default=-1
        0 is the input of the first transformer layer, 1 the output of the first, -1 the output of the last.
    combine : {"concat", "mean"}, default="concat"
        Whether several layers are joined, or averaged before pooling.
    pooling : {"mean", "std", "mean+std", "max"}, default="mean"
        How frames become one vector.
    max_seconds : float, default=60.0
        Longest piece of audio that the network is given at once. Its memory grows with the square. For Whisper at
        most 30.
    batch_seconds : float, default=None
        Seconds of audio in a batch, padding included. None: 4 on a CPU, 320 on a GPU.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1" ...; "auto" takes a GPU if there is one.
    dtype : {"float32", "bfloat16", "auto"}, default="float32"
        What the network calculates in. Vectors are always float32. "auto": bfloat16 where the CPU (or GPU) has
        instructions for it, and float32 where bfloat16 is wrong, with a warning.
    n_jobs : int, default=None
        Processes, or workers of joblib's backend (`joblib.parallel_config`). Each loads the model once.
    cache_dir : path, default=None
        Folder where vectors are kept, by the content of the audio and by everything that decides the vector; several
        processes may share it. None: nothing is kept.
    on_error : {"raise", "nan", "skip_warn"}, default="raise"
        What an utterance gets that cannot be read: an error, a row of NaN, or a row of NaN and a warning. What has been
        embedded before an error is in the cache.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    fingerprint_ : str
        Hash of the files that decide its vectors: weights, configuration, feature extractor.
    dtype_ : str
        What the network calculates in, chosen in `fit`.
    layers_ : list of int
        The layers, counted from 0.
    hidden_size_ : int
        Width of one layer.
    model_type_ : str
        "wavlm", "whisper" ...: what the output columns are called after.
    n_features_in_ : int
        1.

    See Also
    --------
    WavLMEncoder : The same under the name of its default.
    TextEncoder : Vectors of text.

    Notes
    -----
    A column holds paths; parts of files, ``"path#start-end"`` or ``(path, start, end)`` in seconds; arrays of floats
    (or of uint8, int16 or int32), or tensors, at the sampling rate of the network, (n,), (n, n_channels) or
    (n_channels, n); pairs of such an array and its sampling rate; or what datasets makes of audio. Files may have any
    format that libsndfile reads, any sampling rate (resampled by soxr) and any number of channels (averaged).

    Examples
    --------
    >>> from sklearn_annoser import SpeechEncoder
    >>> encoder = SpeechEncoder("openai/whisper-tiny.en", pooling="mean+std", cache_dir="vectors")
    >>> X = encoder.fit_transform(["a.wav", "b.flac"])  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (2, 768)
    """

    KIND = "speech"
    POOLINGS = ("mean", "std", "mean+std", "max")

    def __init__(
        self,
        model: str | os.PathLike[str] = "microsoft/wavlm-base-plus",
        *,
        revision: str | None = None,
        local_files_only: bool = False,
        layers: int | Sequence[int] | str = -1,
        combine: str = "concat",
        pooling: str = "mean",
        max_seconds: float = 60.0,
        batch_seconds: float | None = None,
        device: str = "auto",
        dtype: str = "float32",
        n_jobs: int | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        on_error: str = "raise",
        verbose: int = 0,
    ) -> None:
        super().__init__(
            model,
            revision=revision,
            local_files_only=local_files_only,
            layers=layers,
            combine=combine,
            pooling=pooling,
            device=device,
            dtype=dtype,
            n_jobs=n_jobs,
            cache_dir=cache_dir,
            on_error=on_error,
            verbose=verbose,
        )
        self.max_seconds = max_seconds
        self.batch_seconds = batch_seconds

    def _check_parameters(self) -> None:
        """Check the parameters."""
        super()._check_parameters()
        check_number("max_seconds", self.max_seconds, low=0.1)
        if self.batch_seconds is not None:
            check_number("batch_seconds", self.batch_seconds, low=0, open_low=True)

    def _check_item(self, item: Any) -> Audio:
        """Return an utterance that looks as it should."""
        audio = check_audio(item)
        if isinstance(audio, Segment):
            return replace(audio, path=File(audio.path))
        return File(audio) if isinstance(audio, str) else audio

    def _identify(self, items: Mapping[int, Audio], cache: Any) -> tuple[dict[int, bytes], dict[int, Exception]]:
        """Return a hash of each file, part of a file, or array."""
        rate = self._model().sampling_rate
        keys: dict[int, bytes] = {}
        paths: dict[int, str] = {}
        failures: dict[int, Exception] = {}
        for position, item in items.items():
            if isinstance(item, Undecoded):
                keys[position] = content_digest(item)
            elif not isinstance(item, (str, Segment)):
                keys[position] = array_digest(item, sampling_rate=rate)
            else:
                path = file_of(item)
                try:
                    check_file(path)
                except AudioError as error:
                    failures[position] = error
                else:
                    paths[position] = path
        for position, digest in zip(paths, cache.file_digests(list(paths.values())), strict=True):
            if isinstance(digest, OSError):
                failures[position] = AudioError(f"{paths[position]!r} cannot be read: {digest}.")
            else:
                item = items[position]
                keys[position] = segment_digest(item, digest) if isinstance(item, Segment) else digest
        return keys, failures

    def _measure(self, items: Mapping[bytes, Audio]) -> tuple[dict[bytes, float], Failures]:
        """Return the seconds of each utterance, from the header of its file."""
        rate = self._model().sampling_rate
        seconds: dict[bytes, float] = {}
        failures: Failures = {}
        for key, item in items.items():
            try:
                seconds[key] = audio_seconds(item, sampling_rate=rate)
            except AudioError as error:
                failures[key] = error
        return seconds, failures

    def _read(self, item: Audio) -> list[np.ndarray]:
        """Return the waveform of an utterance, in pieces if it is long."""
        model = self._model()
        wave = read_audio(item, sampling_rate=model.sampling_rate)
        file = file_of(item)
        if isinstance(file, File) and file.seen != what_is_there(file):  # the vector would be kept as that of before
            raise AudioError(f"{str(file)!r} changed while it was read. Try again when it has been written.")
        return model.pieces(wave, self.max_seconds * model.sampling_rate)

    def _budget(self) -> float:
        """Return how many seconds of audio a batch may hold."""
        return self.batch_seconds or budget_on(self._model().device, SECONDS_A_BATCH)

    def _amount(self, total: float) -> str:
        """Return seconds of audio in words."""
        return f"{timedelta(seconds=round(total))}"

    def _longest(self) -> dict[str, Any]:
        """Return how long a piece of audio may be."""
        return {"max_seconds": float(self.max_seconds)}


class File(str):
    """The path of a file, with what was there when the work began."""

    def __init__(self, path: str) -> None:
        self.seen = what_is_there(path)


def file_of(item: Any) -> Any:
    """Return the file that a segment is a part of, and anything else as it is."""
    return item.path if isinstance(item, Segment) else item


def what_is_there(path: str) -> tuple[int, ...]:
    """Return what differs when a file is written or another takes its place; () if there is none."""
    try:
        size, changed, _, inode = file_state(os.stat(path))
    except (OSError, ValueError):
        return ()
    return size, changed, inode


class WavLMEncoder(SpeechEncoder):
    """Audio to the mean of WavLM's (base plus) last hidden states, as in the paper: `SpeechEncoder` with its default.

    It takes the parameters of :class:`SpeechEncoder`, and any of its models.

    Examples
    --------
    >>> from sklearn_annoser import WavLMEncoder
    >>> WavLMEncoder(cache_dir="vectors").model
    'microsoft/wavlm-base-plus'

    References
    ----------
    S. Chen et al., "WavLM: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing", IEEE Journal of
    Selected Topics in Signal Processing 16 (6), 2022, https://doi.org/10.1109/JSTSP.2022.3188113
    """
