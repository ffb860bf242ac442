"""Aesthetic score of a clip by a predictor whose weights are on this machine (features/aesthetic.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.errors import RequestError
from ...features.aesthetic import CLIP, Head, aesthetic_head
from ...features.text_and_pictures import TextAndPictures, folder_of, text_and_pictures
from ..reading import FrameRequest
from ..stage import Column, CurationSettings, CutClip

REQUEST = FrameRequest(most=4, side_px=336)


class Aesthetic:
    """`aesthetic`: mean score of four frames, about 1 to 10. Options `head`: the predictor's file; `clip`: the CLIP
    ViT-L/14 that it was trained on."""

    name, version = "aesthetic", 1
    columns: tuple[Column, ...] = (Column("aesthetic", "float", "aesthetic score"),)
    reads = (REQUEST,)

    def __init__(self, settings: CurationSettings) -> None:
        self.file, self.clip = settings.option(self.name, "head"), settings.option(self.name, "clip", CLIP)
        self.device = settings.device
        self.head: Head | None = None
        self.encoder: TextAndPictures | None = None

    def check(self) -> None:
        """Raises RequestError without the head's file, WeightsMissing without CLIP."""
        if not self.file or not Path(self.file).is_file():
            raise RequestError(
                "The stage aesthetic requires the file of a predictor, which Kinema does not ship: "
                "aesthetic.head=FILE, sa_0_4_vit_l_14_linear.pth or sac+logos+ava1-l14-linearMSE.pth.",
                field="aesthetic.head", value=self.file, legal="a file",
            )  # fmt: skip
        folder_of(self.clip)

    def open(self) -> None:
        """Raises the errors of `check`, and ModelError for another file."""
        self.check()
        self.head = aesthetic_head(Path(self.file))
        self.encoder = text_and_pictures(self.clip, self.device)

    def measure(self, clip: CutClip) -> dict[str, Any]:
        if self.head is None or self.encoder is None:
            self.open()
        assert self.head is not None and self.encoder is not None
        vectors_FD = self.encoder.pictures(clip.frames(most=REQUEST.most, side_px=REQUEST.side_px))
        return {"aesthetic": float(self.head(vectors_FD).mean())}
