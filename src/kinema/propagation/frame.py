"""The result of filling one frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Origin(IntEnum):
    """The source of a pixel of a filled frame."""

    KEPT = 0  # the clip's own
    PROPAGATED = 1  # other frames that show the same part of the scene
    PATCHED = 2  # made from the surroundings in the frame
    UNFILLED = 3  # left to a model; the frame has a smooth fill there


@dataclass(frozen=True)
class FilledFrame:
    """A filled frame. frame_HWC: uint8 RGB; outside the mask the clip's own bytes. origin_HW: uint8, values of
    `Origin`, by the source with the larger weight. misfit: mean absolute difference, of 255, between the propagated
    picture and the clip in a rim around the holes; 0 if nothing was propagated. refused: the fraction, 0 to 1, of the
    masked pixels that other frames show but that do not fit, because something moves behind the hole. fine: the
    fraction of the alignments of other frames that had to be finer than the camera's motion; they take most of the
    time."""

    frame_HWC: np.ndarray
    origin_HW: np.ndarray
    misfit: float = 0.0
    refused: float = 0.0
    fine: float = 0.0
