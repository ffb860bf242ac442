"""Draw conditions as pixels on the plan's canvas, for every Wan variant.

As in VACE, one source clip and one mask hold all conditions: 0.0 (mid-gray) is empty, mask 1 = generate. Where
conditions overlap, kept pixels have priority over inpainted ones, and these over controls (VACE's priority: extension,
repainting, control).
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
    """Wan's conditions as pixels. mask_BCFHW: one channel in [0, 1], 1 = generate, 0 = keep; None generates everything.
    references: pictures on white or covering the canvas, each (1, 3, H, W). last_BCHW: the picture for the last frame.
    seen: pictures for the image encoder in place of the first and the last, each (1, 3, H, W) of any size.
    paths: one (F, 2) array per trajectory, in fractions of the frame. has_clip: the source contains a clip, not only
    single frames. control_BCFHW: the control clip alone, not longer than it is."""

    mask_BCFHW: torch.Tensor | None = None
    references: tuple[torch.Tensor, ...] = ()
    last_BCHW: torch.Tensor | None = None
    seen: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None)
    paths: tuple[np.ndarray, ...] = ()
    has_clip: bool = False
    control_BCFHW: torch.Tensor | None = None


def prepare(plan: Plan, window: Window | None = None, cover: bool = False) -> WanPrepared:
    """Read the inputs and draw them. A window replaces source, mask, continued clips and control. cover: references
    cover the canvas instead of lying on white. Raises MediaError for unreadable files."""
    size = (plan.height, plan.width)
    canvas = _Canvas(plan)
    references: list[torch.Tensor] = []
    styles: list[tuple[str, float]] = []
    paths: list[np.ndarray] = []
    first = last = None
    seen: dict[str, torch.Tensor] = {}
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
            points = trajectory.fractions(condition, plan.frames)
            paths.append(points)
            drawn = trajectory.draw(points, *size, condition.color or DOT_RGB)
            canvas.add_path(image.to_unit(drawn))
        elif condition.kind == "source":
            canvas.source_clip(image.to_unit(_frames(condition.video, plan, condition.grow)))
            if any(condition.grow):
                info = inputs.info(condition.video)
                canvas.repaint(outpaint.mask(info.height, info.width, condition.grow, plan.frames, *size), "gray")
        elif condition.kind == "mask":
            canvas.repaint(mask.draw(condition, plan.frames, *size), condition.fill)
        elif condition.kind == "continue":
            for index, frame in _continued(condition, plan.frames):
                canvas.keep_frame(index, image.still(frame, *size))
        elif condition.kind == "image":
            still = image.still(inputs.picture(condition.image), *size)
            index = frame_number(condition.at, plan.frames)
            canvas.keep_frame(index, still)
            first, last = (still if index == 0 else first), (still if condition.at == "last" else last)
            if condition.seen is not None:
                seen[str(condition.at)] = image.to_unit(inputs.picture(condition.seen))[None]
        elif condition.kind == "reference":
            draw = image.still if cover else image.letterbox
            references += [draw(inputs.picture(each), *size) for each in condition.images]
        elif condition.kind == "style":
            styles.append((condition.adapter, condition.weight))
    source, masked = canvas.finished()
    others = (seen.get("first"), seen.get("last"))
    return WanPrepared(
        source, first, tuple(styles), masked, tuple(references), last, others, tuple(paths), canvas.source_frames > 0,
        canvas.control,
    )  # fmt: skip


ORDER = ("control", "trajectory", "source", "mask", "continue", "image", "reference", "camera", "style")
"""Later kinds have priority over earlier ones at the same pixels."""
STOOD_IN = ("control", "source", "mask", "continue")


class _Canvas:
    """The canvas during drawing: the source clip, a clip of hints (controls, drawn paths), and the mask. All are None
    until a condition draws pixels."""

    def __init__(self, plan: Plan) -> None:
        self.shape = (plan.frames, plan.height, plan.width)
        self.source: torch.Tensor | None = None
        self.hints: torch.Tensor | None = None
        self.mask: torch.Tensor | None = None
        self.control: torch.Tensor | None = None
        self.source_frames, self.masked = 0, False

    def _open(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self.source is None or self.mask is None:
            self.source = torch.zeros(1, 3, *self.shape)
            self.mask = torch.ones(1, 1, *self.shape)
        return self.source, self.mask

    def hint(self, frames_FCHW: torch.Tensor) -> None:
        """Draw a control clip, which keeps no pixels; after its end, the rest is empty."""
        self._open()
        self.control = frames_FCHW.movedim(1, 0)[None]
        self.hints = torch.zeros(1, 3, *self.shape)
        self.hints[0, :, : len(frames_FCHW)] = frames_FCHW.movedim(1, 0)

    def add_path(self, frames_FCHW: torch.Tensor) -> None:
        """Draw a path on black; where paths overlap, the brighter one is on top."""
        self._open()
        drawn = frames_FCHW.movedim(1, 0)[None]
        self.hints = drawn if self.hints is None else torch.maximum(self.hints, drawn)

    def source_clip(self, frames_FCHW: torch.Tensor) -> None:
        """Draw the source clip; without a mask it is only a hint."""
        source, _ = self._open()
        self.source_frames = len(frames_FCHW)
        source[0, :, : self.source_frames] = frames_FCHW.movedim(1, 0)

    def repaint(self, mask_BCFHW: torch.Tensor, fill: str) -> None:
        """Keep the source where no mask is 1. Inside the mask, fill "gray" hides the source, and "source" keeps it as a
        hint. Frames after the end of the source are generated completely."""
        source, mask_now = self._open()
        end = self.source_frames
        new, before = mask_BCFHW[:, :, :end], mask_now[:, :, :end]
        mask_now[:, :, :end] = torch.maximum(before, new) if self.masked else new
        self.masked = True
        if fill == "gray":
            source *= mask_now <= 0.5

    def keep_frame(self, index: int, still_BCHW: torch.Tensor) -> None:
        """Fix one frame to this picture."""
        source, mask_now = self._open()
        source[:, :, index] = still_BCHW
        mask_now[:, :, index] = 0.0

    def finished(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return (source, mask), with the hints drawn over the source where pixels are generated."""
        if self.source is None or self.mask is None or self.hints is None:
            return self.source, self.mask
        return torch.where(self.mask > 0.5, self.hints, self.source), self.mask


def frame_number(at: str | int, num_frames: int) -> int:
    """The 0-based index of "first", "last" or a frame number."""
    return {"first": 0, "last": num_frames - 1}[at] if isinstance(at, str) else at


def _continued(condition: Continue, num_frames: int) -> list[tuple[int, np.ndarray]]:
    """(index in the output, frame) of the context frames of a continued clip."""
    if condition.place == "end":
        frames, _ = inputs.clip(condition.clip, stop=condition.frames)
        return [(num_frames - len(frames) + index, frame) for index, frame in enumerate(frames)]
    return list(enumerate(inputs.tail(condition.clip, condition.frames)))


def _frames(video: str, plan: Plan, grow: tuple[float, ...] = ()) -> np.ndarray:
    """Up to plan.frames frames of a clip, each resized to cover the canvas."""
    frames_FHWC, _ = inputs.clip(video, stop=plan.frames)
    if any(grow):
        frames_FHWC = np.stack([outpaint.grown(frame, grow) for frame in frames_FHWC])
    return np.stack([image.cover(frame, plan.height, plan.width) for frame in frames_FHWC])


def _channels_first(frames_FHWC: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames_FHWC)).movedim(-1, 1)
