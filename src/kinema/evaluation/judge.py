"""What one clip scores: each measure is asked only where the caption states the thing, or the task gives it.

Legend: F frames, H W pixels. A measure is a bool (right or not), a number, or a list of them (one for each object).
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
from .track import ObjectTrack, follow, heat_inside, iou

Measures = dict[str, Any]
GONE = 0.5  # heat below which a box counts as empty
GONE_FRAMES = 0.9  # of the frames must be empty for a removal to count


class Judge:
    """Reads clips with the probes. world: only its words are possible answers, as they are for the model."""

    def __init__(self, probes: Probes, world: World):
        self.probes, self.world = probes, world

    def read(self, frames_FHWC: np.ndarray) -> Reading:
        return self.probes.read(frames_FHWC)

    def caption(self, case: Case, frames_FHWC: np.ndarray, reading: Reading | None = None) -> Measures:
        """Everything that the caption states: object, color, background, light, style, count, motion, camera; and
        steadiness. "all": everything asked of the clip is right. One frame has no motion, camera and steadiness."""
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
        """Kind and colour of each object that the caption names."""
        actors = case.stated.actors
        return {
            "object": [self._says("kind", track, actor.kind) for track, actor in zip(tracks, actors, strict=True)],
            "color": [self._says("color", track, actor.color) for track, actor in zip(tracks, actors, strict=True)],
        }

    def object_right(self, case: Case, reading: Reading) -> tuple[ObjectTrack, Measures]:
        """The (first) object, followed, and whether its kind and colour are right."""
        actor = case.stated.actors[0]
        track = track_of(case, reading, actor)
        found = {"object": self._says("kind", track, actor.kind), "color": self._says("color", track, actor.color)}
        return track, found

    def background(self, case: Case, reading: Reading) -> Measures:
        return {"background": reading.word("background") == case.scene.background}

    def path(self, case: Case, track: ObjectTrack, wanted_F2: np.ndarray, span: slice = slice(None)) -> Measures:
        """Trajectory error in the frames of `span`, and the share of them that show the object, in percent."""
        part = track.part(span)
        error = trajectory_error(part, wanted_F2[span])
        found: Measures = {"seen": round(float(part.seen_F.mean() * 100), 1)}
        return found if error is None else found | {"trajectory_error": round(error, 3)}

    def boxes(self, case: Case, track: ObjectTrack, wanted_F4: np.ndarray) -> Measures:
        height, width = track.size
        overlap_F = iou(track.boxes_F4, wanted_F4 * (width, height, width, height)) * track.seen_F
        return {"layout_iou": round(float(overlap_F.mean() * 100), 2)}

    def removed(self, reading: Reading, boxes_F4: np.ndarray) -> Measures:
        """removed: at least 90 % of the frames show no object in the box (heat below one half)."""
        empty_F = heat_inside(reading, boxes_F4) < GONE
        return {"removed": bool(empty_F.mean() >= GONE_FRAMES), "empty_frames": round(float(empty_F.mean() * 100), 1)}

    def _says(self, name: str, track: ObjectTrack, wanted: str | None) -> bool:
        among = self.world.kinds if name == "kind" else self.world.colors
        return bool(track.seen_F.any()) and track.word(name, among) == wanted

    def _movement(self, case: Case, frames_FHWC: np.ndarray, reading: Reading, tracks: list[ObjectTrack]) -> Measures:
        found: Measures = {}
        if case.scene.camera == "still":  # what a moving camera adds to a track is not the object's motion
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
        """Is OpenCV there?"""
        from .camera import opencv

        try:
            opencv()
        except KinemaError:
            return False
        return True


def track_of(case: Case, reading: Reading, actor: ActorWords | Actor) -> ObjectTrack:
    """A lone object is found whatever it looks like; one of two by its words."""
    return follow(reading) if len(case.scene.actors) == 1 else follow(reading, actor.kind, actor.color)


def _moves(track: ObjectTrack, actor: ActorWords, fps: float, duration: float) -> bool:
    moved = motion_of(track, fps=fps, duration=duration)
    return moved.motion == actor.motion and actor.heading in (None, moved.heading)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """dB between uint8 pixels of one shape; at most 60 (equal)."""
    error = float(np.mean((a.astype(np.float32) - b.astype(np.float32)) ** 2))
    return round(float(10 * np.log10(255**2 / max(error, 0.065))), 3)
