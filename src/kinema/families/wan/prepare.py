"""Conditions to pixels on the plan's canvas, for every Wan variant.

One source clip and one mask carry them all, VACE's way: 0.0 (mid-gray) says nothing, mask 1 = generate. Where
conditions meet, what must be kept wins over what is repainted, and that over what only hints (VACE's priority:
extension, repainting, control).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...conditions import image, inputs, mask, outpaint, trajectory
from ...core.conditions import Continue
from ...core.family import Prepared, Window
from ...core.plan import Plan

DOT_RGB = (255, 255, 255)


@dataclass(frozen=True)
class WanPrepared(Prepared):
    """mask_BCFHW: one channel in [0, 1], 1 = generate, 0 = keep; None means everything is generated. references:
    pictures on white, each (1, 3, H, W)."""

    mask_BCFHW: torch.Tensor | None = None
    references: tuple[torch.Tensor, ...] = ()


def prepare(plan: Plan, window: Window | None = None) -> WanPrepared:
    """Read the inputs and draw them; a window stands in for source, mask, continued clips and control. Raises
    MediaError for files that cannot be read."""
    size = (plan.height, plan.width)
    canvas = _Canvas(plan)
    references: list[torch.Tensor] = []
    styles: list[tuple[str, float]] = []
    first = None
    conditions = sorted(plan.conditions, key=lambda c: ORDER.index(c.kind))
    if window is not None:
        if window.control_FHWC is not None:
            canvas.hint(_channels_first(window.control_FHWC))
        bare = any(c.kind == "source" and not any(c.grow) for c in conditions)
        fill = next((c.fill for c in conditions if c.kind == "mask"), "source" if bare else "gray")
        canvas.source_clip(_channels_first(window.frames_FHWC))
        canvas.repaint(torch.from_numpy(window.mask_FHW)[None, None], fill)
        conditions = [c for c in conditions if c.kind not in STOOD_IN]
    for condition in conditions:
        if condition.kind == "control" and condition.video is not None:
            canvas.hint(image.to_unit(_frames(condition.video, plan)))
        elif condition.kind == "trajectory":
            points = trajectory.resample(condition.points, plan.frames)
            drawn = trajectory.draw(points, *size, condition.color or DOT_RGB)
            canvas.add_path(image.to_unit(drawn))
        elif condition.kind == "source":
            canvas.source_clip(image.to_unit(_frames(condition.video, plan, condition.grow)))
            if any(condition.grow):
                given = inputs.info(condition.video)
                canvas.repaint(outpaint.mask(given.height, given.width, condition.grow, plan.frames, *size), "gray")
        elif condition.kind == "mask":
            canvas.repaint(mask.draw(condition, plan.frames, *size), condition.fill)
        elif condition.kind == "continue":
            for index, frame in _continued(condition, plan.frames):
                canvas.keep_frame(index, image.still(frame, *size))
        elif condition.kind == "image":
            still = image.still(inputs.picture(condition.image), *size)
            index = frame_number(condition.at, plan.frames)
            canvas.keep_frame(index, still)
            first = still if index == 0 else first
        elif condition.kind == "reference":
            references += [image.letterbox(inputs.picture(each), *size) for each in condition.images]
        elif condition.kind == "style":
            styles.append((condition.adapter, condition.weight))
    source, masked = canvas.finished()
    return WanPrepared(source, first, tuple(styles), masked, tuple(references))


ORDER = ("control", "trajectory", "source", "mask", "continue", "image", "reference", "style")
"""Later kinds win over earlier ones where they speak of the same pixels."""
STOOD_IN = ("control", "source", "mask", "continue")


class _Canvas:
    """Two clips and a mask as they are filled in: what is kept or shown of a source, and what hints (a control clip,
    drawn paths). None until a condition speaks of pixels."""

    def __init__(self, plan: Plan) -> None:
        self.shape = (plan.frames, plan.height, plan.width)
        self.source: torch.Tensor | None = None
        self.hints: torch.Tensor | None = None
        self.mask: torch.Tensor | None = None
        self.given, self.masked = 0, False

    def _open(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self.source is None or self.mask is None:
            self.source = torch.zeros(1, 3, *self.shape)
            self.mask = torch.ones(1, 1, *self.shape)
        return self.source, self.mask

    def hint(self, frames_FCHW: torch.Tensor) -> None:
        """A clip that suggests and fixes nothing; where it is shorter, the rest says nothing."""
        self._open()
        self.hints = torch.zeros(1, 3, *self.shape)
        self.hints[0, :, : len(frames_FCHW)] = frames_FCHW.movedim(1, 0)

    def add_path(self, frames_FCHW: torch.Tensor) -> None:
        """A drawn path. It lies on black; of several, the brighter one is on top."""
        self._open()
        drawn = frames_FCHW.movedim(1, 0)[None]
        self.hints = drawn if self.hints is None else torch.maximum(self.hints, drawn)

    def source_clip(self, frames_FCHW: torch.Tensor) -> None:
        """The clip that is edited: without a mask it suggests everything and fixes nothing."""
        source, _ = self._open()
        self.given = len(frames_FCHW)
        source[0, :, : self.given] = frames_FCHW.movedim(1, 0)

    def repaint(self, mask_BCFHW: torch.Tensor, fill: str) -> None:
        """Keep the source where no mask is 1. Where one is, fill says what is seen of it: "gray", nothing, or
        "source", all of it as a hint. Frames after the end of the source are generated whole."""
        source, mask_now = self._open()
        new, here = mask_BCFHW[:, :, : self.given], mask_now[:, :, : self.given]
        mask_now[:, :, : self.given] = torch.maximum(here, new) if self.masked else new
        self.masked = True
        if fill == "gray":
            source *= mask_now <= 0.5

    def keep_frame(self, index: int, still_BCHW: torch.Tensor) -> None:
        """One frame is this picture."""
        source, mask_now = self._open()
        source[:, :, index] = still_BCHW
        mask_now[:, :, index] = 0.0

    def finished(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """(source, mask): hints stand where something is generated, over what a source suggests there."""
        if self.source is None or self.mask is None or self.hints is None:
            return self.source, self.mask
        return torch.where(self.mask > 0.5, self.hints, self.source), self.mask


def frame_number(at: str | int, num_frames: int) -> int:
    """The 0-based number of "first", "last" or a frame given by number."""
    return {"first": 0, "last": num_frames - 1}[at] if isinstance(at, str) else at


def _continued(condition: Continue, num_frames: int) -> list[tuple[int, np.ndarray]]:
    """(index, frame) of the frames of a continued clip that are part of the output."""
    if condition.place == "end":
        frames, _ = inputs.clip(condition.clip, stop=condition.frames)
        return [(num_frames - len(frames) + index, frame) for index, frame in enumerate(frames)]
    return list(enumerate(inputs.tail(condition.clip, condition.frames)))


def _frames(video: str, plan: Plan, grow: tuple[float, ...] = ()) -> np.ndarray:
    """Up to plan.frames frames of a clip, each covering the canvas."""
    frames_FHWC, _ = inputs.clip(video, stop=plan.frames)
    if any(grow):
        frames_FHWC = np.stack([outpaint.grown(frame, grow) for frame in frames_FHWC])
    return np.stack([image.cover(frame, plan.height, plan.width) for frame in frames_FHWC])


def _channels_first(frames_FHWC: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames_FHWC)).movedim(-1, 1)
