"""Few-step distillation of a flow model: a student that reaches, in N steps without guidance, the samples that the
guided teacher reaches in many.

Multistep consistency distillation (Heek, Hoogeboom, Salimans 2024, arXiv 2403.06807), in velocity form. The path from
noise to data is divided into N segments. From a point x_t in a segment the frozen teacher, with guidance, integrates
towards the segment's end; the student learns the single step to that end: (x_end - x_t) / (sigma_end - sigma_t).

    teacher all the way     K sub-steps to the end; few updates are enough (the default)
    bootstrap               K sub-steps of a finer grid; from there the student's moving average jumps to the end

    data points             x_t is a mix of clean latents and noise, half of them exactly at a segment's start
    own points              x_t is the student's own state at a segment's start, from pure noise
    paths                   x_t is a segment boundary of a stored teacher path from pure noise: a point that sampling
                            visits, without teacher calls during training

The module is independent of the model: teacher and student are functions, conditions are opaque.
Shapes: B batch, N segments; latents (B, ...) of any rank; u positions and sigmas as in `segments`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...core.whole import whole
from ..core import checkpoints
from .flow import Velocity, apply_shift, guided, integrate, like, sample

CLOSEST = 0.05
"""Points keep this distance from a segment's end, as a share of it; at the end the target divides by zero."""


@dataclass(frozen=True)
class Batch:
    """Clean latents (B, ...), the condition, the condition without the prompt, and loss weights that broadcast against
    the latents (None: uniform). Conditions are passed to the velocity functions unchanged."""

    clean: Tensor
    cond: Any
    uncond: Any
    weight: Tensor | None = None


@dataclass(frozen=True)
class Distillation:
    """segments: number of steps of the student. shift, guidance: of the teacher. substeps: K. fine: sub-steps of a
    whole segment; if equal to substeps, the teacher reaches the end, if larger, the student's average does the rest.
    at_starts: share of data points exactly at a segment's start. on_paths: share of updates on stored paths, if there
    are any. on_own: share of the other updates on the student's own points; the rest uses data points. average: decay
    of the moving average. by_length: exponent of the loss weight by step length in sigma, since a velocity error moves
    the result by the step length."""

    segments: int = 6
    shift: float = 3.0
    guidance: float = 3.0
    substeps: int = 3
    fine: int = 3
    heun: bool = False
    at_starts: float = 0.5
    on_paths: float = 1.0
    on_own: float = 0.5
    average: float = 0.95
    by_length: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.substeps <= self.fine:
            raise ValueError(f"substeps must be 1 to fine ({self.fine}), got {self.substeps}")

    @property
    def all_the_way(self) -> bool:
        return self.substeps == self.fine

    @property
    def boundaries(self) -> Tensor:
        """(N + 1,) positions u of the segments' starts, 1 to 0, float64."""
        return torch.linspace(1, 0, self.segments + 1, dtype=torch.float64)

    def importance(self, lengths_B: Tensor) -> Tensor:
        """Loss weights of steps of these lengths; the mean over the segments is 1."""
        own = -apply_shift(self.boundaries, self.shift).diff()
        return lengths_B**self.by_length / (own**self.by_length).mean()


Points = tuple[Tensor, Tensor, Tensor, Tensor, Any, Tensor | None]
"""x_t, its target x_end, sigma (B,) of both, the condition, loss weights."""


class DistillTask:
    """A Task for `loop.train`. `modules["student"]` is trained through `student`; `draw(generator)` returns a batch.

    The student must start as a copy of the teacher and share no tensors with it. `evaluate` uses held_out.
    names_for_adam: as in `loop.Task`; by default all parameters, which suits low-rank factors.
    """

    def __init__(
        self, teacher: Velocity, student: Velocity, student_module: nn.Module,
        draw: Callable[[torch.Generator], Batch], setting: Distillation, *,
        paths: Path | None = None, held_out: Sequence[Batch] = (), names_for_adam: tuple[str, ...] = ("",),
    ):  # fmt: skip
        self.modules: Mapping[str, nn.Module] = {"student": student_module}
        self.average: nn.Module | None = None
        if not setting.all_the_way:
            self.average = deepcopy(student_module).requires_grad_(False)
            self.modules = {**self.modules, "average": self.average}  # so that a checkpoint holds it
        self.names_for_adam = names_for_adam
        self.teacher, self.student, self.draw = guided(teacher, setting.guidance), student, draw
        self.setting, self.held_out = setting, held_out
        self.paths = sorted(paths.glob("[0-9]*.pt")) if paths is not None else []
        self.kept: dict[Path, dict[str, Any]] = {}
        self.goals: list[Tensor] | None = None
        self.plain_teacher = teacher

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if self.average is not None and step:
            self._update_average(self.average, step)
        path, own = torch.rand(2, generator=generator).tolist()
        if self.paths and path < self.setting.on_paths:
            x, x_end, now_B, end_B, cond, weight = self._on_path(generator)
        else:
            x, x_end, now_B, end_B, cond, weight = self._with_teacher(own < self.setting.on_own, generator)
        with torch.no_grad():
            target = (x_end - x) / like(end_B - now_B, x)
        found = self.student(x, now_B, cond)
        error = (found.float() - target.float()).square() * like(self.setting.importance(now_B - end_B), x)
        if weight is not None:
            error = error * (weight / weight.mean()).to(error)
        return error.mean(), {}

    @torch.no_grad()
    def _with_teacher(self, own: bool, generator: torch.Generator) -> Points:
        """Draw own or data points and integrate them with the teacher (and the average)."""
        batch, setting = self.draw(generator), self.setting
        noise = torch.randn(batch.clean.shape, generator=generator).to(batch.clean)
        u_B, stop_B = draw_positions(len(noise), setting, generator)
        if own:
            x, u_B, stop_B = self._own_points(noise, batch.cond, stop_B)
        else:
            sigma = like(apply_shift(u_B, setting.shift), noise)
            x = (1 - sigma) * batch.clean + sigma * noise
        now_B = apply_shift(u_B, setting.shift)
        reach_B = stop_B
        if not setting.all_the_way:
            reach_B = torch.maximum(stop_B, u_B - setting.substeps / (setting.fine * setting.segments))
        pair = (batch.cond, batch.uncond)
        x_end = integrate(
            self.teacher, x, u_B, reach_B, pair, num_steps=setting.substeps, shift=setting.shift, heun=setting.heun
        )
        if self.average is not None:
            reached, end = apply_shift(reach_B, setting.shift), apply_shift(stop_B, setting.shift)
            with swapped_parameters(self.modules["student"], self.average):
                # If the end is already reached, the jump has length zero.
                jump = self.student(x_end, reached.clamp_min(1e-3), batch.cond)
            x_end = x_end + like(end - reached, x) * jump
        return x, x_end, now_B, apply_shift(stop_B, setting.shift), batch.cond, batch.weight

    def _own_points(self, noise: Tensor, cond: Any, stop_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(x, u, stop): the student's state at the start of each sample's segment, which ends at stop_B."""
        edges, one = self.setting.boundaries, torch.ones_like(stop_B)
        states = [noise]
        for start, stop in pairwise(edges[:-1]):
            states.append(
                integrate(
                    self.student, states[-1], one * start, one * stop, cond, num_steps=1, shift=self.setting.shift
                )
            )
        which_B = (edges[1:, None] == stop_B).int().argmax(0)
        return torch.stack(states)[which_B, torch.arange(len(noise))], edges[which_B], stop_B

    def _on_path(self, generator: torch.Generator) -> Points:
        """Draw a random segment of each path of a stored file."""
        file = self.paths[int(torch.randint(len(self.paths), (), generator=generator))]
        if file not in self.kept:
            self.kept[file] = checkpoints.read(file)
        path = self.kept[file]
        states = path["states"]
        count = states.shape[1]
        which_B = torch.randint(self.setting.segments, (count,), generator=generator)
        each_B, edges = torch.arange(count), self.setting.boundaries
        now_B, end_B = (
            apply_shift(edges[which_B], self.setting.shift),
            apply_shift(edges[which_B + 1], self.setting.shift),
        )
        return states[which_B, each_B], states[which_B + 1, each_B], now_B, end_B, path["cond"], path["weight"]

    @torch.no_grad()
    def _update_average(self, average: nn.Module, step: int) -> None:
        """Update the moving average of the student; it follows faster at the beginning."""
        decay = min(self.setting.average, (1 + step) / (10 + step))
        for mine, its in zip(average.parameters(), self.modules["student"].parameters(), strict=True):
            mine.lerp_(its, 1 - decay)

    def evaluate(self, step: int) -> dict[str, Any]:
        if self.goals is None:
            self.goals = [
                teacher_sample(self.plain_teacher, batch, self.setting, n) for n, batch in enumerate(self.held_out)
            ]
        return compare(self.held_out, self.goals, self.setting, {"student": (self.student, 1.0)})


class swapped_parameters:
    """Context in which two modules have swapped_parameters parameters (without copies)."""

    def __init__(self, module: nn.Module, other: nn.Module):
        self.pairs = list(zip(module.parameters(), other.parameters(), strict=True))

    def __enter__(self) -> None:
        for mine, its in self.pairs:
            mine.data, its.data = its.data, mine.data

    def __exit__(self, *_: object) -> None:
        self.__enter__()


def draw_positions(count: int, setting: Distillation, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw (u, stop) of `count` points, float64, in random segments; `at_starts` of them exactly at a start."""
    which_B = torch.randint(setting.segments, (count,), generator=generator)
    inside_B = torch.rand(count, generator=generator, dtype=torch.float64) * (1 - CLOSEST)
    at_start_B = torch.rand(count, generator=generator) < setting.at_starts
    edges = setting.boundaries
    start_B, stop_B = edges[which_B], edges[which_B + 1]
    return torch.where(at_start_B, start_B, start_B + (stop_B - start_B) * inside_B), stop_B


@torch.no_grad()
def write_paths(
    folder: Path, teacher: Velocity, draw: Callable[[torch.Generator], Batch], setting: Distillation, count: int,
    *, first: int = 0, seed: int = 0,
) -> None:  # fmt: skip
    """Write teacher paths from pure noise for batches `first` to `count` - 1, one file each; existing files are kept.
    Processes that share the work use different ranges.

    A file holds states (N + 1, B, ...) at the segment boundaries, cond and weight. File n depends only on (seed, n).
    Costs 2 N K teacher calls per batch (twice as many with Heun).
    """
    folder.mkdir(parents=True, exist_ok=True)
    velocity = guided(teacher, setting.guidance)
    for number in range(first, count):
        file = folder / f"{number:05d}.pt"
        if file.exists():
            continue
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        batch = draw(generator)
        x = torch.randn(batch.clean.shape, generator=generator).to(batch.clean)
        states, one = [x], torch.ones(len(x), dtype=torch.float64)
        for start, stop in pairwise(setting.boundaries):
            x = integrate(
                velocity, x, one * start, one * stop, (batch.cond, batch.uncond),
                num_steps=setting.fine, shift=setting.shift, heun=setting.heun,
            )  # fmt: skip
            states.append(x)
        path = {"states": torch.stack(states), "cond": batch.cond, "weight": batch.weight}
        with whole(file) as beside:
            torch.save(path, beside)


def held_out_noise(batch: Batch, number: int) -> Tensor:
    """The fixed noise of held-out batch `number`."""
    return torch.randn(batch.clean.shape, generator=torch.Generator().manual_seed(7_000_000 + number)).to(batch.clean)


def teacher_sample(teacher: Velocity, batch: Batch, setting: Distillation, number: int, steps: int = 30) -> Tensor:
    """Sample held-out batch `number` with the guided teacher in many steps."""
    pair = (batch.cond, batch.uncond)
    return sample(guided(teacher, setting.guidance), held_out_noise(batch, number), pair, steps, setting.shift)


@torch.no_grad()
def compare(
    batches: Sequence[Batch], goals: Sequence[Tensor], setting: Distillation,
    models: Mapping[str, tuple[Velocity, float]],
) -> dict[str, float]:  # fmt: skip
    """Mean squared distance of latents to the goals, from the same noise, of models {name: (velocity, guidance)} in N
    steps."""
    found = {}
    for name, (velocity, scale) in models.items():
        total = 0.0
        for number, (batch, wanted) in enumerate(zip(batches, goals, strict=True)):
            noise, pair = held_out_noise(batch, number), (batch.cond, batch.uncond)
            made = sample(guided(velocity, scale), noise, pair, setting.segments, setting.shift)
            total += float((made - wanted).square().mean()) / len(batches)
        found[name] = round(total, 6)
    return found


def student_scores(
    teacher: Velocity, student: Velocity, batches: Sequence[Batch], setting: Distillation, steps: int = 30
) -> dict[str, float]:
    """Held-out scores for a model card: distance to the teacher's samples of `steps` guided steps, at N steps, of the
    student, and of the undistilled model without guidance (as many calls), with guidance (twice the calls), and with
    guidance in half the steps (as many calls, if N is even)."""
    goals = [teacher_sample(teacher, batch, setting, number, steps) for number, batch in enumerate(batches)]
    plain, scale = {"student": (student, 1.0), "undistilled": (teacher, 1.0)}, setting.guidance
    found = compare(batches, goals, setting, {**plain, "undistilled_guided": (teacher, scale)})
    half = replace(setting, segments=max(1, setting.segments // 2))
    return found | compare(batches, goals, half, {"undistilled_guided_half_steps": (teacher, scale)})
