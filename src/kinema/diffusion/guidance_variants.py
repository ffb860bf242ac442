"""Corrections of classifier-free guidance: CFG-Zero* and skip layer guidance.

Both correct the guided prediction of the clean latents D from those of the branches: c (prompt), u (negative prompt),
s (prompt, computed without some blocks of the network).
- CFG-Zero* (Fan et al. 2025, arXiv 2503.18886, equation 8) scales the negative branch by the projection a of one
  direction on the other, <x - c, x - u> / |x - u|^2: D + (a - 1)(1 - scale)(u - x). ComfyUI adds the same multiple of
  u, not of u - x.
- Skip layer guidance, as in Stable Diffusion 3.5's published code: D + strength (c - s), within a range of noise
  levels; then, if asked, D is scaled towards the standard deviation of c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from .guidance import GuidanceStep, Outputs
from .prediction import SigmaModel, denoised, output_for
from .sigma_schedules import TRAINED
from .steps import COMFYUI, COND, OFF, SKIPPED, UNCOND, SkipLayers


def applies(skip: SkipLayers, model: SigmaModel, sigma: float) -> bool:
    """Whether skip layer guidance applies at a noise level. Its range is given in fractions of the training
    timesteps."""
    start, stop = (_level(model, share) for share in (skip.first, skip.last))
    return bool(skip.layers) and skip.strength > 0 and stop <= sigma <= start


def _level(model: SigmaModel, share: float) -> float:
    """The noise level of a flow after a share of the training timesteps, from the highest."""
    return model.levels.sigma((1 - share) * TRAINED)


def corrected(
    guidance: Sequence[GuidanceStep], sigmas: Sequence[float], model: SigmaModel, scale: float, zero: str,
    skip: SkipLayers,
) -> tuple[GuidanceStep, ...]:  # fmt: skip
    """Steps of classifier-free guidance with their corrections. sigmas: the noise level of each step."""
    return tuple(_with(each, sigma, model, scale, zero, skip) for each, sigma in zip(guidance, sigmas, strict=True))


def _with(
    each: GuidanceStep, sigma: float, model: SigmaModel, scale: float, zero: str, skip: SkipLayers
) -> GuidanceStep:  # fmt: skip
    skips = applies(skip, model, sigma)
    zeros = zero != OFF and UNCOND in each.branches
    if not skips and not zeros:
        return each

    def correct(outputs: Outputs, guided: Any, x: torch.Tensor, sigma: float) -> torch.Tensor:
        dtype = torch.promote_types(x.dtype, torch.float32)
        wide = x.to(dtype)
        clean = partial(denoised, model.prediction, x=wide, sigma=sigma)
        found = clean(guided.to(dtype))
        if skips:
            prompt = clean(outputs[COND].to(dtype))
            found = skipped(found, prompt, clean(outputs[SKIPPED].to(dtype)), skip)
        if zeros:
            prompt, negative = (clean(outputs[name].to(dtype)) for name in (COND, UNCOND))
            apart = (1, 3, 4) if model.frames_first else (1, 2, 3, 4)
            found = found + (projection(wide - prompt, wide - negative, apart) - 1) * (1 - scale) * (
                negative if zero == COMFYUI else negative - wide
            )
        return output_for(model.prediction, found, wide, sigma).to(guided.dtype)

    own = each.branches
    return replace(
        each, branches=(*own, SKIPPED) if skips else own, correct=correct,
        combine=lambda outputs: each.combine({name: outputs[name] for name in own}),
    )  # fmt: skip


def skipped(guided: torch.Tensor, prompt: torch.Tensor, without: torch.Tensor, skip: SkipLayers) -> torch.Tensor:
    """Skip layer guidance, of predictions of the clean latents."""
    found = guided + (prompt - without) * skip.strength
    if skip.rescale:
        found = found * (skip.rescale * prompt.std() / found.std() + 1 - skip.rescale)
    return found


def projection(direction: torch.Tensor, on: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    """<direction, on> / |on|^2 over some dimensions, which are kept with length 1."""
    squared = (on * on).sum(dims, keepdim=True)
    return (direction * on).sum(dims, keepdim=True) / (squared + 1e-8)
