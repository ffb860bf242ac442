"""Score one clip. A measure applies only if the caption states the attribute or the task specifies it.

Legend: F frames, H W pixels. A measure is a bool (correct or not), a number, or a list of them (one per object).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import KinemaError
from ..toyland.scene import Actor, World
from ..toyland.understand import ActorWords
from .camera import camera_of
from .cases import Case
from .motion import motion_of, trajectory_error
from .probes import Probes, Reading
from .steadiness import steadiness
from .track import ObjectTrack, heat_inside, iou, track_object

Measures = dict[str, Any]
GONE = 0.5  # heat below which a box counts as empty
GONE_FRAMES = 0.9  # of the frames must be empty for a removal to count


class Judge:
    """Scores clips with the probes. world: answers are restricted to its words, as for the model."""

    def __init__(self, probes: Probes, world: World):
        self.probes, self.world = probes, world

    def read(self, frames_FHWC: np.ndarray) -> Reading:
        return self.probes.read(frames_FHWC)

    def caption(self, case: Case, frames_FHWC: np.ndarray, reading: Reading | None = None) -> Measures:
        """Score all attributes that the caption states: object, color, background, light, style, count, motion, camera;
        and steadiness. "all": are all of them correct? A single frame has no motion, camera and steadiness."""
        reading = reading or self.read(frames_FHWC)
        tracks = [track_of(case, reading, actor) for actor in case.stated.actors]
        found = self.objects(case, tracks)
        found["count"] = reading.count() == len(case.scene.actors)
        for name in ("background", "light", "style"):
            wanted = getattr(case.stated, name)
            if wanted is not None and len(getattr(self.world, name + "s")) > 1:
                found[name] = reading.word(name) == wanted
        if len(frames_FHWC) > 1:
            found |= self._movement(case, frames_FHWC, reading, tracks)
        answers = [each for value in found.values() for each in (value if isinstance(value, list) else [value])]
        found["all"] = all(answers)
        if len(frames_FHWC) > 1:
            found["steadiness"] = round(steadiness(frames_FHWC, reading, tracks[0])["score"], 2)
        return found

    def objects(self, case: Case, tracks: list[ObjectTrack]) -> Measures:
        """Score the kind and colour of each object in the caption."""
        actors = case.stated.actors
        return {
            "object": [self._matches("kind", track, actor.kind) for track, actor in zip(tracks, actors, strict=True)],
            "color": [self._matches("color", track, actor.color) for track, actor in zip(tracks, actors, strict=True)],
        }

    def object_right(self, case: Case, reading: Reading) -> tuple[ObjectTrack, Measures]:
        """Track the first object and score its kind and colour."""
        actor = case.stated.actors[0]
        track = track_of(case, reading, actor)
        found = {
            "object": self._matches("kind", track, actor.kind),
            "color": self._matches("color", track, actor.color),
        }
        return track, found

    def background(self, case: Case, reading: Reading) -> Measures:
        return {"background": reading.word("background") == case.scene.background}

    def path(self, case: Case, track: ObjectTrack, wanted_F2: np.ndarray, span: slice = slice(None)) -> Measures:
        """Return the trajectory error in the frames of `span`, and the percentage of them that show the object."""
        part = track.part(span)
        error = trajectory_error(part, wanted_F2[span])
        found: Measures = {"seen": round(float(part.seen_F.mean() * 100), 1)}
        return found if error is None else found | {"trajectory_error": round(error, 3)}

    def boxes(self, case: Case, track: ObjectTrack, wanted_F4: np.ndarray) -> Measures:
        height, width = track.size
        overlap_F = iou(track.boxes_F4, wanted_F4 * (width, height, width, height)) * track.seen_F
        return {"layout_iou": round(float(overlap_F.mean() * 100), 2)}

    def removed(self, reading: Reading, boxes_F4: np.ndarray) -> Measures:
        """removed: do at least 90 % of the frames show no object in the box (heat below 0.5)?"""
        empty_F = heat_inside(reading, boxes_F4) < GONE
        return {"removed": bool(empty_F.mean() >= GONE_FRAMES), "empty_frames": round(float(empty_F.mean() * 100), 1)}

    def _matches(self, name: str, track: ObjectTrack, wanted: str | None) -> bool:
        among = self.world.kinds if name == "kind" else self.world.colors
        return bool(track.seen_F.any()) and track.word(name, among) == wanted

    def _movement(self, case: Case, frames_FHWC: np.ndarray, reading: Reading, tracks: list[ObjectTrack]) -> Measures:
        found: Measures = {}
        if case.scene.camera == "still":  # with a moving camera, a track is not the object's motion
            found["motion"] = [
                _moves(track, actor, case.shape.fps, case.scene.duration)
                for track, actor in zip(tracks, case.stated.actors, strict=True)
                if actor.motion is not None
            ]
        if case.stated.camera is not None and self.can_see_camera():
            right = camera_of(frames_FHWC, reading, fps=case.shape.fps) == case.stated.camera
            found["camera"] = right
            if case.stated.camera != "still":
                found["camera_moves"] = right
        return found

    @staticmethod
    def can_see_camera() -> bool:
        """Is OpenCV installed?"""
        from .camera import opencv

        try:
            opencv()
        except KinemaError:
            return False
        return True


def track_of(case: Case, reading: Reading, actor: ActorWords | Actor) -> ObjectTrack:
    """Track a single object regardless of its looks, one of two objects by its kind and colour."""
    return track_object(reading) if len(case.scene.actors) == 1 else track_object(reading, actor.kind, actor.color)


def _moves(track: ObjectTrack, actor: ActorWords, fps: float, duration: float) -> bool:
    moved = motion_of(track, fps=fps, duration=duration)
    return moved.motion == actor.motion and actor.heading in (None, moved.heading)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB between uint8 pixels of one shape; at most 60 (equal)."""
    error = float(np.mean((a.astype(np.float32) - b.astype(np.float32)) ** 2))
    return round(float(10 * np.log10(255**2 / max(error, 0.065))), 3)
