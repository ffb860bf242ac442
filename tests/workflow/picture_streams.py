"""Pictures and masks for tests of nodes, and where nodes find and leave files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kinema.workflow.run.picture_nodes import EVALUATED
from kinema.workflow.run.values import BLOCK, Masks, Pictures


class Folder:
    """Inputs and outputs in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str, /) -> Path:
        return self.folder / name

    def reserve(self, prefix: str, suffix: str, kind: str, /) -> Path:
        base = self.folder / kind / prefix
        base.parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            path = base.with_name(f"{base.name}_{number:05}_{suffix}")
            if not path.exists():
                path.touch()
                return path
        raise AssertionError(prefix)


def in_blocks(frames: np.ndarray, size: int = BLOCK):
    """Blocks of any size up to `size`, which need not be those of another stream."""

    def blocks(start, stop):
        for first in range(start, stop, size):
            yield frames[first : min(stop, first + size)]

    return blocks


def pictures(frames_FHWC: np.ndarray, size: int = BLOCK) -> Pictures:
    frames_FHWC = frames_FHWC.astype(np.float32)
    count, height, width, channels = frames_FHWC.shape
    return Pictures(count, height, width, channels, in_blocks(frames_FHWC, size))


def masks(masks_FHW: np.ndarray, size: int = BLOCK) -> Masks:
    masks_FHW = masks_FHW.astype(np.float32)
    return Masks(*masks_FHW.shape, in_blocks(masks_FHW, size))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Values k / 255, so that bytes hold them exactly."""
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32) / np.float32(255)


def read(stream, start: int = 0, stop: int | None = None) -> np.ndarray:
    """All frames of a range, with the stream's promises checked."""
    stop = stream.count if stop is None else stop
    found = list(stream.blocks(start, stop))
    assert all(0 < len(each) <= BLOCK and each.dtype == np.float32 for each in found)
    whole = np.concatenate(found)
    shape = (stream.height, stream.width) + ((stream.channels,) if isinstance(stream, Pictures) else ())
    assert whole.shape == (stop - start, *shape)
    assert whole.min() >= 0 and whole.max() <= 1
    return whole


def run(kind: str, files=None, **inputs):
    """The outputs of a node; "_" in a name stands for a dot if the name has two parts ("resize_type__width")."""
    return EVALUATED[kind]({name.replace("__", "."): value for name, value in inputs.items()}, files)
