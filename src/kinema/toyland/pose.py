"""Positions of the camera and the actors in each frame of a scene.

Suffixes: F frames, N actor slots. The ground plane has its origin at the centre of the frame and the frame's height as
unit: u to the right, v down. Image coordinates are pixel indices: (0, 0) is the centre of the top left pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .free_path import at
from .path import direction, motion_path
from .scene import MAX_ACTORS, Scene

GROWTH = 1.7  # largest size / smallest size of an actor that grows or shrinks
_MIRRORED = ("car", "boat", "fish", "bird")  # drawn facing right, flipped when they go left


@dataclass(frozen=True, slots=True)
class Pose:
    """Positions of a scene in F frames.

    Camera: shift_F2 (point of the plane at the centre), zoom_F (1 at rest), roll_F (clockwise rotation of the image in
    radians). Actors: centre_NF2 (on the plane, in frame heights), size_NF (radius in frame heights), turn_NF (radians
    clockwise), mirror_N (+1 or -1). Empty slots have size 0.
    """

    shift_F2: np.ndarray
    zoom_F: np.ndarray
    roll_F: np.ndarray
    centre_NF2: np.ndarray
    size_NF: np.ndarray
    turn_NF: np.ndarray
    mirror_N: np.ndarray


def pose(scene: Scene, *, num_frames: int, height: int, width: int, fps: float) -> Pose:
    """Return the pose of a scene. Frame f is at f / fps seconds."""
    aspect = width / height
    turns_F = np.arange(num_frames, dtype=np.float64) / (fps * scene.duration)
    part_F = np.minimum(turns_F, 1.0)
    shift_F2, zoom_F, roll_F = _camera(scene, part_F, aspect)
    centre_NF2 = np.zeros((MAX_ACTORS, num_frames, 2))
    size_NF = np.zeros((MAX_ACTORS, num_frames))
    turn_NF = np.zeros((MAX_ACTORS, num_frames))
    mirror_N = np.ones(MAX_ACTORS)
    for slot, actor in enumerate(scene.actors):
        path_F2 = motion_path(
            actor.motion,
            num_frames,
            fps=fps,
            duration=scene.duration,
            x=actor.x,
            y=actor.y,
            reach=actor.reach,
            heading=actor.heading,
            phase=actor.phase,
            aspect=aspect,
        )
        if actor.path:
            path_F2 = np.array([at(actor.path, turn) for turn in turns_F])
        centre_NF2[slot] = (path_F2 - 0.5) * (aspect, 1.0)
        size_NF[slot] = actor.radius * min(aspect, 1.0)
        if actor.change == "grow":
            size_NF[slot] *= GROWTH ** (part_F - 0.7)
        elif actor.change == "shrink":
            size_NF[slot] *= GROWTH ** (0.3 - part_F)
        turn_NF[slot] = 2.0 * np.pi * actor.spin * turns_F
        dx, dy = (0.0, 0.0) if actor.path else direction(actor.motion, actor.heading)
        if actor.kind == "rocket":
            turn_NF[slot] += np.arctan2(dx, -dy) if (dx, dy) != (0.0, 0.0) else 0.0
        if actor.kind in _MIRRORED and dx < 0:
            mirror_N[slot] = -1.0
    return Pose(shift_F2, zoom_F, roll_F, centre_NF2, size_NF, turn_NF, mirror_N)


def _camera(scene: Scene, part_F: np.ndarray, aspect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    move, _, way = scene.camera.partition("-")
    amount = scene.camera_amount
    shift_F2 = np.zeros((len(part_F), 2))
    zoom_F = np.ones_like(part_F)
    roll_F = np.zeros_like(part_F)
    if move == "pan":
        shift_F2[:, 0] = amount * aspect * (part_F - 0.5) * (1.0 if way == "right" else -1.0)
    elif move == "tilt":
        shift_F2[:, 1] = amount * (part_F - 0.5) * (1.0 if way == "down" else -1.0)
    elif move == "zoom":
        zoom_F = (1.0 + amount) ** (part_F if way == "in" else 1.0 - part_F)
    elif move == "roll":  # rolling the camera left rotates the image clockwise
        roll_F = 2.0 * np.pi * amount * part_F * (1.0 if way == "left" else -1.0)
    return shift_F2, zoom_F, roll_F
