"""Training several networks in one loop: each with its own seed, learning rate, end and best weights."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sklearn_annoser.network._data import RatingsDataset
from sklearn_annoser.network._loss import ccc_losses
from sklearn_annoser.network._module import drop
from sklearn_annoser.network._moving_layers import MovingLayers
from sklearn_annoser.network._stack import MemberStack
from sklearn_annoser.network._stack_data import cut_batch
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


@dataclass(frozen=True, slots=True)
class Source:
    """What a member learns from: the data of all members are parts of the same."""

    generator: torch.Generator
    train: RatingsDataset
    valid: RatingsDataset | None


@dataclass(frozen=True, slots=True)
class Member:
    """A network that is trained: its place in the stack, what it learns from, and how far it is."""

    place: int
    source: Source
    progress: Progress


class StackTraining:
    """Train members of a stack together; whoever has ended is left out of the products.

    A member is trained as :class:`MultiHeadNet` trains it alone. Its learning rate scales its loss, and its velocities
    when it falls: so one optimizer with a learning rate of 1 moves all of them. Members have samples of their own, and
    epochs of different lengths: they start an epoch together, and whoever has come to its end waits for the others.

    Parameters
    ----------
    stack : MemberStack
        Where the weights are taken from, and where the best ones, or the last, are put.
    members : sequence of Member
        Which members of it are trained here.
    recipe : Recipe
        How.
    velocities : list of Tensor, default=None
        Where the weights and the heads of the whole stack were moving when a training ended.
    """

    def __init__(
        self, stack: MemberStack, members: Sequence[Member], recipe: Recipe, velocities: list[Tensor] | None = None
    ) -> None:
        self.stack, self.recipe, self.progress = stack, recipe, [member.progress for member in members]
        # Those with most samples come first: so whoever is left at the end of an epoch is at the start of the stack.
        self.live, self.is_interrupted = sorted(members, key=lambda member: -len(member.source.train)), False
        places = [member.place for member in self.live]
        self.work = stack.part(places)
        # One row of heads more is what the filling of batches falls on.
        self.work.heads.data = F.pad(self.work.heads.data, (0, 0, 0, 1))
        self.moving = [torch.zeros_like(each) for each in self._weights()]
        if velocities is not None:
            self.moving = [each[places] for each in velocities]
        self._resume()
        self.validates = members[0].source.valid is not None
        self.trains = [  # one entry more is for the filling
            torch.from_numpy(np.append(member.source.train.rated_by(), False)) for member in self.live
        ]

    @property
    def velocities(self) -> list[Tensor]:
        """Where weights and heads are moving, in the order of the stack: what a training that goes on needs."""
        order = np.argsort([member.place for member in self.live])
        return [each[order] for each in self.moving]

    def _weights(self) -> list[Tensor]:
        """Return what moves: the weights that are shared, and the heads."""
        return [each.data for each in (*self.work.shared, self.work.heads)]

    def _resume(self) -> None:
        """Let layers and heads move what is there."""
        momentum = self.recipe.momentum
        *shared, heads = self._weights()
        self.layers = MovingLayers(shared, self.moving[:-1], n_outputs=self.work.n_outputs, momentum=momentum)
        self.heads = LazyHeads(heads, self.moving[-1], momentum=momentum)

    def run(self, epochs: int) -> Iterator[list[dict[str, Any]]]:
        """Train for at most so many epochs; after each the record of every member that took part is yielded."""
        while self.live and epochs > 0:
            epochs -= 1
            started, taking_part = time.perf_counter(), self.live
            rates = [member.progress.lr for member in taking_part]
            losses = {"train_loss": self._train_epoch()}
            for member in taking_part:
                member.progress.n_epochs += 1
            if self.validates:
                losses["valid_loss"] = self._validate()
                self._judge(losses["valid_loss"])
            else:
                self._keep_weights(range(len(self.live)))
            seconds = time.perf_counter() - started
            rows = [
                {"epoch": member.progress.n_epochs, "member": member.place}
                | {name: values[at] for name, values in losses.items()}
                | {"event_lr": rates[at], "dur": seconds}
                for at, member in enumerate(taking_part)
            ]
            yield sorted(rows, key=lambda row: row["member"])

    def _train_epoch(self) -> list[float]:
        """Train one epoch, and return the mean loss of each live member."""
        rows = [_shuffled(member.source) for member in self.live]
        rates = torch.tensor([member.progress.lr for member in self.live], device=self.recipe.device)
        starts = range(0, len(rows[0]), self.recipe.batch_size)
        decay = [self.recipe.weight_decay * float(rate) for rate in rates]
        self.heads.start(1.0, decay, len(starts))
        self.layers.start(1.0, decay)
        layers, total = self.layers, torch.zeros_like(rates)
        for start in starts:
            if self.is_interrupted:
                raise KeyboardInterrupt
            parts = [each[start : start + self.recipe.batch_size] for each in rows if start < len(each)]
            if len(parts) < layers.n_members:  # the others have no samples left in this epoch
                self.heads.finish(range(len(parts), layers.n_members))
                layers = layers.first(len(parts))
            sizes = [len(each) for each in parts]
            total[: len(sizes)] += self._step(layers, parts, rates[: len(sizes)]) * rates.new_tensor(sizes)
        self.heads.finish(range(layers.n_members))
        return (total / rates.new_tensor([len(each) for each in rows])).tolist()

    @torch.no_grad()
    def _step(self, layers: MovingLayers, rows: list[np.ndarray], rates: Tensor) -> Tensor:
        """Train on one batch, and return the loss of each member."""
        batch = cut_batch(self.live[0].source.train, rows).to(self.recipe.device)
        X = self._dropped(batch.X, [len(each) for each in rows])
        predicted = layers.predict(X, self.heads.read(batch.heads), batch.pairs)
        with torch.enable_grad():
            losses = ccc_losses(predicted.requires_grad_(), batch.y, batch.weight)
            (losses * rates).sum().backward()
        assert predicted.grad is not None
        self.heads.step(layers.learn(predicted.grad))
        return losses.detach()

    def _dropped(self, X: Tensor, sizes: list[int]) -> Tensor:
        """Drop features, each member by words of its own generator, of which none are drawn for the filling."""
        if self.recipe.dropout == 0:
            return X
        words = torch.zeros((len(X), -(-X[0].numel() // 4)), dtype=torch.int64)
        for row, member, size in zip(words, self.live, sizes, strict=False):
            row[: -(-size * X.shape[2] // 4)].random_(-(2**63), None, generator=member.source.generator)
        return drop(X, words, self.recipe.dropout)

    @torch.no_grad()
    def _validate(self) -> list[float]:
        """Return the loss of each live member over all of its validation samples."""
        sources, parts = [member.source for member in self.live], []
        rows = [cast(RatingsDataset, source.valid).rows for source in sources]
        trained = torch.stack(self.trains).to(self.recipe.device)  # (n_members, n_annotators + 1)
        for start in range(0, max(map(len, rows)), VALIDATION_BATCH):
            batch = cut_batch(sources[0].train, [each[start : start + VALIDATION_BATCH] for each in rows])
            batch = batch.to(self.recipe.device)
            # Heads that a member has no ratings for cannot tell how well it is trained.
            counts = trained.gather(1, batch.heads.gather(1, batch.pairs % batch.heads.shape[1])).unsqueeze(1)
            predicted = self.work(batch.X, self.heads.look_up(batch.heads), batch.pairs)
            parts.append((predicted, batch.y, batch.weight * counts))
        predicted, y, weight = (torch.cat(same, dim=2) for same in zip(*parts, strict=True))
        return ccc_losses(predicted, y, weight).tolist()

    def _judge(self, losses: list[float]) -> None:
        """Keep the weights that are better than all before, and go on with the members that have not ended."""
        better, factors = [], []
        for at, member in enumerate(self.live):
            before = member.progress.lr
            if member.progress.record(losses[at], self.recipe):
                better.append(at)
            factors.append(member.progress.lr / before)
        self._keep_weights(better)
        for velocity in self.moving:
            for each, factor in zip(velocity, factors, strict=True):
                if factor != 1:
                    each.mul_(factor)
        going_on = [at for at, member in enumerate(self.live) if not member.progress.ended]
        if len(going_on) < len(self.live):
            self._go_on_with(going_on)

    @torch.no_grad()
    def _keep_weights(self, which: Iterable[int]) -> None:
        """Put the weights of some live members into the stack."""
        for at in which:
            place = self.live[at].place
            for kept, weight in zip(self.stack.shared, self.work.shared, strict=True):
                kept[place] = weight[at]
            self.stack.heads[place] = self.heads.weight[at, :-1]

    def _go_on_with(self, which: list[int]) -> None:
        """Leave all other live members out."""
        self.live, self.trains = [self.live[at] for at in which], [self.trains[at] for at in which]
        for weight in self.work.parameters():
            weight.data = weight.data[which]
        self.moving = [each[which] for each in self.moving]
        self._resume()


def _shuffled(source: Source) -> np.ndarray:
    """Return the rows of a member's training samples in a new order."""
    rows = source.train.rows
    return rows[torch.randperm(len(rows), generator=source.generator).numpy()]
