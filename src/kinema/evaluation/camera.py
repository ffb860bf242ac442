"""Which of nine moves the camera makes, from how the background moves.

Legend: F frames, H W pixels, M places where the background has an edge.

Dense optical flow (OpenCV's DIS) between frames half a second apart is read at the edges outside the objects, only
across each edge (along it nothing can be seen), and a steady camera is fitted to the whole clip, robustly: large errors
count little. Toyland's far layers move less than its near ones, so pan and tilt grow towards the lower edge of the
picture. Such a tilt looks much like a zoom; between the two the better fit decides, each with its own depth.
Needs OpenCV: the extra `evaluate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import KinemaError
from .network import CELLS
from .probes import Reading

ENLARGE = 2
GAP_S = 0.5  # between the frames that are compared
_FULL = np.array([-0.15, -0.14, 0.3, 0.45])
"""What a pan (right), tilt (down), zoom (in) and roll (left) of ordinary strength measure over a clip: fractions of the
frame, log of the scale, radians; much less than drawn, because far layers and dull places dilute it."""
_LEAST = 0.2  # of the ordinary strength; below it the camera is still
_NAMES = (("pan-right", "pan-left"), ("tilt-down", "tilt-up"), ("zoom-in", "zoom-out"), ("roll-left", "roll-right"))
_DEPTH = 1.5  # how much faster the lower edge moves than the middle
_SOFTEN_PX = 2.5  # of the scaled frames, against noise and blocks that do not move with the picture
_WEAKEST, _STRONGEST = 0.8, 12.0  # slopes of an edge, in gray levels a pixel, that count not at all and fully
_LOOSE = 0.015  # fractions of the frame: errors above it count less and less
_BLUNT = 0.012
_TILT_OR_ZOOM = 1.05


@dataclass(frozen=True)
class _Edges:
    """along_M: 0 where the edge tells of x, 1 of y. x_M, y_M in [-0.5, 0.5]; step_M in fractions of the frame."""

    along_M: np.ndarray
    x_M: np.ndarray
    y_M: np.ndarray
    step_M: np.ndarray
    weight_M: np.ndarray
    num_steps: int


def opencv() -> Any:
    """The module cv2. KinemaError naming the package where it is not installed or cannot be loaded."""
    try:
        import cv2
    except ImportError as error:
        raise KinemaError(
            "Reading camera moves needs OpenCV, which cannot be loaded here: pip install opencv-python-headless."
        ) from error
    cv2.setNumThreads(1)
    return cv2


def camera_of(frames_FHWC: np.ndarray, reading: Reading, *, fps: float = 8.0) -> str:
    """One of toyland.scene.CAMERAS for uint8 frames and what the probes read of them. KinemaError without OpenCV."""
    edges = _edges(frames_FHWC, background(reading), max(1, round(GAP_S * fps)))
    if len(edges.x_M) < 60:
        return "still"
    steady = _steady(edges) * edges.num_steps / _FULL
    kind = int(np.abs(steady).argmax())
    value = steady[kind]
    if abs(value) < _LEAST:
        return "still"
    if kind in (1, 2):
        (tilt_error, tilt), (zoom_error, zoom) = _alone(edges, 1), _alone(edges, 2)
        kind, value = (2, zoom) if zoom_error < _TILT_OR_ZOOM * tilt_error else (1, tilt / _FULL[1])
    return _NAMES[kind][0 if value > 0 else 1]


def strength(
    frames_FHWC: np.ndarray, reading: Reading, move: str, *, fps: float = 8.0, everything: bool = False
) -> float:  # fmt: skip
    """How far the background goes the way of one camera move, as a share of a move of ordinary strength; negative: the
    other way. Finer than `camera_of`: on Toyland's plain places 95 in 100 still clips stay within 0.04. everything: the
    whole picture, objects too, for scenes in which nothing moves but the camera. KinemaError without OpenCV,
    ValueError for what is no move."""
    kind = next((number for number, names in enumerate(_NAMES) if move in names), None)
    if kind is None:
        raise ValueError(
            f"{move!r} is no camera move; there are {', '.join(name for pair in _NAMES for name in pair)}."
        )
    keep = np.ones(frames_FHWC.shape[:3], bool) if everything else background(reading)
    edges = _edges(frames_FHWC, keep, max(1, round(GAP_S * fps)))
    if len(edges.x_M) < 60:
        return 0.0
    found = float(_steady(edges)[kind] * edges.num_steps / _FULL[kind])
    return found if _NAMES[kind][0] == move else -found


def background(reading: Reading, warm: float = 0.2) -> np.ndarray:
    """(F, H, W) bool: where no object is, with a margin of one cell."""
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
    height, width = frames_FHWC.shape[1] * ENLARGE, frames_FHWC.shape[2] * ENLARGE
    chosen = range(0, len(frames_FHWC), step)
    grays = [cv2.cvtColor(np.ascontiguousarray(frames_FHWC[f]), cv2.COLOR_RGB2GRAY) for f in chosen]
    grays = [cv2.resize(gray, (width, height), interpolation=cv2.INTER_CUBIC) for gray in grays]
    grays = [cv2.GaussianBlur(gray, (0, 0), _SOFTEN_PX) for gray in grays]
    keeps = [keep_FHW[f].repeat(ENLARGE, 0).repeat(ENLARGE, 1) for f in chosen]
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
    """(pan, tilt, zoom, roll) a step that fit all edges together: least absolute errors by reweighting."""
    x, y, across = edges.x_M, edges.y_M, edges.along_M == 0
    depth = 1.0 + _DEPTH * y
    columns = (depth * across, depth * ~across, np.where(across, x, y), np.where(across, -y, x))
    rows_M4 = np.stack(columns, 1)
    found, error_M = np.zeros(4), np.ones(len(x))
    for _ in range(8):
        weight_M = edges.weight_M / error_M
        weighted_M4 = rows_M4 * (weight_M / weight_M.sum())[:, None]
        # A little pull to zero decides what the edges leave open.
        found = np.linalg.solve(weighted_M4.T @ rows_M4 + 0.0005 * np.eye(4), weighted_M4.T @ edges.step_M)
        error_M = np.maximum(np.abs(rows_M4 @ found - edges.step_M), _LOOSE)
    return found


def _alone(edges: _Edges, kind: int) -> tuple[float, float]:
    """(error, strength over the clip) when a tilt (1) or a zoom (2) alone has to explain the clip."""
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
