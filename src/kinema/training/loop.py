"""The training loop: step, average, measure, save, stop on the clock.

A `Task` says what is learnt; `train` does the rest. A step's randomness comes from (seed, step, process) alone, so a
run that was killed and resumed takes the very step that it would have taken. With several processes (see
processes.py) each takes its own batch and gradients are averaged; the first one keeps the clock, measures and saves.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kinema.core.errors import KinemaError
from kinema.core.outside import for_terminal
from kinema.core.whole import put, whole

from . import processes, saved
from .muon import Muon, split_parameters
from .optimizers import adam

CLOCK_SLACK = 0.1
"""Share of the minutes by which a run may be behind its steps before the clock is what its progress follows."""


class Task(Protocol):
    """What is learnt: modules are saved (frozen parts have requires_grad off); Muon leaves names_for_adam alone."""

    modules: Mapping[str, nn.Module]
    names_for_adam: tuple[str, ...]

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """The scalar to minimise and numbers to log. progress runs from 0 to 1 over the budget."""

    def evaluate(self, step: int) -> dict[str, Any]:
        """Held-out measurements; called with averaged weights in the modules."""


@dataclass(frozen=True)
class LoopConfig:
    """Either minutes or max_steps bounds the run; the learning rate follows whichever is set (max_steps first).
    most_steps: both do, whichever comes first. accumulate: batches whose gradients make a step. optimizer: what AdamW
    is (optimizers.KINDS). sharded: frozen weights are spread over the processes (sharding.py), so that all of them
    have to be there when one computes, and checkpoints hold only what learns."""

    out: Path
    minutes: float = 10.0
    max_steps: int | None = None
    most_steps: int | None = None
    lr_muon: float = 2.4e-3
    lr_adam: float = 1.2e-3
    weight_decay: float = 0.0
    warmup_steps: int = 40
    decay_from: float = 0.6
    final_lr: float = 0.05
    clip: float = 1.0
    accumulate: int = 1
    ema: float = 0.998
    seed: int = 0
    device: str = "cpu"
    bf16: bool = False
    log_every: int = 20
    evaluate_minutes: float = 5.0
    checkpoint_minutes: float = 2.0
    resume: bool = False
    optimizer: str = "adamw"
    sharded: bool = False


class Ema:
    """Exponential moving average of trainable weights; the decay grows from 0 as (1 + n) / (10 + n)."""

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


def learning_rate(progress: float, step: int, config: LoopConfig) -> float:
    """Factor on the learning rate: linear warm-up in steps, flat, then a cosine down to final_lr."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    if progress <= config.decay_from:
        return warm
    x = min(1.0, (progress - config.decay_from) / (1 - config.decay_from))
    return warm * (config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * x)))


def progress_of(step: int, elapsed: float, config: LoopConfig) -> float:
    """From 0 to 1 over the budget. With most_steps, the clock counts only where it will end the run: before that, what
    it reads would make two runs of the same seed differ."""
    if config.max_steps:
        return step / config.max_steps
    clock = elapsed / (60 * config.minutes)
    if not config.most_steps:
        return clock
    return max(step / config.most_steps, (clock - CLOCK_SLACK) / (1 - CLOCK_SLACK))


def train(task: Task, config: LoopConfig, on_event: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """Run to the end of the budget; returns the last evaluation with step, seconds and samples.

    Writes events.jsonl and checkpoint.pt in config.out; the averaged weights are in the modules afterwards. An earlier
    run's files there are gone on with (resume), or kept as events.before.jsonl and checkpoint.before.pt.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    parts = {name: Learning(module) if config.sharded else module for name, module in task.modules.items()}
    processes.same_start([tensor for part in parts.values() for tensor in part.state_dict().values()])
    muon_params, adam_params = split_parameters(task.modules.values(), task.names_for_adam)
    optimizers: list[torch.optim.Optimizer] = []
    if adam_params:
        optimizers.append(adam(adam_params, kind=config.optimizer, lr=config.lr_adam, device=config.device))
    if muon_params:
        optimizers.append(Muon(muon_params, lr=config.lr_muon, weight_decay=config.weight_decay))
    peak = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    everything = adam_params + muon_params
    ema = Ema(task.modules, config.ema)
    checkpoint = config.out / "checkpoint.pt"
    step, before = 0, 0.0
    if config.resume and checkpoint.exists():
        step, before = load_checkpoint(checkpoint, task, parts, optimizers, ema)
    else:
        _put_aside(checkpoint, config.out / "events.jsonl")
    started = time.monotonic()
    stored = measured = logged = started
    sums: dict[str, float] = {}
    summed = 0

    def emit(event: dict[str, Any]) -> None:
        if not processes.first():
            return
        event = {"step": step, "seconds": round(before + time.monotonic() - started, 1), **event}
        with (config.out / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
        if on_event:
            on_event(event)

    def measure() -> dict[str, Any]:
        if not (processes.first() or config.sharded):
            return {}
        ema.swap()
        try:
            with torch.no_grad():
                return task.evaluate(step)
        finally:
            ema.swap()

    while True:
        now = time.monotonic()
        elapsed = processes.agree(before + now - started, config.device)
        progress = progress_of(step, elapsed, config)
        if progress >= 1:
            break
        factor = learning_rate(progress, step, config)
        for optimizer, lrs in zip(optimizers, peak, strict=True):
            for group, lr in zip(optimizer.param_groups, lrs, strict=True):
                group["lr"] = lr * factor
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step + 500_000_003 * processes.rank())
        for _ in range(config.accumulate):
            with torch.autocast(config.device.split(":")[0], torch.bfloat16, enabled=config.bf16):
                loss, numbers = task.loss(step, progress, generator)
            (loss / config.accumulate).backward()
        processes.average_gradients(everything)
        norm = torch.nn.utils.clip_grad_norm_(everything, config.clip)
        if torch.isfinite(norm):
            for optimizer in optimizers:
                optimizer.step()
            ema.update(step)
        else:
            emit({"event": "skipped", "why": "gradient is not finite"})
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        step += 1
        for name, value in {"loss": loss.item(), "norm": norm.item(), **numbers}.items():
            sums[name] = sums.get(name, 0.0) + value
        summed += 1
        if step % config.log_every == 0:
            now = time.monotonic()
            means = {name: round(value / summed, 5) for name, value in sums.items()}
            emit(
                {
                    "event": "step",
                    **means,
                    "lr": round(factor, 4),
                    "progress": round(progress, 4),
                    "step_s": round((now - logged) / summed, 4),
                }
            )
            sums, summed, logged = {}, 0, now
        if time.monotonic() - measured > 60 * config.evaluate_minutes:
            begun = time.monotonic()
            emit({"event": "evaluated", **measure()})
            measured = time.monotonic()
            logged += measured - begun
        if time.monotonic() - stored > 60 * config.checkpoint_minutes:
            save_checkpoint(checkpoint, task, parts, optimizers, ema, step, before + time.monotonic() - started)
            stored = time.monotonic()
    seconds = before + time.monotonic() - started
    save_checkpoint(checkpoint, task, parts, optimizers, ema, step, seconds)
    result = {"event": "finished", **measure()}
    emit(result)
    ema.swap()
    processes.wait()
    return {"step": step, "train_seconds": round(seconds, 1), **result}


class Learning:
    """The parameters of a module that learn, saved and restored as a module is."""

    def __init__(self, module: nn.Module) -> None:
        self.learning = {name: p for name, p in module.named_parameters() if p.requires_grad}

    def state_dict(self) -> dict[str, Tensor]:
        return {name: p.data for name, p in self.learning.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for name, p in self.learning.items():
            p.data.copy_(state[name])


def save_checkpoint(
    path: Path, task: Task, parts: Mapping[str, nn.Module | Learning], optimizers: list[torch.optim.Optimizer],
    ema: Ema, step: int, seconds: float,
) -> None:  # fmt: skip
    """Everything that the next step depends on, written beside the old file and then moved over it."""
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
    path: Path, task: Task, parts: Mapping[str, nn.Module | Learning], optimizers: list[torch.optim.Optimizer],
    ema: Ema,
) -> tuple[int, float]:  # fmt: skip
    """Restore what save_checkpoint wrote; returns (step, seconds trained so far)."""
    state = saved.read(path)
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
        raise KinemaError(f"{path}: a checkpoint of another network or with other settings ({why}).") from None


def _put_aside(*files: Path) -> None:
    """An earlier run's files get .before in their names, so that nobody goes on with them by mistake."""
    if processes.first():
        for file in files:
            if file.exists():
                put(file, file.with_name(f"{file.stem}.before{file.suffix}"), durable=False)


def load_averaged(path: Path, modules: Mapping[str, nn.Module]) -> int:
    """Put a checkpoint's averaged weights into the modules (for export and sampling); returns its step."""
    state = saved.read(path)
    for name, module in modules.items():
        own = {key[len(name) + 1 :]: value for key, value in state["ema"].items() if key.startswith(name + ".")}
        module.load_state_dict({**state["modules"][name], **own})
    return state["step"]
