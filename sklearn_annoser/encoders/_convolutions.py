"""The convolutions that make frames of a waveform, as products over frames."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_annoser.encoders._products import Product, by_rows, is_gelu, windows

PARTS = {"conv", "layer_norm", "activation"}  # of a layer; one without a norm has two


class Frames(nn.Module):
    """A stack of strided convolutions over one waveform, each with its norm, if it has one, and its activation.

    Frames lie one after the other with their channels side by side, so that what a convolution sees is a row of a
    matrix, and no layout is changed on the way. A stack with a layer that is not known is a ValueError.
    """

    def __init__(self, stack: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        first, *rest = stack.conv_layers
        # The first has ten terms: float32 costs nothing there.
        steps = [NormedOverTime(first) if _is_over_time(first) else Convolution(first, torch.float32)]
        self.steps = nn.ModuleList(steps + [Convolution(layer, dtype) for layer in rest])

    def forward(self, waves: Tensor) -> Tensor:
        """Take (1, n_samples) and return (1, n_channels, n_frames), a view of (n_frames, n_channels)."""
        frames = waves[0].float()[:, None]
        for step in self.steps:
            frames = step(frames).to(self.dtype)
        return frames.T[None]


class Convolution(nn.Module):
    """A convolution, with a norm over channels or without, and an activation."""

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        super().__init__()
        weight, self.kernel, self.stride = _taken_apart(layer)
        norm = getattr(layer, "layer_norm", None)
        if not (norm is None or (isinstance(norm, nn.LayerNorm) and norm.normalized_shape == (len(weight),))):
            raise ValueError(f"a norm of another kind: {norm}")
        self.norm = None if norm is None else deepcopy(norm).to(dtype)
        fused = norm is None and is_gelu(layer.activation)
        self.activation = nn.Identity() if fused else layer.activation
        self.product = Product(weight, layer.conv.bias, dtype, gelu=fused)

    def forward(self, frames: Tensor) -> Tensor:
        """Return a frame for each step, (n_steps, n_out)."""
        return by_rows(self._rows, windows(frames, self.kernel, self.stride), self.product.out_features)

    def _rows(self, seen: Tensor) -> Tensor:
        rows = self.product(seen)
        return self.activation(rows if self.norm is None else self.norm(rows))


class NormedOverTime(nn.Module):
    """A first convolution with a norm of each channel over time, which goes into its weights for each waveform.

    A channel is a weighted sum of the samples that the convolution sees: what these vary by tells what it varies by.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        weight, self.kernel, self.stride = _taken_apart(layer)
        norm = layer.layer_norm
        if not norm.num_groups == norm.num_channels == len(weight):
            raise ValueError(f"a norm of another kind: {norm}")
        self.weight = weight.double()  # a bias would be taken off again by the norm
        self.scale, self.shift, self.eps = norm.weight.detach().double(), norm.bias.detach().double(), norm.eps
        self.fused = is_gelu(layer.activation)
        self.activation = nn.Identity() if self.fused else layer.activation

    def forward(self, wave: Tensor) -> Tensor:
        """Return a frame for each step, (n_steps, n_out)."""
        seen = windows(wave - wave.mean(), self.kernel, self.stride)
        mean, offs = seen.double().mean(0), seen.double() - seen.double().mean(0)
        variance = ((self.weight @ (offs.T @ offs / len(offs))) * self.weight).sum(1).clamp(min=0)
        scale = self.scale / (variance + self.eps).sqrt()
        weight, bias = self.weight * scale[:, None], self.shift - scale * (self.weight @ mean)
        product = Product(weight, bias, torch.float32, gelu=self.fused)
        return by_rows(lambda rows: self.activation(product(rows)), seen, len(weight))


def _is_over_time(layer: Any) -> bool:
    """Tell whether a layer norms each channel over time."""
    return isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm)


def _taken_apart(layer: Any) -> tuple[Tensor, int, int]:
    """Return weights (n_out, kernel * n_in), kernel and stride of a layer of a kind that is known."""
    conv, parts = layer.conv, {name for name, _ in layer.named_children()}
    plain = type(conv) is nn.Conv1d and (conv.padding, conv.dilation, conv.groups) == ((0,), (1,), 1)
    if not plain or not parts <= PARTS:
        raise ValueError(f"a layer of another kind: {layer}")
    return conv.weight.detach().transpose(1, 2).flatten(1), conv.kernel_size[0], conv.stride[0]
