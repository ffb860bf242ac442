"""How well a caption fits its clip: CLIPSIM, the mean cosine between caption and frames.

The recipes score with other networks: Stable Video Diffusion with CLIP at the first, middle and last frame,
EasyAnimate with VideoCLIP-XL (at least 0.20), so that threshold says nothing about this figure.
"""

from __future__ import annotations

from typing import Any

from ...features.text_and_pictures import DEFAULT, TextAndPictures, folder_of, text_and_pictures
from ..reading import FrameRequest
from ..stage import Column, CurationSettings, CutClip

REQUEST = FrameRequest(most=3, side_px=256)


class ClipScore:
    """`clip_score`: mean cosine of the caption and three frames, -1 to 1; None without a caption. Option `model`: a
    CLIP of transformers as a folder or hub id, or mini-clip, which knows Toyland only."""

    name, version = "clip_score", 1
    columns: tuple[Column, ...] = (Column("clip_score", "float", "caption fits (CLIPSIM)"),)
    reads = (REQUEST,)

    def __init__(self, settings: CurationSettings) -> None:
        self.model, self.device = settings.option(self.name, "model", DEFAULT), settings.device
        self.encoder: TextAndPictures | None = None

    def check(self) -> None:
        """Raises WeightsMissing."""
        folder_of(self.model)

    def open(self) -> None:
        self.encoder = text_and_pictures(self.model, self.device)

    def measure(self, clip: CutClip) -> dict[str, Any]:
        if not (clip.caption or "").strip():
            return {"clip_score": None}
        if self.encoder is None:
            self.open()
        assert self.encoder is not None
        pictures_FD = self.encoder.pictures(clip.frames(most=REQUEST.most, side_px=REQUEST.side_px))
        text_D = self.encoder.texts([clip.caption or ""])[0]
        return {"clip_score": float((pictures_FD @ text_D).mean())}
