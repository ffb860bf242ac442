"""Sampled colours of an object and its background, uint8 RGB, and their comparison."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..media.masks import grown, shrunk

MEMORY_PIXELS = 1200
COLOR_STEP = 16
LIKE = 0.4
"""Minimum likeness of an area to the object, relative to the object's own at the start."""


@dataclass(frozen=True)
class Memory:
    """Samples of the object's and the background's colours: uint8 RGB, (N, 3) each."""

    object_N3: np.ndarray
    ground_N3: np.ndarray

    def __add__(self, other: Memory) -> Memory:
        objects = np.concatenate([self.object_N3, other.object_N3])
        return Memory(objects, np.concatenate([self.ground_N3, other.ground_N3]))


class Colors:
    """Classifies colours as the object's or the background's by their histograms."""

    def __init__(self, memory: Memory) -> None:
        self.object_RGB, self.ground_RGB = (self._shares(each) for each in (memory.object_N3, memory.ground_N3))
        self.first = self.likeness(memory.object_N3)

    def likeness(self, colors_N3: np.ndarray) -> float:
        """The fraction of the colours that are more frequent in the object than in the background."""
        bins = tuple((colors_N3 // COLOR_STEP).T)
        return float((self.object_RGB[bins] > self.ground_RGB[bins]).mean()) if len(colors_N3) else 0.0

    def fits(self, picture_HWC: np.ndarray, mask_HW: np.ndarray) -> bool:
        """Whether the masked area may be the object by its colours; always true if colours do not distinguish it."""
        return self.likeness(picture_HWC[mask_HW]) > LIKE * self.first

    @staticmethod
    def _shares(colors_N3: np.ndarray) -> np.ndarray:
        counts = np.zeros((256 // COLOR_STEP + 2,) * 3, np.float32)
        np.add.at(counts, tuple((colors_N3 // COLOR_STEP + 1).T), 1)
        for axis in range(3):
            counts = 0.5 * counts + 0.25 * (np.roll(counts, 1, axis) + np.roll(counts, -1, axis))
        return counts[1:-1, 1:-1, 1:-1] / max(1, len(colors_N3))


def remember(picture_HWC: np.ndarray, mask_HW: np.ndarray, count: int = MEMORY_PIXELS) -> Memory:
    """Sample colours of the object, away from its edge, and of its surroundings."""
    size_px = max(2, round(0.03 * float(np.sqrt(mask_HW.sum()))))
    inside_HW = shrunk(mask_HW, size_px)
    inside_HW = inside_HW if inside_HW.sum() > 0.2 * mask_HW.sum() else mask_HW
    reach_px = max(8, round(0.7 * float(np.sqrt(mask_HW.sum()))))
    around_HW = grown(mask_HW, reach_px) & ~grown(mask_HW, size_px)
    return Memory(_spread(picture_HWC[inside_HW], count), _spread(picture_HWC[around_HW], count))


def _spread(colors_N3: np.ndarray, count: int) -> np.ndarray:
    return colors_N3 if len(colors_N3) <= count else colors_N3[np.linspace(0, len(colors_N3) - 1, count).astype(int)]
