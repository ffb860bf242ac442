"""Small films with known cuts: shots are soft textures that drift."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from kinema.core.chunk import Chunk
from kinema.media.write import write

FPS = 24.0


def shot(seed: int, num_frames: int, *, drift: float = 0.25, height: int = 48, width: int = 64) -> np.ndarray:
    """A texture of its own colours that moves by `drift` px a frame, uint8 RGB (F, H, W, 3)."""
    random = np.random.default_rng(seed)
    small_HWC = random.integers(0, 256, (6, 24, 3)).astype(np.float32)
    wide = cv2.resize(small_HWC, (width * 4, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    return np.stack([wide[:, int(k * drift) : int(k * drift) + width] for k in range(num_frames)])


def dissolved(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    share = np.linspace(0, 1, len(one) + 2)[1:-1, None, None, None]
    return (one * (1 - share) + other * share).round().astype(np.uint8)


def save(path: Path, frames_FHWC: np.ndarray, fps: float = FPS) -> Path:
    write(iter([Chunk(frames_FHWC, 0, fps)]), path)
    return path
