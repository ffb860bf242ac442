"""Trim clips where one shot continues another, so that no frame airs twice and no frame is held between them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core.chunk import Chunk
from ...core.closing import closed_after
from ...core.events import OnEvent
from ..conform import LEFT_OUT_S

if TYPE_CHECKING:
    from ...core.plan import Plan
    from ...core.request import Request
    from ...engine.clip_file import ClipGenerator


def in_whole_seconds(frames: int, fps: float) -> int:
    """The number of frames in whole seconds, if at most LEFT_OUT_S is dropped, else `frames`. Conforming would repeat
    the last frame to fill a second."""
    over_s = frames / fps % 1.0
    whole = round((frames / fps - over_s) * fps)
    return whole if 0 < whole < frames and over_s <= LEFT_OUT_S else frames


def part(chunks: Iterable[Chunk], start: int, stop: int) -> Iterator[Chunk]:
    """Yield frames start to stop (half-open) of a clip, renumbered from 0. The source is closed."""
    source = iter(chunks)
    with closed_after(source):
        for chunk in source:
            low, high = max(start - chunk.start, 0), min(stop - chunk.start, len(chunk.frames))
            if low < high:
                yield dataclasses.replace(
                    chunk, frames=chunk.frames[low:high], start=chunk.start + low - start, audio=None
                )
            if chunk.stop >= stop:
                return


@dataclass(frozen=True)
class PartOfClip:
    """A generator of clips of which only frames start to stop (half-open) are written; the manifest notes it."""

    generator: ClipGenerator
    start: int
    stop: int

    def plan(self, request: Request, /) -> Plan:
        return self.generator.plan(request)

    def digests(self, plan: Plan, /) -> dict[str, str]:
        return self.generator.digests(plan)

    def manifest(self, plan: Plan, /) -> dict[str, Any]:
        note = f"The file has frames {self.start} to {self.stop - 1} of {plan.frames}"
        note += f"; the first {self.start} are context frames." if self.start else "."
        return self.generator.manifest(plan.model_copy(update={"notes": (*plan.notes, note)}))

    def stream(self, plan: Plan, /, *, on_event: OnEvent, **keeping: Any) -> Iterator[Chunk]:
        return part(self.generator.stream(plan, on_event=on_event, **keeping), self.start, self.stop)
