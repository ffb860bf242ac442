"""Encoders of clips for Frechet distances and the like: I3D, VideoMAE, and kinema-mini-i3d, a tiny one.

Legend: B clips, F frames, H W pixels, D features.

Sources: Carreira and Zisserman, "Quo vadis, action recognition?", 2017, arXiv 1705.07750 (I3D; FVD reads its 400
logits: Unterthiner and others, 2018, arXiv 1812.01717); Tong and others, "VideoMAE", 2022, arXiv 2203.12602.
kinema-mini-i3d is a small 3-D convolutional network trained on Toyland's motions (recipes/mini_i3d.py): its
distances compare only with each other.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import numpy as np

from ..core.errors import RequestError
from ..core.near import nearest
from .clip_input import as_network_input, resized
from .i3d_torchscript import TorchScriptI3d
from .pixel_statistics import NAME as PIXELS
from .pixel_statistics import PixelStatistics
from .text_and_pictures import digest_of
from .videomae import VideoMae

MINI = "mini-i3d"


class VideoEncoder(Protocol):
    """name: as given. digest: SHA-256 of the weights. size_px: the side of the square that the network sees; frames of
    another size are resized to it, whole (without a crop). least_frames: of a clip. num_frames: the exact number that
    the network takes, or None for any. resize: how other sizes are resized."""

    name: str
    digest: str
    size_px: int
    least_frames: int
    num_frames: int | None
    resize: str

    def __call__(self, frames_BFHWC: np.ndarray) -> np.ndarray:
        """Features (B, D), float64. frames: RGB, uint8, or float32 in [0, 255] as a protocol's own resize leaves them.
        Raises ValueError for other arrays and for fewer than least_frames."""


def video_encoder(name: str = MINI, device: str = "cpu") -> VideoEncoder:
    """Load an encoder. Nothing is fetched. Raises RequestError for other names, WeightsMissing, ModelError.

    `mini-i3d`: shipped. `pixel-statistics`: no network (pixel_statistics.py). `i3d`: the TorchScript file of `kinema
    models pull i3d`; `i3d:FILE`: this one. `videomae:MODEL`: a folder or hub id of transformers."""
    kind, _, model = name.partition(":")
    if kind not in ENCODERS:
        raise RequestError(
            f"No video encoder {name!r}.", field="encoder", value=name, legal=LEGAL, nearest=nearest(kind, ENCODERS)
        )
    return ENCODERS[kind](name, model, device)


class MiniI3d:
    """The shipped network (small_i3d.py), or one in the same layout from a folder."""

    least_frames, resize = 8, "whole frame, bilinear with antialiasing"
    num_frames: int | None = None

    def __init__(self, name: str, model: str, device: str = "cpu") -> None:
        import torch

        from ..weights.residency import Residency
        from .small_i3d import open_small

        folder = Path(model) if model else Path(str(files("kinema"))) / "miniatures" / "mini_i3d"
        self.name, self.place = name, torch.device(device)
        self.network = open_small(folder)
        Residency(self.place, [self.network], staged=False)
        self.size_px = self.network.config.side
        self.digest = digest_of(folder)

    def __call__(self, frames_BFHWC: np.ndarray) -> np.ndarray:
        import torch

        x = resized(as_network_input(frames_BFHWC, self.least_frames).to(self.place), self.size_px)
        with torch.inference_mode():
            features: np.ndarray = self.network.features(x / 127.5 - 1).double().cpu().numpy()
        return features


ENCODERS: dict[str, Callable[[str, str, str], VideoEncoder]] = {
    MINI: MiniI3d, PIXELS: PixelStatistics, "i3d": TorchScriptI3d, "videomae": VideoMae,
}  # fmt: skip
LEGAL = "mini-i3d, pixel-statistics, i3d, i3d:FILE, videomae:MODEL"
