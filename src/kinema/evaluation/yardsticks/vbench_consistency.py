"""VBench's consistency of the subject and of the background: how alike the frames of a clip are to an image encoder.

For each frame after the first, the mean of its cosine similarity (at least 0) with the frame before and with the first
one; then the mean over these frames. The subject is compared by DINO's class token, the background by CLIP's image
vectors. Source: arXiv 2311.17982.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ...core.errors import MediaError
from . import picture_features
from .clip_means import mean_score
from .contract import MOST_FRAMES, ClipFile, Row, Score, SetClip, YardstickSettings


def consistency(vectors_FD: np.ndarray) -> float:
    """The consistency of a clip from its frames' unit vectors, 0 to 1; F >= 2."""
    before_F = (vectors_FD[1:] * vectors_FD[:-1]).sum(1)
    first_F = vectors_FD[1:] @ vectors_FD[0]
    return float((np.maximum(before_F, 0).mean(dtype=np.float64) + np.maximum(first_F, 0).mean(dtype=np.float64)) / 2)


class Consistency:
    """Consistency of frames by one encoder. published: the encoder of VBench's figures."""

    unit = ""
    better: Literal["lower", "higher", "neither"] = "higher"
    against: Literal["no", "set", "pairs"] = "no"

    def __init__(self, name: str, title: str, encoder_name: str, published: str, device: str) -> None:
        self.name, self.title, self.published = name, title, published
        self.encoder_name, self.device = encoder_name, device

    def protocol(self) -> dict[str, Any]:
        encoder = picture_features.picture_encoder_of(self.encoder_name, self.device)
        found = {"backbone": encoder.name, "weights": encoder.digest, "frames_read": MOST_FRAMES, "scale": "0 to 1"}
        if encoder.name != self.published:
            found["published_backbone"] = self.published
        return found

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        pass

    def measure(self, clip: SetClip) -> Row:
        """{"value": ()}. MediaError for a single frame."""
        if len(clip.frames_FHWC) < 2:
            raise MediaError(f"{clip.file.name}: a single frame has no consistency.")
        encoder = picture_features.picture_encoder_of(self.encoder_name, self.device)
        return {"value": np.array(consistency(picture_features.vectors_of(encoder, clip.frames_FHWC)))}

    def score(self, rows: Sequence[Row], against: Sequence[Row]) -> Score:
        return mean_score([float(row["value"]) for row in rows], self.unit, {"clips": len(rows)})


def subject_consistency(settings: YardstickSettings) -> Consistency:
    """Of the subject: DINO ViT-B/16 where it is on this machine."""
    from ...features.picture_encoder import DINO

    name = picture_features.subject_name(settings)
    return Consistency(
        "subject_consistency", "consistency of the subject", name, f"dino:{DINO}", settings.device or "cpu"
    )


def background_consistency(settings: YardstickSettings) -> Consistency:
    """Of the background: CLIP ViT-B/32 where it is on this machine."""
    from ...features.text_and_pictures import DEFAULT

    name = picture_features.pictures_name(settings)
    return Consistency(
        "background_consistency", "consistency of the background", name, DEFAULT, settings.device or "cpu"
    )
