"""The heads of networks that train side by side: rows that are moved when they are read, as by `LazySGD`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sklearn_annoser.network._optim import CHUNK_ROWS, idle_steps


class LazyHeads:
    """Heads of all members, of which a step reads and moves those that a batch needs.

    Parameters
    ----------
    weight : Tensor, shape (n_members, n_heads, n_columns)
        The heads; they are moved in place.
    velocity : Tensor, shape (n_members, n_heads, n_columns)
        Where they are moving; also in place.
    momentum : float
        Momentum.
    """

    def __init__(self, weight: Tensor, velocity: Tensor, *, momentum: float) -> None:
        self.weight, self.velocity, self.momentum = weight.detach(), velocity, momentum
        self._read = weight.new_empty((2, 0, weight.shape[2]))  # memory that is used again: fresh memory is slow
        self.members = torch.arange(len(weight), device=weight.device)[:, None]
        self.first_row = self.members * weight.shape[1]

    def start(self, lr: float, decay: Sequence[float], most_steps: int) -> None:
        """Start an epoch of at most so many steps, with a learning rate, and the weight decay of each member.

        The first members may go on when the last ones have finished.
        """
        self.lr, self.decays = lr, any(decay)
        self.decay = self.weight.new_tensor(decay).view(-1, 1, 1)
        tables = [idle_steps(lr, self.momentum, each).up_to(most_steps)[: most_steps + 1] for each in decay]
        self.table = torch.cat(tables).to(self.weight)  # (n_members * (most_steps + 1), 4)
        self.first_rule = self.members * (most_steps + 1)
        self.done = torch.zeros(self.weight.shape[:2], dtype=torch.int64, device=self.weight.device)
        self.n_steps = 0

    def look_up(self, heads: Tensor) -> Tensor:
        """Return rows of each member, (n_members, n_heads, n_columns), as they are after :meth:`finish`."""
        return self.weight.flatten(0, 1).index_select(0, self._rows(heads)).unflatten(0, heads.shape)

    def read(self, heads: Tensor) -> Tensor:
        """Return rows of each member, (n_members, n_heads, n_columns), as they are at this step.

        :meth:`step` moves them on; until then they are not written to.
        """
        self.rows = rows = self._rows(heads)
        if len(rows) > self._read.shape[1]:
            self._read = self.weight.new_empty((2, 2 * len(rows), self.weight.shape[2]))
        weight, velocity = self._read[:, : len(rows)]
        torch.index_select(self.weight.flatten(0, 1), 0, rows, out=weight)
        torch.index_select(self.velocity.flatten(0, 1), 0, rows, out=velocity)
        missed = self.n_steps - self.done.flatten().index_select(0, rows).view(heads.shape)
        self._catch_up(weight, velocity, (missed + self.first_rule[: len(heads)]).flatten())
        self.moving = weight.unflatten(0, heads.shape), velocity.unflatten(0, heads.shape)
        return self.moving[0]

    def step(self, gradient: Tensor) -> None:
        """Move the rows that were read last by their gradient, (n_members, n_heads, ...)."""
        weight, velocity = self.moving
        velocity.mul_(self.momentum).view(gradient.shape).add_(gradient)
        if self.decays:
            velocity.addcmul_(self.decay[: len(weight)], weight)
        weight.sub_(velocity, alpha=self.lr)
        self.n_steps += 1
        # The filling of batches is there several times, but each time with the same values: its gradient is 0.
        put_rows(self.weight.flatten(0, 1), self.rows, weight.flatten(0, 1))
        put_rows(self.velocity.flatten(0, 1), self.rows, velocity.flatten(0, 1))
        self.done.flatten().index_fill_(0, self.rows, self.n_steps)

    def finish(self, members: range) -> None:
        """Bring all rows of some members to the present step, in chunks of bounded memory."""
        for member in members:
            for start in range(0, self.weight.shape[1], CHUNK_ROWS):
                rows = slice(start, start + CHUNK_ROWS)
                missed = self.n_steps - self.done[member, rows]
                self._catch_up(self.weight[member, rows], self.velocity[member, rows], missed + self.first_rule[member])
            self.done[member] = self.n_steps

    def _catch_up(self, weight: Tensor, velocity: Tensor, places: Tensor) -> None:
        """Take weights and velocities, (n, n_columns), through idle steps, whose rules are at some places."""
        a, b, c, d = self.table.index_select(0, places).unsqueeze(2).unbind(1)
        before = weight.clone() if self.decays else weight
        weight.addcmul_(b, velocity)
        velocity.mul_(d)
        if self.decays:
            weight.addcmul_(a - 1, before)
            velocity.addcmul_(c, before)

    def _rows(self, heads: Tensor) -> Tensor:
        """Return where rows of each member, (n_members, n_heads), are in the rows of all, flattened."""
        return (heads + self.first_row[: len(heads)]).flatten()


def put_rows(table: Tensor, rows: Tensor, values: Tensor) -> None:
    """Write some rows of a table; numpy is several times as fast as torch at that."""
    if table.device.type == "cpu":
        table.numpy()[rows.numpy()] = values.numpy()
    else:
        table.index_copy_(0, rows, values)
