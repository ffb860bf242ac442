"""The sampling loop. Every model, condition and profile passes through these functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from ..core.chunk import Chunk
from ..core.errors import ModelError
from ..core.events import Event, OnEvent, Preview, Progress, ignore
from ..core.family import Cond, Family, Staged, Window
from ..core.options import Sampling
from ..core.plan import Plan, Span
from ..diffusion import free_init
from ..diffusion.cache import StepReuse
from ..diffusion.latents import Latents, drawn, each, finite, initial
from ..diffusion.scheduling import noise_level, shown
from . import context
from .resume import SamplingState

Keep = Callable[[SamplingState], None]


def generate(
    plan: Plan,
    family: Family,
    *,
    state: SamplingState | None = None,
    on_event: OnEvent = ignore,
    keep: Keep | None = None,
    keep_every: int = 0,
    window: Window | None = None,
) -> Iterator[Chunk]:
    """Encode the conditions once; for each span sample latents and decode them, slice by slice.

    window: pixels that replace the inputs of the plan's conditions (see engine/edit.py). state: a saved state to resume
    from, with an identical result. keep: called with the state after every `keep_every` steps. Closing the iterator, or
    an exception raised by `on_event`, stops the work between two steps.
    """
    on_event(Event("prepare"))
    prepared = family.prepare(plan, window)
    on_event(Event("encode"))
    cond = family.encode(plan, prepared)
    num_passes = Sampling.of(plan).free_init
    passes = [(span, number) for span in plan.spans for number in range(num_passes)]
    latents: Latents | None = None
    for index, (span, number) in enumerate(passes):
        if state is not None and index < state.span:
            continue
        begun = state if state is not None and index == state.span else None
        finished = latents if number else None
        on_event(Event("sample"))
        latents = sample(plan, family, cond, span, index, begun, on_event, keep, keep_every, finished)
        if number < num_passes - 1:
            continue
        on_event(Event("decode"))
        started = time.perf_counter()
        for chunk in family.decode(latents, plan, span):
            yield chunk
            on_event(Progress("decode", chunk.stop - span.start, span.num_frames, time.perf_counter() - started, index))


@torch.inference_mode()
def sample(
    plan: Plan,
    family: Family,
    cond: Cond,
    span: Span,
    index: int = 0,
    state: SamplingState | None = None,
    on_event: OnEvent = ignore,
    keep: Keep | None = None,
    keep_every: int = 0,
    finished: Latents | None = None,
) -> Any:
    """Sample the latents of one span, float32: (1, C, T, H, W), or several by name. index: number of the pass, over all
    spans. finished: the latents of the previous pass over this span (FreeInit). Raises ModelError, naming the step, if
    the latents become non-finite."""
    scheduler = family.scheduler(plan)
    shape = family.latent_shape(cond, span)
    frames_first = isinstance(family, Staged) and family.sigma_model(plan).frames_first
    noise = context.alike(plan, initial(plan, f"init/{span.start}", shape, frames_first=frames_first))
    x, first = family.begin(plan, cond, scheduler, noise)
    if finished is not None:
        x = free_init.reinitialized(scheduler, finished, noise, drawn(plan.seed, f"free_init/{index}", shape), first)
    return denoise(plan, family, cond, span, scheduler, x, first, index, state, on_event, keep, keep_every)


@torch.inference_mode()
def denoise(
    plan: Plan,
    family: Family,
    cond: Cond,
    span: Span,
    scheduler: Any,
    x: Latents,
    first: int,
    index: int = 0,
    state: SamplingState | None = None,
    on_event: OnEvent = ignore,
    keep: Keep | None = None,
    keep_every: int = 0,
) -> Any:
    """Step latents x of one span along the scheduler's timesteps, from number `first` to the last. The rest: see
    `sample`."""
    predict = context.predictor(plan, family, cond, span)
    guidance, count = family.guidance(plan, span, scheduler), len(scheduler.timesteps)
    # Second-order schedulers (Heun) evaluate several times a step, not along a single path: no step can be forecast.
    reuse = StepReuse([each.kind for each in guidance], plan.reuse if count == plan.steps else 1)
    reuse.begin(first)
    if state is not None:
        x, first = state.restore(scheduler, reuse)
    x = each(lambda part: part.to(scheduler.timesteps.device), x)
    started = time.perf_counter()
    for step, t in enumerate(scheduler.timesteps[first:], start=first):
        sigma = float(t)
        if reuse.skips(step):
            output = reuse.forecast(sigma)
        else:
            outputs = predict(shown(scheduler, x, t), t, guidance[step].branches)
            output = guidance[step].combine(outputs)
            if (correct := guidance[step].correct) is not None:
                output = correct(outputs, output, x, noise_level(scheduler, step))
            reuse.remember(sigma, output)
        before, x = x, _step(scheduler, output, t, x)
        if not finite(x):
            raise ModelError(
                f"{plan.model}: the latents become non-finite at step {step + 1} of {count}. Possible causes: damaged "
                "weights or adapters, far too large an adapter weight, or float16 (bfloat16 has more range)."
            )
        on_event(Progress("sample", step + 1, count, time.perf_counter() - started, index))
        picture = partial(family.preview, before, output, noise_level(scheduler, step), plan, span)
        on_event(Preview("preview", step + 1, count, index, picture))
        if keep is not None and keep_every and (step + 1) % keep_every == 0 and step + 1 < count:
            keep(SamplingState.capture(plan, index, step + 1, x, scheduler, reuse))
    return x


def _step(scheduler: Any, output: Latents, t: torch.Tensor, x: Latents) -> Any:
    return scheduler.step(output, t, x, return_dict=False)[0]
