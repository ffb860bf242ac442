"""Networks that detect and track objects: Grounding DINO by name, SAM 2 through time.

Both run through transformers, from weights on this machine; nothing is downloaded.

    kinema models pull IDEA-Research/grounding-dino-tiny      detects an object by its name
    kinema models pull facebook/sam2.1-hiera-small            tracks it better than OpenCV
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.conditions import Box
from ..core.errors import ModelError, RequestError, WeightsMissing
from ..core.quiet import quietly
from ..weights import local

if TYPE_CHECKING:
    import torch

    from .start import Start

FINDERS = ("IDEA-Research/grounding-dino-tiny", "IDEA-Research/grounding-dino-base")
SAM2 = tuple(f"facebook/sam2.1-hiera-{size}" for size in ("small", "base-plus", "large", "tiny"))
"""Known checkpoints; the first one on this machine is used. The first of the list is recommended."""
LEAST_SCORE, WORD_SCORE = 0.3, 0.25
MEAN_RGB, SPREAD_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
REMEMBERED = 24
"""Number of frames kept in SAM 2's session (its memory has 7 frames, its object pointers 16); older ones are freed."""


def finder() -> Path:
    """The folder of Grounding DINO. Raises WeightsMissing with instructions."""
    found = _first_here(FINDERS)
    if found is None:
        raise WeightsMissing(
            f"Detecting an object by its name requires {FINDERS[0]}, which is not on this machine. "
            f"`kinema models pull {FINDERS[0]}` downloads it from the hub. A click or a box requires no weights."
        )
    return found


def sam2(needed: bool = False) -> Path | None:
    """The folder of SAM 2, or None if it is not on this machine. needed: raise WeightsMissing with instructions."""
    found = _first_here(SAM2)
    if found is None and needed:
        raise WeightsMissing(
            f"Tracking with SAM 2 requires {SAM2[0]}, which is not on this machine. `kinema models pull {SAM2[0]}` "
            "downloads it from the hub. OpenCV tracks without weights."
        )
    return found


@quietly
def box_of(picture_HWC: np.ndarray, words: str, folder: Path, device: str | None = None) -> Box:
    """The box (fractions) of the best match for the words in a picture, uint8 RGB. Raises RequestError if there is
    none."""
    import torch
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    from ..weights.folder import load_part
    from ..weights.residency import Residency

    try:
        prepare: Any = load_part(AutoProcessor, folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: cannot be loaded: {str(error).splitlines()[0]}") from None
    network, at = local.load(AutoModelForZeroShotObjectDetection, folder), local.place(device)
    Residency(at, [network], staged=False)
    height, width = picture_HWC.shape[:2]
    inputs = prepare(images=picture_HWC, text=words.strip().lower().rstrip(".") + ".", return_tensors="pt").to(at)
    with torch.inference_mode():
        outputs = network(**inputs)
    found = prepare.post_process_grounded_object_detection(
        outputs, inputs["input_ids"], threshold=LEAST_SCORE, text_threshold=WORD_SCORE, target_sizes=[(height, width)]
    )[0]
    if not len(found["scores"]):
        raise RequestError(
            f"No object that matches {words!r} on the first frame.",
            field="object",
            value=words,
            legal="the plain English name of an object that is visible on the first frame; or a click, or a box",
        )
    left, top, right, bottom = found["boxes"][int(found["scores"].argmax())].float().cpu().tolist()
    unit = np.clip((left / width, top / height, right / width, bottom / height), 0, 1)
    return float(unit[0]), float(unit[1]), float(unit[2]), float(unit[3])


@quietly
def follow(frames: Iterable[np.ndarray], start: Start, folder: Path, device: str | None = None) -> Iterator[np.ndarray]:
    """Yield SAM 2's mask of the object on every frame: float32 (H, W) in [0, 1]."""
    import torch
    from transformers import Sam2VideoInferenceSession, Sam2VideoModel

    from ..weights.residency import Residency

    network, at = local.load(Sam2VideoModel, folder), local.place(device)
    Residency(at, [network], staged=False)
    side = int(network.config.image_size)
    session: Any = None
    for index, frame_HWC in enumerate(frames):
        height, width = frame_HWC.shape[:2]
        if session is None:
            session = Sam2VideoInferenceSession(
                video_height=height, video_width=width, inference_device=at, inference_state_device=at,
                video_storage_device=at, dtype=torch.float32,
            )  # fmt: skip
            _prompt(session, start, side)
        with torch.inference_mode():
            output = network(inference_session=session, frame=_square(frame_HWC, side).to(at), frame_idx=index)
            logits = torch.nn.functional.interpolate(
                output.pred_masks.float(), size=(height, width), mode="bilinear", align_corners=False
            )
        mask_HW = torch.sigmoid(logits[0, 0]).cpu().numpy()
        yield mask_HW if index == 0 or float(output.object_score_logits.max()) > 0 else np.zeros_like(mask_HW)
        _free(session, index)


def _square(frame_HWC: np.ndarray, side: int) -> torch.Tensor:
    """A frame as SAM 2's input: stretched to a square, normalised by ImageNet's mean and deviation; (3, side, side).

    Implemented here because transformers' processor requires torchvision, which nothing else needs.
    """
    import torch

    pixels = torch.from_numpy(np.ascontiguousarray(frame_HWC)).permute(2, 0, 1)[None].float() / 255
    pixels = torch.nn.functional.interpolate(
        pixels, size=(side, side), mode="bilinear", align_corners=False, antialias=True
    )
    return ((pixels - torch.tensor(MEAN_RGB)[:, None, None]) / torch.tensor(SPREAD_RGB)[:, None, None])[0]


def _prompt(session: Any, start: Start, side: int) -> None:
    """Add the object to the session: a point, the two corners of a box (labels 2 and 3), or a mask, in the square."""
    import torch

    target = session.obj_id_to_idx(1)
    if start.mask_HW is not None:
        mask_11HW = torch.from_numpy(np.asarray(start.mask_HW, np.float32))[None, None]
        fitted = torch.nn.functional.interpolate(
            mask_11HW, size=(side, side), mode="bilinear", align_corners=False, antialias=True
        )
        session.add_mask_inputs(target, 0, (fitted >= 0.5).float())
    else:
        points, labels = (start.click, [1]) if start.click is not None else (start.box, [2, 3])
        coordinates = side * torch.tensor(points, dtype=torch.float32).reshape(1, 1, len(labels), 2)
        given = {"point_coords": coordinates, "point_labels": torch.tensor(labels, dtype=torch.int32)[None, None]}
        session.add_point_inputs(target, 0, given)
    session.obj_with_new_inputs = [1]


def _free(session: Any, index: int) -> None:
    """Free frames that SAM 2 no longer uses, so that memory does not grow with the clip's length. The first frame's
    memory stays."""
    session.processed_frames.pop(index, None)
    for outputs in session.output_dict_per_obj.values():
        outputs["non_cond_frame_outputs"].pop(index - REMEMBERED, None)
    for tracked in session.frames_tracked_per_obj.values():
        tracked.pop(index - REMEMBERED, None)


def _first_here(models: Iterable[str]) -> Path | None:
    for model in models:
        try:
            return local.find("mask", model)[0]
        except WeightsMissing:
            continue
    return None
