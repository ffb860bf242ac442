"""Motion maps: paths as pictures of optical flow, which the autoencoder encodes like a clip (arXiv 2407.21705, section
3.2, and the published code).

A path's displacement from frame i to i + 1 stands in frame i + 1 at its place in frame i; frame 0 shows no motion. A
Gaussian with peak 1 spreads it, and the flow is drawn in the colours of Middlebury's wheel (Baker and others, 2011):
white without motion, full colour for the longest motion of the whole clip. Inference and training draw the same maps.

F frames, H and W pixels, N paths; positions and flow are (x, y) in pixels, x to the right, y down. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from ....conditions.annotators.flow import paint

SIGMA_PX = 10.0
"""The Gaussian of the published code, whatever the size of the clip; its kernel has 99 x 99 pixels."""
REACH = 4.95
"""Half width of the kernel, in standard deviations."""
SMALLEST_SCALE_PX = float(np.finfo(np.float32).eps)


def draw(paths: Sequence[np.ndarray], height: int, width: int, sigma_px: float = SIGMA_PX) -> np.ndarray:
    """The motion map of paths, uint8 RGB (F, H, W, 3).

    paths: positions (F, 2), one array per object. Without any, nothing moves. A point outside the canvas draws nothing
    in the next frame. Where two paths have the same pixel in one frame, the later one counts. sigma_px: standard
    deviation of the Gaussian.

    Raises ValueError for paths of different lengths, none, or positions that are not finite.
    """
    return np.stack(list(colours(lambda: flow(paths, height, width, sigma_px))))


def flow(paths: Sequence[np.ndarray], height: int, width: int, sigma_px: float = SIGMA_PX) -> Iterator[np.ndarray]:
    """Yield the spread flow of each frame, float32 (H, W, 2); arguments and errors as `draw`.

    The displacement keeps its fractions of a pixel (the published inference rounds positions to whole pixels; the flow
    of its training has fractions too)."""
    lengths = {len(path) for path in paths}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(f"paths need one position per frame each, all as many; got {sorted(lengths)}.")
    places_NF2 = np.stack([np.asarray(path, np.float64) for path in paths])
    if not np.isfinite(places_NF2).all():
        raise ValueError("paths have positions that are not finite.")
    yield np.zeros((height, width, 2), np.float32)
    for now_N2, then_N2 in zip(places_NF2.swapaxes(0, 1), places_NF2.swapaxes(0, 1)[1:]):
        points = {}
        for (x, y), moved in zip(now_N2, then_N2 - now_N2):
            if 0 <= x <= width and 0 <= y <= height:
                points[min(int(y), height - 1), min(int(x), width - 1)] = moved
        yield spread(points, height, width, sigma_px)


def spread(
    points: dict[tuple[int, int], np.ndarray], height: int, width: int, sigma_px: float = SIGMA_PX
) -> np.ndarray:
    """Spread the motion of single pixels: float32 (H, W, 2). points: displacement (x, y) by (row, column).

    As OpenCV's filter2D does with a Gaussian kernel of peak 1 and size 2 floor(4.95 sigma) + 1: motion adds up, and
    what would reach over a border is mirrored at it (the border pixel once)."""
    found_HW2 = np.zeros((height, width, 2), np.float32)
    for (row, column), moved_2 in points.items():
        first_row, rows = _profile(row, height, sigma_px)
        first_column, columns = _profile(column, width, sigma_px)
        part = found_HW2[first_row : first_row + len(rows), first_column : first_column + len(columns)]
        part += (rows[:, None, None] * columns[:, None] * moved_2).astype(np.float32)
    return found_HW2


@lru_cache(maxsize=4096)
def _profile(at: int, length: int, sigma_px: float) -> tuple[int, np.ndarray]:
    """(first index, weights) of the Gaussian of a point along an axis of `length` pixels, mirrored at both ends."""
    radius = int(REACH * sigma_px)
    period = max(2 * (length - 1), 1)
    turns = range(-radius // period - 1, radius // period + 2)
    away = np.arange(length)[:, None] - np.array(
        sorted({sign * at + period * turn for turn in turns for sign in (-1, 1)})
    )
    weights = np.where(np.abs(away) <= radius, np.exp(-(away**2) / (2 * sigma_px**2)), 0.0).sum(1)
    within = np.flatnonzero(weights)
    return int(within[0]), weights[within[0] : within[-1] + 1]


def colours(flow_of: Callable[[], Iterable[np.ndarray]]) -> Iterator[np.ndarray]:
    """Yield the frames of a clip's flow in colours, uint8 RGB (H, W, 3).

    flow_of: returns the flow of the frames, (H, W, 2), from the first; it is called twice, because the colours depend
    on the longest motion of all of them (as in torchvision's `flow_to_image`)."""
    longest = max(float(np.sqrt((each.astype(np.float32) ** 2).sum(-1).max())) for each in flow_of())
    scale_px = longest + SMALLEST_SCALE_PX
    for flow_HW2 in flow_of():
        picture_HW3 = np.full((*flow_HW2.shape[:2], 3), 255, np.uint8)
        moving = np.any(flow_HW2 != 0, axis=-1)
        rows, columns = np.flatnonzero(moving.any(1)), np.flatnonzero(moving.any(0))
        if len(rows):
            where = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            picture_HW3[where] = paint(flow_HW2[where], scale_px)
        yield picture_HW3


def draw_dense(flow_FHW2: np.ndarray) -> np.ndarray:
    """The motion map of a dense flow, uint8 (F + 1, H, W, 3): the flow from frame i to i + 1 stands in frame i + 1. No
    Gaussian."""
    still = np.zeros_like(flow_FHW2[:1])
    return np.stack(list(colours(lambda: (*still, *flow_FHW2))))
