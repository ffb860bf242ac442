"""Encoders of clips for Frechet distances and the like: I3D, VideoMAE, and kinema-mini-i3d, a tiny one.

Legend: B clips, F frames, H W pixels, D features.

Sources: Carreira and Zisserman, "Quo vadis, action recognition?", 2017, arXiv 1705.07750 (I3D; FVD reads its 400
logits: Unterthiner and others, 2018, arXiv 1812.01717); Tong and others, "VideoMAE", 2022, arXiv 2203.12602.
kinema-mini-i3d is a small 3-D convolutional network trained on Toyland's motions (recipes/mini_i3d.py): its
distances compare only with each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..core.errors import ModelError, RequestError, WeightsMissing
from ..core.near import nearest
from ..weights import local
from .text_and_pictures import digest_of, weights_of

MINI = "mini-i3d"
KINETICS_CLASSES = 400
I3D_SOURCE = "i3d_torchscript.pt, the TorchScript file of common FVD implementations (StyleGAN-V's page links to it)"


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
    """Load an encoder: `mini-i3d` (shipped), `i3d:FILE` (TorchScript), `videomae:MODEL` (a folder or hub id of
    transformers). Nothing is fetched. Raises RequestError for other names, WeightsMissing, ModelError."""
    kind, _, model = name.partition(":")
    if kind not in ENCODERS:
        raise RequestError(
            f"No video encoder {name!r}.", field="encoder", value=name, legal=LEGAL, nearest=nearest(kind, ENCODERS)
        )
    return ENCODERS[kind](name, model, device)


class TorchScriptI3d:
    """I3D as a TorchScript file: a function of (B, 3, F, H, W) with the arguments rescale, resize, return_features that
    returns 400 logits. The file's code runs in TorchScript's interpreter, not in Python."""

    size_px, least_frames, resize = 224, 10, "whole frame, bilinear, by the network's file"
    num_frames: int | None = None

    def __init__(self, name: str, model: str, device: str = "cpu") -> None:
        import torch

        file = Path(model).expanduser()
        if not model or not file.is_file():
            raise WeightsMissing(
                f"I3D requires encoder i3d:FILE, with {I3D_SOURCE}. No such file: {model or 'none given'}."
            )
        self.name, self.place = name, torch.device(device)
        try:
            self.network: Any = torch.jit.load(str(file), map_location=self.place).eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelError(
                f"{file}: not a TorchScript file ({(str(error).splitlines() or [''])[0][:200]})."
            ) from None
        with file.open("rb") as stream:
            self.digest = hashlib.file_digest(stream, "sha256").hexdigest()

    def __call__(self, frames_BFHWC: np.ndarray) -> np.ndarray:
        import torch

        x = as_network_input(frames_BFHWC, self.least_frames).to(self.place)
        ready = x.shape[-2:] == (self.size_px, self.size_px)
        with torch.inference_mode():
            found = self.network(x / 127.5 - 1, rescale=False, resize=not ready, return_features=True)
        features: np.ndarray = found.double().cpu().numpy()
        return features


class VideoMae:
    """VideoMAE of transformers: 16 frames, the mean of the last hidden states."""

    num_frames: int | None = 16

    def __init__(self, name: str, model: str, device: str = "cpu") -> None:
        import torch
        from transformers import VideoMAEModel

        from ..weights.residency import Residency

        folder = weights_of(model or "MCG-NJU/videomae-base", "This video encoder")
        self.name, self.place = name, torch.device(device)
        self.network = local.load(VideoMAEModel, folder)
        Residency(self.place, [self.network], staged=False)
        config = self.network.config
        self.size_px, self.num_frames = int(config.image_size), int(config.num_frames)
        self.least_frames, self.resize = self.num_frames, "whole frame, bilinear with antialiasing"
        self.digest = digest_of(folder)
        self.mean, self.std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def __call__(self, frames_BFHWC: np.ndarray) -> np.ndarray:
        import torch

        if frames_BFHWC.ndim == 5 and frames_BFHWC.shape[1] != self.num_frames:
            raise ValueError(f"{self.name} takes {self.num_frames} frames, got {frames_BFHWC.shape[1]}")
        x = resized(as_network_input(frames_BFHWC, self.least_frames).to(self.place) / 255, self.size_px)
        mean, std = (torch.tensor(value, device=self.place).view(3, 1, 1, 1) for value in (self.mean, self.std))
        with torch.inference_mode():
            found = self.network(((x - mean) / std).transpose(1, 2)).last_hidden_state.mean(1)
        features: np.ndarray = found.double().cpu().numpy()
        return features


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
    MINI: MiniI3d, "i3d": TorchScriptI3d, "videomae": VideoMae,
}  # fmt: skip
LEGAL = "mini-i3d, i3d:FILE, videomae:MODEL"


def as_network_input(frames_BFHWC: np.ndarray, least_frames: int) -> Any:
    """Frames as a float32 tensor in [0, 255], (B, 3, F, H, W). Raises ValueError for anything but RGB clips, uint8 or
    float32, of at least that many frames."""
    import torch

    array = frames_BFHWC
    if array.ndim != 5 or array.shape[-1] != 3 or array.dtype not in (np.uint8, np.float32) or not len(array):
        raise ValueError(f"expected uint8 or float32 clips (B, F, H, W, 3), got {array.dtype} {array.shape}")
    if array.shape[1] < least_frames:
        raise ValueError(f"expected clips of at least {least_frames} frames, got {array.shape[1]}")
    return torch.from_numpy(np.ascontiguousarray(array)).permute(0, 4, 1, 2, 3).float()


def resized(x_BCFHW: Any, side: int) -> Any:
    """Whole frames resized to a square, bilinear with antialiasing."""
    import torch

    if x_BCFHW.shape[-2:] == (side, side):
        return x_BCFHW
    batch, _channels, frames = x_BCFHW.shape[:3]
    flat = x_BCFHW.transpose(1, 2).flatten(0, 1)
    flat = torch.nn.functional.interpolate(flat, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return flat.unflatten(0, (batch, frames)).transpose(1, 2)
