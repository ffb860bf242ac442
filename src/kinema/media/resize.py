"""Resize frames. Legend: F pixel frames, H W height and width, C channels."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from ..core.errors import RequestError

How = Literal["cover", "contain", "stretch", "crop"]
Resample = Literal["lanczos", "bicubic", "nearest"]


def resize_frames(
    frames_FHWC: np.ndarray,
    height: int,
    width: int,
    how: How = "cover",
    resample: Resample = "lanczos",
    pad_color: tuple[int, int, int] = (0, 0, 0),
) -> np.ndarray:
    """Resize uint8 frames, shape (F, H, W, 3), or one picture, shape (H, W, 3), to `height` x `width`.

    how   "cover": scale to fill the target, and crop evenly.
          "contain": scale to fit inside, and fill the rest with `pad_color`.
          "stretch": scale both sides independently.   "crop": take the centre, unscaled.

    Frames of one colour keep that colour exactly. RequestError for an unknown option, a size below 1, or a crop larger
    than the frames."""
    for field, value, words in (("how", how, get_args(How)), ("resample", resample, get_args(Resample))):
        if value not in words:
            raise RequestError(f"Unknown {field} {value!r}.", field=field, value=value, legal=", ".join(words))
    if height < 1 or width < 1:
        raise RequestError(
            f"The size must be 1 x 1 pixels or more, got {width} x {height}.", field="size", value=[height, width],
            legal="1 x 1 and up",
        )  # fmt: skip
    if frames_FHWC.ndim == 3:
        return resize_frames(frames_FHWC[None], height, width, how, resample, pad_color)[0]
    old_height, old_width = frames_FHWC.shape[1:3]
    if how == "crop":
        return _middle(frames_FHWC, height, width)
    if how == "stretch":
        return _scaled(frames_FHWC, height, width, resample, None)
    down, across = height / old_height, width / old_width
    if how == "contain":
        scale = min(down, across)
        inner = (min(height, max(1, round(old_height * scale))), min(width, max(1, round(old_width * scale))))
        out_FHWC = np.empty((len(frames_FHWC), height, width, 3), np.uint8)
        out_FHWC[:] = np.array(pad_color, np.uint8)
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        out_FHWC[:, top : top + inner[0], left : left + inner[1]] = _scaled(frames_FHWC, *inner, resample, None)
        return out_FHWC
    # cover: crop the source to the target's aspect ratio (in fractions of a pixel) and scale it, in one step
    scale = max(down, across)
    kept_height, kept_width = min(old_height, height / scale), min(old_width, width / scale)
    top, left = (old_height - kept_height) / 2, (old_width - kept_width) / 2
    return _scaled(frames_FHWC, height, width, resample, (left, top, left + kept_width, top + kept_height))


def _middle(frames_FHWC: np.ndarray, height: int, width: int) -> np.ndarray:
    old_height, old_width = frames_FHWC.shape[1:3]
    if height > old_height or width > old_width:
        raise RequestError(
            f"Cannot crop {width} x {height} from {old_width} x {old_height}.",
            field="size",
            value=[height, width],
            legal=f"up to {old_width} x {old_height}",
            nearest=[min(height, old_height), min(width, old_width)],
        )
    top, left = (old_height - height) // 2, (old_width - width) // 2
    return frames_FHWC[:, top : top + height, left : left + width].copy()


def _scaled(
    frames_FHWC: np.ndarray,
    height: int,
    width: int,
    resample: Resample,
    box: tuple[float, float, float, float] | None,
) -> np.ndarray:
    from PIL import Image

    if frames_FHWC.shape[1:3] == (height, width) and box in (None, (0, 0, width, height)):
        return frames_FHWC.copy()
    kernel = Image.Resampling[resample.upper()]
    out_FHWC = np.empty((len(frames_FHWC), height, width, 3), np.uint8)
    for k, frame_HWC in enumerate(frames_FHWC):
        image = Image.fromarray(np.ascontiguousarray(frame_HWC))
        out_FHWC[k] = np.asarray(image.resize((width, height), kernel, box=box))
    return out_FHWC
