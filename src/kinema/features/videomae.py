"""VideoMAE of transformers as an encoder of clips. Legend: B clips, F frames, H W pixels, D width.

Source: Tong and others, "VideoMAE", 2022, arXiv 2203.12602. For video distances: Ge and others, "On the content bias in
Frechet video distance", 2024, arXiv 2404.12391. They use VideoMAE-v2's giant network fine-tuned on Something-Something,
which transformers does not have: their numbers and these cannot be compared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ModelError
from ..core.outside import parse_json
from ..weights import local
from .clip_input import as_network_input, resized
from .text_and_pictures import digest_of, weights_of

DEFAULT = "MCG-NJU/videomae-base"
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of its published image processors, where a folder has none of its own."""


class VideoMae:
    """The mean of the last states of all tokens; after its norm where the checkpoint is a classifier, which has one."""

    resize = "whole frame, bilinear with antialiasing"
    num_frames: int | None

    def __init__(self, name: str, model: str, device: str = "cpu") -> None:
        """model: a folder or hub id. Raises WeightsMissing, ModelError."""
        import torch
        from transformers import VideoMAEForVideoClassification, VideoMAEModel

        from ..weights.residency import Residency

        folder = weights_of(model or DEFAULT, "This video encoder")
        classifier = "VideoMAEForVideoClassification" in _json(folder / "config.json").get("architectures", [])
        whole = local.load(VideoMAEForVideoClassification if classifier else VideoMAEModel, folder)
        self.network: Any = whole.videomae if classifier else whole
        self.norm: Any = whole.fc_norm if classifier else None
        self.name, self.place = name, torch.device(device)
        Residency(self.place, [whole], staged=False)
        config = self.network.config
        self.size_px, self.num_frames = int(config.image_size), int(config.num_frames)
        self.least_frames = int(config.num_frames)
        self.digest = digest_of(folder)
        processor = folder / "preprocessor_config.json"
        settings = _json(processor) if processor.is_file() else {}
        self.mean = _three(settings.get("image_mean", MEAN), processor)
        self.spread = _three(settings.get("image_std", SPREAD), processor)

    def __call__(self, frames_BFHWC: np.ndarray) -> np.ndarray:
        """Features (B, D), float64. frames: RGB, uint8 or float32 in [0, 255], num_frames of each clip."""
        import torch

        if frames_BFHWC.ndim == 5 and frames_BFHWC.shape[1] != self.num_frames:
            raise ValueError(f"{self.name} takes {self.num_frames} frames, got {frames_BFHWC.shape[1]}")
        x_BCFHW = resized(as_network_input(frames_BFHWC, self.least_frames).to(self.place) / 255, self.size_px)
        mean, spread = (torch.tensor(each, device=self.place).view(3, 1, 1, 1) for each in (self.mean, self.spread))
        with torch.inference_mode():
            found = self.network(((x_BCFHW - mean) / spread).transpose(1, 2)).last_hidden_state.mean(1)
            found = found if self.norm is None else self.norm(found)
        features: np.ndarray = found.double().cpu().numpy()
        return features


def _json(file: Path) -> dict[str, Any]:
    try:
        return parse_json(file.read_bytes(), str(file), dict, error=ModelError)
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror or error}).") from None


def _three(value: Any, file: Path) -> tuple[float, ...]:
    numbers = isinstance(value, list | tuple) and all(isinstance(each, int | float) for each in value)
    if not numbers or len(value) != 3:
        raise ModelError(f"{file}: {json.dumps(value)[:100]} are not the values of three channels.")
    return tuple(map(float, value))
