"""Resize pictures and masks by ComfyUI's rule: an optional centre crop to the aspect ratio, then one of five methods.

The methods are those of `torch.nn.functional.interpolate` without antialiasing, with pixel centres at half pixels
(align_corners=False), and Lanczos of Pillow on 8-bit values. Legend: F frames, H W height and width, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.errors import RequestError
from .streams import Stream, check_size, mapped
from .values import Masks, Pictures

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
CROPS = ("disabled", "center")
MEGAPIXEL = 1024 * 1024


def common_upscale(source: Stream, width: int, height: int, method: str, crop: str) -> Stream:
    """Resize every frame to `width` x `height` pixels, also if it becomes smaller.

    crop: "center" first cuts the middle with the new aspect ratio; "disabled" stretches. Values stay in [0, 1].
    RequestError: an unknown method or crop, a size that is not legal.
    """
    for field, value, legal in (("scale_method", method, METHODS), ("crop", crop, CROPS)):
        if value not in legal:
            raise RequestError(f"{field} = {value!r}.", field=field, value=value, legal=", ".join(legal))
    check_size(width, height)
    rows, columns = centre(source.height, source.width, height, width) if crop == "center" else (slice(None),) * 2
    function = _by_pillow if method == "lanczos" else _by_torch
    is_mask = isinstance(source, Masks)

    def resized(block: np.ndarray) -> np.ndarray:
        block_FHWC = (block[..., None] if is_mask else block)[:, rows, columns]
        if method != "lanczos" and block_FHWC.shape[1:3] == (height, width):
            found = block_FHWC
        else:
            found = function(np.ascontiguousarray(block_FHWC), height, width, method)
        return found[..., 0] if is_mask else found

    return replace(source, height=height, width=width, blocks=mapped(source, resized, height, width))


def centre(height: int, width: int, new_height: int, new_width: int) -> tuple[slice, slice]:
    """Rows and columns of the middle of a picture that has the new aspect ratio. Margins are rounded (a half to even),
    and equal on both sides."""
    aspect, wanted = width / height, new_width / new_height
    left = round((width - width * (wanted / aspect)) / 2) if aspect > wanted else 0
    top = round((height - height * (aspect / wanted)) / 2) if aspect < wanted else 0
    # a picture far from the aspect ratio may leave nothing
    top, left = min(top, (height - 1) // 2), min(left, (width - 1) // 2)
    return slice(top, height - top), slice(left, width - left)


def _by_torch(block_FHWC: np.ndarray, height: int, width: int, method: str) -> np.ndarray:
    import torch

    frames = torch.from_numpy(block_FHWC).movedim(-1, 1)
    found = torch.nn.functional.interpolate(frames, size=(height, width), mode=method)
    if method == "bicubic":
        found = found.clamp_(0, 1)
    return found.movedim(1, -1).contiguous().numpy()


def _by_pillow(block_FHWC: np.ndarray, height: int, width: int, method: str) -> np.ndarray:
    from PIL import Image

    out_FHWC = np.empty((len(block_FHWC), height, width, block_FHWC.shape[-1]), np.float32)
    for frame_HWC, out_HWC in zip(to_uint8(block_FHWC), out_FHWC):
        image = Image.fromarray(frame_HWC[..., 0] if frame_HWC.shape[-1] == 1 else frame_HWC)
        resized = np.asarray(image.resize((width, height), Image.Resampling[method.upper()]))
        out_HWC[:] = resized.reshape(out_HWC.shape)
    return out_FHWC / np.float32(255)


def to_uint8(block: np.ndarray) -> np.ndarray:
    """float32 in [0, 1] as ComfyUI's bytes: clamped and truncated, not rounded."""
    return np.clip(block * np.float32(255), 0, 255).astype(np.uint8)


def resized_by(source: Stream, inputs: Mapping[str, Any]) -> Stream:
    """ResizeImageMaskNode: `resize_type` and its inputs say the size. RequestError: one that is not legal."""
    kind, method = str(inputs.get("resize_type", "scale dimensions")), str(inputs.get("scale_method", "area"))
    if kind not in _SIZES and kind not in ("scale dimensions", "match size", "scale to multiple"):
        raise RequestError(f"resize_type = {kind!r}.", field="resize_type", value=kind, legal=", ".join(
            ("scale dimensions", *_SIZES, "match size", "scale to multiple")))  # fmt: skip
    given = {name.removeprefix("resize_type."): value for name, value in inputs.items()}
    if kind == "scale to multiple":
        return _to_multiple(source, int(given.get("multiple", 8)), method)
    if kind == "match size":
        match: Pictures | Masks = given["match"]
        return common_upscale(source, match.width, match.height, method, str(given.get("crop", "center")))
    if kind == "scale dimensions":
        crop = str(given.get("crop", "center"))
        return to_dimensions(source, int(given.get("width", 512)), int(given.get("height", 512)), method, crop)
    return common_upscale(source, *_SIZES[kind](source.width, source.height, given), method, "disabled")


def to_dimensions(source: Stream, width: int, height: int, method: str, crop: str) -> Stream:
    """Resize to a size of which a side may be 0: it follows from the aspect ratio; both 0 change nothing."""
    if width == 0 and height == 0:
        return source
    if width == 0:
        width = max(1, round(source.width * height / source.height))
    elif height == 0:
        height = max(1, round(source.height * width / source.width))
    return common_upscale(source, width, height, method, crop)


def _to_multiple(source: Stream, multiple: int, method: str) -> Stream:
    """Both sides become multiples, the next below; the picture covers them and loses its edges."""
    if multiple < 1:
        raise RequestError(f"multiple = {multiple}.", field="multiple", value=multiple, legal="1 and up")
    width, height = source.width // multiple * multiple, source.height // multiple * multiple
    if (width, height) == (source.width, source.height) or not (width and height):
        return source
    scale = max(width / source.width, height / source.height)
    whole = max(width, math.ceil(source.width * scale - 1e-9)), max(height, math.ceil(source.height * scale - 1e-9))
    large = common_upscale(source, *whole, method, "disabled")
    left, top = (whole[0] - width) // 2, (whole[1] - height) // 2

    def cut(block: np.ndarray) -> np.ndarray:
        return block[:, top : top + height, left : left + width]

    return replace(large, width=width, height=height, blocks=mapped(large, cut, height, width))


def _times(width: int, height: int, factor: float) -> tuple[int, int]:
    return round(width * factor), round(height * factor)


def _side(width: int, height: int, side: int, is_width: bool) -> tuple[int, int]:
    """The size with one side given, in the same aspect ratio."""
    return (side, max(1, round(height * side / width))) if is_width else (max(1, round(width * side / height)), side)


_SIZES: Mapping[str, Callable[[int, int, Mapping[str, Any]], tuple[int, int]]] = {
    "scale by multiplier": lambda w, h, given: _times(w, h, float(given.get("multiplier", 1.0))),
    "scale longer dimension": lambda w, h, given: _side(w, h, int(given.get("longer_size", 512)), w >= h),
    "scale shorter dimension": lambda w, h, given: _side(w, h, int(given.get("shorter_size", 512)), w < h),
    "scale width": lambda w, h, given: _side(w, h, int(given.get("width", 512)), True),
    "scale height": lambda w, h, given: _side(w, h, int(given.get("height", 512)), False),
    "scale total pixels": lambda w, h, given: _times(
        w, h, math.sqrt(int(float(given.get("megapixels", 1.0)) * MEGAPIXEL) / (w * h))
    ),
}
