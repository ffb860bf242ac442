"""The published protocols of the Frechet video distance, by name: which frames, how they are resized and cropped, which
covariance. Their numbers cannot be compared with each other.

What a source does not state is in `unknown`, with the choice made here. Legend: F frames, H W pixels.

Sources: Skorokhodov and others, "StyleGAN-V", 2021, arXiv 2112.14683 (fvd2048_...); the repository
JunyaoHu/common_metrics_on_video_quality; Ge and others, "On the content bias in Frechet video distance", 2024, arXiv
2404.12391 (cd-fvd); Blattmann and others, "Stable Video Diffusion", 2023, arXiv 2311.15127, appendix; Zhang and others,
"Tora", 2024, arXiv 2407.21705.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...core.errors import MediaError, RequestError
from ...core.near import nearest

Preparation = Callable[[np.ndarray, int], np.ndarray]
"""(frames_FHWC uint8, side of the network's input) -> frames_FHWC, uint8 or float32 in [0, 255]."""


@dataclass(frozen=True)
class FvdProtocol:
    """frames: how many, every `step`-th; None: all. start: of clips that have more frames than `span`; `random` is
    fixed by the clip's name. clips: of each set, in the source. fps: that the source states. resize: in words."""

    name: str
    title: str
    frames: int | None
    prepare: Preparation
    resize: str
    covariance: Literal["population", "sample"]
    step: int = 1
    start: Literal["first", "random"] = "random"
    span: int = 0
    clips: int | None = 2048
    fps: float | None = None
    unknown: tuple[str, ...] = ()

    @property
    def needed(self) -> int:
        """Frames that a clip must have; shorter clips are left out."""
        return max(self.span, 1 + (self.frames - 1) * self.step) if self.frames else 1

    def chosen(self, frames_FHWC: np.ndarray, name: str) -> np.ndarray:
        """The frames of a clip that the network sees. MediaError if it has too few."""
        spare = len(frames_FHWC) - self.needed
        if spare < 0:
            raise MediaError(f"{name}: {len(frames_FHWC)} frames; the protocol {self.name} needs {self.needed}.")
        if self.frames is None:
            return frames_FHWC
        first = 0
        if self.start == "random":
            seed = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big")
            first = int(np.random.default_rng(seed).integers(0, spare + 1))
        return frames_FHWC[first : first + 1 + (self.frames - 1) * self.step : self.step]

    def facts(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        return {
            "protocol": self.name,
            "frames": self.frames or "all",
            "step": self.step,
            "start": self.start,
            "resize": self.resize,
            "covariance": self.covariance,
            "clips_in_source": self.clips,
            "fps_in_source": self.fps,
            "unknown": list(self.unknown),
        }


def by_network(frames_FHWC: np.ndarray, side_px: int) -> np.ndarray:
    """As they are: the network resizes."""
    return frames_FHWC


def whole_frame(frames_FHWC: np.ndarray, side_px: int) -> np.ndarray:
    """The whole frame to a square, bilinear, without filtering: the shape of objects changes."""
    return _bilinear(frames_FHWC, side_px, side_px)


def shorter_side(frames_FHWC: np.ndarray, side_px: int) -> np.ndarray:
    """The shorter side to the network's, bilinear, without filtering; the middle of the longer side."""
    return _middle(_bilinear(frames_FHWC, *_covering(frames_FHWC, side_px)), side_px)


def filtered_256(frames_FHWC: np.ndarray, side_px: int) -> np.ndarray:
    """The shorter side to 256, bilinear, filtered, the middle; cut off to whole numbers; then to the network's side,
    bilinear, without filtering. The first resize is of values in [0, 1]: their rounding decides what is cut off."""
    unit = frames_FHWC.astype(np.float32) / np.float32(255)
    square = _middle(_bilinear(unit, *_covering(unit, 256), filtered=True), 256)
    return whole_frame((np.clip(square, 0.0, 1.0) * np.float32(255)).astype(np.uint8), side_px)


def ucf(frames_FHWC: np.ndarray, side_px: int) -> np.ndarray:
    """To 432 x 240, and the middle 320 x 240 of it, rounded; clips of 320 x 240 as they are. The network resizes."""
    if frames_FHWC.shape[1:3] == (240, 320):
        return frames_FHWC
    wide = _bilinear(frames_FHWC, 240, 432, filtered=True)
    return np.clip(np.rint(wide[:, :, 56:376]), 0, 255).astype(np.uint8)


def _covering(frames_FHWC: np.ndarray, side_px: int) -> tuple[int, int]:
    """(height, width) with this shorter side; the longer one is rounded up."""
    height, width = frames_FHWC.shape[1:3]
    scale = side_px / min(height, width)
    return (side_px, math.ceil(width * scale)) if height < width else (math.ceil(height * scale), side_px)


def _middle(frames_FHWC: np.ndarray, side_px: int) -> np.ndarray:
    top, left = ((length - side_px) // 2 for length in frames_FHWC.shape[1:3])
    return frames_FHWC[:, top : top + side_px, left : left + side_px]


def _bilinear(frames_FHWC: np.ndarray, height: int, width: int, filtered: bool = False) -> np.ndarray:
    """torch's bilinear resize (align_corners False), which the sources use; float32, the range of the input. filtered:
    antialias."""
    import torch

    if frames_FHWC.shape[1:3] == (height, width):
        return frames_FHWC.astype(np.float32)
    x_FCHW = torch.from_numpy(np.ascontiguousarray(frames_FHWC)).permute(0, 3, 1, 2).float()
    found = torch.nn.functional.interpolate(
        x_FCHW, size=(height, width), mode="bilinear", align_corners=False, antialias=filtered
    )
    return found.permute(0, 2, 3, 1).contiguous().numpy()


NETWORK = "whole frame, by the network"
STYLEGAN = "a longer generated clip starts at its first frame in the source, here at random as reference clips do"
TORA = (
    "the weights, resize, covariance, number of clips and rate are not in the paper: here as fvd2048_16f",
    "which frames of longer clips: here consecutive, from a random one",
)


def _stylegan(name: str, frames: int, step: int = 1) -> FvdProtocol:
    title = f"StyleGAN-V, {frames} frames" + (f", every {step}th" if step > 1 else "")
    return FvdProtocol(
        name, title, frames, by_network, NETWORK, "population", step=step, span=frames * step, unknown=(STYLEGAN,)
    )


def _tora(frames: int) -> FvdProtocol:
    return FvdProtocol(
        f"tora-{frames}", f"Tora, {frames} frames", frames, by_network, NETWORK, "population", clips=None, unknown=TORA
    )


PROTOCOLS: tuple[FvdProtocol, ...] = (
    _stylegan("fvd2048_16f", 16),
    _stylegan("fvd2048_128f", 128),
    _stylegan("fvd2048_128f_subsample8f", 16, 8),
    FvdProtocol(
        "common_metrics", "common_metrics_on_video_quality", None, shorter_side,
        "shorter side, bilinear, middle", "sample", start="first", clips=None,
    ),
    FvdProtocol(
        "cd-fvd", "Content-debiased FVD", 16, filtered_256,
        "shorter side to 256, bilinear, antialiased, middle, whole numbers; then bilinear", "population",
        unknown=("a set with fewer than 2048 generated clips repeats them in the source, here it does not",),
    ),
    FvdProtocol(
        "svd", "Stable Video Diffusion, UCF-101", 16, ucf,
        "432x240, middle 320x240; then whole frame, by the network", "population", clips=13320, fps=25.0,
        unknown=(
            "the kernel of the resize: here bilinear, antialiased, rounded",
            "the place of the crop: here the middle",
            "the covariance: here as fvd2048_16f, whose network it uses",
            "whether clips of 320x240 are resized: here they are not",
        ),
    ),
    _tora(16),
    _tora(64),
    _tora(128),
)  # fmt: skip
BY_NAME = {each.name: each for each in PROTOCOLS} | {"stylegan-v": PROTOCOLS[0]}
DEFAULT = "fvd2048_16f"


def fvd_protocol(name: str | None) -> FvdProtocol:
    """The protocol of this name; the default for None. RequestError for others."""
    found = BY_NAME.get(name or DEFAULT)
    if found is None:
        raise RequestError(
            f"No protocol {name!r} of the Frechet video distance.", field="protocol", value=name,
            legal=", ".join(BY_NAME), nearest=nearest(name or "", list(BY_NAME)),
        )  # fmt: skip
    return found
