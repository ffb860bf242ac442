"""In-place edits and continuations: windows are generated on the model's canvas and composited into the clip.

Kept pixels are unchanged, byte for byte. The model's input of each window includes the surroundings of the mask and the
frames generated before; colours are matched to the surroundings, the edge is feathered, and shared frames of windows
are crossfaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from ..conditions import region
from ..core import windows as cut
from ..core.chunk import Chunk
from ..core.events import Event, OnEvent, Progress, ignore, of_span
from ..core.family import Family, Window
from ..core.plan import Plan, Span
from ..post import composite
from .timeline import EditTimeline, Findings, open_timeline, sounding
from .windows import Windows

CHUNK_FRAMES = 16
FEATHER = 1.0
"""Width of the feathered edge, in pixels of the canvas."""
RING = 6
"""Colours are matched on kept pixels of the canvas within this distance from generated ones."""
EDGE = 1 / 4
"""Distance over which the difference at the edge is corrected inwards, as a fraction of the canvas."""


def edit(
    plan: Plan, family: Callable[[], Family], *, on_event: OnEvent = ignore, windows: Windows | None = None
) -> Iterator[Chunk]:
    """Generate the clip of a plan with `canvas="source"`, with its sound. Windows with an empty mask are skipped.
    Closing the iterator stops the work between two steps. family: called for the first window that is generated."""
    found = Findings(on_event=lambda event: on_event(event) if event.stage == "read" else None)
    if plan.fill == "both":
        on_event(Event("read"))
    line = open_timeline(plan, found)
    work = _Work(plan, family, line, on_event, windows or Windows(plan))
    backward = any(later.start < earlier.start for earlier, later in zip(plan.spans, plan.spans[1:]))
    given = 0
    for number, span in enumerate(plan.spans):
        if not backward:
            yield from _give(plan, work, given, max(given, span.start), number)
            given = max(given, span.start)
        work.window(number, span)
    yield from _give(plan, work, given, plan.frames, len(plan.spans))
    for event in found.report("edit"):
        on_event(event)


def _give(plan: Plan, work: _Work, start: int, stop: int, number: int) -> Iterator[Chunk]:
    """Yield finished frames [start, stop) as chunks. number: of windows done."""
    for first in range(start, stop, CHUNK_FRAMES):
        indices = range(first, min(first + CHUNK_FRAMES, stop))
        frames = [work.finished(index) for index in indices]
        sounds = [work.line.frame(index)[1] for index in indices]
        work.forget(indices.stop)
        yield sounding(frames, sounds, first, plan.fps)
        work.on_event(Progress("edit", indices.stop, plan.frames, span=number))


class _Work:
    """The generated frames that are not yielded yet, and the generation of windows."""

    def __init__(
        self, plan: Plan, family: Callable[[], Family], line: EditTimeline, on_event: OnEvent, windows: Windows
    ) -> None:
        self.plan, self.family, self.line, self.on_event, self.windows = plan, family, line, on_event, windows
        self.canvas = (plan.width, plan.height)
        self.frames: dict[int, np.ndarray] = {}
        self.region: region.Region | None = None

    def finished(self, index: int) -> np.ndarray:
        if index in self.frames:
            return self.frames[index]
        frame = self.line.frame(index)[0]
        assert frame is not None, f"frame {index} was never generated"
        return frame

    def forget(self, before: int) -> None:
        self.line.forget(before)
        for index in [each for each in self.frames if each < before]:
            del self.frames[index]

    def window(self, number: int, span: Span) -> None:
        """Generate the masked frames of a span into `frames`."""
        inside = range(max(0, span.start), min(span.stop, self.plan.frames))
        masks = {}
        for done, index in enumerate(inside, 1):
            masks[index] = self.line.mask(index)
            if self.plan.fill == "both":
                self.on_event(Progress("fill", done, len(inside), span=number))
        box = region.bounds(masks.values())
        if box is None:
            return
        everything = all(mask.all() for index, mask in masks.items() if mask.any())
        if everything:
            self.region = region.whole(self.line.size, self.canvas)
        else:
            self.region = region.fit(box, self.line.size, self.canvas, self.region)
        frames, hidden, controls = [], [], []
        for index in range(span.start, span.stop):
            at = min(max(index, inside.start), inside.stop - 1)  # beyond the clip its last frame is repeated
            done = at in self.frames
            mask = np.zeros_like(masks[at]) if done else masks[at]
            frames.append(self._to_canvas(self.frames.get(at), at))
            hidden.append(region.mask_to_canvas(self.region.cut(mask), *self.canvas))
            control = self.line.control(at)
            if control is not None:
                controls.append(region.to_canvas(self.region.cut(control), *self.canvas))
        pixels, mask_FHW = np.stack(frames), np.stack(hidden)
        unit = pixels.astype(np.float32) / 127.5 - 1
        shown = Window(unit, mask_FHW, np.stack(controls).astype(np.float32) / 127.5 - 1 if controls else None)
        plan = self.plan.model_copy(update={"frames": span.num_frames, "spans": (span,)})
        report = of_span(self.on_event, number)
        generated = self.windows.frames(number, plan, self.family, on_event=report, window=shown)
        new = self._match_colors(generated, pixels, mask_FHW)
        self._composite(new[inside.start - span.start :], inside, masks)

    def _to_canvas(self, frame: np.ndarray | None, index: int) -> np.ndarray:
        assert self.region is not None
        frame = frame if frame is not None else self.line.frame(index)[0]
        if frame is None:
            return np.full((self.canvas[1], self.canvas[0], 3), 128, np.uint8)
        return region.to_canvas(self.region.cut(frame), *self.canvas)

    def _match_colors(self, new: np.ndarray, true: np.ndarray, mask_FHW: np.ndarray) -> np.ndarray:
        """Generated frames, float32, with colours matched to nearby kept pixels, or else to all kept ones."""
        kept = mask_FHW == 0
        if not kept.any():
            return new.astype(np.float32)
        around = np.ones((2 * RING + 1, 2 * RING + 1), np.uint8)
        near = np.stack([cv2.dilate((mask > 0).astype(np.uint8), around) for mask in mask_FHW]) > 0
        ring = kept & near if (kept & near).sum() >= composite.FEWEST else kept
        change = composite.color_change(new[ring].astype(np.float32), true[ring].astype(np.float32))
        fitted = composite.recolor(new, *change)
        reach = EDGE * min(self.canvas)
        return np.stack([composite.smooth_edge(*each, reach) for each in zip(fitted, true, kept)])

    def _composite(self, new: np.ndarray, inside: range, masks: dict[int, np.ndarray]) -> None:
        assert self.region is not None
        size = (self.region.width, self.region.height)
        radius = FEATHER * self.region.width / self.canvas[0]
        shared = [index for index in inside if index in self.frames]
        shares = dict(zip(shared, cut.fade(len(shared))))
        for index, picture in zip(inside, new):
            if not masks[index].any():
                continue
            interpolation = cv2.INTER_CUBIC if size[0] > self.canvas[0] else cv2.INTER_AREA
            part = cv2.resize(picture, size, interpolation=interpolation).clip(0, 255)
            below = self.line.frame(index)[0]
            if below is None:
                below = np.zeros((self.line.size[1], self.line.size[0], 3), np.uint8)
            done = self.region.composite(part, below, composite.feather(masks[index], radius))
            if index in self.frames:  # crossfade from the window before to this one
                share = shares[index]
                if shared[0] != inside.start:  # backward: earlier windows are later in time
                    share = 1 - share
                mixed = (1 - share) * self.frames[index].astype(np.float32) + share * done.astype(np.float32)
                done = np.where(done == self.frames[index], done, np.rint(mixed).astype(np.uint8))
            self.frames[index] = done
