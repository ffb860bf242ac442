"""Figures of pairs: a clip against the clip of the same name, frame by frame. PSNR, SSIM, LPIPS.

Legend: F frames, H W pixels.

Sources: Wang and others, "Image quality assessment: from error visibility to structural similarity", 2004, equation 13
with the gaussian window of its section III-C; Zhang and others, "The unreasonable effectiveness of deep features as a
perceptual metric", 2018, arXiv 1801.03924, equation 1.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from ...core.errors import MediaError
from . import bootstrap
from .contract import MOST_FRAMES, ClipFile, Row, Score, SetClip, YardstickSettings

MOST_DB = 100.0
"""The PSNR of equal frames, which is infinite: so that means stay finite."""
SIGMA, TRUNCATE = 1.5, 3.5
RADIUS = int(TRUNCATE * SIGMA + 0.5)
WINDOW = 2 * RADIUS + 1
K1, K2, RANGE = 0.01, 0.03, 255.0

FramesMeasure = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Two clips FHWC uint8 of one shape -> a figure of each frame, (F,)."""


def psnr(a_FHWC: np.ndarray, b_FHWC: np.ndarray) -> np.ndarray:
    """10 log10(255^2 / mean squared error) of each frame over pixels and channels, in dB; at most MOST_DB."""
    errors = np.array([np.mean((a.astype(np.float64) - b) ** 2) for a, b in zip(a_FHWC, b_FHWC)])
    with np.errstate(divide="ignore"):
        return np.minimum(10.0 * np.log10(RANGE**2 / errors), MOST_DB)


def ssim(a_FHWC: np.ndarray, b_FHWC: np.ndarray) -> np.ndarray:
    """The mean over pixels and channels of each frame, without a border of half a window, in [-1, 1]. As
    skimage.metrics.structural_similarity with gaussian_weights=True, sigma=1.5, use_sample_covariance=False."""
    return np.array([_ssim(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(a_FHWC, b_FHWC)])


def _ssim(a_HWC: np.ndarray, b_HWC: np.ndarray) -> float:
    import cv2

    offsets = np.arange(-RADIUS, RADIUS + 1)
    weights = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    weights /= weights.sum()

    def blurred(x_HWC: np.ndarray) -> np.ndarray:
        found: np.ndarray = cv2.sepFilter2D(x_HWC, cv2.CV_64F, weights, weights)
        return found[RADIUS:-RADIUS, RADIUS:-RADIUS]

    mean_a, mean_b = blurred(a_HWC), blurred(b_HWC)
    var_a, var_b = blurred(a_HWC * a_HWC) - mean_a**2, blurred(b_HWC * b_HWC) - mean_b**2
    both = blurred(a_HWC * b_HWC) - mean_a * mean_b
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    return float(np.mean(top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))))


@functools.lru_cache(maxsize=1)
def _lpips(device: str) -> Any:
    from ...features.lpips import Lpips

    return Lpips(device)


class FramePairs:
    """The mean of a figure over the frames of each clip, then over clips. Frames beyond the shorter clip are left
    out."""

    against: Literal["no", "set", "pairs"] = "pairs"

    def __init__(
        self,
        name: str,
        title: str,
        unit: str,
        better: Literal["lower", "higher", "neither"],
        measure: Callable[[], FramesMeasure],
        protocol: Callable[[], dict[str, Any]],
        least_px: int = 1,
    ) -> None:
        self.name, self.title, self.unit, self.better = name, title, unit, better
        self._measure, self._protocol, self.least_px = measure, protocol, least_px

    def protocol(self) -> dict[str, Any]:
        return {"frames_read": MOST_FRAMES, "mean": "frames, then clips", "resize": "none", **self._protocol()}

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        self._measure()

    def measure(self, clip: SetClip) -> Row:
        """{"value", "frames", "left_out"}. MediaError for a pair of different sizes, or too small."""
        if clip.partner is None:
            raise MediaError(f"{clip.file.name}: has no partner.")
        a, b = clip.frames_FHWC, clip.partner.frames_FHWC
        if a.shape[1:] != b.shape[1:]:
            sizes = " and ".join(f"{each.shape[2]}x{each.shape[1]}" for each in (a, b))
            raise MediaError(f"{clip.file.name}: the pair has the sizes {sizes}; both must be equal.")
        if min(a.shape[1:3]) < self.least_px:
            raise MediaError(f"{clip.file.name}: {a.shape[2]}x{a.shape[1]}; {self.name} needs {self.least_px} pixels.")
        shared = min(len(a), len(b))
        if not shared:
            raise MediaError(f"{clip.file.name}: no frames.")
        return {
            "value": np.array(float(self._measure()(a[:shared], b[:shared]).mean())),
            "frames": np.array(shared),
            "left_out": np.array(max(len(a), len(b)) - shared),
        }

    def score(self, rows: Sequence[Row], against: Sequence[Row]) -> Score:
        values = tuple(float(row["value"]) for row in rows)
        if not values:
            return Score(None, None, None, self.unit, (), {"why": "no pair could be measured"})
        low, high = bootstrap.mean_interval(values) or (None, None)
        facts: dict[str, Any] = {"pairs": len(values)}
        uneven = sum(1 for row in rows if int(row["left_out"]))
        if uneven:
            facts["pairs_of_different_lengths"] = uneven
        return Score(math.fsum(values) / len(values), low, high, self.unit, values, facts)


def make_psnr(settings: YardstickSettings) -> FramePairs:
    facts = {"channels": "RGB together", "most_db": MOST_DB}
    return FramePairs("psnr", "Peak signal-to-noise ratio", "dB", "higher", lambda: psnr, lambda: facts)


def make_ssim(settings: YardstickSettings) -> FramePairs:
    facts = {"channels": "mean of R, G, B", "window": f"gaussian, sigma {SIGMA}, {WINDOW} pixels", "k": [K1, K2]}
    return FramePairs("ssim", "Structural similarity", "", "higher", lambda: ssim, lambda: facts, WINDOW)


def make_lpips(settings: YardstickSettings) -> FramePairs:
    device = settings.device or "cpu"
    return FramePairs(
        "lpips", "Learned perceptual distance", "", "lower",
        lambda: _lpips(device), lambda: _lpips(device).facts(), 64,
    )  # fmt: skip
