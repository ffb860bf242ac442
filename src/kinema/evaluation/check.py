"""Accuracy of the evaluation itself: probes, motion and camera classifiers on renders with known ground truth.

Every scorecard contains these numbers, since a model cannot score above the true clips.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.events import OnEvent, Progress, ignore
from ..toyland.scene import World
from .camera import camera_of
from .cases import HELD_OUT_PROBES, LEAST_SEEN_PX, Case, ClipShape, cases
from .judge import GONE, Judge, track_of
from .motion import motion_of
from .probes import Probes
from .uncertainty import summary

Change = Callable[[np.ndarray], np.ndarray]


def check(
    probes: Probes,
    world: World,
    shape: ClipShape,
    count: int = 96,
    change: Change | None = None,
    on_event: OnEvent = ignore,
) -> dict[str, Any]:
    """Measure accuracies in percent, with intervals, on renders of held-out scenes (seeds from HELD_OUT_PROBES on).

    change: applied to the frames first, for example degrade.degraded. track_px: mean distance between track and truth
    in px; seen: percentage of frames with an object in which one is detected; false_alarms: percentage of frames
    without objects in which one is detected.
    """
    import time

    started = time.perf_counter()
    found: dict[str, list[Any]] = {}
    for case in cases(world, count, shape, first=HELD_OUT_PROBES):
        for name, values in _one(probes, world, case, change or (lambda frames: frames)).items():
            found.setdefault(name, []).extend(values)
        on_event(Progress("check", case.index + 1, count, time.perf_counter() - started))
    return {name: summary(values) for name, values in found.items() if values}


def _one(probes: Probes, world: World, case: Case, change: Change) -> dict[str, list[Any]]:
    scene = case.scene
    frames = change(case.frames_FHWC)
    reading = probes.read(frames)
    found: dict[str, list[Any]] = {
        name: [reading.word(name) == getattr(scene, name)] for name in ("background", "light", "style")
    }
    found["count"] = [reading.count() == len(scene.actors)]
    for name in ("object", "color", "motion", "track_px", "seen"):
        found[name] = []
    for slot, actor in enumerate(scene.actors):
        track = track_of(case, reading, actor)
        found["object"].append(track.word("kind", world.kinds) == actor.kind)
        found["color"].append(track.word("color", world.colors) == actor.color)
        if scene.camera == "still":
            moved = motion_of(track, fps=case.shape.fps, duration=scene.duration)
            found["motion"].append((moved.motion, moved.heading) == (actor.motion, actor.heading))
        there_F = case.masks_NFHW[slot].sum((1, 2)) >= LEAST_SEEN_PX
        size = (case.shape.width, case.shape.height)
        off_F = np.hypot(*((track.fractions_F2() - case.path_F2(slot)) * size).T)
        found["track_px"] += [float(each) for each in off_F[there_F & track.seen_F]]
        found["seen"] += [bool(each) for each in track.seen_F[there_F]]
    if Judge.can_see_camera() and len(frames) > 1:
        found["camera"] = [camera_of(frames, reading, fps=case.shape.fps) == scene.camera]
        if scene.camera != "still":
            found["camera_moves"] = list(found["camera"])
    empty = probes.read(change(case.empty_FHWC))
    found["false_alarms"] = [bool(heat >= GONE) for heat in empty.most_heat_F()]
    return found
