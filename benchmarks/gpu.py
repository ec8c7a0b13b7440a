"""Measure one GPU beside the CPU: encoders, a training step, selection; and that both give the same.

    python benchmarks/gpu.py [--device cuda] [--minutes 8] [--quick]

Four parts, each within a share of the minutes:

- audio hours a minute of WavLM of the size of base (random weights, bfloat16, lengths as in speech: 1 to 15 seconds)
  by the package, and by transformers in batches of 32 in the order of arrival;
- milliseconds a training step of 12,913 annotators by the package, by a loop written by hand, and by that loop's
  arithmetic replayed as a CUDA graph, on batches of 32, 128 and 512;
- the mapping of 500 people with 20 ratings each to 12,913 heads, which is numpy's and stays on the CPU;
- what CPU and GPU make of the same: vectors in float32 (farthest, of their spread), heads after an epoch (the same),
  and whom 20 people are mapped to.

--device cpu runs all of it but the graph on the CPU, small: it shows that the script works, and nothing about speed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mapping
import numpy as np
import pandas as pd
import torch
import transformers
from command_line import command_line
from encoders import chunks, masked_mean, random_wavlm
from simulate import long_tailed_ratings
from tables import print_table
from training import LR, MOMENTUM, N_FEATURES, N_HIDDEN

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper, MultiHeadNet, Ratings, SpeechEncoder
from sklearn_annoser.datasets import make_corpora

RATE = 16_000
BATCHES = (32, 128, 512)


def settle(device: str) -> None:
    """Wait until a device has done what it was told."""
    if device != "cpu":
        torch.cuda.synchronize()


def seconds_of(do: Callable[[], Any], device: str, budget: float) -> float:
    """Return the median seconds of what is done again and again within a budget, at least three times."""
    do()
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < budget:
        settle(device)
        start = time.perf_counter()
        do()
        settle(device)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


# ---------------------------------------------------------------------- encoders


def speech(n: int) -> list[np.ndarray]:
    """Return noise of lengths as utterances have them."""
    rng = np.random.RandomState(0)
    lengths = np.clip(rng.gamma(4.0, 1.2, size=n), 1.0, 15.0)
    return [(0.1 * rng.normal(size=int(each * RATE))).astype(np.float32) for each in lengths]


def plain_batches(folder: str, device: str) -> Callable[[list[np.ndarray]], np.ndarray]:
    """Return what embeds as one writes it with transformers: padded batches in the order of arrival."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.bfloat16).to(device).eval()

    @torch.inference_mode()
    def embed(waves: list[np.ndarray]) -> np.ndarray:
        rows = []
        for batch in chunks(waves, 32):
            inputs = extractor(
                batch, sampling_rate=RATE, return_tensors="pt", padding=True, return_attention_mask=True
            ).to(device)
            values = inputs.input_values.to(torch.bfloat16)
            hidden = model(values, attention_mask=inputs.attention_mask).last_hidden_state
            n_frames = model._get_feat_extract_output_lengths(inputs.attention_mask.sum(1)).tolist()
            rows.append(masked_mean(hidden.float().cpu(), n_frames))
        return np.concatenate(rows)

    return embed


def time_encoders(folder: str, device: str, n: int, budget: float) -> pd.DataFrame:
    """Return audio hours a minute."""
    waves = speech(n)
    hours = sum(map(len, waves)) / RATE / 3600
    encoder = SpeechEncoder(folder, device=device, dtype="bfloat16").fit(waves)
    plain = plain_batches(folder, device)
    ways = {"package": lambda: encoder.transform(waves), "transformers, batched": lambda: plain(waves)}
    rates = {name: hours / seconds_of(do, device, budget / 2) * 60 for name, do in ways.items()}
    table = pd.DataFrame({"audio hours a minute": pd.Series(rates)}).rename_axis("way")
    return table.assign(ratio=table["audio hours a minute"] / rates["transformers, batched"])


# ---------------------------------------------------------------------- training


def package_epochs(X: torch.Tensor, ratings: Ratings, batch: int, device: str) -> Iterator[None]:
    """Train an epoch at a time with the package."""
    net = MultiHeadNet(max_epochs=1, pretrain_epochs=0, train_split=None, batch_size=batch, lr=LR, device=device)
    dataset = net.get_dataset(X, ratings)
    net.shape_ = {"n_features": N_FEATURES, "n_annotators": ratings.n_annotators, "n_outputs": ratings.n_outputs}
    net.initialize()
    while True:
        net.fit_loop(dataset)
        yield


class Step:
    """The arithmetic of one step on a batch whose places lie ready: what a CUDA graph can replay."""

    def __init__(self, batch: int, n_heads: int, n_outputs: int, device: str) -> None:
        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, device=device)

        self.X, self.true = draw(batch, N_FEATURES), draw(batch * 6, n_outputs)
        self.pairs = torch.randint(batch * n_heads, (batch * 6,), device=device)
        shapes = [(N_FEATURES, N_HIDDEN)] + [(n_outputs, N_HIDDEN, N_HIDDEN)] * 2 + [(n_outputs, N_HIDDEN, n_heads)]
        self.weights = [(draw(*shape) / 16).requires_grad_() for shape in shapes]
        self.momenta = [torch.zeros_like(weight) for weight in self.weights]

    def __call__(self) -> None:
        """Take the step."""
        trunk, *towers, heads = self.weights
        hidden = torch.relu(torch.dropout(self.X, 0.2, True) @ trunk).expand(len(heads), -1, -1)
        for tower in towers:
            hidden = torch.relu(torch.bmm(hidden, tower))
        pred = torch.bmm(hidden, heads).flatten(1).index_select(1, self.pairs).T
        p, t = pred - pred.mean(0), self.true - self.true.mean(0)
        spread = (p * p + t * t).mean(0) + (pred.mean(0) - self.true.mean(0)).square()
        loss = 1 - (2 * (p * t).mean(0) / (spread + 1e-8)).mean()
        gradients = torch.autograd.grad(loss, self.weights)
        with torch.no_grad():
            torch._foreach_mul_(self.momenta, MOMENTUM)
            torch._foreach_add_(self.momenta, gradients)
            torch._foreach_add_(self.weights, self.momenta, alpha=-LR)


def graphed(step: Step) -> Callable[[], None]:
    """Return what replays a step as a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def time_steps(device: str, n_steps: int, n_annotators: int, budget: float) -> pd.DataFrame:
    """Return milliseconds a step, and ratings a second, for some sizes of a batch."""
    rows = []
    for batch in BATCHES:
        X = torch.from_numpy(np.random.default_rng(0).normal(size=(n_steps * batch, N_FEATURES)).astype(np.float32))
        ratings = long_tailed_ratings(len(X), n_annotators, 5.7, n_outputs=2, seed=0)
        n_heads = len(np.unique(ratings[:batch].codes))
        epochs = package_epochs(X, ratings, batch, device)
        step = Step(batch, n_heads, 2, device)
        ways = {"package": (lambda epochs=epochs: next(epochs), n_steps), "by hand": (step, 1)}
        if device != "cpu":
            ways["by hand, CUDA graph"] = graphed(Step(batch, n_heads, 2, device)), 1
        for name, (do, n) in ways.items():
            seconds = seconds_of(do, device, budget / len(BATCHES) / len(ways)) / n
            each = {"ms a step": 1000 * seconds, "ratings a second": batch * 5.7 / seconds}
            rows.append({"batch": str(batch), "way": name} | each)
    return pd.DataFrame(rows).set_index(["batch", "way"])


# ---------------------------------------------------------------------- both give the same


def compare_devices(folder: str, device: str) -> pd.DataFrame:
    """Return how far what a device makes is from what the CPU makes."""
    waves = speech(8)
    both = ("cpu", device)
    vectors, again = (SpeechEncoder(folder, device=each, dtype="float32").fit_transform(waves) for each in both)
    source, target = make_corpora(n_samples=400, n_annotators=20, n_targets=20, random_state=0)
    models = [
        AnnotatorMappedRegressor(max_epochs=5, random_state=0, device=each).fit(source.X, source.ratings)
        for each in both
    ]
    served = [
        AnnotatorMapper(model, random_state=0).fit(target.X, target.ratings).mapping_["source"] for model in models
    ]
    heads, others = (model.heads_ for model in models)
    return pd.DataFrame(
        {
            "vectors in float32, farthest of their spread": f"{np.abs(again - vectors).max() / vectors.std():.0e}",
            "heads after five epochs, farthest of their spread": f"{np.abs(others - heads).max() / heads.std():.0e}",
            "people mapped to the same": f"{int((served[0] == served[1]).sum())} of {len(served[0])}",
        },
        index=["value"],
    ).T.rename_axis("beside the CPU")


def main() -> None:
    parser = command_line(__doc__, minutes=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="a hundredth of everything")
    options = parser.parse_args()
    start, device = time.perf_counter(), options.device
    small = options.quick or device == "cpu"
    name = torch.cuda.get_device_name(device) if device != "cpu" else "CPU"
    print(f"{name}; torch {torch.__version__}", flush=True)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    budget = 1.0 if small else options.minutes * 60 / 8
    with tempfile.TemporaryDirectory() as place:
        folder = random_wavlm(Path(place))
        table = time_encoders(folder, device, 8 if small else 2000, budget)
        print_table("WavLM base, bfloat16, 1 to 15 seconds", table, digits=2)
        n_steps, n_annotators = (5, 500) if small else (400, 12_913)
        print_table("A training step", time_steps(device, n_steps, n_annotators, budget))
        people = (20, 500) if small else (500, 12_913)
        hidden, heads, prior, ratings = mapping.make_case(256, 0, *people)
        select = mapping.steps(hidden, heads, prior, ratings)[mapping.PLAIN]
        print(f"\n{people[0]} people to {people[1]} heads, on the CPU: {seconds_of(select, 'cpu', 1.0):.2f} s")
        print_table("The same on both", compare_devices(folder, device))
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
