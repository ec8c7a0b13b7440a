"""One arithmetic, whatever the user has set in torch for something else, and wherever the network runs."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

# torch's switches are the process's: networks take turns, also because hooks and masks are those of one batch.
TURN = threading.RLock()
# A switch for "all" gives way to those below it only if it is "none"; the order is that of setting them.
SWITCHES = tuple(
    (backend, op)
    for op in ("all", "matmul", "conv", "rnn")
    for backend in ("generic", "mkldnn", "cuda")
    if backend != "generic" or op == "all"
)
MOST_OFF = 0.3  # of bfloat16 from float32, relative to how vectors differ; 0.01 to 0.1 is rounding, 1 is noise
MOST_OFF_IN_FLOAT32 = 1e-4  # products of 256 numbers are off by 1e-6, where these are rounded to bfloat16 by 1e-2
GROUPED = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@contextmanager
def plain_arithmetic(device: torch.device) -> Iterator[None]:
    """Calculate in the dtype of the numbers, alone in this process; what the user has set is set again afterwards."""
    with TURN, ExitStack() as stack:
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        for kind in {"cpu", device.type}:
            stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(torch.device("cpu"))  # where tensors are made that are told no other
        stack.enter_context(_full_precision())
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")  # inside of WavLM
        yield


@contextmanager
def workers(n_workers: int) -> Iterator[ThreadPoolExecutor]:
    """Give threads that share the cores: each of them has its part of torch's threads, and none too many."""
    n_threads = torch.get_num_threads()
    # OpenMP keeps the number for each thread: each must set its own.
    pool = ThreadPoolExecutor(n_workers, initializer=torch.set_num_threads, initargs=(max(n_threads // n_workers, 1),))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n_threads)


@contextmanager
def _full_precision() -> Iterator[None]:
    """Let no product of float32 be made of fewer digits."""
    if not hasattr(torch._C, "_set_fp32_precision_setter"):  # before torch 2.9
        precision, tf32 = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(precision)
            torch.backends.cudnn.allow_tf32 = tf32
        return
    found: list[tuple[tuple[str, str], str]] = []
    try:
        for switch in SWITCHES:
            found.append((switch, torch._C._get_fp32_precision_getter(*switch)))
            torch._C._set_fp32_precision_setter(*switch, "none" if switch[1] == "all" else "ieee")
        yield
    finally:
        for switch, value in reversed(found):
            torch._C._set_fp32_precision_setter(*switch, value)


@cache
def check_float32(device: torch.device) -> None:
    """Raise if products of float32 have fewer digits than they should, for whatever reason."""
    maker = torch.Generator("cpu").manual_seed(0)
    with plain_arithmetic(device), torch.inference_mode():
        left, right = torch.randn(2, 256, 256, generator=maker)
        wave, kernels = torch.randn(1, 32, 512, generator=maker), right.reshape(256, 32, 8)
        off = max(
            _relative(product(ours.to(device), theirs.to(device)), product(ours.double(), theirs.double()))
            for product, ours, theirs in (
                (nn.functional.linear, left, right),
                (nn.functional.conv1d, wave, kernels),
            )
        )
    if not off < MOST_OFF_IN_FLOAT32:
        raise ValueError(
            f"float32 products on the device {str(device)!r} are off by {off:.0e}: something outside of Python lets "
            "them be made of fewer digits, such as the environment variable ONEDNN_DEFAULT_FPMATH_MODE. Unset it."
        )


def round_network(network: nn.Module, dtype: torch.dtype) -> None:
    """Let a network calculate in another dtype, but for grouped convolutions."""
    network.to(dtype)
    # torch 2.13 gets these plainly wrong in bfloat16 where the CPU has AMX and groups have few channels.
    for module in network.modules():
        if isinstance(module, GROUPED) and module.groups > 1:
            module.float()
            module.register_forward_pre_hook(lambda module, args: (args[0].float(), *args[1:]))
            module.register_forward_hook(lambda module, args, output: output.to(dtype))


def farthest(found: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """Return how far hidden states are off, relative to how the right ones spread; of several the most."""
    return max(_relative(ours, theirs) for ours, theirs in zip(found, exact, strict=True))


class RoundingError(ValueError):
    """What a network calculates in another dtype is wrong."""


def fast_dtype(device: torch.device) -> str:
    """Return the name of the dtype that products are fastest in, as the device's instructions tell."""
    if device.type == "cpu":
        told: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return "bfloat16" if told.get("avx512_bf16") or told.get("amx_bf16") else "float32"
    return "bfloat16" if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0) else "float32"


def check_rounding(found: Sequence[Tensor], exact: Sequence[Tensor], dtype: torch.dtype) -> None:
    """Raise if hidden states in another dtype are farther from those in float32 than rounding explains."""
    off = farthest(found, exact)
    if not off < MOST_OFF:
        name = str(dtype).removeprefix("torch.")
        raise RoundingError(
            f"dtype={name!r} gives wrong vectors of this model on this machine, off by {off:.0%} of how they differ. "
            'Use dtype="float32".'
        )


def _relative(found: Tensor, expected: Tensor) -> float:
    """Return how far numbers are off, relative to how the right ones spread."""
    ours, right = found.cpu().double(), expected.cpu().double()
    return float((ours - right).norm() / (right - right.mean()).norm())
