"""The heads of networks that train side by side: rows that are moved when they are read, as by `LazySGD`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sklearn_annoser.network._optim import CHUNK_ROWS, idle_steps


class LazyHeads:
    """Heads and velocities of all members, in units of a learning rate of 1: a member's own scales its loss.

    Parameters
    ----------
    heads : Tensor, shape (n_members, n_annotators, n_columns)
        Where they start. They are copied, and get one row more, which the filling of batches falls on.
    momentum : float
        Momentum.
    velocity : Tensor, shape (n_members, n_annotators + 1, n_columns), default=None
        Where they were moving. None: nowhere.
    """

    def __init__(self, heads: Tensor, momentum: float, velocity: Tensor | None = None) -> None:
        self.momentum = momentum
        self.weight = F.pad(heads.detach(), (0, 0, 0, 1))
        self.velocity = torch.zeros_like(self.weight) if velocity is None else velocity
        self.start([0.0] * len(heads), 0)

    def start(self, decay: Sequence[float], most_steps: int) -> None:
        """Start an epoch of at most so many steps, with each member's weight decay times its learning rate.

        The first members may go on when the last ones have finished.
        """
        self.decay = self.weight.new_tensor(decay).view(-1, 1, 1)
        self.decays = any(decay)
        tables = [idle_steps(1.0, self.momentum, each).up_to(most_steps)[: most_steps + 1] for each in decay]
        self.table = torch.stack(tables).to(self.weight)  # (n_members, n_steps + 1, 4)
        self.done = torch.zeros(self.weight.shape[:2], dtype=torch.int64, device=self.weight.device)
        self.n_steps = 0

    def keep(self, members: list[int]) -> None:
        """Go on with some of the members, at the end of an epoch."""
        self.weight, self.velocity = self.weight[members], self.velocity[members]

    def look_up(self, heads: Tensor) -> Tensor:
        """Return rows of each member, (n_members, n_heads, n_columns), as they are after :meth:`finish`."""
        return self.weight.flatten(0, 1).index_select(0, self._rows(heads)).unflatten(0, heads.shape)

    def read(self, heads: Tensor) -> Tensor:
        """Return rows of each member as they are at this step; :meth:`step` moves them on."""
        self.place = self._rows(heads)
        weight, self.moving = self._caught_up(
            torch.arange(len(heads), device=heads.device)[:, None],
            self.done.flatten().index_select(0, self.place).view(heads.shape),
            *(
                each.flatten(0, 1).index_select(0, self.place).unflatten(0, heads.shape)
                for each in (self.weight, self.velocity)
            ),
        )
        return weight.requires_grad_()

    @torch.no_grad()
    def step(self, weight: Tensor) -> None:
        """Move the rows that were read last by their gradient."""
        assert weight.grad is not None
        velocity = self.moving.mul_(self.momentum).add_(weight.grad)
        if self.decays:
            velocity.addcmul_(self.decay[: len(weight)], weight)
        self.n_steps += 1
        # The filling is there several times, but each time with the same values: its gradient is 0.
        self.weight.flatten(0, 1).index_copy_(0, self.place, (weight - velocity).flatten(0, 1))
        self.velocity.flatten(0, 1).index_copy_(0, self.place, velocity.flatten(0, 1))
        self.done.flatten().index_fill_(0, self.place, self.n_steps)

    def finish(self, members: range) -> None:
        """Bring all rows of some members to the present step, in chunks of bounded memory."""
        for member in members:
            for start in range(0, self.weight.shape[1], CHUNK_ROWS):
                rows = slice(start, start + CHUNK_ROWS)
                moved = self._caught_up(
                    member, *(each[member, rows] for each in (self.done, self.weight, self.velocity))
                )
                self.weight[member, rows], self.velocity[member, rows] = moved
            self.done[member] = self.n_steps

    @torch.no_grad()
    def _caught_up(self, member: Tensor | int, done: Tensor, weight: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights and velocities after the idle steps since `done`."""
        a, b, c, d = self.table[member, self.n_steps - done].unsqueeze(-1).unbind(-2)
        moved = weight + b * velocity
        if not self.decays:
            return moved, d * velocity
        return moved.addcmul_(a - 1, weight), d * velocity + c * weight

    def _rows(self, heads: Tensor) -> Tensor:
        """Return where rows of each member, (n_members, n_heads), are in the rows of all, flattened."""
        first = torch.arange(len(heads), device=heads.device) * self.weight.shape[1]
        return (heads + first[:, None]).flatten()
