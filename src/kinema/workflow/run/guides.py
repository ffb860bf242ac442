"""Nodes that join pictures to words: each becomes conditions and options of a request, and an empty latent."""

from __future__ import annotations

from typing import Any

from ...core.errors import RequestError
from .described import Describe, Describing, Given
from .descriptions import Conditioning, Joined, LatentClip, MediaUse
from .values import Pictures

GRAY = 0.5


def _joined(given: Given, guide: Joined, latent: LatentClip, *more: Any) -> tuple[Any, ...]:
    return given["positive"].joined(guide), given["negative"].joined(guide), latent, *more


def _latent(given: Given, references: int = 0) -> LatentClip:
    return LatentClip(
        given["width"], given["height"], given["length"], references, batch=int(given.get("batch_size", 1))
    )  # fmt: skip


def _still(graph: Describing, node: str, given: Given, name: str, at: str) -> dict[str, Any]:
    """One picture as a frame of the clip."""
    if given[name].count > 1:
        raise RequestError(f"its input {name} has {given[name].count} pictures.", field="workflow", legal="1 picture")
    return {"kind": "image", "at": at, "image": MediaUse(given[name], graph.link(node, name))}


def image_to_video(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    conditions = [_still(graph, node, given, "start_image", "first")] if "start_image" in given else []
    return _joined(given, Joined(node, tuple(conditions)), _latent(given))


def first_and_last(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    """WanFirstLastFrameToVideo, WanFunInpaintToVideo."""
    places = (("start_image", "first"), ("end_image", "last"))
    conditions = [_still(graph, node, given, name, at) for name, at in places if name in given]
    return _joined(given, Joined(node, tuple(conditions)), _latent(given))


def vace(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    """WanVaceToVideo. A control clip without masks may be shorter; with masks it is gray after its end, and masks are 1
    after theirs. Masks alone lie on gray."""
    conditions: list[dict[str, Any]] = []
    control, masks, reference = (given.get(name) for name in ("control_video", "control_masks", "reference_image"))
    if control is not None:
        pad = None if masks is None else GRAY
        media = MediaUse(control, graph.link(node, "control_video"), is_clip=True, pad=pad)
        conditions.append({"kind": "source", "video": media})
    elif masks is not None:
        gray = Pictures(masks.count, masks.height, masks.width, 3, masks.blocks)
        media = MediaUse(gray, graph.link(node, "control_masks"), is_clip=True, pad=GRAY, empty=True)
        conditions.append({"kind": "source", "video": media})
    if masks is not None:
        media = MediaUse(masks, graph.link(node, "control_masks"), is_clip=True, pad=1.0)
        conditions.append({"kind": "mask", "video": media, "fill": "source"})
    if reference is not None:
        media = MediaUse(reference, graph.link(node, "reference_image"))
        conditions.append({"kind": "reference", "images": [media]})
    strength = float(given.get("strength", 1.0))
    options = {"conditioning_scale": [strength], "vace_split": "soft", "motion_words": "text"}
    references = int(reference is not None)
    return _joined(given, Joined(node, tuple(conditions), options), _latent(given, references), references)


def stable_video_diffusion(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    """The frame rate is a condition here; the file's own may differ. There are no words."""
    first = {"kind": "image", "at": "first", "image": MediaUse(given["init_image"], graph.link(node, "init_image"))}
    guide = Joined(
        node, (first,),
        {"motion": given["motion_bucket_id"], "augmentation": float(given["augmentation_level"])},
        {"fps": float(given["fps"])},
    )  # fmt: skip
    conditioning = Conditioning(None, (guide,))
    return conditioning, conditioning, LatentClip(given["width"], given["height"], given["video_frames"])


GUIDES: dict[str, Describe] = {
    "WanImageToVideo": image_to_video, "WanFirstLastFrameToVideo": first_and_last,
    "WanFunInpaintToVideo": first_and_last, "WanVaceToVideo": vace,
    "SVD_img2vid_Conditioning": stable_video_diffusion,
}  # fmt: skip
