"""Loading a pretrained network once a process, from a folder or the hub, whole or not at all."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import torch

from sklearn_annoser._optional import import_transformers
from sklearn_annoser.encoders._arithmetic import RoundingError, check_float32, fast_dtype, plain_arithmetic
from sklearn_annoser.encoders._files import State, folder_state, model_fingerprint, refuse_code
from sklearn_annoser.encoders._memory import keep_memory
from sklearn_annoser.encoders._models import UNUSED, ConvolutionalModel, FrozenModel, TextModel, WhisperModel

N_LOADED = 4  # models that a process keeps
SPEECH = ("wavlm", "wav2vec2", "hubert", "data2vec-audio", "unispeech", "unispeech-sat", "whisper")


def check_device(device: Any) -> torch.device:
    """Return a torch device that is there; "auto" is a GPU, if there is one."""
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:
        there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} is not on this machine, which has {there}: {reason}") from error
    return found


class Source(NamedTuple):
    """Where the files of a model come from, as they are now."""

    name: str  # of a folder, or on the hub
    revision: str | None
    local_files_only: bool
    files: tuple[tuple[str, State], ...] | None  # of the folder

    @property
    def options(self) -> dict[str, Any]:
        """Return what transformers is told beside the name; files of others are data, their code is never run."""
        options = {"revision": self.revision, "local_files_only": self.local_files_only}
        return options | {"trust_remote_code": False}

    def folder(self, transformers: Any) -> str:
        """Return the folder of the files: for a name on the hub, that of the commit in the cache of this machine."""
        if self.files is not None:
            return self.name
        where = {"revision": self.revision, "local_files_only": self.local_files_only}
        return os.path.dirname(transformers.utils.cached_file(self.name, "config.json", **where))


def load_model(
    kind: str, model: Any, *, revision: str | None, local_files_only: bool, device: Any, dtype: str
) -> FrozenModel:
    """Return the model of this process; it is loaded once, and anew when the files of its folder change.

    The dtype "auto" is float32 where the fastest one is wrong.
    """
    name = os.path.expanduser(os.fspath(model))
    found = check_device(device)
    files = folder_state(name) if os.path.isdir(name) else None
    source = Source(name, revision, local_files_only, files)
    chosen = fast_dtype(found) if dtype == "auto" else dtype
    try:
        return _load_model(kind, source, found, getattr(torch, chosen))
    except RoundingError as error:
        if dtype != "auto":
            raise
        warnings.warn(f"{str(error).removesuffix('.')}, as dtype='auto' does now.", RuntimeWarning, stacklevel=4)
        return _load_model(kind, source, found, torch.float32)


@lru_cache(maxsize=N_LOADED)
def _load_model(kind: str, source: Source, device: torch.device, dtype: torch.dtype) -> FrozenModel:
    """Load a model, and see that it calculates rightly."""
    keep_memory()
    check_float32(device)
    transformers = import_transformers()
    with plain_arithmetic(device), _quiet(transformers):
        with _explained(source):
            folder = source.folder(transformers)
            refuse_code(folder)
            if source.files is None:  # all of it from one commit
                source = source._replace(revision=os.path.basename(folder))
            config = transformers.AutoConfig.from_pretrained(source.name, **source.options)
        _check_kind(kind, source.name, config)
        with _explained(source):
            network = _load_network(transformers, source, config)
            processor = _load_processor(transformers, source, config)
            refuse_code(folder)
            fingerprint = model_fingerprint(folder)
            if source.files is not None and source.files != folder_state(folder):
                raise ValueError("its files changed while they were read. Try again when they have been written.")
    make = TextModel if kind == "text" else WhisperModel if config.model_type == "whisper" else ConvolutionalModel
    model = make(network, processor, device=device)
    model.fingerprint = fingerprint
    model.prepare(dtype)
    return model


def _check_kind(kind: str, name: str, config: Any) -> None:
    """Raise if a model is not of the kind that an encoder takes."""
    if kind == "speech" and config.model_type not in SPEECH:
        raise ValueError(
            f"model {name!r} is of the type {config.model_type!r}, which SpeechEncoder cannot take. It takes "
            f"{', '.join(SPEECH)}; for models of text there is TextEncoder."
        )
    if kind == "text" and (config.model_type in SPEECH or not hasattr(config, "vocab_size")):
        raise ValueError(
            f"model {name!r} is of the type {config.model_type!r}, not one of text. "
            "For models of speech there is SpeechEncoder."
        )


def _load_network(transformers: Any, source: Source, config: Any) -> Any:
    """Return the network, all of whose weights came from the files."""
    if "WhisperEncoder" in (config.architectures or []):  # the encoder alone was saved
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        kind: Any = WhisperEncoder
    else:
        kind = transformers.AutoModel
    network, report = kind.from_pretrained(source.name, config=config, output_loading_info=True, **source.options)
    missing = sorted(key for key in report["missing_keys"] if not any(part in key for part in UNUSED))
    if config.is_encoder_decoder and kind is transformers.AutoModel:
        network = network.get_encoder()
        missing = [key for key in missing if key.startswith("encoder.")]
    if missing or report["mismatched_keys"]:
        wrong = missing or [str(key) for key in report["mismatched_keys"]]
        raise ValueError(
            f"its files lack {len(wrong)} weights of the network, such as {wrong[0]!r}, which would be random."
        )
    return network.float().eval()


def _load_processor(transformers: Any, source: Source, config: Any) -> Any:
    """Return the feature extractor or the tokenizer that the model was trained with."""
    if config.model_type not in SPEECH:
        return transformers.AutoTokenizer.from_pretrained(source.name, **source.options)
    try:
        return transformers.AutoFeatureExtractor.from_pretrained(source.name, **source.options)
    except (OSError, ValueError) as error:
        if config.model_type == "whisper":  # all of them take the same, but for the number of mel bands
            return transformers.WhisperFeatureExtractor(feature_size=config.num_mel_bins)
        raise ValueError(
            "it has no preprocessor_config.json, which says how the audio is normalised. Save the feature extractor "
            "into the same folder: Wav2Vec2FeatureExtractor(do_normalize=...).save_pretrained(folder)."
        ) from error


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep the progress bars, reports and warnings of loading to themselves."""
    log = transformers.utils.logging
    verbosity, with_bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.set_verbosity(verbosity)
        if with_bars:
            log.enable_progress_bar()


@contextmanager
def _explained(source: Source) -> Iterator[None]:
    """Turn whatever goes wrong while loading into one error that says how to get the model."""
    name = source.name
    try:
        yield
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        if source.files is not None:
            raise OSError(f"the model in the folder {name!r} could not be loaded: {reason}") from error
        tried = "could not be downloaded"
        if source.local_files_only:
            tried = "was not looked for on the hub (local_files_only)"
        raise OSError(
            f"model {name!r} is no folder and not in the Hugging Face cache of this machine, and {tried}. On a machine "
            f"with a network: hf download {name} --local-dir FOLDER; then give that folder as model. ({reason})"
        ) from error
