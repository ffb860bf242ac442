"""The share of the picture that text covers: RapidOCR's detector, whose package carries its weights.

Legend: H W height and width, C channels, Q 4 corners.

The recipes measure with CRAFT (EasyAnimate: EasyOCR on the middle frame, at most 2 % of the area; Stable Video
Diffusion: more than 7 % removed). A detector's boxes have a margin that depends on the letters; where text stands out
from its surroundings, a box is tightened to the ink, else it is narrowed by the margin's mean. The area is that of the
union of the boxes.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from ...core.errors import RequestError
from ...core.extras import install_command
from ..reading import FrameRequest
from ..stage import Column, CurationSettings, CutClip

SIDE_PX = 480
LEAST_SIDE_PX = 32
"""Frames are not scaled up for the detector: a shorter side of 736 px, its default, takes four times as long."""
MARGIN = 0.14
"""Mean margin of a detected box above and below the ink, of the box's height (measured on 48 titles)."""
GROW = 0.12
"""A box is searched for ink with this much more around it, of its height."""
CONTRAST = 24
"""Ink differs from its background by at least so many levels of 255."""
INK = (0.04, 0.75)
"""Shares of a box that ink can cover; outside of them the box is not tightened."""
LEAST_PART, LEAST_PART_PX = 0.05, 3
"""Connected ink is part of a letter from this share of the box's height and this area; ink at the border is not."""
LEAST_KEPT = 0.6
"""A box is not narrowed below this share of its width, or half of it of its height."""
FEWEST_LETTERS, FEW_LETTERS = 2, 3
LEAST_SCORE, LEAST_SCORE_OF_FEW = 0.5, 0.9
TALLEST = 0.35
"""Letters are at most so high, of the frame's shorter side."""


class TextArea:
    """`text_area`: share of the frame inside boxes around text, mean over the frames. `text_boxes`: number of boxes.
    Option `frames`: 1 by default, the middle one; more are spread evenly."""

    name, version = "text_area", 1
    columns: tuple[Column, ...] = (
        Column("text_area", "float", "area of text"),
        Column("text_boxes", "int", "boxes of text"),
    )

    def __init__(self, settings: CurationSettings) -> None:
        given = settings.option(self.name, "frames", "1")
        if not given.isdecimal() or not 1 <= int(given) <= 64:
            raise RequestError(
                f"text_area.frames must be a number of frames from 1 to 64, got {given!r}.", field="text_area.frames",
                value=given, legal="1 to 64",
            )  # fmt: skip
        self.request = FrameRequest(int(given), SIDE_PX)
        self.reads = (self.request,)
        self.detector: Any = None

    def check(self) -> None:
        """Raises RequestError without the extra `curate`."""
        if importlib.util.find_spec("rapidocr") is None or importlib.util.find_spec("onnxruntime") is None:
            raise RequestError(
                f"The stage text_area requires RapidOCR and ONNX Runtime: {install_command('curate')}", field="stages",
                value="text_area", legal="other stages",
            )  # fmt: skip

    def open(self) -> None:
        self.check()
        self.detector = load_detector()

    def measure(self, clip: CutClip) -> dict[str, Any]:
        if self.detector is None:
            self.open()
        shares, count = [], 0
        for frame_HWC in clip.frames(most=self.request.most, side_px=SIDE_PX):
            boxes = text_boxes(self.detector, frame_HWC)
            shares.append(covered(boxes, frame_HWC.shape[0], frame_HWC.shape[1]))
            count = max(count, len(boxes))
        return {"text_area": float(np.mean(shares)), "text_boxes": count}


def load_detector() -> Any:
    """RapidOCR's detector and recogniser, on one thread."""
    from rapidocr import RapidOCR

    threads = "EngineConfig.onnxruntime"
    return RapidOCR(
        params={
            "Global.use_cls": False, "Global.log_level": "error",
            f"{threads}.intra_op_num_threads": 1, f"{threads}.inter_op_num_threads": 1,
            "Det.limit_side_len": LEAST_SIDE_PX, "Det.limit_type": "min",
        }
    )  # fmt: skip


def text_boxes(detector: Any, frame_HWC: np.ndarray) -> list[np.ndarray]:
    """Tightened boxes around text in a uint8 RGB frame: corners (4, 2) in px, clockwise from the text's top left."""
    found = detector(np.ascontiguousarray(frame_HWC[..., ::-1]))
    if found.boxes is None:
        return []
    tallest_px = TALLEST * min(frame_HWC.shape[:2])
    boxes = zip(np.asarray(found.boxes, np.float32), found.txts or (), found.scores or (), strict=True)
    return [
        tightened(frame_HWC, box_Q2)
        for box_Q2, text, score in boxes
        if is_text(text, score) and min(_sides(box_Q2)) <= tallest_px
    ]


def is_text(text: str, score: float) -> bool:
    """Whether what the recogniser read is text: shapes look like one or two letters."""
    letters = len("".join(text.split()))
    return letters >= FEWEST_LETTERS and score >= (LEAST_SCORE if letters > FEW_LETTERS else LEAST_SCORE_OF_FEW)


def _sides(box_Q2: np.ndarray) -> tuple[float, float]:
    return float(np.hypot(*(box_Q2[1] - box_Q2[0]))), float(np.hypot(*(box_Q2[3] - box_Q2[0])))


def covered(boxes: list[np.ndarray], height: int, width: int) -> float:
    """The share of a frame that the union of convex boxes covers: that of the pixels whose centres are inside one."""
    mask_HW = np.zeros((height, width), bool)
    for box_Q2 in boxes:
        (left, top), (right, bottom) = np.floor(box_Q2.min(0)), np.ceil(box_Q2.max(0)) + 1
        x0, y0, x1, y1 = (max(0, int(value)) for value in (left, top, right, bottom))
        y_HW, x_HW = np.mgrid[y0 : min(y1, height), x0 : min(x1, width)]
        inside_HW = np.ones(x_HW.shape, bool)
        for (ax, ay), (bx, by) in zip(box_Q2, np.roll(box_Q2, -1, 0), strict=True):
            inside_HW &= (bx - ax) * (y_HW - ay) - (by - ay) * (x_HW - ax) >= 0
        mask_HW[y0:y1, x0:x1] |= inside_HW
    return float(mask_HW.mean())


def tightened(frame_HWC: np.ndarray, box_Q2: np.ndarray) -> np.ndarray:
    """A box around the ink inside a detected one, or the box without its mean margin."""
    import cv2

    right_2, down_2 = (box_Q2[1] - box_Q2[0] + box_Q2[2] - box_Q2[3]) / 2, (box_Q2[3] - box_Q2[0]) / 2
    down_2 = down_2 + (box_Q2[2] - box_Q2[1]) / 2
    width, height = float(np.hypot(*right_2)), float(np.hypot(*down_2))
    if min(width, height) < 4:
        return box_Q2
    across_2, along_2 = right_2 / width, down_2 / height
    grow = GROW * height
    start_2 = box_Q2.mean(0) - (width / 2 + grow) * across_2 - (height / 2 + grow) * along_2
    size = (max(4, round(width + 2 * grow)), max(4, round(height + 2 * grow)))
    scale_2 = (width + 2 * grow) / size[0], (height + 2 * grow) / size[1]
    to_frame_23 = np.stack([across_2 * scale_2[0], along_2 * scale_2[1], start_2], 1).astype(np.float64)
    crop_HWC = cv2.warpAffine(
        frame_HWC, to_frame_23, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    inside = ink_box(crop_HWC)
    if inside is None:
        margin = MARGIN * height
        inside = (grow + margin, grow + margin, size[0] - grow - margin, size[1] - grow - margin)
    left, top, right, bottom = inside
    corners_Q2 = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return (corners_Q2 @ to_frame_23[:, :2].T + to_frame_23[:, 2]).astype(np.float32)


def ink_box(crop_HWC: np.ndarray) -> tuple[float, float, float, float] | None:
    """The box (left, top, right, bottom) in px of what stands out from the crop's border; None where the border is not
    of one colour or too much or too little stands out."""
    import cv2

    border = np.concatenate([crop_HWC[0], crop_HWC[-1], crop_HWC[:, 0], crop_HWC[:, -1]]).astype(np.int16)
    ground_C = np.median(border, 0)
    apart_HW = np.abs(crop_HWC.astype(np.int16) - ground_C).max(-1).astype(np.uint8)
    level, _ = cv2.threshold(apart_HW, 0, 255, cv2.THRESH_OTSU)
    level = max(level, CONTRAST)
    ink_HW = apart_HW > level
    if not INK[0] <= ink_HW.mean() <= INK[1] or (np.abs(border - ground_C).max(-1) > level).mean() > 0.2:
        return None
    height, width = ink_HW.shape
    count, _, stats, _ = cv2.connectedComponentsWithStats(ink_HW.astype(np.uint8), connectivity=8)
    boxes = [
        (x, y, x + w, y + h)
        for x, y, w, h, area in stats[1:count].tolist()
        if area >= LEAST_PART_PX and min(x, y) > 0 and x + w < width and y + h < height and h >= LEAST_PART * height
    ]
    if not boxes:
        return None
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    if right - left < LEAST_KEPT * width or bottom - top < LEAST_KEPT * height / 2:
        return None
    return left - 0.5, top - 0.5, right - 0.5, bottom - 0.5
