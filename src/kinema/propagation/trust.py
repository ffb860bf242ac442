"""Is what was propagated better than a surface made of the surroundings? Measured where the truth is known.

Legend: H W pixels of the part around a hole, C channels.
"""

from __future__ import annotations

import numpy as np

from ..media.masks import grown
from .candidate import broadly, spread
from .hole import Hole
from .membrane import difference, membrane

RING_PX = 6
SMALL = 10.0
"""Of 255: what is off by less than this is taken in any case."""
WORSE = 1.0


def misfit_of(hole: Hole, made_HWC: np.ndarray, seen_HW: np.ndarray) -> float:
    """Mean absolute difference, of 255, in the rim that was propagated too; 0 where there is none."""
    rim_HW = hole.rim_HW & seen_HW
    return float(difference(made_HWC, hole.true_HWC)[rim_HW].mean()) if rim_HW.any() else 0.0


def near_misfit(hole: Hole, made_HWC: np.ndarray, seen_HW: np.ndarray) -> np.ndarray:
    """The difference of blurred colours, of 255, in the rim near each pixel, (H, W)."""
    rim_HW = hole.rim_HW & seen_HW
    return spread(broadly(made_HWC, hole.true_HWC, rim_HW), rim_HW)


def trusted(hole: Hole, misfit_HW: np.ndarray, seen_HW: np.ndarray) -> np.ndarray:
    """Where a propagated picture is to be taken, bool: a ring around the hole is hidden and filled with a membrane;
    nearer to places where that is closer to the truth than propagation, nothing is taken. What moves behind the hole
    crosses its rim somewhere and is found so. misfit_HW: of what is propagated, in the rim near each pixel."""
    ring_HW = grown(hole.mask_HW, RING_PX) & hole.known_HW
    beyond_HW = hole.known_HW & ~ring_HW
    if not (ring_HW & seen_HW).any() or not beyond_HW.any() or misfit_HW[hole.mask_HW].max() < SMALL:
        return seen_HW
    surface_HWC = membrane(hole.true_HWC, beyond_HW)
    other_HW = spread(difference(surface_HWC, hole.true_HWC), ring_HW)
    return seen_HW & (misfit_HW <= np.maximum(WORSE * other_HW, SMALL))
