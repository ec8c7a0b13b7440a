"""Products of frames and weights, the fastest way that a CPU has: weights are laid out once, when a model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

ROWS = 256  # of a product at a time: what is made of them is still in the cache of the core when it is used
# Where a linear layer and its activation lie in one module, which applies one after the other.
ACTIVATED = (
    ("intermediate_dense", "intermediate_act_fn"),
    ("dense", "intermediate_act_fn"),
    ("fc1", "activation_fn"),
    ("lin1", "activation"),
)


class Replacement(NamedTuple):
    """A part of a network that does what another one does."""

    parent: nn.Module
    name: str
    old: Any
    new: Any

    def do(self) -> None:
        """Put the new one in the place of the old one."""
        setattr(self.parent, self.name, self.new)

    def undo(self) -> None:
        """Put the old one back."""
        setattr(self.parent, self.name, self.old)


class Product(nn.Module):
    """A linear layer, with a GELU after it or without, whose weights lie as oneDNN takes them."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, *, gelu: bool = False) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.weight_was_read = False
        self.gelu = gelu
        self.bias = None if bias is None else bias.detach().to(dtype)
        self.packed = weight.detach().to(dtype).contiguous()
        self.is_packed = can_pack()
        if self.is_packed:
            self.packed = torch.ops.mkldnn._reorder_linear_weight(self.packed, ROWS)

    @property
    def weight(self) -> Tensor:
        """The weights as a linear layer has them, for a module that does not call it but reads them."""
        self.weight_was_read = True
        return self.packed.to_dense() if self.is_packed else self.packed

    def forward(self, x: Tensor) -> Tensor:
        if self.is_packed:
            then = "gelu" if self.gelu else "none"
            return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, then, [], "none")
        output = nn.functional.linear(x, self.packed, self.bias)
        return nn.functional.gelu(output) if self.gelu else output


class GroupedProducts(nn.Module):
    """A grouped convolution over frames as products, one for each group; what norms its weights is applied once."""

    def __init__(self, conv: nn.Conv1d, dtype: torch.dtype) -> None:
        super().__init__()
        self.padding, self.kernel = int(conv.padding[0]), conv.kernel_size[0]
        self.n_out = conv.out_channels // conv.groups
        weights = conv.weight.transpose(1, 2).flatten(1).chunk(conv.groups)
        biases = [None] * conv.groups if conv.bias is None else conv.bias.chunk(conv.groups)
        self.groups = nn.ModuleList(map(Product, weights, biases, [dtype] * conv.groups))

    def forward(self, x: Tensor) -> Tensor:
        """Take and return (n_waves, n_channels, n_frames), both of them views of (n_waves, n_frames, n_channels)."""
        frames = nn.functional.pad(x.transpose(1, 2), (0, 0, self.padding, self.padding))
        groups = [group.contiguous() for group in frames.chunk(len(self.groups), dim=2)]
        outputs = [
            by_rows(product, windows(group, self.kernel, 1), self.n_out)
            for product, group in zip(self.groups, groups, strict=True)
        ]
        return torch.cat(outputs, dim=2).transpose(1, 2)


def windows(frames: Tensor, kernel: int, stride: int) -> Tensor:
    """Return what each step of a convolution sees of contiguous frames (..., n_frames, n_channels), as a view."""
    *shape, n_frames, n_channels = frames.shape
    n_steps = (n_frames - kernel) // stride + 1
    *steps, step, _ = frames.stride()
    return frames.as_strided((*shape, n_steps, kernel * n_channels), (*steps, stride * step, 1))


def by_rows(function: Callable[[Tensor], Tensor], seen: Tensor, n_out: int) -> Tensor:
    """Return what a function makes of rows (..., n_rows, n_in), a few at a time."""
    output = seen.new_empty(*seen.shape[:-1], n_out)
    for start in range(0, seen.shape[-2], ROWS):
        output[..., start : start + ROWS, :] = function(seen[..., start : start + ROWS, :])
    return output


def can_pack() -> bool:
    """Tell whether torch can lay weights out for oneDNN."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def is_gelu(activation: Callable[[Tensor], Tensor]) -> bool:
    """Tell whether an activation is the exact GELU, whatever it is called."""
    x = torch.linspace(-20, 20, 201)  # some are clipped at 10
    return torch.equal(activation(x), nn.functional.gelu(x))


def replacements(network: nn.Module, dtype: torch.dtype) -> Iterator[Replacement]:
    """Yield what may take the place of linear layers, of grouped convolutions and of WavLM's attention."""
    known: dict[nn.Module, nn.Module] = {}
    for parent in network.modules():
        if type(parent).__name__ == "WavLMAttention":
            name = "torch_multi_head_self_attention"
            yield Replacement(parent, name, getattr(parent, name), MethodType(attend, parent))
        children = dict(parent.named_children())
        fused = {
            linear: activation
            for linear, activation in ACTIVATED
            if type(children.get(linear)) is nn.Linear and activation in children and is_gelu(children[activation])
        }
        for name, child in children.items():
            if _is_hooked(child):
                continue
            if type(child) is nn.Linear:
                if child not in known:
                    known[child] = Product(child.weight, child.bias, dtype, gelu=name in fused)
                yield Replacement(parent, name, child, known[child])
                if name in fused:
                    yield Replacement(parent, fused[name], children[fused[name]], nn.Identity())
            elif isinstance(child, nn.Conv1d) and _is_grouped(child):
                yield Replacement(parent, name, child, GroupedProducts(child, dtype))


def attend(self: Any, hidden: Tensor, mask: Tensor | None, bias: Tensor, *unused: Any) -> tuple[Tensor, None]:
    """Do what WavLM's attention does, without the weights that it would return: a method of its.

    Before transformers 5 it is also told whether these weights are wanted.
    """
    n, length, width = hidden.shape
    query, key, value = (
        project(hidden).view(n, length, self.num_heads, -1).transpose(1, 2)
        for project in (self.q_proj, self.k_proj, self.v_proj)
    )
    bias = bias.view(n, self.num_heads, length, length)
    if mask is not None:
        bias = bias.masked_fill(mask.ne(1)[:, None, None], -torch.inf)
    mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return self.out_proj(mixed.transpose(1, 2).reshape(n, length, width)), None


def _is_hooked(module: nn.Module) -> bool:
    """Tell whether somebody wants to know when a module is called."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _is_grouped(conv: nn.Conv1d) -> bool:
    """Tell whether a convolution has groups, and no other option that products would need to know of."""
    plain = conv.stride == (1,) and conv.dilation == (1,) and conv.padding_mode == "zeros"
    return plain and conv.groups > 1 and not isinstance(conv.padding, str)
