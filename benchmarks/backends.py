"""Time what else could run an encoder on a CPU: torch.compile, ONNX Runtime, OpenVINO, 8-bit weights.

    pip install onnx onnxruntime onnxscript openvino
    python benchmarks/backends.py [--minilm FOLDER] [--rounds 5]

Each is given one input of one shape, which it was made for, so that it is seen at its best: WavLM of the size of base
with random weights takes four seconds of noise, MiniLM sixteen texts of 32 tokens. One thread; rounds take turns;
seconds are those of the CPU. "Off" is the distance to what transformers gives in float32, as a share of how far apart
its vectors are (of frames, or of tokens). What is not installed, or does not run, is told and left out.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from command_line import command_line
from encoders import random_wavlm
from tables import print_table
from torch import Tensor, nn

from sklearn_annoser import SpeechEncoder, TextEncoder

Run = Callable[[], np.ndarray]


class LastHidden(nn.Module):
    """A network of transformers that gives its last hidden states alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (n_inputs, n_frames, n_hidden)."""
        return self.network(inputs).last_hidden_state


def in_torch(network: nn.Module, inputs: Tensor) -> Run:
    """Return what runs a module."""
    inputs = inputs.to(next(network.parameters()).dtype) if inputs.is_floating_point() else inputs
    return torch.inference_mode()(lambda: network(inputs).float().numpy())


def in_onnx_runtime(path: Path, inputs: Tensor) -> Run:
    """Return what runs a file by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: inputs.numpy()}
    return lambda: session.run(None, feed)[0]


def in_openvino(path: Path, inputs: Tensor, precision: str) -> Run:
    """Return what runs a file by OpenVINO."""
    import openvino

    options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": precision}
    model = openvino.Core().compile_model(path, "CPU", options)
    return lambda: model(inputs.numpy())[0]


def eight_bit(path: Path) -> Path:
    """Write a file with the weights of matrix products in 8 bits."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = path.with_name("int8.onnx")
    quantize_dynamic(path, small, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
    return small


def exported(network: nn.Module, inputs: Tensor, folder: Path) -> Path:
    """Write a network as ONNX."""
    path = folder / "model.onnx"
    torch.onnx.export(network, (inputs,), path, dynamo=True, verbose=False, external_data=False)
    return path


def candidates(network: nn.Module, inputs: Tensor, folder: Path) -> Iterator[tuple[str, Callable[[], Run]]]:
    """Yield each way to run a network, and what prepares it."""
    half = LastHidden(network.network.__class__.from_pretrained(network.network.name_or_path).eval().bfloat16())
    yield "transformers, float32", lambda: in_torch(network, inputs)
    yield "transformers, bfloat16", lambda: in_torch(half, inputs)
    yield "torch.compile, float32", lambda: in_torch(torch.compile(network, dynamic=False), inputs)
    yield "torch.compile, bfloat16", lambda: in_torch(torch.compile(half, dynamic=False), inputs)
    linear = {nn.Linear}
    yield "torch, int8", lambda: in_torch(torch.ao.quantization.quantize_dynamic(network, linear), inputs)
    yield "ONNX Runtime, float32", lambda: in_onnx_runtime(exported(network, inputs, folder), inputs)
    yield "ONNX Runtime, int8", lambda: in_onnx_runtime(eight_bit(folder / "model.onnx"), inputs)
    yield "OpenVINO, float32", lambda: in_openvino(folder / "model.onnx", inputs, "f32")
    yield "OpenVINO, bfloat16", lambda: in_openvino(folder / "model.onnx", inputs, "bf16")
    yield "OpenVINO, int8", lambda: in_openvino(folder / "int8.onnx", inputs, "f32")


def prepared(ways: Iterator[tuple[str, Callable[[], Run]]]) -> dict[str, Run]:
    """Return the ways that run here, each of them warm."""
    runs: dict[str, Run] = {}
    for name, prepare in ways:
        try:
            runs[name] = prepare()
            for _ in range(2):
                runs[name]()
        except Exception as error:  # a back end may fail in any way of its own
            print(f"{name}: left out, {type(error).__name__}: {str(error).splitlines()[0][:120]}", flush=True)
            runs.pop(name, None)
    return runs


def compare(runs: dict[str, Run], rounds: int) -> pd.DataFrame:
    """Return how fast each way is beside the package in float32, and how far off it is."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    times = pd.DataFrame(seconds)
    reference = runs["transformers, float32"]().reshape(-1, runs["transformers, float32"]().shape[-1])
    spread = np.linalg.norm(reference - reference.mean(0))
    off = {
        name: np.linalg.norm(run().reshape(reference.shape) - reference) / spread
        for name, run in runs.items()
        if not name.startswith("package")
    }
    return pd.DataFrame(
        {
            "milliseconds": 1000 * times.median(),
            "ratio to the package": times.rdiv(times["package, float32"], axis=0).median(),
            "off": pd.Series(off).reindex(times.columns).map("{:.0e}".format),
        }
    ).rename_axis("way")


def of_package(encoder: Any, items: list[Any]) -> Run:
    """Return what embeds by the package, from its input to the pooled vectors."""
    encoder.fit(items)
    return lambda: encoder.transform(items)


def main() -> None:
    parser = command_line(__doc__, rounds=5)
    parser.add_argument("--minilm", default="sentence-transformers/all-MiniLM-L6-v2")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    rng = np.random.RandomState(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wave = (0.1 * rng.normal(size=64_000)).astype(np.float32)
        wavlm = random_wavlm(folder)
        own = {
            f"package, {dtype}": of_package(SpeechEncoder(wavlm, dtype=dtype), [wave])
            for dtype in ("float32", "bfloat16")
        }
        network = LastHidden(transformers.AutoModel.from_pretrained(wavlm).eval())
        runs = own | prepared(candidates(network, torch.from_numpy(wave)[None], folder))
        print_table("WavLM base, four seconds", compare(runs, options.rounds), digits=2)

        words = rng.choice(["we", "they", "see", "hear", "take", "give", "one", "two", "now", "here"], (16, 30))
        texts = [" ".join(row) for row in words]
        tokens = transformers.AutoTokenizer.from_pretrained(options.minilm)(texts, return_tensors="pt")["input_ids"]
        own = {
            f"package, {dtype}": of_package(TextEncoder(options.minilm, dtype=dtype, pooling="mean"), texts)
            for dtype in ("float32", "bfloat16")
        }
        network = LastHidden(transformers.AutoModel.from_pretrained(options.minilm).eval())
        runs = own | prepared(candidates(network, tokens, folder))
        print_table(f"MiniLM, {len(texts)} texts of {tokens.shape[1]} tokens", compare(runs, options.rounds), digits=2)


if __name__ == "__main__":
    main()
