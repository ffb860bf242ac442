"""Nodes that combine pictures with pictures and masks, and find edges.

Legend: F frames, H W height and width, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.errors import RequestError
from .batch_nodes import with_channels
from .canny import canny_edges
from .resize import common_upscale
from .streams import mapped, num_of_block, paired, pieces, repeated
from .values import Inputs, Masks, Pictures


def canny(inputs: Mapping[str, Any], files: Inputs) -> tuple[Pictures]:
    """Canny: white edges on black. RequestError: a low threshold above the high one."""
    image: Pictures = inputs["image"]
    low, high = float(inputs.get("low_threshold", 0.4)), float(inputs.get("high_threshold", 0.8))
    if low > high:
        raise RequestError(f"Canny: low_threshold = {low:g} with high_threshold = {high:g}.", field="low_threshold",
                           value=low, legal="at most the high threshold")  # fmt: skip

    def edges(block_FHWC: np.ndarray) -> np.ndarray:
        return np.repeat(canny_edges(block_FHWC, low, high)[..., None], 3, axis=-1)

    return (replace(image, channels=3, blocks=mapped(image, edges, image.height, image.width)),)


def image_composite_masked(inputs: Mapping[str, Any], files: Inputs) -> tuple[Pictures]:
    """ImageCompositeMasked: source over destination at (x, y), as far as the mask says, as many frames as the
    destination has; shorter sources and masks start again. The mask is stretched to the source, and the source, with
    resize_source, to the destination."""
    destination: Pictures = inputs["destination"]
    source: Pictures = with_channels(inputs["source"], destination.channels)
    mask: Masks | None = inputs.get("mask")
    height, width, count = destination.height, destination.width, destination.count
    if bool(inputs.get("resize_source", False)):
        source = common_upscale(source, width, height, "bilinear", "disabled")
    left = max(-source.width, min(int(inputs.get("x", 0)), width))
    top = max(-source.height, min(int(inputs.get("y", 0)), height))
    if mask is not None:
        mask = repeated(common_upscale(mask, source.width, source.height, "bilinear", "disabled"), count)
    source = repeated(source, count)
    rows, columns = (
        slice(max(0, top), min(height, top + source.height)),
        slice(max(0, left), min(width, left + source.width)),
    )
    own = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    num = min(num_of_block(each.height, each.width) for each in (destination, source))

    def blocks(start: int, stop: int) -> Iterator[np.ndarray]:
        given = [pieces(each.blocks(start, stop), num) for each in (destination, source, mask) if each is not None]
        try:
            for below_FHWC, above_FHWC, *share in zip(*given):
                out_FHWC = below_FHWC.copy()
                place = (slice(None), rows, columns)
                above_FHWC = above_FHWC[:, own[0], own[1]]
                if share:
                    share_FHW1 = share[0][:, own[0], own[1], None]
                    out_FHWC[place] = share_FHW1 * above_FHWC + (1 - share_FHW1) * below_FHWC[place]
                else:
                    out_FHWC[place] = above_FHWC
                yield out_FHWC
        finally:
            for each in given:
                each.close()  # type: ignore[attr-defined]

    return (replace(destination, blocks=blocks),)


def join_image_with_alpha(inputs: Mapping[str, Any], files: Inputs) -> tuple[Pictures]:
    """JoinImageWithAlpha: a channel of 1 - mask, as many frames as the longer has; the shorter starts again."""
    image: Pictures = with_channels(inputs["image"], 3)
    mask: Masks = common_upscale(inputs["alpha"], image.width, image.height, "bilinear", "disabled")
    count = max(image.count, mask.count)
    image, mask = repeated(image, count), repeated(mask, count)

    def with_alpha(block_FHWC: np.ndarray, mask_FHW: np.ndarray) -> np.ndarray:
        return np.concatenate([block_FHWC, (1 - mask_FHW)[..., None]], axis=-1)

    return (replace(image, channels=4, blocks=paired(image, mask, with_alpha)),)
