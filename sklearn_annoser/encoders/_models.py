"""Pretrained networks, loaded once a process: from waveforms or texts to pooled hidden states, padding kept out."""

from __future__ import annotations

import os
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from hashlib import blake2b
from inspect import signature
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from sklearn_annoser._optional import import_transformers

N_LOADED = 4  # models that a process keeps
CONVOLUTIONAL = ("wavlm", "wav2vec2", "hubert", "data2vec-audio", "unispeech", "unispeech-sat")
SPEECH = (*CONVOLUTIONAL, "whisper")
LAYER_LISTS = ("encoder.layers", "encoder.layer", "transformer.layer", "layers", "encoder.block", "block")
UNUSED = ("pooler.", "masked_spec_embed", "embeddings.position_ids")  # weights that no vector depends on
ABOUT_CONFIG = ("_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype")  # not the network


class Enough(Exception):  # noqa: N818 - no error, but the way out of a forward
    """The deepest hidden state that was asked for is there: the layers after it need not run."""


class FrozenModel(ABC):
    """A pretrained network with what prepares its input.

    Parameters
    ----------
    network : module
        The network, in evaluation mode.
    processor : object
        Feature extractor or tokenizer.
    device, dtype : torch.device and torch.dtype
        Where and in which precision it calculates.
    """

    def __init__(self, network: Any, processor: Any, *, device: torch.device, dtype: torch.dtype) -> None:
        config = network.config
        self.fingerprint = fingerprint(network, processor)
        self.network = network.requires_grad_(False).to(device=device, dtype=dtype)
        self.processor = processor
        self.device, self.dtype = device, dtype
        self.model_type = config.model_type.replace("-", "_")
        self.hidden_size = config.hidden_size
        self.n_layers = config.num_hidden_layers
        self.lock = threading.Lock()  # hooks and masks are those of one batch: threads take turns

    def embed(
        self,
        inputs: Sequence[Any],
        *,
        layers: Sequence[int],
        average: bool,
        poolings: Sequence[str],
        budget: float = np.inf,
    ) -> np.ndarray:
        """Return a vector for each input, (n_inputs, n_parts * n_poolings * hidden_size)."""
        with self.lock, torch.inference_mode():
            vectors = []
            for hidden in self.hidden_states(inputs, layers, budget):  # (n_layers, n_frames, hidden_size)
                frames = hidden.float().mean(0, keepdim=True) if average else hidden.float()
                vectors.append(torch.stack([POOL[pooling](frames) for pooling in poolings], dim=1).flatten())
            return torch.stack(vectors).cpu().numpy()

    @abstractmethod
    def hidden_states(self, inputs: Sequence[Any], layers: Sequence[int], budget: float) -> Iterator[Tensor]:
        """Yield the hidden states of each input without its padding, (n_layers, n_frames, hidden_size)."""

    def _tap(self, layers: Sequence[int], forward: Callable[[], Any]) -> list[Tensor]:
        """Run the network as far as the deepest layer asked for, and return these layers' hidden states."""
        states: dict[int, Tensor] = {}
        with ExitStack() as hooked:
            for layer in set(layers) - {self.n_layers}:
                module = self._transformer_layers()[max(layer - 1, 0)]
                register = module.register_forward_hook if layer else module.register_forward_pre_hook
                hook = register(_keep(states, layer, deepest=max(layers)), with_kwargs=True)
                hooked.callback(hook.remove)
            with suppress(Enough):
                states[self.n_layers] = forward().last_hidden_state
        return [states[layer] for layer in layers]

    def _transformer_layers(self) -> nn.ModuleList:
        """Return the list of transformer layers, which has a place of its own in each kind of network."""
        for name in LAYER_LISTS:
            try:
                found = attrgetter(name)(self.network)
            except AttributeError:
                continue
            if len(found) == self.n_layers:
                return found
        raise ValueError(f"the layers of a {self.model_type} model cannot be told apart: use layers=-1.")


def _keep(states: dict[int, Tensor], layer: int, *, deepest: int) -> Callable[..., None]:
    """Return a hook that keeps a hidden state, and ends the run after the deepest."""

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any = None) -> None:
        given = args[0] if args else kwargs["hidden_states"]
        state = given if layer == 0 else output
        states[layer] = state[0] if isinstance(state, tuple) else state
        if layer == deepest:
            raise Enough

    return hook


POOL: dict[str, Callable[[Tensor], Tensor]] = {  # (n_layers, n_frames, hidden_size) -> (n_layers, hidden_size)
    "mean": lambda frames: frames.mean(1),
    "std": lambda frames: frames.std(1, correction=0),
    "max": lambda frames: frames.amax(1),
    "first": lambda frames: frames[:, 0],
}


# ---------------------------------------------------------------------- speech


class SpeechModel(FrozenModel):
    """A speech network in two parts: a front end makes frames of a waveform, a transformer works on padded frames.

    The front end takes one waveform at a time, so that neither its convolutions nor a normalisation over time (group
    norm, of WavLM base among others) ever see padding; the transformer masks padded frames out of its attention.
    """

    sampling_rate: int
    hop: int  # samples from one frame to the next
    field: int  # samples that the first frame sees: the shortest waveform
    longest: float = np.inf  # samples of the longest waveform

    @abstractmethod
    def front(self, wave: np.ndarray) -> Tensor:
        """Return the frames of one waveform, (n_frames, n_channels)."""

    @abstractmethod
    def body(self, frames: Tensor, n_frames: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return the hidden states of padded frames (n_waves, n_frames, n_channels), for each layer."""

    def pieces(self, wave: np.ndarray, max_samples: float) -> list[np.ndarray]:
        """Return a waveform, with silence up to the shortest there can be, in equal pieces of at most `max_samples`."""
        wave = np.pad(wave, (0, max(0, self.field - len(wave))))
        n_frames = max(np.floor(min(max_samples, self.longest) / self.hop), 1)
        n_pieces = max(int(np.ceil(len(wave) / self.hop / n_frames)), 1)
        return np.split(wave, np.arange(1, n_pieces) * len(wave) // (self.hop * n_pieces) * self.hop)

    def hidden_states(self, inputs: Sequence[Any], layers: Sequence[int], budget: float) -> Iterator[Tensor]:
        """Yield the hidden states of each waveform, given as its pieces, which are joined again."""
        pieces = [piece for wave in inputs for piece in wave]
        n_at_once = int(min(max(budget * self.sampling_rate / max(map(len, pieces)), 1), len(pieces)))
        states = iter(
            [
                hidden
                for start in range(0, len(pieces), n_at_once)
                for hidden in self._pass(pieces[start : start + n_at_once], layers)
            ]
        )
        for wave in inputs:
            yield torch.cat([next(states) for _ in wave], dim=1)

    def _pass(self, waves: Sequence[np.ndarray], layers: Sequence[int]) -> list[Tensor]:
        """Run the network on some waveforms at once."""
        frames = [self.front(wave) for wave in waves]
        n_frames = [len(frame) for frame in frames]
        states = self.body(pad_sequence(frames, batch_first=True), torch.tensor(n_frames, device=self.device), layers)
        return [hidden[:, :n] for hidden, n in zip(torch.stack(states, dim=1), n_frames, strict=True)]

    def _prepare(self, wave: np.ndarray, name: str, **options: Any) -> Tensor:
        """Return what the feature extractor makes of one waveform."""
        prepared = self.processor(wave, sampling_rate=self.sampling_rate, return_tensors="np", **options)
        return torch.as_tensor(np.asarray(prepared[name], dtype=np.float32)).to(self.device, self.dtype)


class ConvolutionalModel(SpeechModel):
    """WavLM, wav2vec 2.0, HuBERT and their kin: convolutions over samples, then a transformer."""

    def __init__(self, network: Any, processor: Any, *, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(network, processor, device=device, dtype=dtype)
        self.sampling_rate = processor.sampling_rate
        kernels, strides = network.config.conv_kernel, network.config.conv_stride
        self.hop = int(np.prod(strides))
        self.field = 1 + int(sum((k - 1) * np.prod(strides[:i]) for i, k in enumerate(kernels)))
        self.convolutions = network.feature_extractor
        network.feature_extractor = nn.Identity()  # the network is given frames
        network.adapter = None  # shortens the output for a decoder
        self.frame_mask: Tensor | None = None
        # A stack of convolutions over frames fills the padding after the first, and would read it in the next.
        for module in network.encoder.pos_conv_embed.modules():
            if isinstance(module, nn.BatchNorm1d) or type(module).__name__.endswith("PositionalConvLayer"):
                module.register_forward_hook(lambda module, args, output: self._without_padding(output))

    def front(self, wave: np.ndarray) -> Tensor:
        """Return what the convolutions make of one waveform, (n_frames, n_channels)."""
        return self.convolutions(self._prepare(wave, "input_values"))[0].T

    def body(self, frames: Tensor, n_frames: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return the hidden states of padded frames; the mask is that of waveforms which have just these frames."""
        n_samples = (n_frames - 1) * self.hop + self.field
        mask = torch.arange(int(n_samples.max()), device=self.device) < n_samples[:, None]
        self.frame_mask = torch.arange(frames.shape[1], device=self.device) < n_frames[:, None]
        padded = None if bool(self.frame_mask.all()) else mask.long()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")  # inside of WavLM
            return self._tap(layers, lambda: self.network(frames.transpose(1, 2), attention_mask=padded))

    def _without_padding(self, output: Tensor) -> Tensor:
        """Return an output of a convolution over frames, (n_waves, n_channels, n_frames), with zeros in the padding."""
        assert self.frame_mask is not None
        return output * self.frame_mask[:, None].to(output.dtype)


class WhisperModel(SpeechModel):
    """The encoder of Whisper, on audio of its own length instead of 30 seconds of mostly silence.

    Its forward takes nothing but 30 seconds, and no mask, so that its layers are run here.
    """

    def __init__(self, network: Any, processor: Any, *, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(network, processor, device=device, dtype=dtype)
        self.sampling_rate = processor.sampling_rate
        self.hop = processor.hop_length * network.conv1.stride[0] * network.conv2.stride[0]
        self.field = max(processor.n_fft, self.hop)
        self.longest = network.config.max_source_positions * self.hop
        # Before transformers 5 a layer must be told that no heads are masked.
        needed = signature(network.layers[0].forward).parameters
        self.layer_options = {"layer_head_mask": None} if "layer_head_mask" in needed else {}

    def front(self, wave: np.ndarray) -> Tensor:
        """Return the embedded mel spectrum of one waveform, padded with silence to whole frames."""
        wave = np.pad(wave, (0, -len(wave) % self.hop))
        mel = self._prepare(wave, "input_features", padding="do_not_pad", truncation=False)
        gelu = nn.functional.gelu
        frames = gelu(self.network.conv2(gelu(self.network.conv1(mel))))[0].T
        return frames + self.network.embed_positions.weight[: len(frames)]

    def body(self, frames: Tensor, n_frames: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return the hidden states of padded frames, with the padding out of attention."""
        padding = torch.arange(frames.shape[1], device=self.device) >= n_frames[:, None]
        mask = None
        if bool(padding.any()):
            mask = torch.zeros(padding.shape, dtype=self.dtype, device=self.device)
            mask = mask.masked_fill(padding, torch.finfo(self.dtype).min)[:, None, None]
            mask = mask.expand(-1, 1, frames.shape[1], -1)
        states = [frames]
        for layer in self.network.layers[: max(layers)]:
            output = layer(states[-1], mask, **self.layer_options)
            states.append(output[0] if isinstance(output, tuple) else output)
        if max(layers) == self.n_layers:
            states[-1] = self.network.layer_norm(states[-1])
        return [states[layer] for layer in layers]


# ---------------------------------------------------------------------- text


class TextModel(FrozenModel):
    """BERT and its kin, or any other network over tokens, with its tokenizer."""

    def __init__(self, network: Any, processor: Any, *, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(network, processor, device=device, dtype=dtype)
        self.longest = min(processor.model_max_length, self._n_positions())
        self.tokenizing = threading.Lock()  # a tokenizer's own state is set for each call

    def _n_positions(self) -> int:
        """Return how many tokens have a position; RoBERTa counts positions from after that of the padding."""
        n = getattr(self.network.config, "max_position_embeddings", None) or np.iinfo(np.int64).max
        positions = getattr(getattr(self.network, "embeddings", None), "position_embeddings", None)
        padding = getattr(positions, "padding_idx", None)
        return n if padding is None else n - padding - 1

    def tokens(self, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        """Return the tokens of each text, special ones included; no more than `max_tokens`, if given."""
        options = {} if max_tokens is None else {"truncation": True, "max_length": max_tokens}
        with self.tokenizing:
            return self.processor(list(texts), verbose=False, return_attention_mask=False, **options)["input_ids"]

    def hidden_states(self, inputs: Sequence[Any], layers: Sequence[int], budget: float) -> Iterator[Tensor]:
        """Yield the hidden states of each text, given as its tokens."""
        tokens = [torch.tensor(ids, device=self.device) for ids in inputs]
        padding = self.processor.pad_token_id
        padded = pad_sequence(tokens, batch_first=True, padding_value=0 if padding is None else padding)
        n_tokens = torch.tensor([len(ids) for ids in tokens], device=self.device)
        mask = (torch.arange(padded.shape[1], device=self.device) < n_tokens[:, None]).long()
        states = self._tap(layers, lambda: self.network(input_ids=padded, attention_mask=mask))
        for hidden, n in zip(torch.stack(states, dim=1), n_tokens.tolist(), strict=True):
            yield hidden[:, :n]


# ---------------------------------------------------------------------- loading


def check_device(device: Any) -> torch.device:
    """Return a torch device that is there; "auto" is a GPU, if there is one."""
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} is not on this machine, which has {there}: {reason}") from error
    return found


def load_model(
    kind: str, model: Any, *, revision: str | None, local_files_only: bool, device: Any, dtype: str
) -> FrozenModel:
    """Return the model of this process; it is loaded once, and anew when the files of its folder change."""
    name = os.path.expanduser(os.fspath(model))
    return _load_model(kind, name, revision, local_files_only, check_device(device), dtype, _files(name))


@lru_cache(maxsize=N_LOADED)
def _load_model(
    kind: str, name: str, revision: str | None, local_files_only: bool, device: torch.device, dtype: str, files: Any
) -> FrozenModel:
    """Load a model."""
    transformers = import_transformers()
    where = {"revision": revision, "local_files_only": local_files_only}
    with _quiet(transformers), _explained(name, local_files_only):
        config = transformers.AutoConfig.from_pretrained(name, **where)
    _check_kind(kind, name, config)
    with _quiet(transformers), _explained(name, local_files_only):
        network = _load_network(transformers, name, config, where)
        processor = _load_processor(transformers, name, config, where)
    make = TextModel if kind == "text" else WhisperModel if config.model_type == "whisper" else ConvolutionalModel
    return make(network, processor, device=device, dtype=getattr(torch, dtype))


def _files(name: str) -> tuple[tuple[str, int, int], ...] | None:
    """Return what tells whether the files of a folder have changed; None for a name on the hub."""
    if not os.path.isdir(name):
        return None
    with os.scandir(name) as entries:
        return tuple(sorted((e.name, e.stat().st_size, e.stat().st_mtime_ns) for e in entries if e.is_file()))


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


def _load_network(transformers: Any, name: str, config: Any, where: dict[str, Any]) -> Any:
    """Return the network, all of whose weights came from the files."""
    if "WhisperEncoder" in (config.architectures or []):  # the encoder alone was saved
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        kind: Any = WhisperEncoder
    else:
        kind = transformers.AutoModel
    network, report = kind.from_pretrained(name, config=config, output_loading_info=True, **where)
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


def _load_processor(transformers: Any, name: str, config: Any, where: dict[str, Any]) -> Any:
    """Return the feature extractor or the tokenizer that the model was trained with."""
    if config.model_type not in SPEECH:
        return transformers.AutoTokenizer.from_pretrained(name, **where)
    try:
        return transformers.AutoFeatureExtractor.from_pretrained(name, **where)
    except (OSError, ValueError) as error:
        if config.model_type == "whisper":  # all of them take the same, but for the number of mel bands
            return transformers.WhisperFeatureExtractor(feature_size=config.num_mel_bins)
        raise ValueError(
            "it has no preprocessor_config.json, which says how the audio is normalised. Save the feature extractor "
            "into the same folder: Wav2Vec2FeatureExtractor(do_normalize=...).save_pretrained(folder)."
        ) from error


def fingerprint(network: Any, processor: Any) -> str:
    """Return a hash of all that the vectors of a model depend on: weights, configuration and processor."""
    digest = blake2b(digest_size=16)
    config = {key: value for key, value in network.config.to_dict().items() if key not in ABOUT_CONFIG}
    digest.update(repr(sorted(config.items(), key=lambda item: item[0])).encode())
    digest.update(_processor_text(processor).encode())
    for name, weight in sorted(network.state_dict().items()):
        if not any(part in name for part in UNUSED):
            digest.update(f"{name}{tuple(weight.shape)}".encode())
            digest.update(weight.contiguous().numpy())
    return digest.hexdigest()


def _processor_text(processor: Any) -> str:
    """Return the settings of a feature extractor, or the whole of a tokenizer, as text."""
    if hasattr(processor, "backend_tokenizer"):
        return str(processor.backend_tokenizer.to_str())
    if hasattr(processor, "get_vocab"):
        return repr(sorted(processor.get_vocab().items())) + repr(processor.init_kwargs)
    settings = {key: value for key, value in processor.to_dict().items() if not isinstance(value, np.ndarray)}
    return repr(sorted(settings.items(), key=lambda item: item[0]))


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
def _explained(name: str, local_files_only: bool) -> Iterator[None]:
    """Turn whatever goes wrong while loading into one error that says how to get the model."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        if os.path.isdir(name):
            raise OSError(f"the model in the folder {name!r} could not be loaded: {reason}") from error
        tried = "was not looked for on the hub (local_files_only)" if local_files_only else "could not be downloaded"
        raise OSError(
            f"model {name!r} is no folder and not in the Hugging Face cache of this machine, and {tried}. On a machine "
            f"with a network: hf download {name} --local-dir FOLDER; then give that folder as model. ({reason})"
        ) from error
