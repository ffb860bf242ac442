"""The metric trajectory_error: the distance of objects from the paths that were requested for them.

This is TrajError of Tora (arXiv 2407.21705): the mean distance between the requested trajectory and that of the
generated object. Tora reports the L1 distance in pixels; here the main value is the Euclidean distance in percent of
the shorter side, which can be compared across sizes, with both distances in pixels beside it. The trajectory of the
object is found by a tracker, which the result names:

- probes: the networks that read Toyland (track.py), which need no starting point; for clips of models trained on it.
- lk, opencv, sam2: those of `kinema track`, started at the first point of the path. lk follows this point, so it
  measures how the object moves from there; that the point is not its centre, or not on it, shows only by its motion.
  opencv and sam2 compare the centre of the object that is found there.

Frames in which the object is not seen do not count, and their share is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..conditions.domain import is_outside
from ..conditions.trajectory import positions
from ..core.conditions import Trajectory
from ..core.errors import RequestError
from ..toyland.palette import OBJECT_COLORS
from ..toyland.scene import COLORS, KINDS
from ..toyland.understand import understand
from .judged_clip import JudgedClip
from .motion import distances
from .probes import load_probes
from .track import track_object

TRACKERS = ("auto", "probes", "lk", "opencv", "sam2")
DOMAIN = "toyland"
"""What the probes read, as in `Card.domain`."""


def check(clip: JudgedClip) -> None:
    """Raise RequestError for a clip without requested paths, an unknown tracker, and probes of a clip that does not
    look like Toyland."""
    if clip.tracker not in TRACKERS:
        raise RequestError(
            f"No tracker {clip.tracker!r}.", field="tracker", value=clip.tracker, legal=", ".join(TRACKERS)
        )
    if not clip.paths:
        raise RequestError(
            f"{clip.path}: its manifest requests no path.", field="trajectory", value=None,
            legal="a clip generated with --trajectory, or --trajectory FILE here",
        )  # fmt: skip
    if clip.info.num_frames < 2:
        raise RequestError(
            f"{clip.path}: a single frame shows no motion.", field="clip", value=clip.info.num_frames,
            legal="2 frames or more",
        )  # fmt: skip
    if clip.tracker == "probes" and clip.domain != DOMAIN and is_outside(str(clip.path), DOMAIN):
        raise RequestError(
            f"{clip.path} does not look like Toyland, and the probes find nothing else.", field="tracker",
            value=clip.tracker, legal="lk, opencv or sam2",
        )  # fmt: skip


def measure(clip: JudgedClip) -> dict[str, Any]:
    """Return value (the mean over the objects, % of the shorter side; None if one was never seen), error_px, l1_px,
    seen (%), tracker, and the same for each of `objects`."""
    tracker = resolved(clip.tracker, clip.paths, clip.domain)
    width, height = clip.info.width, clip.info.height
    if tracker == "probes":
        tracks = by_probes(clip.paths, clip.chunks())
    else:
        tracks = by_tracker(first_points(clip.paths), clip.frames, tracker, clip.device)
    objects = []
    for path, (points_F2, seen_F) in zip(clip.paths, tracks):
        wanted_F2 = positions(path, len(points_F2), (width, height))
        off_F2 = points_F2 + 0.5 - wanted_F2
        error_F = distances(points_F2, wanted_F2)
        found: dict[str, Any] = {"object": path.object, "seen": round(float(seen_F.mean() * 100), 1)}
        if seen_F.any():
            error_px = float(error_F[seen_F].mean())
            found |= {
                "value": round(error_px / min(width, height) * 100, 3), "error_px": round(error_px, 3),
                "l1_px": round(float(np.abs(off_F2[seen_F]).sum(1).mean()), 3),
                "worst_px": round(float(error_F[seen_F].max()), 3),
            }  # fmt: skip
        else:
            found |= {"value": None, "error_px": None, "l1_px": None, "worst_px": None}
        objects.append(found)
    seen_all = all(each["value"] is not None for each in objects)
    means = {
        name: round(float(np.mean([each[name] for each in objects])), 3) if seen_all else None
        for name in ("value", "error_px", "l1_px", "seen")
    }
    return {**means, "tracker": tracker, "objects": objects}


def resolved(tracker: str, paths: Sequence[Trajectory], domain: str) -> str:
    """The tracker. auto: the probes if the clip is of a model of Toyland and its objects can be told apart, else lk."""
    if tracker != "auto":
        return tracker
    known = len(paths) == 1 or all(any(looks_of(path)) for path in paths)
    return "probes" if domain == DOMAIN and known else "lk"


def looks_of(path: Trajectory) -> tuple[str | None, str | None]:
    """Kind and colour of a path's object in Toyland's words, from its name and the colour of its dot."""
    actors = understand(path.object).actors if path.object else ()
    kind, color = (actors[0].kind, actors[0].color) if actors else (None, None)
    if color is None:
        color = next((name for name, rgb in OBJECT_COLORS.items() if tuple(rgb) == path.color), None)
    return (kind if kind in KINDS else None), (color if color in COLORS else None)


Track = tuple[np.ndarray, np.ndarray]
"""Pixel indices (F, 2), (0, 0) is the centre of the top left pixel, and whether the object is seen (F,)."""


def by_probes(paths: Sequence[Trajectory], chunks: Iterable[np.ndarray]) -> list[Track]:
    """The track of each path's object, of a clip in parts of uint8 frames (F, H, W, 3)."""
    probes = load_probes()
    looks = [looks_of(path) if len(paths) > 1 else (None, None) for path in paths]
    parts: list[list[Track]] = [[] for _ in looks]
    for frames_FHWC in chunks:
        reading = probes.read(frames_FHWC)
        for found, (kind, color) in zip(parts, looks):
            track = track_object(reading, kind, color)
            found.append((track.points_F2, track.seen_F))
    return [(np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])) for found in parts]


def first_points(paths: Sequence[Trajectory]) -> list[tuple[float, float]]:
    """The first point of each path, in fractions of the frame."""
    starts = [positions(path, 2, (1, 1))[0] for path in paths]
    return [(float(x), float(y)) for x, y in starts]


def by_tracker(
    starts: Sequence[tuple[float, float]], frames: Callable[[], Iterable[np.ndarray]], tracker: str, device: str | None
) -> list[Track]:
    """The tracks of the objects at these points of the first frame (fractions), by lk, opencv or sam2. frames: gives
    the clip's frames from the first, each time that it is called."""
    if tracker == "lk":
        from ..segmentation.point_track import track_points

        tracks = track_points(frames(), list(starts))
    else:
        from ..segmentation.mask_centre import track_mask
        from ..segmentation.start import Start

        by: Any = tracker
        tracks = [track_mask(frames(), Start(click=each), by=by, device=device) for each in starts]
    return [(each.positions_F2, each.seen_F) for each in tracks]
