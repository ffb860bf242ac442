"""VBench's figures of motion: flicker, smoothness, and whether a clip moves at all.

- Flicker: 255 minus the mean difference of neighbouring frames, over 255. VBench measures it on prompts of still
  scenes, after a filter that drops moving clips; motion counts as flicker otherwise.
- Smoothness: every other frame is dropped and made again from its neighbours by an interpolation network; 255 minus the
  mean difference from the true one, over 255.
- Dynamic degree: frames at about 8 per second; a clip moves if the mean of the 5 % largest motions exceeds
  6 min(H, W) / 256 px in at least round(4 N / 16) of its N - 1 steps. The figure is the share of moving clips.

Legend: F frames, H W pixels. Source: arXiv 2311.17982 (networks there: AMT-S, RAFT).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from ...core.errors import MediaError
from .clip_means import mean_score
from .contract import MOST_FRAMES, ClipFile, Row, Score, SetClip, YardstickSettings

RATE_HZ, SHARE, LEAST_PX, OF_PX = 8.0, 0.05, 6.0, 256.0
STEPS, OF_FRAMES = 4, 16
Between = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Two uint8 frames (H, W, 3) to the one between them."""
Flow = Callable[[np.ndarray], np.ndarray]
"""uint8 frames (F, H, W, 3) to flows (F - 1, H, W, 2), px."""


def steadiness(frames_FHWC: np.ndarray) -> float:
    """1 without flicker, 0 for frames that alternate between black and white; F >= 2."""
    moves = [_difference(now, after) for now, after in pairwise(frames_FHWC)]
    return (255.0 - float(np.mean(moves))) / 255.0


def smoothness(frames_FHWC: np.ndarray, between: Between) -> float:
    """1 if every other frame is the one that `between` makes of its neighbours; F >= 3."""
    middles = range(1, len(frames_FHWC) - 1, 2)
    off = [_difference(between(frames_FHWC[f - 1], frames_FHWC[f + 1]), frames_FHWC[f]) for f in middles]
    return (255.0 - float(np.mean(off))) / 255.0


def motion_px(frames_FHWC: np.ndarray, fps: float, flow: Flow) -> np.ndarray:
    """The mean of the largest motions at each step of about an eighth of a second, px, (N - 1,)."""
    from ...features.flow import largest

    chosen_FHWC = frames_FHWC[:: max(1, round(fps / RATE_HZ))]
    if len(chosen_FHWC) < 2:
        return np.zeros(0)
    pairs = pairwise(chosen_FHWC)
    return np.concatenate([largest(flow(np.stack(pair)), SHARE) for pair in pairs])


def moves(largest_px: np.ndarray, height: int, width: int) -> bool:
    """Whether a clip of N frames with these N - 1 motions counts as moving."""
    frames = len(largest_px) + 1
    limit = LEAST_PX * min(height, width) / OF_PX
    return int((largest_px > limit).sum()) >= max(1, round(STEPS * frames / OF_FRAMES))


def _difference(a_HWC: np.ndarray, b_HWC: np.ndarray) -> float:
    import cv2

    return float(cv2.absdiff(np.ascontiguousarray(a_HWC), np.ascontiguousarray(b_HWC)).mean())


class _OfMotion:
    """What the three share. least: frames."""

    name = title = ""
    unit = ""
    better: Literal["lower", "higher", "neither"] = "higher"
    against: Literal["no", "set", "pairs"] = "no"
    least = 2

    def __init__(self, settings: YardstickSettings) -> None:
        self.device = settings.device or "cpu"

    def protocol(self) -> dict[str, Any]:
        return {"frames_read": MOST_FRAMES, "scale": "0 to 1"}

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        pass

    def measure(self, clip: SetClip) -> Row:
        """{"value": ()}. MediaError for a clip with too few frames."""
        if len(clip.frames_FHWC) < self.least:
            raise MediaError(f"{clip.file.name}: {len(clip.frames_FHWC)} frames; {self.name} needs {self.least}.")
        return self.row(clip)

    def row(self, clip: SetClip) -> Row:
        raise NotImplementedError

    def score(self, rows: Sequence[Row], against: Sequence[Row]) -> Score:
        return mean_score([float(row["value"]) for row in rows], self.unit, {"clips": len(rows)})


class TemporalFlickering(_OfMotion):
    name, title = "temporal_flickering", "absence of flicker"

    def protocol(self) -> dict[str, Any]:
        return super().protocol() | {"static_filter": "none: motion counts as flicker"}

    def row(self, clip: SetClip) -> Row:
        return {"value": np.array(steadiness(clip.frames_FHWC))}


class MotionSmoothness(_OfMotion):
    """between: the interpolation; None: kinema-mini-film."""

    name, title, least = "motion_smoothness", "smoothness of motion", 3

    def __init__(self, settings: YardstickSettings, between: Between | None = None, between_name: str = "") -> None:
        super().__init__(settings)
        self.between, self.between_name = between, between_name

    def protocol(self) -> dict[str, Any]:
        found = super().protocol() | {"published_interpolation": "AMT-S"}
        if self.between is not None:
            return found | {"interpolation": self.between_name}
        from ...post.film.files import MINI_NAME, weights_file
        from ...weights.store import digests

        return found | {"interpolation": MINI_NAME, "weights": next(iter(digests(weights_file(None)).values()))}

    def row(self, clip: SetClip) -> Row:
        return {"value": np.array(smoothness(clip.frames_FHWC, self.between or _film(self.device)))}


class DynamicDegree(_OfMotion):
    """flow: the optical flow; None: OpenCV's DIS."""

    name, title = "dynamic_degree", "share of moving clips"
    better: Literal["lower", "higher", "neither"] = "neither"

    def __init__(self, settings: YardstickSettings, flow: Flow | None = None, flow_name: str = "") -> None:
        super().__init__(settings)
        self.flow, self.flow_name = flow, flow_name

    def protocol(self) -> dict[str, Any]:
        name = self.flow_name if self.flow is not None else "DIS (OpenCV)"
        return super().protocol() | {
            "flow": name, "published_flow": "RAFT", "rate_hz": RATE_HZ, "largest_share": SHARE,
            "limit": f"{LEAST_PX:g} min(H, W) / {OF_PX:g} px", "steps": f"round({STEPS} N / {OF_FRAMES})",
        }  # fmt: skip

    def row(self, clip: SetClip) -> Row:
        """Also {"largest": (N - 1,)} in px."""
        from ...features.flow import dis

        largest_px = motion_px(clip.frames_FHWC, clip.fps, self.flow or dis)
        height, width = clip.frames_FHWC.shape[1:3]
        return {"value": np.array(float(moves(largest_px, height, width))), "largest": largest_px}

    def score(self, rows: Sequence[Row], against: Sequence[Row]) -> Score:
        px = [float(row["largest"].mean()) for row in rows if len(row["largest"])]
        facts = {"clips": len(rows), "largest_motion_px": round(float(np.mean(px)), 4) if px else None}
        return mean_score([float(row["value"]) for row in rows], self.unit, facts)


@functools.lru_cache(maxsize=1)
def _film(device: str) -> Between:
    from ...post.film.between import FilmBetween
    from ...post.film.weights import open_film

    film = FilmBetween(open_film(), device)
    return lambda first_HWC, second_HWC: film(first_HWC, second_HWC, [Fraction(1, 2)])[0]
