"""CLIPSIM: how well the frames of clips fit the words that they were made from.

The cosine similarity of each frame and the caption, the mean over the frames of a clip, then the mean over clips (Wu
and others, "GODIVA", 2021, arXiv 2104.14806). Published figures use CLIP ViT-B/32 and are not multiplied by 100; those
of other backbones are on another scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ...core.errors import MediaError, RequestError
from . import picture_features
from .clip_means import mean_score
from .contract import MOST_FRAMES, ClipFile, Row, Score, SetClip, YardstickSettings


class ClipSim:
    """The similarity of frames and captions, cosine (times 1)."""

    name = "clipsim"
    title = "similarity of frames and caption"
    unit = "cosine"
    better: Literal["lower", "higher", "neither"] = "higher"
    against: Literal["no", "set", "pairs"] = "no"

    def __init__(self, settings: YardstickSettings) -> None:
        self.encoder_name = picture_features.pictures_name(settings)
        self.device = settings.device or "cpu"

    def protocol(self) -> dict[str, Any]:
        encoder = picture_features.text_and_pictures_of(self.encoder_name, self.device)
        return {
            "backbone": encoder.name, "weights": encoder.digest, "size_px": encoder.size_px, "frames_read": MOST_FRAMES,
            "scale": 1, "mean": "over frames, then clips",
        }  # fmt: skip

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        """RequestError if no clip has a caption."""
        if not any(clip.caption for clip in clips):
            raise RequestError(
                "No clip has a caption to compare its frames with.", field="caption", value=None,
                legal="a manifest with a prompt, a text file NAME.txt beside NAME.mp4, or metadata.csv",
            )  # fmt: skip

    def measure(self, clip: SetClip) -> Row:
        """{"similarity": (F,)}. MediaError for a clip without a caption."""
        if not clip.file.caption:
            raise MediaError(f"{clip.file.name}: has no caption.")
        encoder = picture_features.text_and_pictures_of(self.encoder_name, self.device)
        pictures_FD = picture_features.vectors_of(encoder, clip.frames_FHWC)
        text_D = encoder.texts([clip.file.caption])[0]
        return {"similarity": (pictures_FD @ text_D).astype(np.float64)}

    def score(self, rows: Sequence[Row], against: Sequence[Row]) -> Score:
        return mean_score([float(row["similarity"].mean()) for row in rows], self.unit, {"clips": len(rows)})
