"""Sparse motion of a clip: key points chosen by how much they move, tracked along the dense flow (Tora's second stage,
arXiv 2407.21705, section 3.4; its grid of 32 px and its 1 to 16 points).

Legend: N points, F frames, H W pixels, 2 (x, y) in px: pixel centres are whole numbers. flow as in features/flow.py.
Differences from the published code: positions stay fractional (there they are cut to whole pixels at each frame, which
loses slow motion), and a clip that begins with a pause starts to move where its flow does (there it has no points).
"""

from __future__ import annotations

import numpy as np

MOST = 16
"""Largest number of key points."""
GRID = 15
"""The grid has one candidate in so many parts of the shorter side: 32 px at 480."""
STILL_PX = 0.05
"""Slower candidates are still; relative to a shorter side of 64 px."""

APART_PX = 0.5
"""Neighbouring pixels whose motion differs by more belong to different objects."""


def grid_px(height: int, width: int) -> int:
    """Distance of the candidates, in px."""
    return max(1, round(min(height, width) / GRID))


def choose(flow_FHW2: np.ndarray, rng: np.random.Generator, most: int = MOST) -> np.ndarray:
    """Draw 1 to `most` key points at frame 0, float32 (N, 2), without replacement, with a probability proportional to
    the length of the first flow that is not zero. Candidates lie on a grid with a random offset. (0, 2) for a clip
    without motion; fewer points than drawn if fewer candidates move."""
    if most < 1:
        raise ValueError(f"most must be 1 or more, got {most}")
    height, width = flow_FHW2.shape[1:3]
    step = grid_px(height, width)
    top, left = (int(each) for each in rng.integers(0, step, 2))
    wanted = int(rng.integers(1, most + 1))
    length_FNN = np.hypot(*np.moveaxis(flow_FHW2[:, top::step, left::step].astype(np.float64), -1, 0))
    least = STILL_PX * min(height, width) / 64
    length_FNN[length_FNN < least] = 0.0
    moving = np.flatnonzero(length_FNN.any((1, 2)))
    if not len(moving):
        return np.zeros((0, 2), np.float32)
    first_N = length_FNN[moving[0]].ravel()
    count = min(wanted, int((first_N > 0).sum()))
    chosen = rng.choice(len(first_N), count, replace=False, p=first_N / first_N.sum())
    rows, columns = np.unravel_index(chosen, length_FNN.shape[1:])
    return np.stack([left + step * columns, top + step * rows], -1).astype(np.float32)


def track(flow_FHW2: np.ndarray, start_N2: np.ndarray) -> np.ndarray:
    """Follow points of frame 0 along the flow: float32 (N, F, 2). Points that reach the border stay on it, as in the
    published code."""
    height, width = flow_FHW2.shape[1:3]
    last_2 = np.array([width - 1, height - 1], np.float64)
    at_N2 = np.asarray(start_N2, np.float64).reshape(-1, 2)
    found = [at_N2]
    for flow_HW2 in flow_FHW2:
        at_N2 = np.clip(at_N2 + sample(flow_HW2, at_N2), 0.0, last_2)
        found.append(at_N2)
    return np.stack(found, 1).astype(np.float32)


def sample(flow_HW2: np.ndarray, at_N2: np.ndarray) -> np.ndarray:
    """Read a flow at points inside the frame, float64 (N, 2): bilinearly, but at the nearest pixel if the four pixels
    around a point move apart: a point at the edge of an object must not move at half its speed and be lost."""
    height, width = flow_HW2.shape[:2]
    x_N, y_N = np.clip(at_N2, 0.0, (width - 1, height - 1)).T
    left_N, top_N = np.floor(x_N).astype(int), np.floor(y_N).astype(int)
    right_N, low_N = np.minimum(left_N + 1, width - 1), np.minimum(top_N + 1, height - 1)
    corners_4N2 = np.stack(
        [flow_HW2[rows_N, columns_N] for rows_N in (top_N, low_N) for columns_N in (left_N, right_N)]
    ).astype(np.float64)
    x_N1, y_N1 = (x_N - left_N)[:, None], (y_N - top_N)[:, None]
    upper_N2 = corners_4N2[0] * (1 - x_N1) + corners_4N2[1] * x_N1
    lower_N2 = corners_4N2[2] * (1 - x_N1) + corners_4N2[3] * x_N1
    nearest_N2 = flow_HW2[np.floor(y_N + 0.5).astype(int), np.floor(x_N + 0.5).astype(int)]
    apart_N = np.ptp(corners_4N2, 0).max(-1) > APART_PX
    return np.where(apart_N[:, None], nearest_N2, upper_N2 * (1 - y_N1) + lower_N2 * y_N1)
