"""The training loop: step, average, measure, save, stop on the clock.

A `Task` defines loss and evaluation; `train` does the rest. The random numbers of a step depend only on (seed, step,
process), so a run that was killed and resumed takes the same steps as one that was not. With several processes (see
processes.py) each has its own batch and gradients are averaged; the first process keeps the clock, evaluates and saves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from . import processes
from .budget import Budget
from .checkpoints import Ema, Trainable, load_checkpoint, put_aside, save_checkpoint
from .interrupts import Interrupts
from .optimizers import Muon, adam, split_parameters

REPORT_EVERY_S = 0.2
"""Shortest interval between progress reports of steps."""
CLOCK_SLACK = 0.1
"""Share of the minutes by which a run may lag behind its steps before its progress follows the clock."""


class Task(Protocol):
    """A training objective. modules are saved; frozen parts have requires_grad off. Parameters whose names contain one
    of names_for_adam are trained with AdamW, not Muon."""

    modules: Mapping[str, nn.Module]
    names_for_adam: tuple[str, ...]

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the scalar to minimize and numbers to log. progress rises from 0 to 1 over the budget."""

    def evaluate(self, step: int) -> dict[str, Any]:
        """Return held-out metrics; called with averaged weights in the modules."""


@dataclass(frozen=True)
class LoopConfig:
    """Settings of a training loop. max_steps, if set, bounds the run and drives the learning rate; otherwise minutes
    do. With most_steps, the run ends at the first of most_steps and minutes. accumulate: batches per step. optimizer:
    the kind of AdamW (settings.OPTIMIZERS). sharded: frozen weights are spread over the processes (sharding.py), so all
    processes must evaluate together, and checkpoints hold only trainable parameters. budget: of the command; the
    deadline of its running stage bounds the loop, the last evaluation and the rest of the stage included."""

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
    budget: Budget = field(default_factory=Budget)


class StepClock:
    """The share of a loop's time that is used; it rises linearly to 1 at `end_s`, by the budget's clock. When the
    deadline moves, because an evaluation took longer than estimated, the share rises from its present value, so that
    the learning rate always decays to its end. before_s: seconds of an earlier command."""

    def __init__(self, config: LoopConfig, before_s: float) -> None:
        self.budget = config.budget
        self.began_s = self.at_s = self.budget.clock()
        self.otherwise_s = self.began_s + 60 * config.minutes - before_s
        self.end_s = self.budget.loop_end_s(self.otherwise_s)
        whole = before_s + self.end_s - self.began_s
        self.share = min(1.0, before_s / whole) if whole > 0 else 1.0

    def now(self) -> float:
        left = self.end_s - self.at_s
        if left <= 0:
            return 1.0
        return self.share + (1 - self.share) * min(1.0, (self.budget.clock() - self.at_s) / left)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the clock during an evaluation and compute the deadline again after it."""
        share, began_s = self.now(), self.budget.clock()
        yield
        self.budget.evaluated(self.budget.clock() - began_s)
        self.share, self.at_s = share, self.budget.clock()
        self.end_s = self.budget.loop_end_s(self.otherwise_s)


def learning_rate(progress: float, step: int, config: LoopConfig) -> float:
    """Factor on the learning rate: linear warm-up, constant, then cosine decay to final_lr."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    if progress <= config.decay_from:
        return warm
    x = min(1.0, (progress - config.decay_from) / (1 - config.decay_from))
    return warm * (config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * x)))


def progress_of(step: int, clock: float, config: LoopConfig) -> float:
    """Progress of the run, 0 to 1. clock: the share of its time that is used. With most_steps, the clock counts only if
    it ends the run, since it would otherwise make two runs of one seed differ."""
    if config.max_steps:
        return step / config.max_steps
    if not config.most_steps:
        return clock
    return max(step / config.most_steps, (clock - CLOCK_SLACK) / (1 - CLOCK_SLACK))


def steps_of(step: int, progress: float, config: LoopConfig) -> tuple[int, int]:
    """(steps done, estimated total); the total is 0 while unknown."""
    if config.max_steps:
        return step, config.max_steps
    if not step or progress <= 0:
        return step, 0
    return step, max(step, round(step / progress))


def train(task: Task, config: LoopConfig, on_event: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """Train to the end of the budget; returns the last evaluation with step, seconds and samples.

    Writes events.jsonl and checkpoint.pt in config.out and leaves the averaged weights in the modules. Files of an
    earlier run are resumed (resume) or renamed to events.before.jsonl and checkpoint.before.pt. Ctrl-C and SIGTERM end
    the loop after the step with a checkpoint (in one process; several keep their last one).
    """
    with Interrupts(active=processes.count() == 1) as interrupts:
        return _train(task, config, on_event, interrupts)


def _train(
    task: Task, config: LoopConfig, on_event: Callable[[dict[str, Any]], None] | None, interrupts: Interrupts
) -> dict[str, Any]:
    config.out.mkdir(parents=True, exist_ok=True)
    parts = {name: Trainable(module) if config.sharded else module for name, module in task.modules.items()}
    processes.broadcast([tensor for part in parts.values() for tensor in part.state_dict().values()])
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
        put_aside(checkpoint, config.out / "events.jsonl")
    budget, clock_s = config.budget, config.budget.clock
    if before:
        budget.resumed(before)
    budget.begin_loop()
    clock = StepClock(config, before)
    started = clock_s()
    stored = measured = logged = reported = started
    first_step = step
    sums: dict[str, float] = {}
    summed = 0

    def emit(event: dict[str, Any]) -> None:
        if not processes.first():
            return
        event = {"step": step, "seconds": round(before + clock_s() - started, 1), **event}
        with (config.out / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
        if on_event:
            on_event(event)

    def measure() -> dict[str, Any]:
        if not (processes.first() or config.sharded):
            return {}
        budget.report("evaluating")
        ema.swap()
        try:
            with torch.no_grad():
                return task.evaluate(step)
        finally:
            ema.swap()

    def save() -> None:
        save_checkpoint(checkpoint, task, parts, optimizers, ema, step, before + clock_s() - started)

    while True:
        progress = processes.agree(progress_of(step, clock.now(), config), config.device)
        if progress >= 1 and step:  # every run takes at least one step
            break
        if step == first_step or (now := clock_s()) - reported > REPORT_EVERY_S:
            budget.report("training", *steps_of(step, progress, config))
            reported = clock_s() if step == first_step else now
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
            now = clock_s()
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
        if clock_s() - measured > 60 * config.evaluate_minutes and (config.sharded or budget.may_evaluate()):
            begun = clock_s()
            with clock.stopped(), interrupts.at_once(save):
                emit({"event": "evaluated", **measure()})
            measured = clock_s()
            logged += measured - begun
        if clock_s() - stored > 60 * config.checkpoint_minutes:
            save()
            stored = clock_s()
        interrupts.deliver(save)
    budget.end_loop()
    seconds = before + clock_s() - started
    save_checkpoint(checkpoint, task, parts, optimizers, ema, step, seconds)
    with interrupts.at_once(lambda: None):
        result = {"event": "finished", **measure()}
    emit(result)
    ema.swap()
    processes.wait()
    return {"step": step, "train_seconds": round(seconds, 1), **result}
