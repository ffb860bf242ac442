"""Joints drawn in the style of OpenPose (Cao and others, 2019): coloured limbs and joints on black."""

from __future__ import annotations

import colorsys

import numpy as np

NOSE, NECK = 0, 1
COCO_TO_OPENPOSE = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""The COCO joint (of 17) for each OpenPose joint (of 18); the neck (-1) is the midpoint of the shoulders."""
LEFT_SHOULDER, RIGHT_SHOULDER = 5, 6  # in COCO's order
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Pairs of OpenPose joints, in the order of their colours."""
COLORS = tuple(tuple(round(255 * part) for part in colorsys.hsv_to_rgb(k / 18, 1, 1)) for k in range(18))
"""18 hues in steps of 20 degrees, starting with red."""
LIMB_LIGHT = 0.6
LEAST_SCORE = 0.3
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


def to_openpose(joints_P17_3: np.ndarray) -> np.ndarray:
    """COCO joints (P people, 17, (x, y, score)) as OpenPose joints (P, 18, 3); the neck has the lower score of the
    shoulders."""
    joints = joints_P17_3[:, np.maximum(COCO_TO_OPENPOSE, 0)].astype(np.float64)
    shoulders = joints_P17_3[:, [LEFT_SHOULDER, RIGHT_SHOULDER]]
    joints[:, NECK, :2] = shoulders[..., :2].mean(axis=1)
    joints[:, NECK, 2] = shoulders[..., 2].min(axis=1)
    return joints


def draw(joints_P17_3: np.ndarray, height: int, width: int) -> np.ndarray:
    """Draw the skeletons of all people: uint8 (H, W, 3). joints: COCO's, x and y in px, (0, 0) the centre of the first
    pixel; those with a score below LEAST_SCORE are omitted. Limbs are 8 px wide for a shorter side of 1024."""
    import cv2

    canvas = np.zeros((height, width, 3), np.uint8)
    people = to_openpose(np.asarray(joints_P17_3, np.float64).reshape(-1, 17, 3))
    half_px = max(1.0, 4 * min(height, width) / 1024)
    for (one, other), color in zip(LIMBS, COLORS):
        for joints in people:
            (x0, y0, sure0), (x1, y1, sure1) = joints[one], joints[other]
            if min(sure0, sure1) < LEAST_SCORE:
                continue
            axes = _fixed(np.hypot(x1 - x0, y1 - y0) / 2, half_px)
            angle = float(np.degrees(np.arctan2(y1 - y0, x1 - x0)))
            middle = _fixed((x0 + x1) / 2, (y0 + y1) / 2)
            cv2.ellipse(canvas, middle, axes, angle, 0, 360, color, -1, cv2.LINE_AA, _SHIFT)
    canvas = (canvas * LIMB_LIGHT).astype(np.uint8)
    for joint, color in enumerate(COLORS):
        for x, y, sure in people[:, joint]:
            if sure >= LEAST_SCORE:
                cv2.circle(canvas, _fixed(x, y), round(half_px * 2**_SHIFT), color, -1, cv2.LINE_AA, _SHIFT)
    return canvas


def _fixed(x: float, y: float) -> tuple[int, int]:
    return round(x * 2**_SHIFT), round(y * 2**_SHIFT)
