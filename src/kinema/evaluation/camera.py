"""Classify the camera move of a clip, one of nine, from the motion of the background.

Legend: F frames, H W pixels, M background edge pixels.

Dense optical flow (OpenCV's DIS) between frames half a second apart is sampled at edges outside the objects, only in
the direction across each edge (along it, flow is not observable), and a steady camera is fitted robustly to the clip.
Toyland's far layers move less than its near ones, so pan and tilt increase towards the lower edge of the frame. Such a
tilt resembles a zoom; the better fit of the two decides, each with its own depth. Requires OpenCV (extra `evaluate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import KinemaError
from .network import CELLS
from .probes import Reading

UPSCALE = 2
GAP_S = 0.5  # between the frames that are compared
_FULL = np.array([-0.15, -0.14, 0.3, 0.45])
"""Measured size over a clip of a pan (right), tilt (down), zoom (in) and roll (left) of normal strength: fractions of
the frame, log of the scale, radians. Much less than rendered, since far layers and flat regions dilute it."""
_LEAST = 0.2  # relative to the normal strength; below it the camera is still
_NAMES = (("pan-right", "pan-left"), ("tilt-down", "tilt-up"), ("zoom-in", "zoom-out"), ("roll-left", "roll-right"))
_DEPTH = 1.5  # how much faster the lower edge moves than the middle
_SOFTEN_PX = 2.5  # in the upscaled frames, against noise and block artifacts
_WEAKEST, _STRONGEST = 0.8, 12.0  # edge slopes in gray levels per pixel with no weight and with full weight
_LOOSE = 0.015  # fractions of the frame; larger errors have decreasing weight
_BLUNT = 0.012
_TILT_OR_ZOOM = 1.05


@dataclass(frozen=True)
class _Edges:
    """along_M: 0 for flow in x, 1 in y. x_M, y_M in [-0.5, 0.5]; step_M in fractions of the frame."""

    along_M: np.ndarray
    x_M: np.ndarray
    y_M: np.ndarray
    step_M: np.ndarray
    weight_M: np.ndarray
    num_steps: int


def opencv() -> Any:
    """Import cv2. Raises KinemaError, which names the package, if it cannot be loaded."""
    try:
        import cv2
    except ImportError as error:
        raise KinemaError(
            "Camera moves require OpenCV, which cannot be loaded: pip install opencv-python-headless."
        ) from error
    cv2.setNumThreads(1)
    return cv2


def camera_of(frames_FHWC: np.ndarray, reading: Reading, *, fps: float = 8.0) -> str:
    """Classify the camera move of uint8 frames: one of toyland.scene.CAMERAS. Raises KinemaError without OpenCV."""
    edges = _edges(frames_FHWC, background(reading), max(1, round(GAP_S * fps)))
    if len(edges.x_M) < 60:
        return "still"
    steady = _steady(edges) * edges.num_steps / _FULL
    kind = int(np.abs(steady).argmax())
    value = steady[kind]
    if abs(value) < _LEAST:
        return "still"
    if kind in (1, 2):
        (tilt_error, tilt), (zoom_error, zoom) = _single(edges, 1), _single(edges, 2)
        kind, value = (2, zoom) if zoom_error < _TILT_OR_ZOOM * tilt_error else (1, tilt / _FULL[1])
    return _NAMES[kind][0 if value > 0 else 1]


def strength(
    frames_FHWC: np.ndarray, reading: Reading, move: str, *, fps: float = 8.0, everything: bool = False
) -> float:  # fmt: skip
    """Measure the strength of one camera move, relative to a move of normal strength; negative: the opposite direction.
    On Toyland's plain places 95 % of still clips are within 0.04. everything: use the whole frame, objects too, for
    scenes in which only the camera moves. Raises KinemaError without OpenCV, ValueError for an unknown move."""
    kind = next((number for number, names in enumerate(_NAMES) if move in names), None)
    if kind is None:
        raise ValueError(f"No such camera move: {move}. Legal: {', '.join(name for pair in _NAMES for name in pair)}.")
    keep = np.ones(frames_FHWC.shape[:3], bool) if everything else background(reading)
    edges = _edges(frames_FHWC, keep, max(1, round(GAP_S * fps)))
    if len(edges.x_M) < 60:
        return 0.0
    found = float(_steady(edges)[kind] * edges.num_steps / _FULL[kind])
    return found if _NAMES[kind][0] == move else -found


def background(reading: Reading, warm: float = 0.2) -> np.ndarray:
    """Mask of the background, (F, H, W) bool, at least one cell away from objects."""
    height, width = reading.size
    keep = np.ones((len(reading.heat_FRS), height, width), bool)
    tall, wide = height / CELLS, width / CELLS
    for f, r, c in zip(*np.nonzero(reading.heat_FRS > warm), strict=True):
        left, top, right, bottom = reading.box_F4RS[f, :, r, c]
        x, y = reading.offset_F2RS[f, :, r, c] + (c + 0.5, r + 0.5)
        rows = slice(max(int((y - top - 1) * tall), 0), max(int(np.ceil((y + bottom + 1) * tall)), 0))
        columns = slice(max(int((x - left - 1) * wide), 0), max(int(np.ceil((x + right + 1) * wide)), 0))
        keep[f, rows, columns] = False
    return keep


def _edges(frames_FHWC: np.ndarray, keep_FHW: np.ndarray, step: int) -> _Edges:
    cv2 = opencv()
    height, width = frames_FHWC.shape[1] * UPSCALE, frames_FHWC.shape[2] * UPSCALE
    chosen = range(0, len(frames_FHWC), step)
    grays = [cv2.cvtColor(np.ascontiguousarray(frames_FHWC[f]), cv2.COLOR_RGB2GRAY) for f in chosen]
    grays = [cv2.resize(gray, (width, height), interpolation=cv2.INTER_CUBIC) for gray in grays]
    grays = [cv2.GaussianBlur(gray, (0, 0), _SOFTEN_PX) for gray in grays]
    keeps = [keep_FHW[f].repeat(UPSCALE, 0).repeat(UPSCALE, 1) for f in chosen]
    x_HW = np.broadcast_to((np.arange(width, dtype=np.float32) / width - 0.5), (height, width))
    y_HW = np.broadcast_to((np.arange(height, dtype=np.float32) / height - 0.5)[:, None], (height, width))
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    parts: list[list[np.ndarray]] = []
    for now, after, keep, keep_after in zip(grays, grays[1:], keeps, keeps[1:], strict=False):
        flow_HW2 = flow.calc(now, after, None)
        for axis, side in ((0, width), (1, height)):
            slope_HW = cv2.Sobel(now, cv2.CV_32F, 1 - axis, axis) / 8.0
            weight_HW = np.minimum(np.abs(slope_HW), _STRONGEST) * (keep & keep_after)
            here = weight_HW > _WEAKEST
            places = (x_HW[here], y_HW[here], flow_HW2[..., axis][here] / side, weight_HW[here])
            parts.append([np.full(int(here.sum()), axis), *places])
    if not parts:
        parts = [[np.zeros(0)] * 5]
    along, x, y, step_M, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Edges(along, x, y, step_M, weight, len(grays) - 1)


def _steady(edges: _Edges) -> np.ndarray:
    """Fit (pan, tilt, zoom, roll) per step to all edges by iteratively reweighted least squares."""
    x, y, across = edges.x_M, edges.y_M, edges.along_M == 0
    depth = 1.0 + _DEPTH * y
    columns = (depth * across, depth * ~across, np.where(across, x, y), np.where(across, -y, x))
    rows_M4 = np.stack(columns, 1)
    found, error_M = np.zeros(4), np.ones(len(x))
    for _ in range(8):
        weight_M = edges.weight_M / error_M
        weighted_M4 = rows_M4 * (weight_M / weight_M.sum())[:, None]
        # Regularization determines components that the edges do not.
        found = np.linalg.solve(weighted_M4.T @ rows_M4 + 0.0005 * np.eye(4), weighted_M4.T @ edges.step_M)
        error_M = np.maximum(np.abs(rows_M4 @ found - edges.step_M), _LOOSE)
    return found


def _single(edges: _Edges, kind: int) -> tuple[float, float]:
    """(error, strength over the clip) of a fit with only a tilt (1) or a zoom (2)."""
    across = edges.along_M == 0
    depth = np.clip(0.5 + _DEPTH * edges.y_M, 0.05, 1.2)
    shape_M = depth * ~across if kind == 1 else depth * np.where(across, edges.x_M, edges.y_M)
    strength, error_M = 0.0, np.ones(len(shape_M))
    for _ in range(6):
        weight_M = edges.weight_M / error_M
        weight_M = weight_M / weight_M.sum()
        strength = float((weight_M * shape_M * edges.step_M).sum() / ((weight_M * shape_M**2).sum() + 1e-7))
        error_M = np.maximum(np.abs(shape_M * strength - edges.step_M), _BLUNT)
    misses_M = np.minimum(np.abs(shape_M * strength - edges.step_M) / _BLUNT, 3.0)
    return float((edges.weight_M * misses_M).sum() / edges.weight_M.sum()), strength * edges.num_steps
