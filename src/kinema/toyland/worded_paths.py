"""Paths that a sentence describes: where its objects are in the frame, the camera's move included.

Suffixes: F frames, the last 2 is (x, y) in fractions of the frame.
"""

from __future__ import annotations

from statistics import mean

import numpy as np

from .pose import pose
from .scene import AMOUNT, APART, Actor, Scene
from .understand import ActorWords, Understanding

ROOM = 0.34
"""How far from the middle the centre of an object may go."""
GROUND = 0.66
"""The height at which a lone car or boat drives or stands."""


def worded_paths(
    said: Understanding, num_frames: int, *, fps: float, duration: float, aspect: float = 1.0
) -> list[np.ndarray]:
    """Return the path of each object of a sentence, path_F2, where `worded_scene` puts it. Points may be outside the
    frame. aspect: width / height. Raises ValueError if no object is stated."""
    scene = worded_scene(said, duration)
    found = pose(scene, num_frames=num_frames, height=1000, width=round(1000 * aspect), fps=fps)
    cos_F, sin_F = found.zoom_F * np.cos(found.roll_F), found.zoom_F * np.sin(found.roll_F)
    paths = []
    for centre_F2 in found.centre_NF2[: len(scene.actors)]:
        right_F, down_F = (centre_F2 - found.shift_F2).T
        seen_F2 = np.stack([cos_F * right_F - sin_F * down_F, sin_F * right_F + cos_F * down_F], 1)
        paths.append(seen_F2 / (aspect, 1.0) + 0.5)
    return paths


def worded_scene(said: Understanding, duration: float) -> Scene:
    """Return a scene of a sentence, arranged as the sampled scenes of Toyland are.

    An object without a motion rests. Two objects are side by side, or above each other if one moves sideways. A moving
    camera moves by its middle amount in `duration` seconds. Raises ValueError if no object is stated.
    """
    moves = [actor.motion or "stay" for actor in said.actors]
    above = any(move in ("left", "right") for move in moves)
    camera = said.camera or "still"
    return Scene(
        tuple(_actor(actor, slot, len(moves), above) for slot, actor in enumerate(said.actors)),
        camera=camera, camera_amount=mean(AMOUNT[camera.split("-")[0]]), duration=duration,
    )  # fmt: skip


def _actor(words: ActorWords, slot: int, count: int, above: bool) -> Actor:
    motion, alone = words.motion or "stay", count == 1
    side = 0.0 if alone else APART * (2 * slot - 1)
    low = GROUND - 0.5 if alone and words.kind in ("car", "boat") and motion in ("left", "right", "stay") else 0.0
    reach = 0.25 * ((0.8 if alone else 0.5) if motion == "circle" else 0.9 if motion == "diagonal" else 1.0)
    wide = ROOM - (reach if motion in ("left", "right", "diagonal", "circle") else 0.0)
    tall = ROOM - (reach if motion in ("up", "down", "diagonal", "circle", "bounce") else 0.0)
    x, y = (0.0, low + side) if above else (side, low)
    return Actor(
        kind=words.kind, color=words.color or "white", motion=motion,
        heading=(words.heading or "up-right") if motion == "diagonal" else "", reach=reach,
        x=0.5 + max(-wide, min(wide, x)), y=0.5 + max(-tall, min(tall, y)),
    )  # fmt: skip
