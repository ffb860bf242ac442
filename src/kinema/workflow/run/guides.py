"""Nodes that join pictures to words: each becomes conditions and options of a request, and an empty latent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...core.errors import RequestError
from ...core.outside import parse_json
from .described import Describe, Describing, Given
from .descriptions import CameraUse, Conditioning, Joined, LatentClip, MediaUse
from .values import Pictures

GRAY = 0.5
ANY = "any"
"""The kind of a control clip that a graph does not tell; the sampler takes one that its model accepts."""
MAX_TRACK_BYTES = 4 * 2**20
_SAMPLED = {"first_frame": "sampled"}
"""These nodes' first frame is not kept, also with the 5B models."""
CAMERA = {
    "Static": "still", "Pan Up": "tilt_up", "Pan Down": "tilt_down", "Pan Left": "pan_left", "Pan Right": "pan_right",
    "Zoom In": "zoom_in", "Zoom Out": "zoom_out", "Anti Clockwise (ACW)": "roll_left", "ClockWise (CW)": "roll_right",
}  # fmt: skip


def _joined(given: Given, guide: Joined, latent: LatentClip, *more: Any) -> tuple[Any, ...]:
    return given["positive"].joined(guide), given["negative"].joined(guide), latent, *more


def _latent(given: Given, references: int = 0) -> LatentClip:
    return LatentClip(
        given["width"], given["height"], given["length"], references, batch=int(given.get("batch_size", 1))
    )  # fmt: skip


def _still(
    graph: Describing, node: str, given: Given, name: str, at: str, vision: str = "clip_vision_output"
) -> dict[str, Any]:  # fmt: skip
    """One picture as a frame of the clip. vision: the input of what the image encoder reads."""
    if given[name].count > 1:
        raise RequestError(f"its input {name} has {given[name].count} pictures.", field="workflow", legal="1 picture")
    found = {"kind": "image", "at": at, "image": MediaUse(given[name], graph.link(node, name))}
    if (use := given.get(vision)) is not None:
        found["seen"] = MediaUse(use.stream, use.link, seen=use.crop)
    return found


def image_to_video(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    conditions = [_still(graph, node, given, "start_image", "first")] if "start_image" in given else []
    return _joined(given, Joined(node, tuple(conditions)), _latent(given))


def first_and_last(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    """WanFirstLastFrameToVideo, WanFunInpaintToVideo, whose only vision is that of the first picture."""
    start, end = "clip_vision_start_image", "clip_vision_end_image"
    if "clip_vision_output" in given:
        start = "clip_vision_output"
    places = (("start_image", "first", start), ("end_image", "last", end))
    conditions = [_still(graph, node, given, name, at, seen) for name, at, seen in places if name in given]
    return _joined(given, Joined(node, tuple(conditions), _SAMPLED), _latent(given))


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


def fun_control(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    """WanFunControlToVideo, Wan22FunControlToVideo."""
    conditions: list[dict[str, Any]] = []
    if "control_video" in given:
        media = MediaUse(given["control_video"], graph.link(node, "control_video"), is_clip=True)
        conditions.append({"kind": "control", "control": ANY, "video": media})
    if "start_image" in given:
        conditions.append(_still(graph, node, given, "start_image", "first"))
    if "ref_image" in given:
        media = MediaUse(given["ref_image"], graph.link(node, "ref_image"))
        conditions.append({"kind": "reference", "images": [media]})
    return _joined(given, Joined(node, tuple(conditions), _SAMPLED), _latent(given))


def camera(_graph: Describing, _node: str, given: Given) -> tuple[Any, ...]:
    """WanCameraEmbedding."""
    size = (int(given["width"]), int(given["height"]), int(given["length"]))
    lens = (float(given["fx"]), float(given["fy"]), float(given["cx"]), float(given["cy"]))
    return CameraUse(CAMERA[given["camera_pose"]], float(given["speed"]), lens, size), *size


def camera_image_to_video(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    conditions = [_still(graph, node, given, "start_image", "first")] if "start_image" in given else []
    options: dict[str, Any] = dict(_SAMPLED)
    if (use := given.get("camera_conditions")) is not None:
        if use.size != (given["width"], given["height"], given["length"]):
            width, height, length = use.size
            raise RequestError(f"its camera is for {width}x{height}, {length} frames.", field="workflow",
                               legal="the size and length of this node")  # fmt: skip
        conditions.append({"kind": "camera", "move": use.move})
        options |= {"camera_lens": list(use.lens), "camera_speed": use.speed}
    return _joined(given, Joined(node, tuple(conditions), options), _latent(given))


def tracks(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    """WanTrackToVideo: tracks of points in pixels, at 24 frames per second; the clip has 16."""
    found: list[dict[str, Any]] = [
        {"kind": "trajectory", "points": _points(track, given)} for track in _tracks(given["tracks"])
    ]
    if "start_image" in given:
        found.insert(0, _still(graph, node, given, "start_image", "first"))
    options = {"track_temperature": float(given["temperature"]), "track_points": int(given["topk"])}
    return _joined(given, Joined(node, tuple(found), options), _latent(given))


def _tracks(text: Any) -> list[list[Any]]:
    """The tracks of a JSON text: lists of {"x", "y"}, or one of them. RequestError."""
    found: Any = parse_json(str(text) or "[]", "tracks", error=RequestError, max_bytes=MAX_TRACK_BYTES)
    found = [found] if isinstance(found, list) and found and isinstance(found[0], dict) else found
    if not isinstance(found, list) or not all(isinstance(track, list) for track in found):
        raise RequestError("tracks is no list of tracks.", field="tracks", legal='[[{"x": 10, "y": 20}, ...], ...]')
    return [track for track in found if track]


def _points(track: list[Any], given: Given) -> list[tuple[float, float]]:
    """A point for each frame, in fractions of the frame; those far outside are moved to half a frame from it."""
    places = []
    for each in track:
        x, y = (each.get("x"), each.get("y")) if isinstance(each, dict) else (None, None)
        if not (isinstance(x, int | float) and isinstance(y, int | float)):
            raise RequestError("a track has a point without x and y.", field="tracks", legal='{"x": 10, "y": 20}')
        places.append(tuple(min(1.5, max(-0.5, at)) for at in (x / given["width"], y / given["height"])))
    count = max(2, given["length"])
    steps = [0, *(1 + (3 * frame + 1) // 2 for frame in range(count - 1))]
    return [places[min(step, len(places) - 1)] for step in steps]


def latent_of_picture(graph: Describing, node: str, given: Given) -> tuple[Any, ...]:
    """Wan22ImageToVideoLatent."""
    conditions = [_still(graph, node, given, "start_image", "first")] if "start_image" in given else []
    return (replace(_latent(given), joined=Joined(node, tuple(conditions))),)


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
    "WanFunInpaintToVideo": first_and_last, "WanVaceToVideo": vace, "WanFunControlToVideo": fun_control,
    "Wan22FunControlToVideo": fun_control, "WanCameraEmbedding": camera,
    "WanCameraImageToVideo": camera_image_to_video, "WanTrackToVideo": tracks,
    "Wan22ImageToVideoLatent": latent_of_picture, "SVD_img2vid_Conditioning": stable_video_diffusion,
}  # fmt: skip
