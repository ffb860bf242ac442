"""Temporal consistency of a clip.

Legend: F frames, K classes, H W pixels.

Four parts, each 0 to 100; the score is their mean.
    kind, color   agreement of the probes' probabilities at the tracked object with their mean over the clip (100 minus
                  the total variation distance); 0 for a frame without an object
    place         the same for background and light of whole frames
    flicker       difference of the background from the best match in the frame before within a few pixels: 100 at a
                  difference of 0 gray levels, 0 at 16

Motion is not penalized, since objects are tracked and the background is matched within a search range. A still clip
scores no more than a moving one, except for what true moving clips lose, and scorecards contain that score.
"""

from __future__ import annotations

import numpy as np

from .camera import background
from .probes import Reading
from .track import ObjectTrack

REACH_PX, PATCH_PX, WORST_LEVELS = 3, 5, 16.0


def steadiness(frames_FHWC: np.ndarray, reading: Reading, track: ObjectTrack) -> dict[str, float]:
    """Return {"kind", "color", "place", "flicker", "score"}, each 0 to 100."""
    seen_F = track.seen_F
    place = [_shared(reading.picture[name]).mean() for name in ("background", "light")]
    parts = {
        "kind": float((_shared(track.kind_FK) * seen_F).mean() * 100),
        "color": float((_shared(track.color_FK) * seen_F).mean() * 100),
        "place": float(np.mean(place) * 100),
        "flicker": 100 * (1 - min(flicker(frames_FHWC, background(reading)) / WORST_LEVELS, 1.0)),
    }
    return parts | {"score": float(np.mean(list(parts.values())))}


def _shared(p_FK: np.ndarray) -> np.ndarray:
    """Overlap of each frame's probabilities with the clip's mean, (F,), 0 to 1."""
    return np.minimum(p_FK, p_FK.mean(0)).sum(1)


def flicker(frames_FHWC: np.ndarray, keep_FHW: np.ndarray) -> float:
    """Smallest difference to the frame before (gray levels, patches of 5 x 5) over all shifts of up to 3 px in x and y,
    averaged over frames and pixels in `keep`."""
    import torch
    from torch.nn import functional as F

    if len(frames_FHWC) < 2:
        return 0.0
    x = torch.from_numpy(np.ascontiguousarray(frames_FHWC)).permute(0, 3, 1, 2).float()
    before, now = F.pad(x[:-1], (REACH_PX,) * 4, mode="replicate"), x[1:]
    height, width = x.shape[-2:]
    best = torch.full((len(now), height, width), float("inf"))
    for dy in range(2 * REACH_PX + 1):
        for dx in range(2 * REACH_PX + 1):
            difference = (before[:, :, dy : dy + height, dx : dx + width] - now).abs().mean(1, keepdim=True)
            patch = F.avg_pool2d(difference, PATCH_PX, 1, PATCH_PX // 2, count_include_pad=False)[:, 0]
            best = torch.minimum(best, patch)
    keep = torch.from_numpy(keep_FHW[1:])
    return float(best[keep].mean()) if bool(keep.any()) else 0.0
