"""Motion from dense optical flow at 2 frames a second, as the recipes measure it.

Legend: F frames, H W height and width, 2 (x, y) in px.

Sources: Stable Video Diffusion (arXiv 2311.15127): Farneback's flow at 2 fps on frames of 16 px, RAFT on 800x450 for
the set of the last stage. EasyAnimate (arXiv 2405.18991): Farneback's flow at 2 fps, mean length between 2 and 20 px;
the size of its frames is not stated, here it is at most 512 px. Farneback, "Two-frame motion estimation based on
polynomial expansion", 2003 (OpenCV's implementation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ...core.errors import RequestError
from ...features import flow
from ..reading import FrameRequest
from ..stage import Column, CurationSettings, CutClip

PER_S = "shorter sides/s"
SAMPLED_FPS = 2.0
MOST = 240
"""Frames at SAMPLED_FPS: of clips above two minutes, the middle two are measured."""


@dataclass(frozen=True)
class FlowMeasure:
    """A way to measure motion. method: "dis", "farneback" or "raft". relative: in shorter sides a second, else in px
    per pair of frames, at the measured size."""

    name: str
    method: str
    side_px: int
    title: str
    relative: bool = False

    @property
    def column(self) -> Column:
        return Column(self.name, "float", self.title, PER_S if self.relative else f"px at {self.side_px} px")


FLOW_MEASURES = (
    FlowMeasure("motion", "dis", 128, "motion (DIS flow, 2 fps)", relative=True),
    FlowMeasure("motion_svd", "farneback", 16, "motion (Farneback at 16 px, 2 fps)"),
    FlowMeasure("motion_easyanimate", "farneback", 512, "motion (Farneback, 2 fps)"),
    FlowMeasure("motion_raft", "raft", 450, "motion (RAFT at 450 px, 2 fps)"),
)


class FlowMotion:
    """A mean length of the flow, in the column of the measure's name. A clip shorter than half a second is measured
    between its first and last frame."""

    version = 1

    def __init__(self, settings: CurationSettings, measure: FlowMeasure) -> None:
        self.how, self.name = measure, measure.name
        self.columns: tuple[Column, ...] = (measure.column,)
        self.request = FrameRequest(MOST, measure.side_px, SAMPLED_FPS)
        self.reads = (self.request,)
        self.device, self.weights = settings.device, settings.option(measure.name, "weights")
        self.estimate: flow.Estimate | None = None

    def check(self) -> None:
        """Raises RequestError where RAFT's weights or torchvision are missing."""
        if self.how.method == "raft" and (why := flow.why_not("raft", self.weights)):
            raise RequestError(
                why.replace("raft_weights=FILE", f"{self.name}.weights=FILE"), field=f"{self.name}.weights",
                value=self.weights, legal="a file",
            )  # fmt: skip

    def open(self) -> None:
        self.check()
        if self.how.method == "farneback":
            self.estimate = farneback
        else:
            self.estimate = flow.estimator(self.how.method, self.weights, self.device)

    def measure(self, clip: CutClip) -> dict[str, Any]:
        if self.estimate is None:
            self.open()
        return {self.name: mean_flow(clip, self.request, self.estimate or flow.dis, relative=self.how.relative)}


def flow_stage(measure: FlowMeasure) -> Callable[[CurationSettings], FlowMotion]:
    return lambda settings: FlowMotion(settings, measure)


def mean_flow(
    clip: CutClip, request: FrameRequest, estimate: flow.Estimate = flow.dis, *, relative: bool = True
) -> float | None:
    """The mean length of the flow between the frames of a request. relative: in shorter sides a second, else in px per
    pair. None for a clip of one frame. Raises MediaError."""
    fps = min(request.fps or clip.fps, clip.fps)
    clip = middle(clip, request.most / fps)
    frames_FHWC = clip.frames(most=request.most, side_px=request.side_px, fps=request.fps)
    if len(frames_FHWC) == 1 and clip.num_frames > 1:
        ends = (replace(clip, stop=clip.start + 1), replace(clip, start=clip.stop - 1))
        frames_FHWC = np.concatenate([end.frames(most=1, side_px=request.side_px) for end in ends])
        fps = clip.fps / (clip.num_frames - 1)
    if len(frames_FHWC) < 2:
        return None
    total = sum(float(flow.magnitudes(estimate(pair_2HWC)).mean()) for pair_2HWC in _pairs(frames_FHWC))
    length_px = total / (len(frames_FHWC) - 1)
    return length_px / min(frames_FHWC.shape[1:3]) * fps if relative else length_px


def farneback(frames_FHWC: np.ndarray) -> np.ndarray:
    """Farneback's flow, float32 (F - 1, H, W, 2), with the parameters of OpenCV's examples: 3 levels, windows of 15 px,
    3 rounds, neighbourhoods of 5 px."""
    import cv2

    flow.check(frames_FHWC)
    cv2.setNumThreads(1)
    grays = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames_FHWC]
    found = [
        cv2.calcOpticalFlowFarneback(now, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)  # type: ignore[call-overload]
        for now, after in pairwise(grays)
    ]
    return np.stack(found).astype(np.float32)


def middle(clip: CutClip, seconds: float) -> CutClip:
    """The middle of a clip, at most so long."""
    most = max(2, int(seconds * clip.fps))
    if clip.num_frames <= most:
        return clip
    start = clip.start + (clip.num_frames - most) // 2
    return replace(clip, start=start, stop=start + most)


def _pairs(frames_FHWC: np.ndarray) -> list[np.ndarray]:
    return [frames_FHWC[number : number + 2] for number in range(len(frames_FHWC) - 1)]
