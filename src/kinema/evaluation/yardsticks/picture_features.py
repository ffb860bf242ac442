"""Features of a clip's frames, shared by the yardsticks of one process: several ask for the same frames in turn."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING

import numpy as np

from .contract import YardstickSettings

if TYPE_CHECKING:
    from ...features.picture_encoder import FrameEncoder
    from ...features.text_and_pictures import TextAndPictures

_LAST: dict[tuple[str, bytes], np.ndarray] = {}
"""Features of the last clips, by weights and pixels."""
_KEPT = 4


def pictures_name(settings: YardstickSettings) -> str:
    """The encoder of text and pictures: the chosen one, else CLIP ViT-B/32 if it is on this machine, else mini-clip."""
    from ...features.picture_encoder import at_hand
    from ...features.text_and_pictures import DEFAULT, MINI

    return settings.pictures or (DEFAULT if at_hand(DEFAULT) else MINI)


def subject_name(settings: YardstickSettings) -> str:
    """The encoder that compares subjects: DINO if it is on this machine, else that of `pictures_name`."""
    from ...features.picture_encoder import DINO, at_hand

    return f"dino:{DINO}" if at_hand(DINO) else pictures_name(settings)


@functools.lru_cache(maxsize=2)
def text_and_pictures_of(name: str, device: str) -> TextAndPictures:
    """The encoder of that name, loaded once. Raises WeightsMissing, ModelError."""
    from ...features.text_and_pictures import text_and_pictures

    return text_and_pictures(name, device)


@functools.lru_cache(maxsize=2)
def picture_encoder_of(name: str, device: str) -> FrameEncoder:
    """As `text_and_pictures_of`, for encoders of pictures alone too."""
    from ...features.picture_encoder import picture_encoder

    return picture_encoder(name, device) if name.startswith("dino:") else text_and_pictures_of(name, device)


def vectors_of(encoder: FrameEncoder, frames_FHWC: np.ndarray) -> np.ndarray:
    """Unit vectors (F, D) of a clip's frames."""
    frames_FHWC = np.ascontiguousarray(frames_FHWC)
    digest = hashlib.sha256(str(frames_FHWC.shape).encode())
    digest.update(frames_FHWC.data)
    key = (encoder.digest, digest.digest())
    if key not in _LAST:
        found = encoder.pictures(frames_FHWC)
        if len(_LAST) >= _KEPT:
            del _LAST[next(iter(_LAST))]
        _LAST[key] = found
    return _LAST[key]
