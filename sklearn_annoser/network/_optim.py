"""SGD that touches only the heads of a batch and equals the dense optimizer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

CHUNK_ROWS = 4096
FADED = 1e-19  # the root of float32's smallest normal number


class LazySGD(torch.optim.SGD):
    r"""SGD with momentum whose cost does not depend on the number of rows that had no gradient.

    Parameters with a *sparse* gradient (the heads) are updated row by row; all others as by :class:`torch.optim.SGD`.
    A row that gets no gradient goes on moving on its momentum under the dense optimizer. One such idle step is linear
    in the weight `w` and the velocity `v`,

    .. math:: \begin{pmatrix} w \\ v \end{pmatrix} \leftarrow
              \begin{pmatrix} 1 - \eta\lambda & -\eta\mu \\ \lambda & \mu \end{pmatrix} \begin{pmatrix} w \\ v
              \end{pmatrix}

    with learning rate :math:`\eta`, momentum :math:`\mu` and weight decay :math:`\lambda`, so `d` idle steps are a
    power of that matrix. A row is caught up just before it is read (:meth:`catch_up`), and all of them before anybody
    looks at the weights (:meth:`flush`). A new learning rate, momentum or weight decay flushes by itself. The result is
    that of the dense optimizer.

    Parameters
    ----------
    params : iterable
        Parameters or groups of them.
    lr : float, default=1e-3
        Learning rate.
    momentum : float, default=0.9
        Momentum.
    weight_decay : float, default=0
        Weight decay, on idle rows too.
    """

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step.

        Parameters
        ----------
        closure : callable, default=None
            Computes the gradients anew and returns the loss.

        Returns
        -------
        float or Tensor or None
            What `closure` returned.

        Raises
        ------
        RuntimeError
            A row with a gradient was not caught up before it was read: its gradient is that of an old weight.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        sparse = []
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None and param.grad.is_sparse:
                    sparse.append((group, param, param.grad))
                    param.grad = None  # the dense step passes over it
        self._start_late_ones()
        super().step()
        for group, param, grad in sparse:
            self._step_rows(group, param, grad)
            param.grad = grad
        return loss

    def _start_late_ones(self) -> None:
        """Give weights that were frozen so far a velocity of 0: torch's fused step wants all to have one, or none."""
        for group in self.param_groups:
            states = [(param, self.state[param]) for param in group["params"] if param.grad is not None]
            late = [(param, state) for param, state in states if state.get("momentum_buffer") is None]
            if group["momentum"] and len(late) < len(states):
                for param, state in late:
                    state["momentum_buffer"] = torch.zeros_like(param)

    def _step_rows(self, group: dict[str, Any], param: Tensor, grad: Tensor) -> None:
        """Update the rows of a sparse gradient; the others have one more step to catch up."""
        rows, change = grad._indices()[0], grad._values()
        state = self._row_state(group, param)
        caught, velocity = state.pop("caught", (None, None))
        if caught is None or not torch.equal(caught, rows):
            self._settle(state, caught, velocity)
            grad = grad.coalesce()  # these are not just the rows that were caught up, which are there once
            rows, change = grad.indices()[0], grad.values()
            if (state["done"].index_select(0, rows) < state["n_steps"]).any():
                raise RuntimeError(
                    "rows with a gradient have steps to catch up: call optimizer.catch_up(param, rows) before the "
                    "module reads them."
                )
            velocity = state["velocity"].index_select(0, rows)
        velocity.mul_(group["momentum"]).add_(change)
        if group["weight_decay"]:
            velocity.add_(param.index_select(0, rows), alpha=group["weight_decay"])
        state["velocity"].index_copy_(0, rows, velocity)
        param.index_add_(0, rows, velocity, alpha=-group["lr"])
        state["n_steps"] += 1
        state["done"].index_fill_(0, rows, state["n_steps"])

    @torch.no_grad()
    def catch_up(self, param: Tensor, rows: Tensor) -> None:
        """Bring rows of a parameter to the present step.

        Parameters
        ----------
        param : Tensor, shape (n_rows, n_columns)
            A parameter that gets sparse gradients.
        rows : Tensor of int
            Which rows, each once.
        """
        group = next(group for group in self.param_groups if any(each is param for each in group["params"]))
        self._catch_up(param, self._row_state(group, param), rows)

    @torch.no_grad()
    def flush(self) -> None:
        """Bring all rows of all lazily updated parameters to the present step."""
        for group in self.param_groups:
            for param in group["params"]:
                if "velocity" in self.state[param]:
                    self._flush(param, self._row_state(group, param))

    def start_rows(self, param: Tensor) -> Tensor:
        """Bring all rows of a parameter to the present step, and return where they are moving, of its shape.

        Parameters
        ----------
        param : Tensor, shape (n_rows, n_columns)
            A parameter that gets sparse gradients; or that somebody else is about to move, with its velocity, in place.

        Returns
        -------
        Tensor, shape (n_rows, n_columns)
        """
        group = next(group for group in self.param_groups if any(each is param for each in group["params"]))
        state = self._row_state(group, param)
        self._flush(param, state)
        return state["velocity"]

    def _flush(self, param: Tensor, state: dict[str, Any]) -> None:
        """Bring all rows of one parameter to the present step, in chunks of bounded memory."""
        self._settle(state, *state.pop("caught", (None, None)))
        if state["flushed"] == state["n_steps"]:
            return
        for start in range(0, len(param), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            weight, velocity = param[rows], state["velocity"][rows]  # views
            weight.add_(self._idle(state, state["done"][rows], weight, velocity))
        state["done"].fill_(state["n_steps"])
        state["flushed"] = state["n_steps"]

    def _catch_up(self, param: Tensor, state: dict[str, Any], rows: Tensor) -> None:
        """Bring some rows to the present step; their velocity waits for the step that follows."""
        self._settle(state, *state.pop("caught", (None, None)))
        velocity = state["velocity"].index_select(0, rows)
        weight = param.index_select(0, rows) if state["rule"][2] else None
        param.index_add_(0, rows, self._idle(state, state["done"].index_select(0, rows), weight, velocity))
        state["done"].index_fill_(0, rows, state["n_steps"])
        state["caught"] = (rows, velocity)

    @staticmethod
    def _idle(state: dict[str, Any], done: Tensor, weight: Tensor | None, velocity: Tensor) -> Tensor:
        """Apply the idle steps since `done` to velocities, in place, and return how far the weights moved."""
        powers = idle_steps(*state["rule"]).up_to(state["n_steps"] - state["flushed"]).to(velocity)
        a, b, c, d = powers.index_select(0, (state["n_steps"] - done).long()).unsqueeze(-1).unbind(1)  # (n_rows, 1)
        change = b * velocity
        velocity.mul_(d)
        if state["rule"][2]:  # with weight decay an idle row depends on its weight too
            assert weight is not None
            change.addcmul_(a - 1, weight)
            velocity.addcmul_(c, weight)
        return change

    @staticmethod
    def _settle(state: dict[str, Any], rows: Tensor | None, velocity: Tensor | None) -> None:
        """Store the velocity of rows that were caught up but not stepped."""
        if rows is not None:
            state["velocity"].index_copy_(0, rows.long(), velocity)  # torch loads a state's integers as floats

    def _row_state(self, group: dict[str, Any], param: Tensor) -> dict[str, Any]:
        """Return the state of a lazily updated parameter, flushed if the learning rate has changed since."""
        state = self.state[param]
        rule = (float(group["lr"]), float(group["momentum"]), float(group["weight_decay"]))
        if not state:
            state["velocity"] = torch.zeros_like(param)
            state["done"] = torch.zeros(len(param), dtype=torch.int64, device=param.device)
            state["n_steps"] = state["flushed"] = 0
            state["rule"] = rule
        elif state["rule"] != rule:
            self._flush(param, state)
            state["rule"] = rule
        return state


@torch.no_grad()
def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale all gradients by one factor so that their common norm is at most `max_norm`, and return what it was.

    As :func:`torch.nn.utils.clip_grad_norm_`, but of sparse gradients too: their rows are all that is looked at.

    Parameters
    ----------
    parameters : iterable of Tensor
        Parameters, with or without a gradient.
    max_norm : float
        The largest norm.

    Returns
    -------
    Tensor
        The norm before.
    """
    values = []
    for param in parameters:
        if param.grad is not None:
            if param.grad.is_sparse:
                param.grad = param.grad.coalesce()  # a row that is there twice counts by its sum
            values.append(param.grad.values() if param.grad.is_sparse else param.grad)
    norm = torch.stack([torch.linalg.vector_norm(each) for each in values]).norm()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for each in values:
        each.mul_(factor)
    return norm


class IdleSteps:
    """Powers of the matrix of one idle step, computed once each, in float64."""

    def __init__(self, lr: float, momentum: float, weight_decay: float) -> None:
        self.step = np.array([[1 - lr * weight_decay, -lr * momentum], [weight_decay, momentum]])
        self.table = np.eye(2)[None]

    def up_to(self, n_steps: int) -> Tensor:
        """Return the four coefficients of 0, 1, ... idle steps, `n_steps` at least, (n_powers, 4)."""
        table = self.table  # another thread may put a longer one in its place
        while len(table) <= n_steps:  # M^(n + i) = M^n M^i doubles the table
            table = np.concatenate([table, table @ (table[-1] @ self.step)])
            # What has faded so far adds nothing, but would leave denormal velocities, which a CPU is slow with.
            table = np.where(np.abs(table) < FADED, 0.0, table)
            self.table = table
        return torch.from_numpy(table.reshape(-1, 4))


@lru_cache(maxsize=16)
def idle_steps(lr: float, momentum: float, weight_decay: float) -> IdleSteps:
    """Return the one table of idle steps for these settings."""
    return IdleSteps(lr, momentum, weight_decay)
