"""Time a training step of MultiHeadNet side by side with hand-written loops, as ratios.

    python benchmarks/training.py [--steps 400] [--rounds 7]

Batch 32, 1,536 features, two outputs, 5.7 ratings an utterance with a long tail of annotators. The rounds of all
candidates alternate in one process; a ratio is the median over the rounds of the ratio within a round.

Each round is an epoch, whose end brings all heads up to date: of `--steps` steps, and four times as many where numbers
of annotators are compared (an epoch of MSP-Podcast has 4,200). Everything runs on one thread, as the package trains.

- hand-written: a plain PyTorch loop of the same arithmetic (same module's equations, torch.optim.SGD for trunk and
  towers, exact lazy update of the batch's heads), batches cut from arrays, no skorch;
- dense: the same loop with one linear layer an output for all annotators, whose masked predictions enter the loss, and
  torch.optim.SGD with momentum for everything: every step computes and moves every head.
- dense optimizer: the same, but computing the batch's heads only; gradient and momentum are still those of all heads.
- limit: what a step cannot do without. Its matrix products into memory that lies ready, and one pass over weights,
  gradients and momentum; nothing is gathered, activated, dropped out or compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from command_line import command_line
from simulate import long_tailed_ratings
from tables import print_table

from sklearn_annoser import MultiHeadNet, Ratings
from sklearn_annoser.network import CommitteeNet, RatingsDataset
from sklearn_annoser.network._data import AT_ONCE

BATCH, N_FEATURES, N_HIDDEN, LR, MOMENTUM = 32, 1536, 256, 1e-3, 0.9


def package_steps(X: torch.Tensor, ratings: Ratings, n_steps: int) -> Iterator[None]:
    """Train `n_steps` at a time with the package, whole epochs as skorch runs them."""
    net = MultiHeadNet(max_epochs=1, pretrain_epochs=0, train_split=None, batch_size=BATCH, lr=LR)
    n_samples = n_steps * BATCH
    dataset = net.get_dataset(X[:n_samples], ratings[:n_samples])
    net.shape_ = {"n_features": N_FEATURES, "n_annotators": ratings.n_annotators, "n_outputs": ratings.n_outputs}
    net.initialize()
    while True:
        net.fit_loop(dataset)
        yield


def committee_steps(X: torch.Tensor, ratings: Ratings, n_steps: int, n_threads: int) -> Iterator[None]:
    """Train five networks `n_steps` at a time, each on as many batches."""
    recipe = MultiHeadNet(max_epochs=1, train_split=None, batch_size=BATCH, lr=LR, n_threads=n_threads)
    net = CommitteeNet(recipe, n_members=5, n_consensus_members=0, ridge=False)
    n_samples = n_steps * BATCH
    net.shape_ = {"n_features": N_FEATURES, "n_annotators": ratings.n_annotators, "n_outputs": ratings.n_outputs}
    net.initialize()
    while True:
        net.train_epoch(X[:n_samples], ratings[:n_samples])
        yield


class HandWritten:
    """The same network and update in plain PyTorch."""

    def __init__(self, X: torch.Tensor, ratings: Ratings, *, heads: str) -> None:
        torch.manual_seed(0)
        self.X, self.kind = X, heads  # "lazy", "dense" or "dense optimizer"
        self.indptr, self.codes = ratings.indptr, ratings.codes.astype(np.int64)
        self.y = ratings.values.astype(np.float32)
        self.n_outputs = ratings.n_outputs
        self.trunk = torch.nn.Linear(N_FEATURES, N_HIDDEN)
        shape = (self.n_outputs, N_HIDDEN, N_HIDDEN)
        self.weights = [torch.nn.Parameter(torch.randn(shape) / 16) for _ in range(2)]
        self.biases = [torch.nn.Parameter(torch.zeros(self.n_outputs, 1, N_HIDDEN)) for _ in range(2)]
        self.heads = torch.randn(ratings.n_annotators, self.n_outputs * (N_HIDDEN + 1)) / 16
        shared = [*self.trunk.parameters(), *self.weights, *self.biases]
        if self.kind != "lazy":
            self.heads = torch.nn.Parameter(self.heads)
            shared.append(self.heads)
        self.optimizer = torch.optim.SGD(shared, lr=LR, momentum=MOMENTUM)
        self.velocity = torch.zeros_like(self.heads)
        self.done = torch.zeros(len(self.heads))
        self.step_number = 0

    def steps(self, n_steps: int) -> Iterator[None]:
        """Train `n_steps` at a time, in a new order each time."""
        while True:
            order = torch.randperm(n_steps * BATCH).numpy()
            for start in range(0, len(order), BATCH):
                self.step(order[start : start + BATCH])
            yield

    def step(self, rows: np.ndarray) -> None:
        """Train on one batch."""
        starts, ends = self.indptr[rows], self.indptr[rows + 1]
        counts = ends - starts
        offsets = counts.cumsum()
        take = np.arange(offsets[-1]) + np.repeat(starts - offsets + counts, counts)
        if self.kind == "dense":
            n_codes, codes, position = len(self.heads), None, self.codes[take]
        else:
            codes, position = np.unique(self.codes[take], return_inverse=True)
            n_codes, codes = len(codes), torch.from_numpy(codes)
        samples = np.repeat(np.arange(len(rows)), counts)
        pairs, true = torch.from_numpy(samples * n_codes + position), torch.from_numpy(self.y[take])
        if self.kind == "lazy":
            head = self.caught_up(codes).requires_grad_()
        else:
            head = self.heads if codes is None else self.heads[codes]

        hidden = F.relu(self.trunk(F.dropout(self.X[torch.from_numpy(rows)], 0.2))).expand(self.n_outputs, -1, -1)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            hidden = F.relu(torch.baddbmm(bias, hidden, weight))
        stacked = head.view(-1, self.n_outputs, N_HIDDEN + 1).permute(1, 2, 0)
        pred = torch.baddbmm(stacked[:, -1:], hidden, stacked[:, :-1]).flatten(1).index_select(1, pairs).T
        mean_pred, mean_true = pred.mean(0), true.mean(0)
        p, t = pred - mean_pred, true - mean_true
        spread = (p * p + t * t).mean(0) + (mean_pred - mean_true).square()
        loss = 1 - (2 * (p * t).mean(0) / (spread + 1e-8)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.kind == "lazy":
            self.update(codes, head)
        loss.item()

    def caught_up(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the batch's heads after the idle steps that they have missed."""
        faded = MOMENTUM ** (self.step_number - self.done[codes])[:, None]
        velocity = self.velocity[codes]
        self.velocity[codes] = velocity * faded
        return self.heads[codes] - LR * MOMENTUM * (1 - faded) / (1 - MOMENTUM) * velocity

    def update(self, codes: torch.Tensor, head: torch.Tensor) -> None:
        """Step the batch's heads."""
        self.step_number += 1
        with torch.no_grad():
            velocity = self.velocity[codes].mul_(MOMENTUM).add_(head.grad)
            self.velocity[codes] = velocity
            self.heads[codes] = head.detach() - LR * velocity
            self.done[codes] = self.step_number


def limit_steps(ratings: Ratings, n_steps: int) -> Iterator[None]:
    """Do `n_steps` times the matrix products of a step, and one pass over what it moves."""
    n_outputs = ratings.n_outputs
    n_heads = int(np.mean([len(np.unique(ratings[start : start + BATCH].codes)) for start in range(0, 3200, BATCH)]))
    X, shared = torch.randn(BATCH, N_FEATURES), torch.randn(BATCH, N_HIDDEN)
    tower = torch.randn(n_outputs, BATCH, N_HIDDEN)
    pred = torch.randn(n_outputs, BATCH, n_heads)
    weights = [
        torch.randn(shape) / 16
        for shape in (
            (N_FEATURES, N_HIDDEN),
            (n_outputs, N_HIDDEN, N_HIDDEN),
            (n_outputs, N_HIDDEN, N_HIDDEN),
            (n_outputs, N_HIDDEN, n_heads),
        )
    ]
    gradients, momenta = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    out = torch.empty_like(shared), torch.empty_like(tower), torch.empty_like(pred)
    while True:
        for _ in range(n_steps):
            torch.mm(X, weights[0], out=out[0])
            for weight in weights[1:3]:
                torch.bmm(tower, weight, out=out[1])
            torch.bmm(tower, weights[3], out=out[2])
            torch.bmm(tower.mT, pred, out=gradients[3])
            torch.bmm(pred, weights[3].mT, out=out[1])
            for weight, gradient in zip(weights[1:3], gradients[1:3], strict=True):
                torch.bmm(tower.mT, tower, out=gradient)
                torch.bmm(tower, weight.mT, out=out[1])
            torch.mm(X.T, shared, out=gradients[0])
            for weight, gradient, momentum in zip(weights, gradients, momenta, strict=True):
                momentum.mul_(MOMENTUM).add_(gradient)
                weight.sub_(momentum, alpha=LR * 1e-6)
        yield


def cutting_steps(X: torch.Tensor, ratings: Ratings, n_steps: int, at_once: int) -> Iterator[None]:
    """Cut `n_steps` batches, so many at a time."""
    n_samples = n_steps * BATCH
    dataset = RatingsDataset(X[:n_samples], ratings[:n_samples])
    while True:
        parts = np.split(torch.randperm(n_samples).numpy(), n_steps)
        for start in range(0, n_steps, at_once):
            for _ in dataset.batches(parts[start : start + at_once]):
                pass
        yield


def milliseconds(candidates: dict[str, Iterator[None]], n_steps: dict[str, int], n_rounds: int) -> pd.DataFrame:
    """Time the candidates in turn, round by round; the first round warms up."""
    rounds = []
    for _ in range(n_rounds + 1):
        row = {}
        for name, candidate in candidates.items():
            start = time.perf_counter()
            next(candidate)
            row[name] = (time.perf_counter() - start) / n_steps[name] * 1e3
        rounds.append(row)
    return pd.DataFrame(rounds[1:])


def ratio_table(times: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return median milliseconds, and median ratios to a reference within rounds."""
    ratios = times.div(times[reference], axis=0)
    return pd.DataFrame(
        {
            "ms a step": times.median(),
            f"ratio to {reference}": ratios.median(),
            "lowest": ratios.min(),
            "highest": ratios.max(),
        }
    ).rename_axis("candidate")


def main() -> None:
    options = command_line(__doc__, steps=400, rounds=7).parse_args()
    torch.set_num_threads(1)
    n_samples = 4 * options.steps * BATCH
    X = torch.from_numpy(np.random.default_rng(0).normal(size=(n_samples, N_FEATURES)).astype(np.float32))

    def ratings(n_annotators: int) -> Ratings:
        return long_tailed_ratings(n_samples, n_annotators, 5.7, n_outputs=2, seed=0)

    corpus = ratings(12_913)
    few = max(options.steps // 10, 5)
    candidates = {
        "package": package_steps(X, corpus, options.steps),
        "hand-written": HandWritten(X, corpus, heads="lazy").steps(options.steps),
        "dense optimizer": HandWritten(X, corpus, heads="dense optimizer").steps(few),
        "dense": HandWritten(X, corpus, heads="dense").steps(few),
        "limit": limit_steps(corpus, options.steps),
    }
    n_steps = dict.fromkeys(candidates, options.steps) | {"dense optimizer": few, "dense": few}
    times = milliseconds(candidates, n_steps, options.rounds)
    print_table("A step with 12,913 annotators", ratio_table(times, "hand-written"))
    for name in ("dense optimizer", "dense"):
        print(f"\n{name} / package: {(times[name] / times['package']).median():.1f}")
    print(f"\npackage / limit: {(times['package'] / times['limit']).median():.2f}")

    candidates = {
        "one network": package_steps(X, corpus, 4 * options.steps),
        "five, one thread": committee_steps(X, corpus, 4 * options.steps, n_threads=1),
        "five, two threads": committee_steps(X, corpus, 4 * options.steps, n_threads=2),
    }
    times = milliseconds(candidates, dict.fromkeys(candidates, 4 * options.steps), max(options.rounds // 2, 3))
    print_table("A step of five networks", ratio_table(times, "one network"))

    sizes = {f"{n:,} annotators": n for n in (1_000, 12_913, 100_000)}
    long = 4 * options.steps
    candidates = {name: package_steps(X, ratings(n), long) for name, n in sizes.items()}
    times = milliseconds(candidates, dict.fromkeys(sizes, long), max(options.rounds // 2, 3))
    print_table("A step of the package by number of annotators", ratio_table(times, "1,000 annotators"))

    at_once = {f"{n} at once": n for n in (1, AT_ONCE // 2, AT_ONCE, 2 * AT_ONCE)}
    candidates = {name: cutting_steps(X, corpus, options.steps, n) for name, n in at_once.items()}
    times = milliseconds(candidates, dict.fromkeys(at_once, options.steps), options.rounds)
    print_table("Cutting a batch, with its features", ratio_table(times, f"{AT_ONCE} at once"))


if __name__ == "__main__":
    main()
