"""People as skeletons: RT-DETR detects them, ViTPose their joints (Zhao and others, 2023; Xu and others, 2022), through
transformers. VACE's annotator also draws face landmarks; these networks predict COCO's 17 joints only.

Legend: P people, J joints, H W height and width; x, y in px of the frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...weights import local
from . import skeleton

DETECTOR = "PekingU/rtdetr_r50vd_coco_o365"
MODEL = "usyd-community/vitpose-base-simple"
PERSON_SCORE = 0.3
MOST_PEOPLE = 12
MARGIN = 1.25
"""Boxes are extended by a quarter for the pose network."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def draw(
    frames: Iterator[np.ndarray],
    folder: Path,
    detector: Path,
    device: str | None = None,
    person_score: float = PERSON_SCORE,
) -> Iterator[np.ndarray]:
    """Yield skeletons of the people (at most MOST_PEOPLE, by score) on black, uint8 (H, W, 3)."""
    import torch
    from transformers import AutoModelForObjectDetection, VitPoseForPoseEstimation

    from ...weights.residency import Residency

    prepare, person_detector = local.processor(detector), local.load(AutoModelForObjectDetection, detector)
    network, at = local.load(VitPoseForPoseEstimation, folder), local.place(device)
    Residency(at, [person_detector, network], staged=False)
    for frame_HW3 in frames:
        height, width = frame_HW3.shape[:2]
        with torch.inference_mode():
            boxes_P4 = people(person_detector, prepare, frame_HW3, at, person_score)
            found = joints(network, frame_HW3, boxes_P4, at)
        yield skeleton.draw(found, height, width)


def people(detector: Any, prepare: Any, frame_HW3: np.ndarray, at: Any, least_score: float) -> np.ndarray:
    """Detect people: boxes (left, top, right, bottom) in px, by descending score: float64 (P, 4)."""
    height, width = frame_HW3.shape[:2]
    pixels_BCHW = prepare(images=frame_HW3, return_tensors="pt")["pixel_values"].to(at)
    output = detector(pixel_values=pixels_BCHW)
    names = {int(index): str(name) for index, name in detector.config.id2label.items()}
    person = next((index for index, name in names.items() if name == "person"), 0)
    score_L = output.logits[0, :, person].float().sigmoid().cpu().numpy()
    x, y, w, h = output.pred_boxes[0].double().cpu().numpy().T
    boxes_L4 = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1) * [width, height, width, height]
    boxes_L4 = boxes_L4.clip(0, [width, height, width, height])
    order = [k for k in np.argsort(-score_L, kind="stable")[:MOST_PEOPLE] if score_L[k] >= least_score]
    return np.array([boxes_L4[k] for k in order if (boxes_L4[k, 2:] - boxes_L4[k, :2] > 1).all()]).reshape(-1, 4)


def joints(network: Any, frame_HW3: np.ndarray, boxes_P4: np.ndarray, at: Any) -> np.ndarray:
    """Predict the joints of the people in these boxes, (x, y, score): float64 (P, J, 3)."""
    import cv2
    import torch

    tall, wide = network.config.backbone_config.image_size
    if not len(boxes_P4):
        return np.zeros((0, 17, 3))
    crops, frames_of = [], []
    for box_4 in boxes_P4:
        left, top, width, height = around(box_4, wide / tall)
        # Align corner pixels, as in the network's training (unbiased data processing).
        scale_x, scale_y = (wide - 1) / width, (tall - 1) / height
        matrix = np.array([[scale_x, 0, -left * scale_x], [0, scale_y, -top * scale_y]])
        crops.append(cv2.warpAffine(np.ascontiguousarray(frame_HW3), matrix, (wide, tall), flags=cv2.INTER_LINEAR))
        frames_of.append((left, top, width, height))
    pixels_PHW3 = (np.stack(crops).astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    heat_PJHW = network(pixel_values=torch.from_numpy(pixels_PHW3).movedim(-1, 1).to(at)).heatmaps
    spots_PJ3 = peaks(heat_PJHW.float().cpu().numpy())
    rows, columns = heat_PJHW.shape[-2:]
    for spots_J3, (left, top, width, height) in zip(spots_PJ3, frames_of):
        spots_J3[:, 0] = left + spots_J3[:, 0] * width / (columns - 1)
        spots_J3[:, 1] = top + spots_J3[:, 1] * height / (rows - 1)
    return spots_PJ3


def around(box_4: np.ndarray, shape: float) -> tuple[float, float, float, float]:
    """Extend a box (left, top, right, bottom) by MARGIN and to the aspect `shape` (width / height), about its centre:
    (left, top, width, height)."""
    left, top, right, bottom = (float(part) for part in box_4)
    width, height = right - left, bottom - top
    width, height = MARGIN * max(width, height * shape), MARGIN * max(height, width / shape)
    return (left + right - width) / 2, (top + bottom - height) / 2, width, height


def peaks(heat_PJHW: np.ndarray) -> np.ndarray:
    """The maximum of each map as (x, y, value), refined to subpixels by a parabola through the log of its neighbours:
    float64 (P, J, 3)."""
    num, count, rows, columns = heat_PJHW.shape
    found = np.zeros((num, count, 3))
    for person in range(num):
        for joint in range(count):
            heat_HW = heat_PJHW[person, joint].astype(np.float64)
            y, x = np.unravel_index(int(heat_HW.argmax()), heat_HW.shape)
            log_HW = np.log(np.maximum(heat_HW, 1e-10))
            found[person, joint] = (
                x + _top(log_HW[y, x - 1 : x + 2]) if 0 < x < columns - 1 else x,
                y + _top(log_HW[y - 1 : y + 2, x]) if 0 < y < rows - 1 else y,
                heat_HW[y, x],
            )
    return found


def _top(three: np.ndarray) -> float:
    """The position of the maximum of a parabola through three values, the middle one the greatest: -0.5 to 0.5."""
    bend = three[0] - 2 * three[1] + three[2]
    return float(0.5 * (three[0] - three[2]) / bend) if bend < 0 else 0.0
