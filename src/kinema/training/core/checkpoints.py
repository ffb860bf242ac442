"""Checkpoints: the full state of a training, averaged weights included, from which it resumes exactly.

Loading executes no code. A damaged file raises an error that names it.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor, nn

from ...core.errors import KinemaError
from ...core.outside import for_terminal
from ...core.whole import put, whole
from . import processes


def read(path: Path, device: str = "cpu") -> Any:
    """Load a file of torch.save: tensors, numbers, strings, and dicts and lists of them. Raises KinemaError if the file
    is damaged or holds other objects, FileNotFoundError if it is missing."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError, KeyError, BadZipFile) as error:
        if "out of memory" in str(error).lower():
            raise
        reason = for_terminal((str(error).splitlines() or [type(error).__name__])[0], 200)
        raise KinemaError(f"{path}: damaged, or not a file of a training ({reason}).") from None


class Ema:
    """Exponential moving average of trainable weights. The decay at step n is min(decay, (1 + n) / (10 + n))."""

    def __init__(self, modules: Mapping[str, nn.Module], decay: float):
        self.decay = decay
        self.live = {
            f"{m}.{n}": p for m, module in modules.items() for n, p in module.named_parameters() if p.requires_grad
        }
        self.shadow = {name: p.detach().clone() for name, p in self.live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.shadow.values()), [p.data for p in self.live.values()], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange live and averaged weights; call again to undo."""
        for name, p in self.live.items():
            held = p.detach().clone()
            p.copy_(self.shadow[name])
            self.shadow[name].copy_(held)


class Trainable:
    """The trainable parameters of a module, saved and loaded with the interface of a module."""

    def __init__(self, module: nn.Module) -> None:
        self.learning = {name: p for name, p in module.named_parameters() if p.requires_grad}

    def state_dict(self) -> dict[str, Tensor]:
        return {name: p.data for name, p in self.learning.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for name, p in self.learning.items():
            p.data.copy_(state[name])


def save_checkpoint(
    path: Path, task: Any, parts: Mapping[str, nn.Module | Trainable], optimizers: list[torch.optim.Optimizer],
    ema: Ema, step: int, seconds: float,
) -> None:  # fmt: skip
    """Write the full state of a training (the first process only). The old file is replaced atomically."""
    if not processes.first():
        return
    state = {
        "step": step,
        "seconds": seconds,
        "modules": {name: part.state_dict() for name, part in parts.items()},
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "ema": ema.shadow,
        "samples": getattr(task, "samples", 0),
    }
    with whole(path) as beside:
        torch.save(state, beside)


def load_checkpoint(
    path: Path, task: Any, parts: Mapping[str, nn.Module | Trainable], optimizers: list[torch.optim.Optimizer],
    ema: Ema,
) -> tuple[int, float]:  # fmt: skip
    """Restore the state that save_checkpoint wrote; returns (step, seconds trained so far)."""
    state = read(path)
    try:
        for name, part in parts.items():
            part.load_state_dict(state["modules"][name])
        for optimizer, held in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(held)
        for name, value in state["ema"].items():
            ema.shadow[name].copy_(value)
        if hasattr(task, "samples"):
            task.samples = state["samples"]
        return int(state["step"]), float(state["seconds"])
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        why = for_terminal(" ".join(str(error).split()), 300)
        raise KinemaError(f"{path}: the checkpoint is of another network or has other settings ({why}).") from None


def put_aside(*files: Path) -> None:
    """Rename the files of an earlier run to NAME.before.SUFFIX, so that they are not resumed by mistake."""
    if processes.first():
        for file in files:
            if file.exists():
                put(file, file.with_name(f"{file.stem}.before{file.suffix}"), durable=False)


def load_averaged(path: Path, modules: Mapping[str, nn.Module], skip: Callable[[str], bool] | None = None) -> int:
    """Load the averaged weights of a checkpoint into the modules, for export and sampling; returns its step. skip:
    names of weights that the modules keep."""
    state = read(path)
    for name, module in modules.items():
        own = {key[len(name) + 1 :]: value for key, value in state["ema"].items() if key.startswith(name + ".")}
        found = {**state["modules"][name], **own}
        if skip is not None:
            kept = {key: value for key, value in module.state_dict().items() if skip(key)}
            found = {key: value for key, value in found.items() if not skip(key)} | kept
        module.load_state_dict(found)
    return state["step"]
