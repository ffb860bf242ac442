"""Nodes that make and change masks, and turn them into pictures and back.

Legend: F frames, H W height and width, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.errors import RequestError
from .streams import check_size, constant, mapped
from .values import Inputs, Masks, Pictures

CHANNELS = ("red", "green", "blue", "alpha")


def solid_mask(inputs: Mapping[str, Any], files: Inputs) -> tuple[Masks]:
    """SolidMask: one frame of one value."""
    width, height = int(inputs.get("width", 512)), int(inputs.get("height", 512))
    check_size(width, height)
    value = np.float32(min(1.0, max(0.0, float(inputs.get("value", 1.0)))))

    def blocks(start: int, stop: int) -> Iterator[np.ndarray]:
        if start < stop:
            yield np.full((stop - start, height, width), value, np.float32)

    return (Masks(1, height, width, blocks),)


def invert_mask(inputs: Mapping[str, Any], files: Inputs) -> tuple[Masks]:
    """InvertMask: 1 - mask."""
    return (_changed(inputs["mask"], lambda block_FHW: 1 - block_FHW),)


def grow_mask(inputs: Mapping[str, Any], files: Inputs) -> tuple[Masks]:
    """GrowMask: `expand` steps of the brightest of the neighbours, or, below 0, of the darkest. tapered_corners: the
    neighbours are the four nearest, else eight."""
    import cv2

    mask: Masks = inputs["mask"]
    expand = int(inputs.get("expand", 0))
    shape = cv2.MORPH_CROSS if bool(inputs.get("tapered_corners", True)) else cv2.MORPH_RECT
    kernel = cv2.getStructuringElement(shape, (3, 3))
    steps = min(abs(expand), mask.height + mask.width)  # more change nothing
    change = cv2.dilate if expand > 0 else cv2.erode

    def grown(block_FHW: np.ndarray) -> np.ndarray:
        found = [change(np.ascontiguousarray(mask_HW), kernel, iterations=steps) for mask_HW in block_FHW]
        return np.stack(found).astype(np.float32, copy=False)

    return (_changed(mask, grown) if steps else mask,)


def mask_to_image(inputs: Mapping[str, Any], files: Inputs) -> tuple[Pictures]:
    """MaskToImage: gray pictures."""
    mask: Masks = inputs["mask"]

    def gray(block_FHW: np.ndarray) -> np.ndarray:
        return np.repeat(block_FHW[..., None], 3, axis=-1)

    return (Pictures(mask.count, mask.height, mask.width, 3, mapped(mask, gray, mask.height, mask.width)),)


def image_to_mask(inputs: Mapping[str, Any], files: Inputs) -> tuple[Masks]:
    """ImageToMask: one channel. RequestError: alpha of pictures without it."""
    image: Pictures = inputs["image"]
    channel = str(inputs.get("channel", "red"))
    legal = CHANNELS[: image.channels]
    if channel not in legal:
        raise RequestError(f"ImageToMask: channel = {channel}, but the picture has {image.channels} channels.",
                           field="channel", value=channel, legal=", ".join(legal))  # fmt: skip
    index = CHANNELS.index(channel)
    blocks = mapped(image, lambda block_FHWC: np.ascontiguousarray(block_FHWC[..., index]), image.height, image.width)
    return (Masks(image.count, image.height, image.width, blocks),)


def image_pad_for_outpaint(inputs: Mapping[str, Any], files: Inputs) -> tuple[Pictures, Masks]:
    """ImagePadForOutpaint: a gray border, and a mask of one frame: 1 in the border, falling to 0 over `feathering`
    pixels inside, next to the sides with a border. Pictures not larger than twice the feathering have none."""
    image: Pictures = inputs["image"]
    left, top, right, bottom = (int(inputs.get(side, 0)) for side in ("left", "top", "right", "bottom"))
    if min(left, top, right, bottom) < 0:
        raise RequestError(f"A border of {left}, {top}, {right}, {bottom} pixels.", field="left", legal="0 and up")
    height, width = image.height + top + bottom, image.width + left + right
    check_size(width, height)

    def bordered(block_FHWC: np.ndarray) -> np.ndarray:
        return np.pad(block_FHWC, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=0.5)

    mask_HW = np.ones((height, width), np.float32)
    inside = slice(top, top + image.height), slice(left, left + image.width)
    feathering = int(inputs.get("feathering", 40))
    mask_HW[inside] = feathered(image.height, image.width, feathering, (left > 0, top > 0, right > 0, bottom > 0))
    pictures = replace(image, height=height, width=width, blocks=mapped(image, bordered, height, width))
    return pictures, constant(mask_HW)


def feathered(height: int, width: int, feathering: int, sides: tuple[bool, bool, bool, bool]) -> np.ndarray:
    """((f - d) / f)^2 at a distance of d pixels from the nearest of the chosen sides (left, top, right, bottom), 0 from
    f pixels on. float32 (H, W)."""
    if feathering <= 0 or 2 * feathering >= min(height, width):
        return np.zeros((height, width), np.float32)
    left, top, right, bottom = sides
    rows, columns = np.arange(height), np.arange(width)
    far = np.full(1, max(height, width))
    down = np.minimum(rows if top else far, height - rows if bottom else far)
    across = np.minimum(columns if left else far, width - columns if right else far)
    distance_HW = np.minimum(np.broadcast_to(down, height)[:, None], np.broadcast_to(across, width)[None])
    return (np.maximum(0, feathering - distance_HW) / feathering).astype(np.float32) ** 2


def _changed(mask: Masks, function: Any) -> Masks:
    return replace(mask, blocks=mapped(mask, function, mask.height, mask.width))
