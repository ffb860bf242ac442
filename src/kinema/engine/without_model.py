"""Clips that need no model: in-place edits with `fill="propagate"`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..core.chunk import Chunk
from ..core.conditions import Source
from ..core.events import Event, OnEvent, Preview, both, ignore
from ..core.plan import Plan
from ..core.request import Request
from .clip import Clip
from .fill import Frame, Shares, filled
from .fill_cost import fill_work
from .fill_state import FillState, Keeping
from .keeping import check_keeping
from .manifest import manifest, without_estimate
from .plan import plan as make_plan
from .timed import timed
from .timeline import Findings, sounding, source_streams

CHUNK_FRAMES = 8
STAGE = "fill"


class StandIn:
    """What the stand-ins of an Engine have in common."""

    start_s: float | None = None

    def manifest(self, plan: Plan) -> dict[str, Any]:
        raise NotImplementedError

    def stream(self, plan: Plan, *, on_event: OnEvent = ignore) -> Iterator[Chunk]:
        raise NotImplementedError

    def describe(self, plan: Plan) -> Callable[[], dict[str, Any]]:
        """Return the function that makes the manifest."""
        return partial(self.manifest, plan)

    def generate(self, plan: Plan, *, on_event: OnEvent = ignore, progress: bool | None = None) -> Clip:
        """Return the lazy clip of a plan. on_event, progress: as in `Engine.generate`."""
        if progress is None and on_event is not ignore:
            progress = False
        return Clip(
            plan, lambda shown: self.stream(plan, on_event=both(on_event, shown)), lambda _: self.describe(plan),
            progress=progress,
        )  # fmt: skip


class WithoutModel(StandIn):
    """The stand-in of an Engine for plans that use no model. It loads nothing."""

    device_name = "cpu"

    def plan(self, request: Request) -> Plan:
        return make_plan(request, None, "cpu")

    def digests(self, plan: Plan) -> dict[str, str]:
        """Return no digests: no weights are used."""
        return {}

    def manifest(self, plan: Plan) -> dict[str, Any]:
        return manifest(without_estimate(plan), {}, self.device_name)

    def stream(
        self,
        plan: Plan,
        *,
        on_event: OnEvent = ignore,
        state: FillState | None = None,
        keep: Callable[[FillState], None] | None = None,
        keep_every: int = 0,
    ) -> Iterator[Chunk]:
        """Yield the chunks of the clip. state, keep, keep_every: see `fill_state.Keeping`. Raises RequestError if they
        do not match the plan."""
        check_keeping(plan, state, keep, keep_every)
        return self._stream(plan, Keeping(plan, state, keep, keep_every), on_event)

    def _stream(self, plan: Plan, keeping: Keeping, on_event: OnEvent) -> Iterator[Chunk]:
        done = 0 if keeping.state is None else keeping.state.done
        with timed(fill_work(plan, done), on_event) as report:
            yield from fill_clip(plan, report, keeping)


def fill_clip(plan: Plan, on_event: OnEvent = ignore, keeping: Keeping | None = None) -> Iterator[Chunk]:
    """Yield the chunks of a plan with fill="propagate", with the sound of its source."""
    on_event(Event("read"))
    source = next(each for each in plan.conditions if isinstance(each, Source))
    found = Findings(Shares(model=False))
    pending: list[Frame] = []
    streams = source_streams(plan, source, found.seen)
    for done, (frame, _) in enumerate(filled(*streams, plan, found.shares, on_event, keeping), 1):
        pending.append(frame)
        on_event(Preview(STAGE, step=done, steps=plan.frames, frames=_Still(frame[0])))
        if len(pending) == CHUNK_FRAMES or done == plan.frames:
            frames, sounds = zip(*pending)
            yield sounding(list(frames), list(sounds), done - len(pending), plan.fps)
            pending = []
    for event in found.report(STAGE):
        on_event(event)


class _Still:
    """The newest frame, as the frames of a preview."""

    def __init__(self, frame_HWC: np.ndarray) -> None:
        self.frame_HWC = frame_HWC

    def __call__(self) -> np.ndarray:
        return self.frame_HWC[None]
