"""What propagation gives back for each frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Origin(IntEnum):
    """Where a pixel of a filled frame comes from."""

    KEPT = 0  # the clip's own
    PROPAGATED = 1  # other frames, where the same place is seen
    PATCHED = 2  # made of the frame's surroundings
    UNFILLED = 3  # for a model; the frame has a smooth surface there


@dataclass(frozen=True)
class FilledFrame:
    """A frame without its hole. frame_HWC: uint8 RGB; the clip's own bytes outside the mask. origin_HW: uint8, values
    of `Origin`. misfit: mean absolute difference, of 255, between what was propagated and the clip in a rim around the
    holes; 0 where nothing was. refused: the share, 0 to 1, of the masked pixels that other frames show and that were
    not taken from there because they do not fit: something moves behind the hole."""

    frame_HWC: np.ndarray
    origin_HW: np.ndarray
    misfit: float = 0.0
    refused: float = 0.0
