"""A stand-in for an engine: shots of one gray each, by the number of steps, and one value brighter with each frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kinema.core.chunk import Chunk
from kinema.core.plan import Plan
from kinema.core.request import Request
from kinema.engine.manifest import manifest
from kinema.engine.plan import plan as make_plan
from kinema.media.read import read_video
from kinema.workflow.film_plan import FilmPlan

FRAMES = 9


class Stopped(BaseException):
    """As Ctrl-C or a kill would."""


class PaintedShots:
    """Paints a shot of N steps in gray 20 * N + frame. made: steps of the shots in the order in which they were made.
    stop_at: steps of the shot at whose third frame it stops. weights: what the digests say."""

    def __init__(self, stop_at: int = 0, weights: str = "one") -> None:
        self.made: list[int] = []
        self.stop_at, self.weights = stop_at, weights

    def __call__(self, _model: str) -> PaintedShots:
        return self

    def plan(self, request: Request) -> Plan:
        return make_plan(request, None, "cpu")

    def digests(self, _plan: Plan) -> dict[str, str]:
        return {"model.safetensors": self.weights}

    def manifest(self, plan: Plan) -> dict[str, Any]:
        return manifest(plan, self.digests(plan), "cpu")

    def stream(self, plan: Plan, *, on_event: Any) -> Any:
        from kinema.core.events import Progress

        self.made.append(plan.steps)
        wide, tall = plan.size
        first = 20 * plan.steps
        lead = [c for c in plan.conditions if c.kind == "continue"]
        before = read_video(lead[0].clip)[0][-lead[0].frames :] if lead else []
        for index in range(plan.frames):
            if plan.steps == self.stop_at and index == 2:
                raise Stopped
            frame = before[index] if index < len(before) else np.full((tall, wide, 3), first + index, np.uint8)
            on_event(Progress("sample", index + 1, plan.frames, 0.1))
            yield Chunk(frame[None], index, plan.fps)


def film(*joins: str, **more: Any) -> FilmPlan:
    """A film of shots 1, 2, ... of 9 frames of 64x64 at 8 fps, joined so."""
    shots = [
        {"request": {"prompt": "a red ball", "frames": FRAMES, "steps": number, "seed": number}, "join": join}
        for number, join in enumerate(joins, 1)
    ]
    return FilmPlan.from_dict({"shots": shots, **more})


def grays(path: Path) -> list[int]:
    """The brightness of each frame of a film."""
    frames, _ = read_video(path)
    return [round(float(frame.mean())) for frame in frames]
