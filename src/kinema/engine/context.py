"""Context windows: clips longer than a model sees at once, for every family whose card offers `context_length`.

At each step the model sees one window of frames after the other; what it says is averaged where they overlap, a frame
counting the more the farther it is from the ends of its window. The noise is alike from window to window (the ways of
FreeNoise, Qiu et al. 2023, arXiv 2310.15169, at the level of predictions).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..core import windows
from ..core.family import Cond, Family, Predict
from ..core.options import Sampling
from ..core.plan import Plan, Span
from ..diffusion.noise import noise


def predictor(plan: Plan, family: Family, cond: Cond, span: Span) -> Predict:
    """The family's denoiser for a span, window by window where the span is longer than the plan's context. To the
    family a window is a span."""
    options = Sampling.of(plan)
    found = windows.context(span.num_frames, options.context_length or span.num_frames, options.context_overlap)
    if len(found) == 1:
        return family.predict(cond, span)
    parts = [
        (slice(each.start, each.stop), Span(start=span.start + each.start, stop=span.start + each.stop))
        for each in found
    ]
    seen = [(frames, family.predict(cond, part)) for frames, part in parts]

    def run(x_BCTHW: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, torch.Tensor]:
        said = [(frames, predict(x_BCTHW[:, :, frames], t, branches)) for frames, predict in seen]
        return {branch: blend([(frames, each[branch]) for frames, each in said], x_BCTHW) for branch in branches}

    return run


def blend(parts: Sequence[tuple[slice, torch.Tensor]], like_BCTHW: torch.Tensor) -> torch.Tensor:
    """The weighted mean of windows (frames, prediction), in float32."""
    total, weights = torch.zeros_like(like_BCTHW, dtype=torch.float32), torch.zeros(like_BCTHW.shape[2])
    for frames, said in parts:
        weight_T = torch.tensor(windows.pyramid(frames.stop - frames.start))
        total[:, :, frames] += said.float() * weight_T.view(1, 1, -1, 1, 1).to(total)
        weights[frames] += weight_T
    return total / weights.view(1, 1, -1, 1, 1).to(total)


def alike(plan: Plan, drawn_BCTHW: torch.Tensor) -> torch.Tensor:
    """Noise that is alike from window to window, where there are several."""
    options = Sampling.of(plan)
    length = options.context_length
    if not length or drawn_BCTHW.shape[2] <= length:
        return drawn_BCTHW
    return shuffled(drawn_BCTHW, length, options.context_overlap, plan.seed)


def shuffled(drawn_BCTHW: torch.Tensor, length: int, step: int, seed: int) -> torch.Tensor:
    """Noise of a long clip: frames after the first `length` have the noise of frames `length` before them, `step` at a
    time in another order, so that all windows begin alike."""
    out, count = drawn_BCTHW.clone(), drawn_BCTHW.shape[2]
    for first in range(length, count, step):
        from_start = first - length
        order = from_start + noise(seed, f"shuffle/{first}", (step,)).argsort()
        part = out[:, :, first : first + step]
        part.copy_(out[:, :, order[: part.shape[2]].to(out.device)].clone())
    return out
