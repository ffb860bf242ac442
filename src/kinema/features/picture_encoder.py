"""Encoders of single pictures, to compare the frames of a clip with each other: DINO, or the picture half of a CLIP.

Legend: N frames, H W pixels, D features.

Source: Caron and others, "Emerging properties in self-supervised vision transformers", 2021, arXiv 2104.14294 (DINO);
VBench reads its class token for subject consistency (arXiv 2311.17982).
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..weights import local, store
from .text_and_pictures import BATCH, MINI, digest_of, text_and_pictures, weights_of

DINO = "facebook/dino-vitb16"
SHORT_PX = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FrameEncoder(Protocol):
    """name: as given. digest: SHA-256 of the weights."""

    name: str
    digest: str

    def pictures(self, frames_NHWC: np.ndarray) -> np.ndarray:
        """Unit vectors (N, D), float32, of uint8 RGB frames."""


def picture_encoder(name: str | None = None, device: str = "cpu") -> FrameEncoder:
    """Load an encoder: `dino:MODEL` (a ViT of transformers, folder or hub id), or any name of text_and_pictures. None:
    DINO if it is on this machine, else mini-clip. Nothing is fetched. Raises WeightsMissing, ModelError."""
    if name is None:
        name = f"dino:{DINO}" if at_hand(DINO) else MINI
    kind, _, model = name.partition(":")
    return Dino(name, model or DINO, device) if kind == "dino" else text_and_pictures(name, device)


def at_hand(model: str) -> bool:
    """Whether a network of transformers is on this machine."""
    folder = store.local_path(model)
    return folder is not None and (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


class Dino:
    """The class token of a vision transformer, of frames resized to a shorter side of 224 px without a crop."""

    def __init__(self, name: str, model: str, device: str = "cpu") -> None:
        import torch
        from transformers import ViTModel

        from ..weights.residency import Residency

        folder = weights_of(model, "Comparing frames by DINO")
        self.name, self.place = name, torch.device(device)
        self.network: Any = local.load(ViTModel, folder)
        Residency(self.place, [self.network], staged=False)
        self.digest = digest_of(folder)

    def pictures(self, frames_NHWC: np.ndarray) -> np.ndarray:
        import torch
        from torch.nn import functional as F

        mean, std = (torch.tensor(value, device=self.place).view(3, 1, 1) for value in (MEAN, STD))
        height, width = frames_NHWC.shape[1:3]
        scale = SHORT_PX / min(height, width)
        size = (round(height * scale), round(width * scale))
        parts = []
        for start in range(0, len(frames_NHWC), BATCH):
            part = torch.from_numpy(np.ascontiguousarray(frames_NHWC[start : start + BATCH]))
            x = part.to(self.place).permute(0, 3, 1, 2).float() / 255
            x = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
            with torch.inference_mode():
                found = self.network((x - mean) / std, interpolate_pos_encoding=True).last_hidden_state[:, 0]
            parts.append(F.normalize(found.float(), dim=-1).cpu().numpy())
        return np.concatenate(parts)
