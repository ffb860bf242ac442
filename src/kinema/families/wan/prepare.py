"""Conditions to pixels on the plan's canvas, for every Wan variant.

One source clip and one mask carry them all, VACE's way: 0.0 (mid-gray) says nothing, mask 1 = generate. Where
conditions meet, what must be kept wins over what is repainted, and that over what only hints (VACE's priority:
extension, repainting, control).
"""

from __future__ import annotations

import numpy as np
import torch

from ...conditions import image, inputs, mask, trajectory
from ...core.family import Prepared
from ...core.plan import Plan

DOT_RGB = (255, 255, 255)


def prepare(plan: Plan) -> Prepared:
    """Read the inputs and draw them. Raises MediaError for files that cannot be read."""
    size = (plan.height, plan.width)
    canvas = _Canvas(plan)
    references: list[torch.Tensor] = []
    styles: list[tuple[str, float]] = []
    first = last = None
    for condition in sorted(plan.conditions, key=lambda c: ORDER.index(c.kind)):
        if condition.kind == "control":
            canvas.hint(image.to_unit(_frames(condition.video, plan)))
        elif condition.kind == "trajectory":
            points = trajectory.resample(condition.points, plan.frames)
            drawn = trajectory.draw(points, *size, condition.color or DOT_RGB)
            canvas.add_path(image.to_unit(drawn))
        elif condition.kind == "source":
            canvas.hint(image.to_unit(_frames(condition.video, plan)))
        elif condition.kind == "mask":
            canvas.repaint(mask.draw(condition, plan.frames, *size))
        elif condition.kind == "continue":
            for index, frame in enumerate(inputs.tail(condition.clip, condition.frames)):
                canvas.keep_frame(index, image.still(frame, *size))
        elif condition.kind == "image":
            still = image.still(inputs.picture(condition.image), *size)
            index = frame_number(condition.at, plan.frames)
            canvas.keep_frame(index, still)
            first = still if index == 0 else first
            last = still if index == plan.frames - 1 and index > 0 else last
        elif condition.kind == "reference":
            references += [image.letterbox(inputs.picture(each), *size) for each in condition.images]
        elif condition.kind == "style":
            styles.append((condition.adapter, condition.weight))
    return Prepared(canvas.source, canvas.mask, first, last, tuple(references), tuple(styles))


ORDER = ("control", "trajectory", "source", "mask", "continue", "image", "reference", "style")
"""Later kinds win over earlier ones where they speak of the same pixels."""


class _Canvas:
    """Source and mask as they are filled in. Both stay None until a condition speaks of pixels."""

    def __init__(self, plan: Plan) -> None:
        self.shape = (plan.frames, plan.height, plan.width)
        self.source: torch.Tensor | None = None
        self.mask: torch.Tensor | None = None
        self.given = 0

    def _open(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self.source is None or self.mask is None:
            self.source = torch.zeros(1, 3, *self.shape)
            self.mask = torch.ones(1, 1, *self.shape)
        return self.source, self.mask

    def hint(self, frames_FCHW: torch.Tensor) -> None:
        """A clip that suggests everything and fixes nothing; where it is shorter, the rest says nothing."""
        source, _ = self._open()
        self.given = len(frames_FCHW)
        source[0, :, : self.given] = frames_FCHW.movedim(1, 0)

    def add_path(self, frames_FCHW: torch.Tensor) -> None:
        """A drawn path. It lies on black; of several, the brighter one is on top."""
        first = self.source is None
        source, _ = self._open()
        drawn = frames_FCHW.movedim(1, 0)[None]
        source[:] = drawn if first else torch.maximum(source, drawn)

    def repaint(self, mask_BCFHW: torch.Tensor) -> None:
        """Keep the source where the mask is 0 and forget it where it is 1: there it becomes mid-gray, which says
        nothing. Frames after the end of the source are generated whole."""
        source, mask_now = self._open()
        mask_now[:, :, : self.given] = mask_BCFHW[:, :, : self.given]
        source *= mask_now <= 0.5

    def keep_frame(self, index: int, still_BCHW: torch.Tensor) -> None:
        """One frame is this picture."""
        source, mask_now = self._open()
        source[:, :, index] = still_BCHW
        mask_now[:, :, index] = 0.0


def frame_number(at: str | int, num_frames: int) -> int:
    """The 0-based number of "first", "last" or a frame given by number."""
    return {"first": 0, "last": num_frames - 1}[at] if isinstance(at, str) else at


def _frames(video: str, plan: Plan) -> np.ndarray:
    """Up to plan.frames frames of a clip, each covering the canvas."""
    frames_FHWC, _ = inputs.clip(video, stop=plan.frames)
    return np.stack([image.cover(frame, plan.height, plan.width) for frame in frames_FHWC])
