"""Parts of a run, as the nodes of a graph are: sampling some of the steps, encoding, decoding.

Between the parts latents have ComfyUI's convention: the autoencoder's own values, not normalised, float32,
(1, C, T, H, W) on the CPU, also for families whose frames are a batch there. A plan's options `sampler` and `schedule`
name the noise levels; its noise is ComfyUI's, whatever the option `noise` says. A run in two parts with leftover noise
between them equals the run in one.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..core.chunk import Chunk
from ..core.errors import RequestError
from ..core.events import Event, OnEvent, Progress, ignore
from ..core.family import Staged
from ..core.options import CHECKPOINT, Sampling, sampling_names
from ..core.plan import Plan
from ..diffusion.noise import of_batch
from ..diffusion.prediction import FLOW, LatentScale, SigmaModel, signal
from ..diffusion.samplers import sampler
from ..diffusion.sigma_schedules import between, of_the_end
from ..weights.device import precision
from .generate import Keep, denoise
from .resume import SamplingState

CLOSE = 1e-5
"""Relative distance below which a sigma counts as the model's highest."""


@dataclass(frozen=True)
class Segment:
    """The part of a plan's steps to run.

    start, stop: numbers of steps, half-open; a stop beyond the end is the end. denoise: the share of a longer schedule
    whose last steps are run (a plan of 10 steps at 0.5 runs the last 10 of 20). add_noise: False if the latents still
    have theirs. leftover: of a part that ends early, keep the remaining noise; otherwise its last step removes all.
    sigmas: these in place of the schedule's. item, items: place in a batch, all of whose noise is drawn at once.
    """

    start: int = 0
    stop: int | None = None
    denoise: float = 1.0
    add_noise: bool = True
    leftover: bool = False
    sigmas: tuple[float, ...] = ()
    item: int = 0
    items: int = 1

    def __post_init__(self) -> None:
        rules = (
            ("start", self.start >= 0, "0 or more"),
            ("stop", self.stop is None or self.stop >= 0, "0 or more"),
            ("denoise", 0 <= self.denoise <= 1, "0 to 1"),
            ("sigmas", all(after < before for before, after in itertools.pairwise(self.sigmas)), "1.0, ..., 0.0"),
            ("item", 0 <= self.item < self.items, "0 to the number of items"),
        )
        for name, is_legal, legal in rules:
            if not is_legal:
                raise RequestError(f"{name} = {getattr(self, name)}.", field=name, value=getattr(self, name),
                                   legal=legal)  # fmt: skip

    def levels(self, plan: Plan, model: SigmaModel) -> list[float]:
        """The sigmas of this part; none if it has no step. RequestError if the plan names no schedule."""
        names = Sampling.of(plan)
        whole = list(self.sigmas)
        if not whole:
            if names.schedule == CHECKPOINT:
                raise _unnamed("schedule", 1)
            whole = of_the_end(names.schedule, model.levels, plan.steps, self.denoise, names.sampler)
        stop = len(whole) if self.stop is None else self.stop
        return between(whole, self.start, stop, leftover=self.leftover) if len(whole) > 1 else []


@torch.inference_mode()
def sample_latents(
    family: Any,
    plan: Plan,
    segment: Segment,
    latents_BCTHW: torch.Tensor | None = None,
    on_event: OnEvent = ignore,
    state: SamplingState | None = None,
    keep: Keep | None = None,
    keep_every: int = 0,
) -> torch.Tensor:
    """Run a part of a plan's steps. latents_BCTHW: to begin from; None: empty ones. They are returned unchanged if the
    part has no step. state, keep, keep_every: as in `generate`; a state is of one plan and one segment.

    Raises RequestError for a family whose runs have no parts, a plan of another canvas or of a few-step student, a plan
    without the names of sampler and schedule, or latents of another shape."""
    family = _staged(family)
    for field, value, legal in (("canvas", plan.canvas, "model"), ("student", plan.student, "")):
        if value != legal:
            raise RequestError(
                f"A plan with {field} = {value} does not run in parts.", field=field, value=value,
                legal=legal or "a profile or settings without one",
            )  # fmt: skip
    name = Sampling.of(plan).sampler
    if name == CHECKPOINT:
        raise _unnamed("sampler", 0)
    on_event(Event("prepare"))
    prepared = family.prepare(plan)
    on_event(Event("encode"))
    cond = family.encode(plan, prepared)
    span = plan.spans[0]
    shape = tuple(family.latent_shape(cond, span))
    if latents_BCTHW is None:
        latents_BCTHW = torch.zeros(shape)
    if tuple(latents_BCTHW.shape) != shape:
        raise RequestError(
            f"The latents do not have the shape of the clip: {tuple(latents_BCTHW.shape)}.", field="latents",
            value=str(tuple(latents_BCTHW.shape)), legal=str(shape),
        )  # fmt: skip
    model, scale = family.sigma_model(plan), family.latent_scale()
    sigmas = segment.levels(plan, model)
    if not sigmas:
        return latents_BCTHW
    noise = torch.zeros(shape)
    if segment.add_noise:
        noise = of_batch(plan.seed, shape, segment.item, segment.items, frames_first=model.frames_first)
    x = entered(latents_BCTHW, noise, sigmas[0], model, scale)
    steps = sampler(name, sigmas, model, plan.seed, family.device, in_turn=True)
    on_event(Event("sample"))
    found = denoise(plan, family, cond, span, steps, x, 0, 0, state, on_event, keep, keep_every)
    return scale.raw(found.float()).cpu()


def entered(
    raw_BCTHW: torch.Tensor, noise_BCTHW: torch.Tensor, sigma: float, model: SigmaModel, scale: LatentScale
) -> torch.Tensor:
    """The x from which sampling at a noise level starts: latents of the convention between parts, with noise. Latents
    of zeros only stand for "nothing yet" and stay zeros. Where the level is the highest of a model that is no flow,
    noise has the variance of clean latents and noise together."""
    amount = sigma
    highest = model.levels.ends[0]
    if model.prediction != FLOW and sigma >= highest * (1 - CLOSE):
        amount = (1 + sigma**2) ** 0.5
    clean_BCTHW = scale.scaled(raw_BCTHW.float()) if raw_BCTHW.any() else raw_BCTHW.float()
    return amount * noise_BCTHW + signal(model.prediction, sigma) * clean_BCTHW


@torch.inference_mode()
def encode_pictures(family: Any, plan: Plan, frames_FHWC: np.ndarray) -> torch.Tensor:
    """Encode float frames (F, H, W, 3) in [0, 1] to latents; what no latent covers is cut off, at the end in time and
    evenly at the sides. RequestError if nothing is left, or for a family whose runs have no parts."""
    family = _staged(family)
    per_latent = family.num_frames(2) - family.num_frames(1)
    count = (len(frames_FHWC) - 1) // per_latent * per_latent + 1
    sides = [side // family.space * family.space for side in frames_FHWC.shape[1:3]]
    if not len(frames_FHWC) or not all(sides):
        raise RequestError(
            f"Pictures of shape {frames_FHWC.shape} cannot be encoded.", field="pixels", value=str(frames_FHWC.shape),
            legal=f"1 frame or more, sides of {family.space} pixels or more",
        )  # fmt: skip
    top, left = ((have - side) // 2 for have, side in zip(frames_FHWC.shape[1:3], sides))
    cut = np.ascontiguousarray(frames_FHWC[:count, top : top + sides[0], left : left + sides[1], :3], np.float32)
    x_BCFHW = torch.from_numpy(cut).movedim(-1, 0)[None] * 2 - 1
    with precision(family.device, plan.low_precision):
        return family.latent_scale().raw(family.encode_pixels(x_BCFHW).float()).cpu()


def decode_pictures(
    family: Any, plan: Plan, latents_BCTHW: torch.Tensor, on_event: OnEvent = ignore
) -> Iterator[np.ndarray]:
    """Decode latents to float32 frames (n, H, W, 3) in [0, 1], in slices of time. All latents are decoded, those of
    reference images too."""
    family = _staged(family)
    on_event(Event("decode"))
    total, done, started = family.num_frames(latents_BCTHW.shape[2]), 0, time.perf_counter()
    slices = family.decode_pixels(family.latent_scale().scaled(latents_BCTHW.float().to(family.device)), plan)
    while True:
        with precision(family.device, plan.low_precision):
            pixels_NCHW = next(slices, None)
        if pixels_NCHW is None:
            return
        found = pixels_NCHW.movedim(1, -1).float().add(1.0).div(2.0).clamp(0.0, 1.0).cpu().numpy()
        done += len(found)
        yield found
        on_event(Progress("decode", done, total, time.perf_counter() - started))


def decode_latents(family: Any, plan: Plan, latents_BCTHW: torch.Tensor, on_event: OnEvent = ignore) -> Iterator[Chunk]:
    """`decode_pictures` as chunks; values are cut to uint8, not rounded."""
    start = 0
    for frames_FHWC in decode_pictures(family, plan, latents_BCTHW, on_event):
        yield Chunk((frames_FHWC * 255).astype(np.uint8), start, plan.fps)
        start += len(frames_FHWC)


def _staged(family: Any) -> Any:
    if not isinstance(family, Staged):
        raise RequestError(
            f"{family.card.id} does not sample in parts.", field="model", value=family.card.id,
            legal="models of the families wan and svd",
        )  # fmt: skip
    return family


def _unnamed(field: str, which: int) -> RequestError:
    return RequestError(
        f"A part of a run requires the name of its {field}.", field=f"options.{field}", value=CHECKPOINT,
        legal=", ".join(sampling_names()[which]),
    )  # fmt: skip
