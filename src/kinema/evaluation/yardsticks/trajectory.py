"""Trajectory error of a set: the distance of objects from the paths that they were to follow.

Tora's TrajError (arXiv 2407.21705): the mean over frames of the L1 distance in pixels between the given path and that
of the generated object, then the mean over the objects of a clip, then over clips. The Euclidean distance, in pixels
and in percent of the shorter side, is beside it. The path of a clip is, in this order:

- a file beside it, NAME.path.txt, NAME.path.json or NAME.path.svg (conditions/path_file.py),
- the paths in its manifest,
- the centres of its mask clip, NAME.mask.mp4, frame by frame: Tora's protocol, whose given trajectories are the mask
  centres of clips of video object segmentation. Frames with an empty mask do not count.

The tracker of the generated object changes the figure, so it is part of the protocol (see ../path_error.py for the
trackers). Frames in which it does not see the object do not count, and their share is in the facts. Legend: F frames,
N objects, H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...conditions.path_file import read_paths
from ...conditions.trajectory import positions
from ...core.conditions import Trajectory
from ...core.errors import MediaError, ModelError, RequestError
from ...core.plan import Manifest
from .. import path_error
from .clip_means import mean_score
from .contract import MOST_FRAMES, ClipFile, Row, Score, SetClip, YardstickSettings
from .read import mask_of

SUFFIXES = (".path.json", ".path.svg", ".path.txt")
CHUNK_FRAMES = 32
INSIDE = 127
"""A mask's luma above which a pixel belongs to the object."""


class TrajectoryError:
    """The mean L1 distance from the given paths, px."""

    name = "trajectory_error"
    title = "distance from the given path"
    unit = "px"
    better: Literal["lower", "higher", "neither"] = "lower"
    against: Literal["no", "set", "pairs"] = "no"

    def __init__(self, settings: YardstickSettings) -> None:
        self.tracker, self.device = settings.tracker or "auto", settings.device
        if self.tracker not in path_error.TRACKERS:
            raise RequestError(
                f"No tracker {self.tracker!r}.", field="tracker", value=self.tracker,
                legal=", ".join(path_error.TRACKERS),
            )  # fmt: skip

    def protocol(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "distance": "L1", "tracker": self.tracker, "frames_read": MOST_FRAMES,
            "mean": "over seen frames, objects, clips",
        }  # fmt: skip
        if self.tracker == "auto":
            found["auto"] = "probes for clips of Toyland's models, else lk"
        if self.tracker in ("auto", "probes"):
            from ...weights.store import digests

            found["probes"] = digests(Path(path_error.__file__).parent)["probes.safetensors"]
        return found

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        """RequestError if no clip has a path."""
        if not any(_has_path(clip) for clip in clips):
            raise RequestError(
                "No clip has a path that its object was to follow.", field="trajectory", value=None,
                legal=f"a clip generated with --trajectory, a file NAME{SUFFIXES[0]} beside it, or NAME.mask.mp4",
            )  # fmt: skip

    def measure(self, clip: SetClip) -> Row:
        """{"l1", "error", "seen"}: (N,), px and a share, nan for an object that was never seen; "side": px, "tracker":
        its index in TRACKERS. MediaError for a clip without a path."""
        frames = len(clip.frames_FHWC)
        if frames < 2:
            raise MediaError(f"{clip.file.name}: a single frame shows no motion.")
        height, width = clip.frames_FHWC.shape[1:3]
        paths = paths_of(clip.file)
        if paths:
            total = _whole_length(clip)
            wanted = [positions(path, total, (width, height))[:frames] for path in paths]
        elif (mask := mask_of(clip.file)) is not None:
            wanted = [mask_centres(mask, frames, (width, height))]
        else:
            raise MediaError(f"{clip.file.name}: no path for its object.")
        tracker = path_error.resolved(self.tracker, paths, _domain(clip.file))
        if tracker == "probes":
            tracks = path_error.by_probes(paths or (Trajectory(points=((0.5, 0.5), (0.5, 0.5))),), _chunks(clip))
        else:
            starts = [_start(wanted_F2, clip.file, (width, height)) for wanted_F2 in wanted]
            tracks = path_error.by_tracker(starts, lambda: iter(clip.frames_FHWC), tracker, self.device)
        found = [errors(points_F2 + 0.5 - wanted_F2, seen_F) for (points_F2, seen_F), wanted_F2 in zip(tracks, wanted)]
        l1_N, error_N, seen_N = (np.array(column) for column in zip(*found, strict=True))
        return {
            "l1": l1_N, "error": error_N, "seen": seen_N, "side": np.array(min(width, height)),
            "tracker": np.array(path_error.TRACKERS.index(tracker)),
        }  # fmt: skip

    def score(self, rows: Sequence[Row], against: Sequence[Row]) -> Score:
        """A clip with an object that was never seen has no figure; facts["unseen"] counts these clips."""
        values = [float(row["l1"].mean()) for row in rows]
        measured = [row for row, value in zip(rows, values, strict=True) if math.isfinite(value)]
        used = sorted({path_error.TRACKERS[int(row["tracker"])] for row in rows})
        facts: dict[str, Any] = {"clips": len(measured), "unseen": len(rows) - len(measured), "trackers": used}
        if measured:
            euclidean = [float(row["error"].mean()) for row in measured]
            share = [100 * value / float(row["side"]) for value, row in zip(euclidean, measured, strict=True)]
            facts |= {
                "euclidean_px": round(float(np.mean(euclidean)), 4),
                "euclidean_percent_of_side": round(float(np.mean(share)), 4),
                "seen_percent": round(100 * float(np.mean([row["seen"].mean() for row in measured])), 2),
            }
        return mean_score(values, self.unit, facts, why="no object was seen")


def errors(off_F2: np.ndarray, seen_F: np.ndarray) -> tuple[float, float, float]:
    """(mean L1, mean Euclidean distance, share of frames seen) of offsets in px; frames whose offset is nan have no
    given position and do not count."""
    given_F = np.isfinite(off_F2).all(1)
    counts_F = given_F & seen_F
    if not counts_F.any():
        return math.nan, math.nan, 0.0
    l1 = float(np.abs(off_F2[counts_F]).sum(1).mean())
    return l1, float(np.hypot(*off_F2[counts_F].T).mean()), float(counts_F.sum() / given_F.sum())


def paths_of(clip: ClipFile) -> tuple[Trajectory, ...]:
    """The paths of a clip's objects, from the file beside it, else from its manifest. Raises MediaError for a file that
    holds none."""
    for suffix in SUFFIXES:
        file = clip.path.with_name(clip.path.stem + suffix)
        if file.is_file():
            return read_paths(file)
    plan = _plan(clip)
    return () if plan is None else tuple(each for each in plan.conditions if each.kind == "trajectory")


def mask_centres(mask: Path, frames: int, size: tuple[int, int]) -> np.ndarray:
    """The centre of a mask clip on each frame (F, 2), in px of a frame of `size` (width, height) as in `positions`; nan
    where the mask is empty. Raises MediaError for a mask of fewer frames, and one that is always empty."""
    from ...media.read import read_chunks

    centres: list[tuple[float, float]] = []
    for chunk in read_chunks(mask, stop=frames, chunk_frames=CHUNK_FRAMES, audio=False):
        height, width = chunk.frames.shape[1:3]
        for frame_HWC in chunk.frames:
            rows, columns = np.nonzero(frame_HWC.mean(-1) > INSIDE)
            x, y = (columns.mean(), rows.mean()) if len(rows) else (math.nan, math.nan)
            centres.append(((x + 0.5) * size[0] / width, (y + 0.5) * size[1] / height))
    if len(centres) < frames:
        raise MediaError(f"{mask.name}: {len(centres)} frames; its clip has {frames}.")
    found_F2 = np.array(centres)
    if not np.isfinite(found_F2).any():
        raise MediaError(f"{mask.name}: the mask is empty on all frames.")
    return found_F2


def _start(wanted_F2: np.ndarray, file: ClipFile, size: tuple[int, int]) -> tuple[float, float]:
    if not np.isfinite(wanted_F2[0]).all():
        raise MediaError(f"{file.name}: the mask of its first frame is empty, so the tracker has no start.")
    x, y = np.clip(wanted_F2[0] / size, 0.0, 1.0)
    return float(x), float(y)


def _chunks(clip: SetClip) -> Iterator[np.ndarray]:
    for start in range(0, len(clip.frames_FHWC), CHUNK_FRAMES):
        yield clip.frames_FHWC[start : start + CHUNK_FRAMES]


def _has_path(clip: ClipFile) -> bool:
    beside = any(clip.path.with_name(clip.path.stem + suffix).is_file() for suffix in SUFFIXES)
    return beside or mask_of(clip) is not None or bool(paths_of(clip))


def _whole_length(clip: SetClip) -> int:
    """Frames of the file: a path covers all of them, also those that were not read."""
    if len(clip.frames_FHWC) < MOST_FRAMES:
        return len(clip.frames_FHWC)
    from ...media.read import probe

    return max(probe(clip.file.path).num_frames, len(clip.frames_FHWC))


def _plan(clip: ClipFile) -> Any:
    try:
        return Manifest.from_dict(clip.manifest).plan if clip.manifest else None
    except (RequestError, ModelError):  # of another version
        return None


def _domain(clip: ClipFile) -> str:
    from ...weights import store

    plan = _plan(clip)
    try:
        return "" if plan is None else store.find(plan.model).domain
    except (RequestError, ModelError):  # not known here
        return ""
