"""Clips that need no model: in-place edits with `fill="propagate"`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..core.chunk import Chunk
from ..core.conditions import Source
from ..core.errors import RequestError
from ..core.events import Event, Note, OnEvent, Preview, ignore
from ..core.plan import Plan
from ..core.request import Request
from .clip import Clip
from .fill import Frame, Shares, filled
from .fill_cost import fill_work
from .manifest import manifest
from .plan import plan as make_plan
from .timed import timed
from .timeline import sounding, source_streams

CHUNK_FRAMES = 8


class WithoutModel:
    """The stand-in of an Engine for plans that use no model. It loads nothing."""

    device_name = "cpu"
    start_s: float | None = None

    def plan(self, request: Request) -> Plan:
        return make_plan(request, None, "cpu")

    def digests(self, plan: Plan) -> dict[str, str]:
        """Return no digests: no weights are used."""
        return {}

    def manifest(self, plan: Plan) -> dict[str, Any]:
        return manifest(plan.model_copy(update={"estimate": None}), {}, self.device_name)

    def describe(self, plan: Plan) -> Callable[[], dict[str, Any]]:
        """Return the function that makes the manifest."""
        return partial(self.manifest, plan)

    def generate(self, plan: Plan, *, progress: bool | None = None) -> Clip:
        """Return the lazy clip of a plan."""
        return Clip(
            plan, lambda shown: self.stream(plan, on_event=shown), lambda _: self.describe(plan), progress=progress
        )

    def stream(
        self, plan: Plan, *, on_event: OnEvent = ignore, state: Any = None, keep: Any = None, keep_every: int = 0
    ) -> Iterator[Chunk]:
        """Yield the chunks of the clip. RequestError for a state: there is no sampling to save or to resume."""
        if state is not None or keep is not None:
            raise RequestError(
                "No sampling state exists: this clip is filled from its own frames, without a model.",
                field="keep_state", legal='fill = "generate" or "both"',
            )  # fmt: skip
        with timed(fill_work(plan), on_event) as report:
            yield from fill_clip(plan, report)


def fill_clip(plan: Plan, on_event: OnEvent = ignore) -> Iterator[Chunk]:
    """Yield the chunks of a plan with fill="propagate", with the sound of its source."""
    on_event(Event("fill"))
    source = next(each for each in plan.conditions if isinstance(each, Source))
    shares = Shares(model=False)
    pending: list[Frame] = []
    for done, (frame, _) in enumerate(filled(*source_streams(plan, source), plan, shares, on_event), 1):
        pending.append(frame)
        on_event(Preview("fill", step=done, steps=plan.frames, frames=_Still(frame[0])))
        if len(pending) == CHUNK_FRAMES or done == plan.frames:
            frames, sounds = zip(*pending)
            yield sounding(list(frames), list(sounds), done - len(pending), plan.fps)
            pending = []
    if shares.fractions():
        on_event(Note("fill", f"Filled {shares.text()}."))


class _Still:
    """The newest frame, as the frames of a preview."""

    def __init__(self, frame_HWC: np.ndarray) -> None:
        self.frame_HWC = frame_HWC

    def __call__(self) -> np.ndarray:
        return self.frame_HWC[None]
