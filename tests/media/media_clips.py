"""Clips for the media tests: smooth moving colours, and measures on them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kinema.core.chunk import Chunk


def moving(num_frames: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Ordinary content: smooth colours with an edge that moves, uint8 (F, H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    frames = np.empty((num_frames, height, width, 3), np.uint8)
    for k in range(num_frames):
        waves = [np.sin((x + 2 * k) / 13), np.sin(y / 11 + 1), np.cos((x + y - k) / 17)]
        frames[k] = np.clip(127 + 110 * np.stack(waves, -1), 0, 255)
        left = (3 * k) % (width - 12)
        frames[k, height // 3 : 2 * height // 3, left : left + 12] = (230, 200, 40)
    return frames


def chunks(frames: np.ndarray, fps: float = 24, size: int = 5, start: int = 0, audio=None) -> Iterator[Chunk]:
    """The clip in chunks of `size` frames; `audio` (S, C) is cut to match."""
    for k in range(0, len(frames), size):
        part = frames[k : k + size]
        sound = None
        if audio is not None:
            sound = audio[round(k * 48000 / fps) : round((k + len(part)) * 48000 / fps)]
        yield Chunk(part, start + k, fps, sound)


def psnr(one: np.ndarray, two: np.ndarray) -> float:
    """dB between two uint8 clips of the same shape."""
    assert one.shape == two.shape
    error = np.mean((one.astype(np.float64) - two) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


PATCHES = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "gray": (128, 128, 128)}


def patches(num_frames: int = 3) -> np.ndarray:
    """Four flat fields of 32 x 32 side by side."""
    row = np.concatenate([np.full((32, 32, 3), color, np.uint8) for color in PATCHES.values()], axis=1)
    return np.repeat(row[None], num_frames, axis=0)


def patch_errors(frames: np.ndarray) -> dict[str, int]:
    """Largest error of each field away from its borders."""
    return {
        name: int(np.abs(frames[:, 6:26, 32 * k + 6 : 32 * k + 26].astype(int) - color).max())
        for k, (name, color) in enumerate(PATCHES.items())
    }
