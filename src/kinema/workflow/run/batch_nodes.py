"""Nodes that pick, repeat, join and measure batches, and resize them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.errors import RequestError
from .resize import common_upscale, resized_by, to_dimensions
from .streams import Stream, joined, mapped, picked, repeated
from .values import Inputs, Pictures


def image_from_batch(inputs: Mapping[str, Any], files: Inputs) -> tuple[Pictures]:
    """ImageFromBatch: `length` frames from `batch_index`; both are reduced to what the batch has."""
    image: Pictures = inputs["image"]
    start = min(max(0, int(inputs.get("batch_index", 0))), image.count - 1)
    return (picked(image, start, min(max(1, int(inputs.get("length", 1))), image.count - start)),)


def repeat_image_batch(inputs: Mapping[str, Any], files: Inputs) -> tuple[Pictures]:
    """RepeatImageBatch: the batch `amount` times."""
    image: Pictures = inputs["image"]
    return (repeated(image, image.count * int(inputs.get("amount", 1))),)


def batch_images(inputs: Mapping[str, Any], files: Inputs) -> tuple[Pictures]:
    """BatchImagesNode: all frames of all inputs, resized to the first (bilinear, cut in the middle). If one has alpha,
    all have: 1, opaque."""
    names = sorted((name for name in inputs if name.startswith("images.")), key=_number)
    given: list[Pictures] = [inputs[name] for name in names if inputs[name] is not None]
    if not given:
        raise RequestError("BatchImagesNode has no pictures.", field="images", legal="one picture and more")
    first, channels = given[0], max(each.channels for each in given)
    same = [
        each if (each.height, each.width) == (first.height, first.width)
        else common_upscale(each, first.width, first.height, "bilinear", "center")
        for each in given
    ]  # fmt: skip
    return (joined([with_channels(each, channels) for each in same]),)


def _number(name: str) -> int:
    digits = "".join(sign for sign in name if sign.isdecimal())
    return int(digits or 0)


def with_channels(pictures: Pictures, channels: int) -> Pictures:
    """3 or 4 channels: alpha is dropped, or added as 1."""
    if pictures.channels == channels:
        return pictures

    def changed(block_FHWC: np.ndarray) -> np.ndarray:
        if channels < pictures.channels:
            return block_FHWC[..., :channels]
        return np.pad(block_FHWC, ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=1)

    return replace(
        pictures, channels=channels, blocks=mapped(pictures, changed, pictures.height, pictures.width)
    )  # fmt: skip


def get_image_size(inputs: Mapping[str, Any], files: Inputs) -> tuple[int, int, int]:
    """GetImageSize: width, height, frames."""
    image: Pictures = inputs["image"]
    return image.width, image.height, image.count


def image_scale(inputs: Mapping[str, Any], files: Inputs) -> tuple[Pictures]:
    """ImageScale: a side of 0 follows from the aspect ratio."""
    method, crop = str(inputs.get("upscale_method", "nearest-exact")), str(inputs.get("crop", "disabled"))
    size = int(inputs.get("width", 512)), int(inputs.get("height", 512))
    return (to_dimensions(inputs["image"], *size, method, crop),)


def resize_image_mask(inputs: Mapping[str, Any], files: Inputs) -> tuple[Stream]:
    """ResizeImageMaskNode, all of its types."""
    source: Stream = inputs["input"]
    return (resized_by(source, inputs),)
