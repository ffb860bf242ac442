"""The training loop: step, average, measure, save, stop on the clock.

A `Task` says what is learnt; `train` does the rest. A step's randomness comes from (seed, step, process) alone, so a
run that was killed and resumed takes the very step that it would have taken. With several processes (see
processes.py) each takes its own batch and gradients are averaged; the first one keeps the clock, measures and saves.
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
from .checkpoints import Ema, Learning, load_checkpoint, put_aside, save_checkpoint
from .optimizers import Muon, adam, split_parameters

TOLD_S = 0.2
"""So often at most it is told which step is taken."""
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
    is (settings.OPTIMIZERS). sharded: frozen weights are spread over the processes (sharding.py), so that all of them
    have to be there when one computes, and checkpoints hold only what learns. budget: of the command; where one of its
    stages is running, that stage's end is the loop's too, with the last evaluation and what the stage does after it."""

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
    """How much of its time a loop has used: a share that rises evenly to 1 from now to `end_s`, by the budget's clock.
    When the end moves, because an evaluation took longer than expected, it rises to it from where it is, so that the
    learning rate comes down to its end in any case. before_s: seconds of an earlier command."""

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
        """While something is evaluated; the rest of the time is what is left after it."""
        share, began_s = self.now(), self.budget.clock()
        yield
        self.budget.evaluated(self.budget.clock() - began_s)
        self.share, self.at_s = share, self.budget.clock()
        self.end_s = self.budget.loop_end_s(self.otherwise_s)


def learning_rate(progress: float, step: int, config: LoopConfig) -> float:
    """Factor on the learning rate: linear warm-up in steps, flat, then a cosine down to final_lr."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    if progress <= config.decay_from:
        return warm
    x = min(1.0, (progress - config.decay_from) / (1 - config.decay_from))
    return warm * (config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * x)))


def progress_of(step: int, clock: float, config: LoopConfig) -> float:
    """From 0 to 1 over the run. clock: the share of its time that is used. With most_steps, the clock counts only where
    it will end the run: before that, what it reads would make two runs of the same seed differ."""
    if config.max_steps:
        return step / config.max_steps
    if not config.most_steps:
        return clock
    return max(step / config.most_steps, (clock - CLOCK_SLACK) / (1 - CLOCK_SLACK))


def steps_of(step: int, progress: float, config: LoopConfig) -> tuple[int, int]:
    """(steps taken, of about how many); the second is 0 while nobody knows."""
    if config.max_steps:
        return step, config.max_steps
    if not step or progress <= 0:
        return step, 0
    return step, max(step, round(step / progress))


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
        put_aside(checkpoint, config.out / "events.jsonl")
    budget, clock_s = config.budget, config.budget.clock
    if before:
        budget.resumed(before)
    budget.learn()
    clock = StepClock(config, before)
    started = clock_s()
    stored = measured = logged = told = started
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
        budget.tell("evaluating")
        ema.swap()
        try:
            with torch.no_grad():
                return task.evaluate(step)
        finally:
            ema.swap()

    while True:
        progress = processes.agree(progress_of(step, clock.now(), config), config.device)
        if progress >= 1 and step:  # a run without a step has nothing to show
            break
        if step == first_step or (now := clock_s()) - told > TOLD_S:
            budget.tell("learning", *steps_of(step, progress, config))
            told = clock_s() if step == first_step else now
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
            with clock.stopped():
                emit({"event": "evaluated", **measure()})
            measured = clock_s()
            logged += measured - begun
        if clock_s() - stored > 60 * config.checkpoint_minutes:
            save_checkpoint(checkpoint, task, parts, optimizers, ema, step, before + clock_s() - started)
            stored = clock_s()
    budget.learnt()
    seconds = before + clock_s() - started
    save_checkpoint(checkpoint, task, parts, optimizers, ema, step, seconds)
    result = {"event": "finished", **measure()}
    emit(result)
    ema.swap()
    processes.wait()
    return {"step": step, "train_seconds": round(seconds, 1), **result}
