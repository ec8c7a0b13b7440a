"""What a pickle or a skops file holds of a network: arrays and numbers, from which it is made again on any machine."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from skorch.history import History
from torch import Tensor, nn


def to_arrays(value: Any) -> Any:
    """Return a value with arrays in the place of its tensors."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, dict):
        return {name: to_arrays(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(to_arrays, value))
    return value


def to_tensors(value: Any, device: Any) -> Any:
    """Return a value with tensors of their own in the place of its arrays."""
    if isinstance(value, np.ndarray):
        return torch.tensor(value, device=device)
    if isinstance(value, dict):
        return {name: to_tensors(each, device) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(to_tensors(each, device) for each in value)
    return value


def module_state(module: nn.Module) -> dict[str, Any]:
    """Return the weights of a module, and which of them are not trained."""
    frozen = [name for name, weights in module.named_parameters() if not weights.requires_grad]
    return {"weights": to_arrays(module.state_dict()), "frozen": frozen}


def take_weights(module: nn.Module, state: dict[str, Any], device: Any) -> None:
    """Give a module other weights in the place of its own, which may have other shapes."""
    for name, weights in to_tensors(state["weights"], device).items():
        place, _, last = name.rpartition(".")
        owner = module.get_submodule(place)
        if last in owner._buffers:
            owner._buffers[last] = weights
        else:
            owner._parameters[last] = nn.Parameter(weights, requires_grad=name not in state["frozen"])


def optimizer_state(optimizer: Any) -> dict[str, Any]:
    """Return the settings of an optimizer, learning rates above all, and where the weights are moving."""
    groups = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    moving = [optimizer.state.get(weights, {}) for group in optimizer.param_groups for weights in group["params"]]
    return {"groups": to_arrays(groups), "moving": to_arrays(moving)}


def go_on_moving(optimizer: Any, state: dict[str, Any], device: Any) -> None:
    """Let an optimizer go on where another one was."""
    for group, settings in zip(optimizer.param_groups, to_tensors(state["groups"], device), strict=True):
        group.update(settings)
    weights = [each for group in optimizer.param_groups for each in group["params"]]
    for each, moving in zip(weights, to_tensors(state["moving"], device), strict=True):
        if moving:
            optimizer.state[each] = moving


def history_state(history: Any) -> Any:
    """Return the records of a training as text, which is small; as they are if there is more in them than numbers."""
    with suppress(TypeError, ValueError, AttributeError):
        return json.dumps(history, default=lambda value: value.item())
    return list(history)


def history_of(state: Any) -> History:
    """Return the records of a training."""
    return History(json.loads(state) if isinstance(state, str) else state)


def present_device(device: Any) -> Any:
    """Return a device if it is on this machine, else the CPU."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        return "cpu"
    return device
