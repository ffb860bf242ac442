"""Canny edges and line drawings. Legend: H W height and width; 2 (x, y).

Sources: Canny, "A computational approach to edge detection", 1986; Kang, Lee and Chui, "Coherent line drawing", 2007
(difference of Gaussians filtered along the lines); Winnemoeller, Kyprianidis and Olsen, "XDoG", 2012 (soft threshold).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...media.displacement import displacement
from .flow import backward
from .gray import luma, three
from .steady import Smoothed

EDGE_SHARE = 0.10
"""Canny's upper threshold is the gradient that this share of the pixels exceeds."""
EDGE_LEAST, EDGE_MOST = 40.0, 280.0
"""Bounds of that threshold, as a Sobel gradient of 8 bits: above film grain, below a step of 70 levels."""
EDGE_LOWER = 0.4
"""The lower threshold relative to the upper one."""
INK_SHARE = 0.09
"""The ink threshold is the relative darkness that this share of the pixels exceeds."""
INK_LEAST = 0.012
"""Minimum ink threshold, as a difference of logarithms."""
BUSY = 0.02
"""Darkness from which lines in busy areas are attenuated."""
KEPT = 0.65
"""Weight of the last frame's lines, warped by the flow."""
WHITE = 255


def edge(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield Canny edges, white (255) on black, one pixel wide.

    The picture is blurred by a Gaussian proportional to its size; the channel with the steepest gradient counts. The
    upper threshold is the gradient that a tenth of the pixels exceeds, within bounds, so that dark pictures have edges
    and plain ones are not filled with noise; it is smoothed over time, so that edges do not flicker.
    """
    import cv2

    level = Smoothed(0.15)
    for frame_HW3 in frames:
        spread_px = float(np.clip(unit(frame_HW3) * 1.1, 0.7, 3.0))
        soft_HW3 = cv2.GaussianBlur(np.ascontiguousarray(frame_HW3), (0, 0), spread_px)
        across_HW3, down_HW3 = cv2.Sobel(soft_HW3, cv2.CV_32F, 1, 0), cv2.Sobel(soft_HW3, cv2.CV_32F, 0, 1)
        slope_HW = np.sqrt((across_HW3**2 + down_HW3**2).max(axis=-1))
        upper = level(float(np.clip(np.quantile(slope_HW, 1 - EDGE_SHARE), EDGE_LEAST, EDGE_MOST)))
        yield three(cv2.Canny(soft_HW3, EDGE_LOWER * upper, upper, L2gradient=True))


def scribble(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield drawings in soft dark lines on white, like VACE's scribbles (which a network generates; this is a
    classical method without weights).

    Relative darkness (in the log of each channel, at a fine and a coarse scale, so that soft outlines count) is
    averaged along the local line direction, which joins broken lines and removes grain; dark pixels become ink. Lines
    are propagated between frames by the optical flow, so that they are temporally stable.
    """
    import cv2

    level = Smoothed(0.15)
    last: tuple[np.ndarray, np.ndarray] | None = None
    for frame_HW3 in frames:
        gray_HW, size = luma(frame_HW3), max(0.6, unit(frame_HW3))
        smooth_HW3 = cv2.bilateralFilter(np.ascontiguousarray(frame_HW3), 5, 20, 2.0 * size).astype(np.float32) / 255
        dark_HW = darkness(np.log(smooth_HW3 + 0.15), size)
        dark_HW = along_lines(dark_HW, line_directions(smooth_HW3, 2.5 * size), round(4 * size))
        if last is not None:
            dark_HW = propagated(dark_HW, gray_HW, *last)
        last = dark_HW, gray_HW
        least = level(max(INK_LEAST, float(np.quantile(dark_HW, 1 - INK_SHARE))))
        ink_HW = np.tanh(np.maximum(dark_HW / least - 0.5, 0) * 0.8)
        ink_HW = without_specks(ink_HW, least_px=round(24 * size * size))
        yield three(np.rint(WHITE * (1 - 0.9 * ink_HW)).astype(np.uint8))


def unit(frame_HW3: np.ndarray) -> float:
    """The scale of a picture in pixels: 1.0 if the shorter side is 480."""
    return min(frame_HW3.shape[:2]) / 480


def darkness(log_HW3: np.ndarray, size: float) -> np.ndarray:
    """Darkness of each pixel relative to its surroundings, the maximum over channels and scales (fine, coarse);
    attenuated in busy areas, so that a few lines on a wall count next to a tree's many."""
    import cv2

    soft = [cv2.GaussianBlur(log_HW3, (0, 0), spread * size) for spread in (0.8, 1.3, 2.0, 3.2)]
    dark_HW = np.maximum(soft[1] - soft[0], 0.7 * (soft[3] - soft[2])).max(axis=-1)
    window_px = round(64 * size) | 1
    # Rounding in the running sum may give values slightly below zero.
    busy_HW = np.sqrt(np.maximum(cv2.blur(np.maximum(dark_HW, 0) ** 2, (window_px, window_px)), 0))
    return dark_HW * np.sqrt(BUSY / (busy_HW + BUSY))


def line_directions(colors_HW3: np.ndarray, spread_px: float) -> np.ndarray:
    """Unit vectors (H, W, 2) along the picture's lines: the direction of least change around each pixel (the minor
    eigenvector of the structure tensor). The sign is arbitrary."""
    import cv2

    across_HW3, down_HW3 = cv2.Sobel(colors_HW3, cv2.CV_32F, 1, 0), cv2.Sobel(colors_HW3, cv2.CV_32F, 0, 1)
    xx, yy, xy = (
        cv2.GaussianBlur(product.sum(axis=-1), (0, 0), spread_px)
        for product in (across_HW3 * across_HW3, down_HW3 * down_HW3, across_HW3 * down_HW3)
    )
    # The major direction of a symmetric 2x2 matrix has the angle atan2(2 xy, xx - yy) / 2; lines run across it.
    angle_HW = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    return np.stack([np.cos(angle_HW), np.sin(angle_HW)], axis=-1).astype(np.float32)


def along_lines(values_HW: np.ndarray, directions_HW2: np.ndarray, reach_px: int) -> np.ndarray:
    """Each pixel's Gaussian-weighted mean along the line through it, `reach_px` in both directions."""
    import cv2

    height, width = values_HW.shape
    grid_HW2 = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
    total_HW, weights = values_HW.copy(), 1.0
    for sign in (1.0, -1.0):
        at_HW2, step_HW2 = grid_HW2.copy(), sign * directions_HW2
        for step in range(1, reach_px + 1):
            at_HW2 += step_HW2
            x, y = at_HW2[..., 0], at_HW2[..., 1]
            weight = float(np.exp(-0.5 * (2.0 * step / reach_px) ** 2))
            total_HW += weight * cv2.remap(values_HW, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            weights += weight
            next_HW2 = cv2.remap(directions_HW2, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            back_HW = (next_HW2 * step_HW2).sum(-1) < 0
            step_HW2 = np.where(back_HW[..., None], -next_HW2, next_HW2)
    return total_HW / weights


def propagated(
    dark_HW: np.ndarray, gray_HW: np.ndarray, last_dark_HW: np.ndarray, last_gray_HW: np.ndarray
) -> np.ndarray:
    """Blend with the last frame's darkness, warped by the flow, except where the warped picture differs (a cut, a
    disocclusion)."""
    flow_HW2 = displacement(gray_HW, last_gray_HW, fast=True)
    moved_HW, moved_gray_HW = backward(last_dark_HW, flow_HW2), backward(last_gray_HW.astype(np.float32), flow_HW2)
    trust_HW = KEPT * np.exp(-(((gray_HW - moved_gray_HW) / 16.0) ** 2))
    return (dark_HW + trust_HW * (moved_HW - dark_HW)).astype(np.float32)


def without_specks(ink_HW: np.ndarray, least_px: int) -> np.ndarray:
    """Remove strokes with fewer than `least_px` pixels."""
    import cv2

    count, names_HW, boxes_N5, _ = cv2.connectedComponentsWithStats((ink_HW > 0.15).astype(np.uint8), connectivity=8)
    kept_N = boxes_N5[:, cv2.CC_STAT_AREA] >= least_px
    kept_N[0] = False  # the background
    return ink_HW * kept_N[names_HW] if count > 1 else np.zeros_like(ink_HW)
