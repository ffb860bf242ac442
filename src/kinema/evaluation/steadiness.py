"""Temporal consistency: does a clip stay one clip?

Legend: F frames, K answers, H W pixels.

Four parts, each 0 to 100; the score is their mean.
    kind, color   the probes' belief at the tracked object in a frame, shared with its mean over the clip
                  (100 minus the total variation distance); a frame that shows no object shares nothing
    place         the same for background and light, read off whole frames
    flicker       100 minus what of the picture outside the objects cannot be found in the frame before, wherever it
                  may have been within reach: 100 at a difference of 0 gray levels, 0 at 16

Movement costs nothing, because objects are followed and the background is looked for where it came from; so a still
picture gains nothing over a moving one beyond what true moving clips lose, and that is printed beside every score.
"""

from __future__ import annotations

import numpy as np

from .camera import background
from .probes import Reading
from .track import ObjectTrack

REACH_PX, PATCH_PX, WORST_LEVELS = 3, 5, 16.0


def steadiness(frames_FHWC: np.ndarray, reading: Reading, track: ObjectTrack) -> dict[str, float]:
    """{"kind", "color", "place", "flicker", "score"}, each 0 to 100."""
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
    """(F,) how much of each frame's belief is in the clip's mean belief, 0 to 1."""
    return np.minimum(p_FK, p_FK.mean(0)).sum(1)


def flicker(frames_FHWC: np.ndarray, keep_FHW: np.ndarray) -> float:
    """Mean over frames and pixels in `keep` of the smallest difference (gray levels, patches of 5 x 5) to the frame
    before, over all shifts of up to 3 px in x and y."""
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
