"""Masks that flicker, mended in time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

RADIUS = 2


def mended(
    frames: Iterable[tuple[np.ndarray, np.ndarray]], radius: int = RADIUS
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(frame, mask) pairs with a pixel masked also where it is masked in a frame before and in one after, at most
    `radius` frames away each: a closing in time. No mask shrinks. Holds 2 radius + 1 pairs."""
    held: deque[tuple[np.ndarray, np.ndarray]] = deque()
    at = 0
    for pair in frames:
        held.append(pair)
        if len(held) > at + radius:
            yield _closed(held, at, radius)
            at += 1
            if at > radius:
                held.popleft()
                at -= 1
    while at < len(held):
        yield _closed(held, at, radius)
        at += 1


def _closed(held: deque[tuple[np.ndarray, np.ndarray]], at: int, radius: int) -> tuple[np.ndarray, np.ndarray]:
    frame_HWC, mask_HW = held[at]
    masks = [mask for _, mask in held]
    before, after = masks[max(0, at - radius) : at], masks[at + 1 : at + 1 + radius]
    if not before or not after:
        return frame_HWC, mask_HW
    return frame_HWC, mask_HW | (np.any(before, axis=0) & np.any(after, axis=0))
