"""Train the few-step student of kinema-mini-wan, a LoRA of the transformer, on paths of the guided teacher."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kinema.training.core import processes
from kinema.training.core.loop import LoopConfig, train
from kinema.training.tasks.distill import Batch, Distillation, DistillTask, student_scores, write_paths
from kinema.training.tasks.extract_lora import extract_lora, write_lora
from kinema.training.tasks.flow import sigmas
from kinema.training.tasks.low_rank import add_low_rank
from kinema.training.tasks.video import ROUND, VideoTask

SEGMENTS, RANK, BATCH = 8, 32, 16
PATHS_SHARE = 0.35
"""Share of the time for computing teacher paths; the rest is for training."""
HELD_OUT_BATCH, STEPS = 16, 30
REHEARSAL = 2
"""Batch size in a rehearsal of a few minutes."""


def train_student(
    task: VideoTask,
    out: Path,
    config: LoopConfig,
    minutes: float,
    shift: float,
    guidance: float,
    show: Callable[[dict[str, Any]], None],
    full: bool = True,
) -> dict[str, Any]:
    """Write OUT/few_step; returns held-out distances to the teacher's 30 guided steps (distill.student_scores)."""
    started = time.monotonic()
    task.drop, task.forget, task.batch_size = 0.0, 0.0, min(BATCH if full else REHEARSAL, task.batch_size)
    teacher = task.transformer.requires_grad_(False).eval()
    task.text_encoder.requires_grad_(False).eval()
    student = deepcopy(teacher)
    add_low_rank(student, RANK)
    setting = Distillation(segments=SEGMENTS, shift=shift, guidance=guidance)
    held_out = [held_out_batch(task, HELD_OUT_BATCH if full else REHEARSAL)]
    paths = out / "paths"
    budget, began = config.budget, time.monotonic()
    for number in range(processes.rank(), 10_000, processes.count()):
        budget.report("computing paths")
        with budget.shortening() if number >= processes.count() else nullcontext():
            write_paths(
                paths, velocity(task, teacher), lambda generator: draw(task, generator), setting, number + 1,
                first=number,
            )  # fmt: skip
        # at least one path; none is begun that would take too long
        each_s = (time.monotonic() - began) / (number // processes.count() + 1)
        if time.monotonic() + each_s - started > 60 * minutes * PATHS_SHARE:
            break
    processes.wait()
    distill = DistillTask(
        velocity(task, teacher), velocity(task, student), student, lambda generator: draw(task, generator), setting,
        paths=paths, held_out=held_out,
    )  # fmt: skip
    left = max(0.05, minutes - (time.monotonic() - started) / 60)
    train(distill, replace(config, minutes=left, lr_adam=9e-4, warmup_steps=10, decay_from=0.3, ema=0.97), show)
    if not processes.first():
        return {}
    steps = STEPS if full else 2 * REHEARSAL
    config.budget.report("evaluating")
    found = student_scores(velocity(task, teacher), velocity(task, student), held_out, setting, steps)
    change = extract_lora(teacher, student, rank=RANK)
    folder = out / "few_step"
    size = write_lora(folder / "pytorch_lora_weights.safetensors", change, base="kinema-mini-wan", title="few steps")
    about = {
        "steps": SEGMENTS, "shift": shift, "scheduler": "euler", "guidance": 1.0,
        "sigmas": [round(float(value), 6) for value in sigmas(SEGMENTS, shift)], "teacher_guidance": guidance,
    }  # fmt: skip
    (folder / "few_step.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return {f"distance_to_{steps}_steps": found, "bytes": size, "rank": RANK, "paths": len(distill.paths)}


def velocity(task: VideoTask, network: nn.Module):
    """Return the velocity function of a network on the task's device; its condition is (text states, control)."""

    def run(x: Tensor, sigma_B: Tensor, cond: tuple[Tensor, Tensor]) -> Tensor:
        states, control = (part.to(task.device) for part in cond)
        return network(
            hidden_states=x.to(task.device), timestep=sigma_B.float().to(task.device) * 1000,
            encoder_hidden_states=states, control_hidden_states=control, return_dict=False,
        )[0].to(x.device)  # fmt: skip

    return run


@torch.no_grad()
def draw(task: VideoTask, generator: torch.Generator) -> Batch:
    """Draw a batch of the teacher's training data without dropping captions."""
    number = int(torch.randint(ROUND, (), generator=generator))
    x0, weight, control, captions = task.batch(number, 1.0, generator)
    nothing = task.embed([""] * len(captions))
    return Batch(x0, (task.embed(captions), control), (nothing, control), weight[:, None])


@torch.no_grad()
def held_out_batch(task: VideoTask, count: int) -> Batch:
    store = task.held_out
    index = torch.arange(min(count, len(store)), device=task.device)
    conditioned = index % 2 == 1
    control = task.conditions(store, index, conditioned)
    captions = task.captions(index, torch.Generator().manual_seed(0), conditioned, store)
    cond = (task.embed(captions), control)
    return Batch(store.tensors["clean"][index].float(), cond, (task.embed([""] * len(captions)), control))
