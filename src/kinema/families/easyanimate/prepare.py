"""Draw the conditions of EasyAnimate as pixels: a clip with a mask (InP), or a control clip, or paths as one, and a
first picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...conditions import image, inputs, mask, outpaint
from ...core.family import Prepared, Window
from ...core.plan import Plan
from . import paths

MASKED = -1.0
"""The pixels of masked areas: black."""


@dataclass(frozen=True)
class EasyAnimatePrepared(Prepared):
    """known_BCFHW: pixels that are kept, black elsewhere; mask_BCFHW: one channel, 1 = generate, 0 = keep; None of them
    if nothing is kept. control_BCFHW: the control clip. source_BCFHW: the whole source, to be noised."""

    known_BCFHW: torch.Tensor | None = None
    mask_BCFHW: torch.Tensor | None = None
    control_BCFHW: torch.Tensor | None = None


def prepare(plan: Plan, window: Window | None = None) -> EasyAnimatePrepared:
    """Read the inputs and fit them to the canvas. A window replaces source, mask and continued clips. MediaError for
    unreadable files."""
    size = (plan.height, plan.width)
    canvas = _Kept(plan)
    source = first = control = None
    styles: list[tuple[str, float]] = []
    conditions: list[Any] = sorted(plan.conditions, key=lambda each: ORDER.index(each.kind))
    masked = any(each.kind == "mask" for each in conditions)
    if window is not None:
        source = torch.from_numpy(np.ascontiguousarray(window.frames_FHWC)).permute(3, 0, 1, 2)[None]
        bare = any(each.kind == "source" and not any(each.grow) for each in conditions) and not masked
        if not bare:
            canvas.keep(source, torch.from_numpy(window.mask_FHW)[None, None])
        conditions = [each for each in conditions if each.kind not in STOOD_IN]
    for condition in conditions:
        if condition.kind == "source":
            source = _clip(condition.video, plan, condition.grow)
            if any(condition.grow):
                info = inputs.info(condition.video)
                grown = outpaint.mask(info.height, info.width, condition.grow, plan.frames, *size)
                canvas.keep(source, grown)
        elif condition.kind == "mask" and source is not None:
            canvas.keep(source, mask.draw(condition, source.shape[2], *size))
        elif condition.kind == "control" and condition.video is not None:
            control = _clip(condition.video, plan)
        elif condition.kind == "trajectory":
            drawn = paths.draw(condition, plan.frames, *size)
            control = drawn if control is None else torch.maximum(control, drawn)
        elif condition.kind == "continue":
            for index, frame in _continued(condition, plan.frames):
                canvas.keep_frame(index, image.still(frame, *size))
        elif condition.kind == "image":
            still = image.still(inputs.picture(condition.image), *size)
            canvas.keep_frame(0 if condition.at == "first" else plan.frames - 1, still)
            first = still if condition.at == "first" else first
        elif condition.kind == "style":
            styles.append((condition.adapter, condition.weight))
    return EasyAnimatePrepared(source, first, tuple(styles), canvas.known, canvas.mask, control)


ORDER = ("control", "trajectory", "source", "mask", "continue", "image", "camera", "style")
STOOD_IN = ("source", "mask", "continue")


class _Kept:
    """The kept pixels during drawing. mask and known are None until something is kept."""

    def __init__(self, plan: Plan) -> None:
        self.shape = (plan.frames, plan.height, plan.width)
        self.known: torch.Tensor | None = None
        self.mask: torch.Tensor | None = None
        self.drawn = False

    def keep(self, clip_BCFHW: torch.Tensor, mask_BCFHW: torch.Tensor) -> None:
        """Keep the clip where no mask so far is 1. Frames after its end are generated."""
        known, mask_now = self._open()
        count = min(clip_BCFHW.shape[2], self.shape[0])
        clip, drawn = clip_BCFHW[:, :, :count], (mask_BCFHW[:, :, :count] >= 0.5).float()
        now = torch.maximum(mask_now[:, :, :count], drawn) if self.drawn else drawn
        self.drawn, mask_now[:, :, :count] = True, now
        known[:, :, :count] = torch.where(now >= 0.5, torch.full_like(clip, MASKED), clip)

    def keep_frame(self, index: int, still_BCHW: torch.Tensor) -> None:
        known, mask_now = self._open()
        known[:, :, index], mask_now[:, :, index] = still_BCHW, 0.0

    def _open(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self.known is None or self.mask is None:
            self.known, self.mask = torch.full((1, 3, *self.shape), MASKED), torch.ones(1, 1, *self.shape)
        return self.known, self.mask


def _clip(video: str, plan: Plan, grow: tuple[float, ...] = ()) -> torch.Tensor:
    """Up to plan.frames frames of a clip, (1, 3, F, H, W), each covering the canvas."""
    frames_FHWC, _ = inputs.clip(video, stop=plan.frames)
    if any(grow):
        frames_FHWC = np.stack([outpaint.grown(frame, grow) for frame in frames_FHWC])
    fitted = np.stack([image.cover(frame, plan.height, plan.width) for frame in frames_FHWC])
    return image.to_unit(fitted).movedim(0, 1)[None]


def _continued(condition: Any, num_frames: int) -> list[tuple[int, np.ndarray]]:
    """(index in the output, frame) of the context frames of a continued clip."""
    if condition.place == "end":
        frames, _ = inputs.clip(condition.clip, stop=condition.frames)
        return [(num_frames - len(frames) + index, frame) for index, frame in enumerate(frames)]
    return list(enumerate(inputs.tail(condition.clip, condition.frames)))
