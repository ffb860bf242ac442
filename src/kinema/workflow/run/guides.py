"""Nodes that join pictures to words: each becomes conditions and options of a request, and an empty latent."""

from __future__ import annotations

from typing import Any

from ...core.errors import RequestError
from .described import Describe, Describing, Given
from .descriptions import Joined, LatentClip, MediaUse


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
    for name in ("control_video", "control_masks"):
        if name in given:
            raise RequestError(f"its input {name}.", field="workflow", legal="no link")
    conditions: list[dict[str, Any]] = []
    if "reference_image" in given:
        media = MediaUse(given["reference_image"], graph.link(node, "reference_image"), frames=1)
        conditions.append({"kind": "reference", "images": [media]})
    guide = Joined(node, tuple(conditions), {"conditioning_scale": [float(given.get("strength", 1.0))]})
    references = len(conditions)
    return _joined(given, guide, _latent(given, references), references)


def stable_video_diffusion(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    """The frame rate is a condition here; the file's own may differ. There are no words."""
    from .descriptions import Conditioning

    first = {"kind": "image", "at": "first", "image": MediaUse(given["init_image"], graph.link(node, "init_image"), 1)}
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
