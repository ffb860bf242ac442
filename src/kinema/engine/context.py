"""Context windows: clips longer than a model's context, for every family whose card offers `context_length`.

At each step the model processes one window of frames after another; predictions are averaged where windows overlap,
weighted towards the middle of each window. The windows share their noise (as in FreeNoise, Qiu et al. 2023, arXiv
2310.15169, at the level of predictions).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..core import windows
from ..core.family import Cond, Family, Predict, Staged
from ..core.options import Sampling
from ..core.plan import Plan, Span
from ..diffusion.latents import Latents, each
from ..diffusion.noise import noise


def predictor(plan: Plan, family: Family, cond: Cond, span: Span) -> Predict:
    """The family's denoiser for a span, applied window by window if the span is longer than the plan's context. For the
    family a window is a span."""
    options = Sampling.of(plan)
    if isinstance(family, Staged):
        return _over_latents(options, family, cond, span)
    found = windows.context(span.num_frames, options.context_length or span.num_frames, options.context_overlap)
    if len(found) == 1:
        return family.predict(cond, span)
    parts = [Span(start=span.start + window.start, stop=span.start + window.stop) for window in found]
    denoisers = [family.predict(cond, part) for part in parts]

    def run(x: Latents, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, Any]:
        cuts = [each(lambda part, window=window: _cut(part, window, span.num_frames), x) for window in found]
        outputs = [
            predict(each(lambda part, places: part[:, :, places], x, cut), t, branches)
            for predict, cut in zip(denoisers, cuts)
        ]
        return {
            branch: each(
                lambda like, *both: blend(list(zip(both[: len(cuts)], both[len(cuts) :])), like),
                x, *cuts, *(one[branch] for one in outputs),
            )
            for branch in branches
        }  # fmt: skip

    return run


def _over_latents(options: Sampling, family: Staged, cond: Cond, span: Span) -> Predict:
    """As `predictor`, with windows counted in latent frames, as ComfyUI does: of the option's frames, as many as they
    fill. Conditions are cut with them."""
    count, per_latent = family.latent_shape(cond, span)[2], family.num_frames(2) - family.num_frames(1)
    length, overlap = ((each - 1) // per_latent + 1 for each in (options.context_length, options.context_overlap))
    if not options.context_length or count <= length:
        return family.predict(cond, span)
    if options.context_schedule == "batched":
        found = windows.batched(count, length)
    else:
        found = windows.context(count, length, overlap)
    places = [slice(window.start, window.stop) for window in found]
    weights = [windows.fused(options.context_fuse, window, count, overlap) for window in found]
    denoisers = [
        family.predict(
            family.part(cond, each),
            Span(start=span.start + (family.num_frames(each.start) if each.start else 0),
                 stop=span.start + family.num_frames(each.stop)),
        )
        for each in places
    ]  # fmt: skip

    def run(x: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, Any]:
        outputs = [predict(x[:, :, each], t, branches) for predict, each in zip(denoisers, places)]
        return {
            branch: blend([(each, one[branch]) for each, one in zip(places, outputs)], x, weights)
            for branch in branches
        }

    return run


def _cut(part_BCT: torch.Tensor, window: range, num_frames: int) -> slice:
    """The slice of a window's frames along a part's time dimension."""
    length = part_BCT.shape[2]
    return slice(round(window.start * length / num_frames), round(window.stop * length / num_frames))


def blend(
    parts: Sequence[tuple[slice, torch.Tensor]], like_BCT: torch.Tensor,
    weights_by_part: Sequence[Sequence[float]] | None = None,
) -> torch.Tensor:  # fmt: skip
    """The weighted mean of windows (slice of time, prediction), in float32. weights_by_part: None for pyramids."""
    total, weights = torch.zeros_like(like_BCT, dtype=torch.float32), torch.zeros(like_BCT.shape[2])
    ones = (1,) * (like_BCT.ndim - 3)
    for index, (places, output) in enumerate(parts):
        own = windows.pyramid(places.stop - places.start) if weights_by_part is None else weights_by_part[index]
        weight_T = torch.tensor(own)
        total[:, :, places] += output.float() * weight_T.view(1, 1, -1, *ones).to(total)
        weights[places] += weight_T
    return total / weights.view(1, 1, -1, *ones).to(total)


def alike(plan: Plan, drawn: Latents) -> Any:
    """Make the noise similar in all windows, for parts with rows and columns; unchanged for a single window. Windows
    are counted in the part's latent frames."""
    options = Sampling.of(plan)
    if not options.context_length:
        return drawn
    num_frames = max(span.num_frames for span in plan.spans)

    def part(drawn_BCT: torch.Tensor) -> torch.Tensor:
        if drawn_BCT.ndim < 5:
            return drawn_BCT
        per_frame = drawn_BCT.shape[2] / num_frames
        length = round(options.context_length * per_frame)
        if drawn_BCT.shape[2] <= length:
            return drawn_BCT
        return shuffled(drawn_BCT, length, max(1, round(options.context_overlap * per_frame)), plan.seed)

    return each(part, drawn)


def shuffled(drawn_BCTHW: torch.Tensor, length: int, step: int, seed: int) -> torch.Tensor:
    """Noise of a long clip: frames after the first `length` get the noise of the frames `length` before them, shuffled
    in groups of `step`, so that all windows start from similar noise."""
    out, count = drawn_BCTHW.clone(), drawn_BCTHW.shape[2]
    for first in range(length, count, step):
        from_start = first - length
        order = from_start + noise(seed, f"shuffle/{first}", (step,)).argsort()
        part = out[:, :, first : first + step]
        part.copy_(out[:, :, order[: part.shape[2]].to(out.device)].clone())
    return out
