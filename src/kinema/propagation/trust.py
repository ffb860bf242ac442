"""Is what was propagated better than a surface made of the surroundings? Measured where the truth is known.

Legend: H W pixels of the part around a hole, C channels.
"""

from __future__ import annotations

import numpy as np

from ..media.masks import grown
from .candidate import spread
from .hole import Hole
from .membrane import difference, membrane

RING_PX = 6
SMALL = 8.0
"""Of 255: what is off by less than this is taken in any case."""
WORSE = 1.2


def misfit_of(hole: Hole, made_HWC: np.ndarray, seen_HW: np.ndarray) -> float:
    """Mean absolute difference, of 255, in the rim that was propagated too; 0 where there is none."""
    rim_HW = hole.rim_HW & seen_HW
    return float(difference(made_HWC, hole.true_HWC)[rim_HW].mean()) if rim_HW.any() else 0.0


def trusted(hole: Hole, made_HWC: np.ndarray, seen_HW: np.ndarray) -> np.ndarray:
    """Where the propagated picture is to be taken, bool: a ring around the hole is hidden and filled with a membrane;
    nearer to places where that is closer to the truth than propagation, nothing is taken. What moves behind the hole
    crosses its rim somewhere and is found so."""
    ring_HW = grown(hole.mask_HW, RING_PX) & hole.known_HW
    both_HW = ring_HW & seen_HW
    beyond_HW = hole.known_HW & ~ring_HW
    if not both_HW.any() or not beyond_HW.any():
        return seen_HW
    off_HW = difference(made_HWC, hole.true_HWC)
    own_HW = spread(off_HW, both_HW)
    if own_HW[hole.mask_HW].max() < SMALL:
        return seen_HW
    surface_HWC = membrane(hole.true_HWC, beyond_HW)
    other_HW = spread(difference(surface_HWC, hole.true_HWC), ring_HW)
    return seen_HW & (own_HW <= np.maximum(WORSE * other_HW, SMALL))
