"""Read pictures with their alpha, unscaled and not composited: every frame that a picture file stores.

Legend: F frames, H W height and width. A picture has colours (uint8 RGB) and, if the file stores it, alpha (255 =
opaque). Frames have no times here; `read.read_chunks` returns an animation at its frame rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import MediaError
from .decode_pictures import picture_of
from .open import open_picture, sniff

_TURNED = (5, 6, 7, 8)
_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


@dataclass(frozen=True)
class StoredPictures:
    """The frames of a picture file. indices: of the frames as the file numbers them; those of another size than the
    first are left out."""

    path: Path
    width: int  # upright
    height: int
    has_alpha: bool
    indices: tuple[int, ...]

    def frames(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yield frames `start` to `stop`, upright: uint8 (H, W, 4) with alpha, else (H, W, 3). MediaError."""
        with open_picture(self.path) as image:
            for index in self.indices[start:stop]:
                image.seek(index)
                frame_HWC = _with_alpha(image) if self.has_alpha else _colors(image)
                if frame_HWC.shape[:2] != (self.height, self.width):
                    raise MediaError(f"{self.path}: changed while it was read.")
                yield frame_HWC


def stored_pictures(path: Path) -> StoredPictures:
    """Look at a picture file; pixels are not decoded, except to find out whether an animated WebP has alpha.
    MediaError: missing, damaged, too large, or not a picture."""
    if sniff(path) != "picture":
        raise MediaError(f"{path}: not a picture.")
    with open_picture(path) as image:
        width, height = image.size
        if image.getexif().get(0x0112) in _TURNED:
            width, height = height, width
        num = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        indices = tuple(range(num))
        if num > 1 and image.format == "TIFF":  # pages
            indices = tuple(index for index in range(num) if _size(image, index) == _size(image, 0))
            image.seek(0)
        return StoredPictures(path, width, height, _has_alpha(image), indices)


def _size(image: Any, index: int) -> tuple[int, int]:
    image.seek(index)
    size: tuple[int, int] = image.size
    return size


def _has_alpha(image: Any) -> bool:
    return image.mode in _ALPHA or "transparency" in image.info


def _with_alpha(image: Any) -> np.ndarray:
    from PIL import ImageOps

    return np.array(ImageOps.exif_transpose(image).convert("RGBA"))


def _colors(image: Any) -> np.ndarray:
    """Colours; pictures of 16 bits or floats are reduced to 8 as everywhere."""
    from PIL import ImageOps

    if image.mode.startswith(("I", "F")):
        return picture_of(image)
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))
