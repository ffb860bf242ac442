"""What the learners of text-to-video models with one text encoder share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class TextLearner:
    """The engine's network, the states of captions, and samples. A subclass encodes clips and makes the task."""

    def __init__(self, engine: Any, base: str, device: str, frames: int, fps: float) -> None:
        self.engine, self.family, self.device = engine, engine.family, device
        self.network = self.family.parts.transformer
        self.family.parts.vae.to(device)
        self.cache: dict[str, Tensor] = {}

    @torch.no_grad()
    def states(self, captions: list[str]) -> Tensor:
        """Encode captions to (B, L, D), with a cache."""
        for caption in captions:
            if caption not in self.cache:
                self.cache[caption] = self.family.text_states(caption)[0].clone().cpu()
        return torch.stack([self.cache[caption] for caption in captions]).to(self.device)

    def sample(self, caption: str, picture: str, **fields: Any) -> np.ndarray:
        found: np.ndarray = self.engine.generate(caption, **fields).frames()
        return found
