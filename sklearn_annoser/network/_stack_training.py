"""Training several networks in one loop: each with its own seed, learning rate, end and best weights."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_annoser.network._data import RatingsDataset
from sklearn_annoser.network._loss import member_losses
from sklearn_annoser.network._module import drop
from sklearn_annoser.network._stack import MemberStack
from sklearn_annoser.network._stack_data import StackBatch, cut_batch
from sklearn_annoser.network._stack_heads import LazyHeads

VALIDATION_BATCH = 256
BETTER = 1 - 1e-4  # a lower loss counts from here on, as for the callbacks of a single network
PLATEAU_FACTOR, LEAST_CHANGE = 0.1, 1e-8


@dataclass(frozen=True, slots=True)
class Recipe:
    """How every member is trained; the names are those of :class:`MultiHeadNet`."""

    momentum: float
    weight_decay: float
    dropout: float
    batch_size: int
    patience: int
    lr_patience: int
    device: str


@dataclass(slots=True)
class Progress:
    """How far one member is."""

    lr: float
    best: float = math.inf
    misses: int = 0  # epochs since the best validation loss
    waited: int = 0  # the same, but counted anew when the learning rate has fallen
    n_epochs: int = 0
    ended: bool = False

    def record(self, loss: float, recipe: Recipe) -> bool:
        """Take a validation loss in, and return whether it is better than all before."""
        better = loss < self.best * BETTER
        if better:
            self.best, self.misses, self.waited = loss, 0, 0
            return True
        self.misses, self.waited = self.misses + 1, self.waited + 1
        if self.waited > recipe.lr_patience:
            self.waited = 0
            self.lr -= self.lr * (1 - PLATEAU_FACTOR) if self.lr * (1 - PLATEAU_FACTOR) > LEAST_CHANGE else 0
        self.ended = self.misses >= recipe.patience
        return False


class StackTraining:
    """Train the members of a stack together; whoever has ended is left out of the products.

    A member is trained as :class:`MultiHeadNet` trains it alone. Its learning rate scales its loss, and its velocities
    when it falls: so one optimizer with a learning rate of 1 moves all of them.

    Parameters
    ----------
    stack : MemberStack
        Where the weights are taken from, and where the best ones, or the last, are put.
    members : range
        Which members of it are trained here.
    recipe : Recipe
        How.
    generators : sequence of torch.Generator
        What each member of the stack draws from.
    lrs : sequence of float
        The learning rate of each member of the stack.
    velocities : list of Tensor, default=None
        Where the weights and the heads of the whole stack were moving when a training ended.
    """

    def __init__(
        self,
        stack: MemberStack,
        members: range,
        recipe: Recipe,
        generators: Sequence[torch.Generator],
        lrs: Sequence[float],
        velocities: list[Tensor] | None = None,
    ) -> None:
        self.stack, self.recipe, self.generators = stack, recipe, generators
        self.progress = {member: Progress(lrs[member]) for member in members}
        self.live, self.is_interrupted = list(members), False
        self.work = stack.part(members)
        velocities = [each[members.start : members.stop].clone() for each in velocities or []]
        self.heads = LazyHeads(self.work.heads, recipe.momentum, velocities[-1] if velocities else None)
        self.optimizer = torch.optim.SGD(self.work.shared, lr=1.0, momentum=recipe.momentum, fused=True)
        for weight, velocity in zip(self.work.shared, velocities, strict=False):
            self.optimizer.state[weight]["momentum_buffer"] = velocity

    @property
    def velocities(self) -> list[Tensor]:
        """Where weights and heads are moving: what a training that goes on needs."""
        return [*self._buffers(), self.heads.velocity]

    def run(self, train: RatingsDataset, valid: RatingsDataset | None, epochs: int) -> Iterator[list[dict[str, Any]]]:
        """Train for at most so many epochs; after each the record of every member that took part is yielded."""
        while self.live and epochs > 0:
            epochs -= 1
            started, rates = time.perf_counter(), [self.progress[member].lr for member in self.live]
            losses = {"train_loss": self._train_epoch(train)}
            if valid is None:
                self._keep_weights(list(range(len(self.live))))
            else:
                losses["valid_loss"] = self._validate(valid)
            taking_part = self.live
            for member in taking_part:
                self.progress[member].n_epochs += 1
            if valid is not None:
                self._judge(losses["valid_loss"])
            seconds = time.perf_counter() - started
            yield [
                {"epoch": self.progress[member].n_epochs, "member": member}
                | {name: values[place] for name, values in losses.items()}
                | {"event_lr": rates[place], "dur": seconds}
                for place, member in enumerate(taking_part)
            ]

    def _train_epoch(self, train: RatingsDataset) -> list[float]:
        """Train one epoch, and return the mean loss of each live member."""
        orders = np.stack([torch.randperm(len(train), generator=self.generators[each]).numpy() for each in self.live])
        rates = torch.tensor([self.progress[member].lr for member in self.live], device=self.recipe.device)
        starts = range(0, len(train), self.recipe.batch_size)
        self.heads.start([self.recipe.weight_decay * float(rate) for rate in rates], len(starts))
        total = torch.zeros_like(rates)
        for start in starts:
            if self.is_interrupted:
                raise KeyboardInterrupt
            batch = cut_batch(train, orders[:, start : start + self.recipe.batch_size])
            total += self._step(batch.to(self.recipe.device), rates) * batch.X.shape[1]
        self.heads.finish()
        return (total / len(train)).tolist()

    def _step(self, batch: StackBatch, rates: Tensor) -> Tensor:
        """Train on one batch, and return the loss of each member."""
        rows = self.heads.read(batch.heads)
        losses = member_losses(self.work(self._dropped(batch.X), rows, batch.pairs), batch.y, batch.weight)
        self.optimizer.zero_grad()
        (losses * rates).sum().backward()
        if self.recipe.weight_decay:
            for weight in self.work.shared:
                decay = (rates * self.recipe.weight_decay).view(-1, *[1] * (weight.ndim - 1))
                weight.grad.addcmul_(weight.detach(), decay)
        self.optimizer.step()
        self.heads.step(rows)
        return losses.detach()

    def _dropped(self, X: Tensor) -> Tensor:
        """Drop features, each member by words of its own generator."""
        if self.recipe.dropout == 0:
            return X
        words = torch.empty((len(X), -(-X[0].numel() // 4)), dtype=torch.int64)
        for row, member in zip(words, self.live, strict=True):
            row.random_(-(2**63), None, generator=self.generators[member])
        return drop(X, words, self.recipe.dropout)

    @torch.no_grad()
    def _validate(self, valid: RatingsDataset) -> list[float]:
        """Return the loss of each live member over all validation samples."""
        parts = []
        for start in range(0, len(valid), VALIDATION_BATCH):
            positions = np.arange(start, min(start + VALIDATION_BATCH, len(valid)))
            batch = cut_batch(valid, positions[None]).to(self.recipe.device).for_members(len(self.live))
            parts.append((self.work(batch.X, self.heads.look_up(batch.heads), batch.pairs), batch.y, batch.weight))
        predicted, y, weight = (torch.cat(same, dim=2) for same in zip(*parts, strict=True))
        return member_losses(predicted, y, weight).tolist()

    def _judge(self, losses: list[float]) -> None:
        """Keep the weights that are better than all before, and go on with the members that have not ended."""
        better, factors = [], []
        for place, member in enumerate(self.live):
            progress = self.progress[member]
            before = progress.lr
            if progress.record(losses[place], self.recipe):
                better.append(place)
            factors.append(progress.lr / before)
        self._keep_weights(better)
        for velocity in self.velocities:
            for each, factor in zip(velocity, factors, strict=True):
                if factor != 1:
                    each.mul_(factor)
        going_on = [place for place, member in enumerate(self.live) if not self.progress[member].ended]
        if len(going_on) < len(self.live):
            self._go_on_with(going_on)

    @torch.no_grad()
    def _keep_weights(self, places: list[int]) -> None:
        """Put the weights of some live members into the stack."""
        for place in places:
            member = self.live[place]
            for kept, weight in zip(self.stack.shared, self.work.shared, strict=True):
                kept[member] = weight[place]
            self.stack.heads[member] = self.heads.weight[place, :-1]

    def _go_on_with(self, places: list[int]) -> None:
        """Leave all other live members out."""
        self.live = [self.live[place] for place in places]
        self.heads.keep(places)
        for weight in self.work.shared:
            state = self.optimizer.state[weight]
            weight.data, weight.grad = weight.data[places], None
            state["momentum_buffer"] = state["momentum_buffer"][places]

    def _buffers(self) -> list[Tensor]:
        """Return the velocities of the shared weights."""
        states = [self.optimizer.state.get(weight, {}) for weight in self.work.shared]
        return [state["momentum_buffer"] for state in states if state.get("momentum_buffer") is not None]
