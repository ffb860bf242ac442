"""Nodes on pictures, masks and clips, by class: functions from a node's inputs to its outputs.

Inputs are values by the names that a prompt gives them ("resize_type.width", "images.image0"); missing ones have the
defaults of ComfyUI. Nothing is decoded or computed before the results' blocks are read. RequestError: values that are
not legal. MediaError: files that cannot be read, also while blocks are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import batch_nodes, compositing_nodes, loading_nodes, mask_nodes, tracking_nodes
from .values import Inputs

EvaluatedNode = Callable[[Mapping[str, Any], Inputs], tuple[Any, ...]]


def _passed(name: str) -> EvaluatedNode:
    """A node that writes or shows an input and hands it on; `saving_nodes` writes it."""
    return lambda inputs, files: (inputs[name],)


EVALUATED: Mapping[str, EvaluatedNode] = {
    "LoadImage": loading_nodes.load_image,
    "LoadVideo": loading_nodes.load_video,
    "GetVideoComponents": loading_nodes.get_video_components,
    "CreateVideo": loading_nodes.create_video,
    "ImageFromBatch": batch_nodes.image_from_batch,
    "RepeatImageBatch": batch_nodes.repeat_image_batch,
    "BatchImagesNode": batch_nodes.batch_images,
    "GetImageSize": batch_nodes.get_image_size,
    "ImageScale": batch_nodes.image_scale,
    "ResizeImageMaskNode": batch_nodes.resize_image_mask,
    "SolidMask": mask_nodes.solid_mask,
    "InvertMask": mask_nodes.invert_mask,
    "GrowMask": mask_nodes.grow_mask,
    "MaskToImage": mask_nodes.mask_to_image,
    "ImageToMask": mask_nodes.image_to_mask,
    "ImagePadForOutpaint": mask_nodes.image_pad_for_outpaint,
    "Canny": compositing_nodes.canny,
    "ImageCompositeMasked": compositing_nodes.image_composite_masked,
    "JoinImageWithAlpha": compositing_nodes.join_image_with_alpha,
    "SAM3_Detect": tracking_nodes.sam3_detect,
    "SaveVideo": _passed("video"),
    "SaveImage": _passed("images"),
    "PreviewImage": _passed("images"),
    "MaskPreview": _passed("mask"),
}
"""The nodes that only pictures, masks and values go into; SAM3_Detect also gets a model, which is ignored, and words,
anything with a `text`."""
