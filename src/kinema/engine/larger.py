"""A clip made larger by a model: enlarged, taken back to noise, denoised in tiles and windows (Zeroscope XL's way).

Memory does not grow with length. What changes slowly over a frame keeps the clip's colours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..core import windows
from ..core.chunk import Chunk
from ..core.events import OnEvent, Progress, ignore, of_span
from ..core.family import Family, Window
from ..core.plan import Plan, Span
from ..post.color_match import match_colors
from .generate import generate
from .tiles import tiled
from .timeline import Timeline, open_timeline, sounding

COLORS = 1 / 8
"""Colours that change over more than this part of a tile's shorter side are the clip's own."""


def larger(plan: Plan, family: Family, *, on_event: OnEvent = ignore) -> Iterator[Chunk]:
    """The clip of a plan whose canvas is larger than its source's, with its sound. Frames that windows share pass
    slowly from one into the next. Closing the iterator stops the work between two steps."""
    line = open_timeline(plan)
    shared: dict[int, np.ndarray] = {}
    for number, span in enumerate(plan.spans):
        made = _window(plan, family, line, span, number, on_event)
        following = plan.spans[number + 1].start if number + 1 < len(plan.spans) else plan.frames
        both = [index for index in sorted(shared) if index >= span.start]
        for share, index in zip(windows.fade(len(both)), both):
            mixed = (1 - share) * shared[index] + share * made[index - span.start].astype(np.float32)
            made[index - span.start] = np.rint(mixed)
        finished = range(span.start, min(following, plan.frames))
        shared = {index: made[index - span.start].astype(np.float32) for index in range(finished.stop, span.stop)}
        sounds = [line.frame(index)[1] for index in finished]
        line.forget(finished.stop)
        yield sounding([made[index - span.start] for index in finished], sounds, finished.start, plan.fps)
        on_event(Progress("edit", finished.stop, plan.frames, span=number))


def _window(
    plan: Plan, family: Family, line: Timeline, span: Span, number: int, on_event: OnEvent
) -> np.ndarray:  # fmt: skip
    """The frames of a span, uint8 (F, H, W, 3) at the size of the output; beyond the clip's end its last one stays."""
    width, height = plan.size
    tiling = windows.over_picture(plan.size, (plan.width, plan.height), family.card.size.multiple)
    given = [line.frame(min(index, plan.frames - 1))[0] for index in range(span.start, span.stop)]
    true = np.stack([frame for frame in given if frame is not None])
    beyond = ((0, 0), (0, tiling.height - height), (0, tiling.width - width), (0, 0))
    canvas = np.pad(true, beyond, mode="edge").astype(np.float32) / 127.5 - 1
    shown = Window(canvas, np.ones(canvas.shape[:3], np.float32))
    part = plan.model_copy(update={"frames": span.num_frames, "spans": (span,)})
    chunks = generate(part, tiled(family, tiling), on_event=of_span(on_event, number), window=shown)
    made = np.concatenate([chunk.frames for chunk in chunks])[:, :height, :width]
    return match_colors(made, true, COLORS * min(plan.width, plan.height))
