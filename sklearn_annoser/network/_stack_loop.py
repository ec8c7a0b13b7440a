"""Several stacks of networks trained side by side, epoch by epoch, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from sklearn_annoser.network._stack import MemberStack
from sklearn_annoser.network._stack_training import Member, Progress, Recipe, Source, StackTraining
from sklearn_annoser.network._torch_state import plain_torch


@dataclass(slots=True)
class TrainedStack:
    """A stack, and what its training needs to go on."""

    name: str  # of a member, without its number
    stack: MemberStack
    lrs: list[float]
    velocities: list[Tensor] | None = None
    progress: list[Progress] = field(default_factory=list)

    def trainings(self, recipe: Recipe, sources: list[Source], n_parts: int) -> list[StackTraining]:
        """Return trainings of about equal parts of the members."""
        n, n_parts = self.stack.n_members, min(n_parts, self.stack.n_members)
        ends = [n * part // n_parts for part in range(n_parts + 1)]
        members = [Member(*each) for each in zip(range(n), sources, map(Progress, self.lrs), strict=True)]
        return [StackTraining(self.stack, members[slice(*part)], recipe, self.velocities) for part in pairwise(ends)]

    def take(self, trainings: list[StackTraining], *, moving: bool) -> None:
        """Take over where the trainings of all parts have come to: rates, and velocities where weights are the last."""
        self.progress = [each for training in trainings for each in training.progress]
        self.lrs = [each.lr for each in self.progress]
        together = zip(*(training.velocities for training in trainings), strict=True)
        self.velocities = [torch.cat(parts) for parts in together] if moving else None


@dataclass(frozen=True, slots=True)
class Task:
    """A stack to train, and what each of its members learns from."""

    trained: TrainedStack
    sources: list[Source]


def train_together(tasks: list[Task], recipe: Recipe, epochs: int, n_threads: int) -> Iterator[list[dict[str, Any]]]:
    """Train stacks for at most so many epochs, and yield the records of each.

    So many threads of Python have parts of the stacks to train. They meet at the end of an epoch only: threads of torch
    would at every product, and wait for each other where cores are busy.
    """
    parts = [task.trained.trainings(recipe, task.sources, n_threads) for task in tasks]
    running = [
        (task.trained.name, training.run(epochs))
        for task, trainings in zip(tasks, parts, strict=True)
        for training in trainings
    ]
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            while True:
                rows = [row for found in pool.map(_next_epoch, running) for row in found]
                if not rows:
                    break
                for task, trainings in zip(tasks, parts, strict=True):
                    task.trained.take(trainings, moving=False)
                yield rows
        except KeyboardInterrupt:
            for training in (each for trainings in parts for each in trainings):
                training.is_interrupted = True
            raise
    for task, trainings in zip(tasks, parts, strict=True):
        task.trained.take(trainings, moving=task.sources[0].valid is None)


def _next_epoch(running: tuple[str, Iterator[list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Train one epoch; there are no records if all have ended."""
    name, training = running
    with plain_torch(n_threads=1):
        rows = next(training, [])
    return [row | {"member": f"{name} {row['member']}"} for row in rows]
