"""Pretrained networks: from waveforms or texts to pooled hidden states, padding kept out."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from inspect import signature
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from sklearn_annoser.encoders._arithmetic import (
    MOST_OFF,
    MOST_OFF_IN_FLOAT32,
    check_rounding,
    farthest,
    plain_arithmetic,
    round_network,
    workers,
)
from sklearn_annoser.encoders._convolutions import Frames
from sklearn_annoser.encoders._products import Replacement, replacements

LAYER_LISTS = ("encoder.layers", "encoder.layer", "transformer.layer", "layers", "encoder.block", "block")
UNUSED = ("pooler.", "masked_spec_embed", "embeddings.position_ids")  # weights that no vector depends on


class Enough(Exception):  # noqa: N818 - no error, but the way out of a forward
    """The deepest hidden state that was asked for is there: the layers after it need not run."""


class FrozenModel(ABC):
    """A pretrained network with what prepares its input.

    Parameters
    ----------
    network : module
        The network, in evaluation mode and in float32.
    processor : object
        Feature extractor or tokenizer.
    device : torch.device
        Where it calculates.
    """

    fingerprint = ""  # what tells it from any other, when it has been loaded from files

    def __init__(self, network: Any, processor: Any, *, device: torch.device) -> None:
        config = network.config
        self.network = network.requires_grad_(False).to(device)
        self.processor = processor
        self.device, self.dtype = device, torch.float32
        self.model_type = config.model_type.replace("-", "_")
        self.hidden_size = config.hidden_size
        self.n_layers = config.num_hidden_layers
        self.batch: Any = threading.local()  # what belongs to the batch that a thread works on
        self.watching, self.is_watched = threading.Lock(), False

    def prepare(self, dtype: torch.dtype) -> None:
        """Calculate in a dtype from now on, and the fastest way; both are tried, and given up where they are wrong."""
        with plain_arithmetic(self.device), torch.inference_mode():
            exact = self._example_states()
            quicker = self._quicker(dtype) if self.device.type == "cpu" else []
            if dtype != self.dtype:
                round_network(self.network, dtype)
                self.dtype = dtype
            most_off = MOST_OFF_IN_FLOAT32 if dtype == torch.float32 else MOST_OFF
            for each in quicker:
                each.do()
            try:
                is_right = farthest(self._example_states(), exact) < most_off
            except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
                is_right = False
            for each in reversed(quicker):
                if not is_right or getattr(each.new, "weight_was_read", False):
                    each.undo()
            if dtype != torch.float32:  # what is wrong in float32 itself is found in the vectors
                check_rounding(self._example_states(), exact, dtype)

    def _quicker(self, dtype: torch.dtype) -> list[Replacement]:
        """Return what may take the place of parts of the network, on a CPU."""
        return list(replacements(self.network, dtype))

    def _example_states(self) -> list[Tensor]:
        """Return the last hidden states of the examples."""
        return list(self.hidden_states(self.examples(), [self.n_layers], np.inf))

    @abstractmethod
    def examples(self) -> list[Any]:
        """Return two inputs of different length, always the same."""

    def embed(self, inputs: Sequence[Any], **how: Any) -> np.ndarray:
        """Return a vector for each input of a batch, (n_inputs, n_parts * n_poolings * hidden_size)."""
        with plain_arithmetic(self.device):
            return self._embed(inputs, **how)

    def embed_batches(self, batches: Sequence[Sequence[Any]], **how: Any) -> list[np.ndarray]:
        """Return the vectors of several batches, which share the cores.

        Cores that have a batch each need not wait for each other at every layer.
        """
        n_workers = min(self.n_workers(), len(batches))
        if n_workers < 2:
            return [self.embed(batch, **how) for batch in batches]
        with plain_arithmetic(self.device), workers(n_workers) as pool:
            return [each.result() for each in [pool.submit(self._embed, batch, **how) for batch in batches]]

    def n_workers(self) -> int:
        """Return how many batches may be embedded at once: as many as torch has threads on a CPU."""
        return torch.get_num_threads() if self.device.type == "cpu" else 1

    @torch.inference_mode()
    def _embed(
        self,
        inputs: Sequence[Any],
        *,
        layers: Sequence[int],
        average: bool,
        poolings: Sequence[str],
        budget: float = np.inf,
    ) -> np.ndarray:
        """Return the vectors of a batch; several threads may do so at once."""
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
        if set(layers) != {self.n_layers}:
            self._watch()
        self.batch.wanted, self.batch.states = set(layers), {}
        with suppress(Enough):
            self.batch.states[self.n_layers] = forward().last_hidden_state
        states, self.batch.wanted, self.batch.states = self.batch.states, set(), {}
        return [states[layer] for layer in layers]

    def _watch(self) -> None:
        """Have each transformer layer tell what it takes and gives, from now on."""
        with self.watching:
            if self.is_watched:
                return
            layers = self._transformer_layers()
            layers[0].register_forward_pre_hook(lambda *args: self._keep(0, *args[1:]), with_kwargs=True)
            for number, layer in enumerate(layers[:-1], start=1):
                layer.register_forward_hook(
                    lambda *args, number=number: self._keep(number, *args[1:]), with_kwargs=True
                )
            self.is_watched = True

    def _keep(self, layer: int, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any = None) -> None:
        """Keep a hidden state of this thread's batch, and end the run after the deepest that is wanted."""
        wanted = getattr(self.batch, "wanted", ())
        if layer not in wanted:
            return
        given = args[0] if args else kwargs["hidden_states"]
        state = given if layer == 0 else output
        self.batch.states[layer] = state[0] if isinstance(state, tuple) else state
        if layer == max(wanted):
            raise Enough

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

    def examples(self) -> list[Any]:
        """Return a second and half a second of a tone in noise."""
        n = np.arange(self.sampling_rate)
        wave = (0.3 * np.sin(0.1 * n) + 0.05 * np.random.RandomState(0).normal(size=len(n))).astype(np.float32)
        return [[wave], [wave[: len(wave) // 2]]]

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

    def __init__(self, network: Any, processor: Any, *, device: torch.device) -> None:
        super().__init__(network, processor, device=device)
        self.sampling_rate = processor.sampling_rate
        kernels, strides = network.config.conv_kernel, network.config.conv_stride
        self.hop = int(np.prod(strides))
        self.field = 1 + int(sum((k - 1) * np.prod(strides[:i]) for i, k in enumerate(kernels)))
        network.convolutions = network.feature_extractor
        network.feature_extractor = nn.Identity()  # the network is given frames
        network.adapter = None  # shortens the output for a decoder
        # A stack of convolutions over frames fills the padding after the first, and would read it in the next.
        for module in network.encoder.pos_conv_embed.modules():
            if isinstance(module, nn.BatchNorm1d) or type(module).__name__.endswith("PositionalConvLayer"):
                module.register_forward_hook(lambda module, args, output: self._without_padding(output))

    def _quicker(self, dtype: torch.dtype) -> list[Replacement]:
        """Return what may take the place of parts of the network, the convolutions among them."""
        found = super()._quicker(dtype)
        with suppress(AttributeError, TypeError, ValueError):  # convolutions of another kind
            frames = Frames(self.network.convolutions, dtype)
            found.append(Replacement(self.network, "convolutions", self.network.convolutions, frames))
        return found

    def front(self, wave: np.ndarray) -> Tensor:
        """Return what the convolutions make of one waveform, (n_frames, n_channels)."""
        return self.network.convolutions(self._prepare(wave, "input_values"))[0].T

    def body(self, frames: Tensor, n_frames: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Return the hidden states of padded frames; the mask is that of waveforms which have just these frames."""
        n_samples = (n_frames - 1) * self.hop + self.field
        mask = torch.arange(int(n_samples.max()), device=self.device) < n_samples[:, None]
        self.batch.frame_mask = torch.arange(frames.shape[1], device=self.device) < n_frames[:, None]
        padded = None if bool(self.batch.frame_mask.all()) else mask.long()
        return self._tap(layers, lambda: self.network(frames.transpose(1, 2), attention_mask=padded))

    def _without_padding(self, output: Tensor) -> Tensor:
        """Return an output of a convolution over frames, (n_waves, n_channels, n_frames), with zeros in the padding."""
        return output * self.batch.frame_mask[:, None].to(output.dtype)


class WhisperModel(SpeechModel):
    """The encoder of Whisper, on audio of its own length instead of 30 seconds of mostly silence.

    Its forward takes nothing but 30 seconds, and no mask, so that its layers are run here.
    """

    def __init__(self, network: Any, processor: Any, *, device: torch.device) -> None:
        super().__init__(network, processor, device=device)
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

    def __init__(self, network: Any, processor: Any, *, device: torch.device) -> None:
        super().__init__(network, processor, device=device)
        self.longest = min(processor.model_max_length, self._n_positions())
        self.tokenizing = threading.Lock()  # a tokenizer's own state is set for each call

    def _n_positions(self) -> int:
        """Return how many tokens have a position; RoBERTa counts positions from after that of the padding."""
        n = getattr(self.network.config, "max_position_embeddings", None) or np.iinfo(np.int64).max
        positions = getattr(getattr(self.network, "embeddings", None), "position_embeddings", None)
        padding = getattr(positions, "padding_idx", None)
        return n if padding is None else n - padding - 1

    def examples(self) -> list[Any]:
        """Return some tokens, chosen at random once and for all."""
        rng = np.random.RandomState(0)
        return [rng.randint(self.network.config.vocab_size, size=min(n, self.longest)).tolist() for n in (24, 9)]

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
