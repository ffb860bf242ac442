"""Upscaling by a model: noise is added to the resampled clip, which is denoised with its own prompt (as in Zeroscope
XL).

`over_source`: an existing clip, in windows and tiles; memory does not grow with length, and low-frequency colours are
matched to the clip. `over_frames`: a clip that was just generated, in one window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..core import windows as cut
from ..core.chunk import Chunk
from ..core.events import OnEvent, Progress, ignore, of_span, previews_of
from ..core.family import Family, Window
from ..core.plan import Plan, Span
from ..media.resize import resize_frames
from ..post.composite import match_colors
from .tiles import tiled
from .timeline import EditTimeline, open_timeline, sounding
from .windows import Windows

COLORS = 1 / 8
"""Colours are matched at scales above this fraction of a tile's shorter side."""


def over_frames(
    chunks: Iterable[Chunk], plan: Plan, family: Family, number: int, windows: Windows, on_event: OnEvent = ignore
) -> Iterator[Chunk]:
    """Upscale the clip of `chunks` to the size of a step's plan, as window `number` of the run."""
    frames = np.concatenate([chunk.frames for chunk in chunks])
    large = resize_frames(frames, plan.height, plan.width).astype(np.float32) / 127.5 - 1
    shown = Window(large, np.ones(large.shape[:3], np.float32))
    yield from windows.chunks(number, plan, lambda: family, on_event=previews_of(on_event, number), window=shown)


def over_source(
    plan: Plan, family: Family, *, on_event: OnEvent = ignore, windows: Windows | None = None
) -> Iterator[Chunk]:
    """Upscale the source of a plan with `canvas="upscale"`, with its sound. Shared frames of windows are crossfaded.
    Closing the iterator stops the work between two steps."""
    line, windows = open_timeline(plan), windows or Windows(plan)
    shared: dict[int, np.ndarray] = {}
    for number, span in enumerate(plan.spans):
        frames = _window(plan, family, line, span, number, windows, on_event)
        following = plan.spans[number + 1].start if number + 1 < len(plan.spans) else plan.frames
        both = [index for index in sorted(shared) if index >= span.start]
        for share, index in zip(cut.fade(len(both)), both):
            mixed = (1 - share) * shared[index] + share * frames[index - span.start].astype(np.float32)
            frames[index - span.start] = np.rint(mixed)
        finished = range(span.start, min(following, plan.frames))
        shared = {index: frames[index - span.start].astype(np.float32) for index in range(finished.stop, span.stop)}
        sounds = [line.frame(index)[1] for index in finished]
        line.forget(finished.stop)
        yield sounding([frames[index - span.start] for index in finished], sounds, finished.start, plan.fps)
        on_event(Progress("edit", finished.stop, plan.frames, span=number))


def _window(
    plan: Plan, family: Family, line: EditTimeline, span: Span, number: int, windows: Windows, on_event: OnEvent
) -> np.ndarray:  # fmt: skip
    """Generate the frames of a span, uint8 (F, H, W, 3) at the output size; beyond the clip its last frame repeats."""
    width, height = plan.size
    tiling = cut.over_picture(plan.size, (plan.width, plan.height), family.card.size.multiple)
    given = [line.frame(min(index, plan.frames - 1))[0] for index in range(span.start, span.stop)]
    true = np.stack([frame for frame in given if frame is not None])
    beyond = ((0, 0), (0, tiling.height - height), (0, tiling.width - width), (0, 0))
    canvas = np.pad(true, beyond, mode="edge").astype(np.float32) / 127.5 - 1
    shown = Window(canvas, np.ones(canvas.shape[:3], np.float32))
    part = plan.model_copy(update={"frames": span.num_frames, "spans": (span,)})
    report = of_span(on_event, number)
    whole = windows.frames(number, part, lambda: tiled(family, tiling), on_event=report, window=shown)
    frames = whole[:, :height, :width]
    return match_colors(frames, true, COLORS * min(plan.width, plan.height))
