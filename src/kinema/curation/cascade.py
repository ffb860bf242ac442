"""Cuts, fades and dissolves by comparing frames at several rates, as the data pipeline of Stable Video Diffusion does
(arXiv 2311.15127, appendix C: a cascade of detectors at different frame rates; its thresholds are not published).

Legend: H W height and width, C channels.

At the full rate, two consecutive frames that differ are a hard cut if no block of one is found near its place in the
other (media/cut.py) and no frame shortly before equals one shortly after (a flash). At lower rates, two frames that
differ are the ends of a fade or dissolve if the frames in between are mixtures of both: they lie on the line between
them. Those of a moving camera do not.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import cv2
import numpy as np

from ..media.cut import is_cut
from .transitions import Transition, joined

SIDE_PX = 64
"""Longer side of the frames that are kept."""
CERTAIN, POSSIBLE, STANDS_OUT = 27.0, 7.0, 3.0
"""Difference of consecutive frames (PySceneDetect's content value) that may be a cut; smaller ones down to POSSIBLE if
they exceed those around them STANDS_OUT times."""
FLASH_S, FLASH = 0.17, 0.45
"""The longest flash, and the share of the difference at its edge below which the frames around it are equal."""
RATES_S = (0.5, 1.0)
"""Distances of the frames that are compared for gradual transitions."""
GRADUAL = 6.0
MIXTURE = 0.45
"""Largest distance of a mixture from the line between the two frames, as a share of their distance: 0 for a dissolve of
still pictures, 0.87 for three unrelated pictures."""
ENDS = 0.08
SAME = 0.9
"""Correlation of two frames above which only the light changes between them."""


class Cascade:
    """A CutDetector (detectors.py)."""

    def __init__(self, fps: float) -> None:
        self.flash = max(1, round(FLASH_S * fps))
        self.steps = [max(4, round(seconds * fps)) for seconds in RATES_S]
        self.kept: deque[tuple[int, np.ndarray, np.ndarray]] = deque(maxlen=max(self.steps) + self.flash + 2)
        self.scores: deque[tuple[int, float]] = deque(maxlen=2 * self.flash + 7)
        self.hard: list[int] = []
        self.flashes: list[int] = []
        self.gradual: dict[int, list[tuple[Transition, Transition]]] = {step: [] for step in self.steps}
        self.number = -1

    def see(self, number: int, small_HWC: np.ndarray) -> None:
        height, width = small_HWC.shape[:2]
        scale = min(1.0, SIDE_PX / max(height, width))
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        picture_HWC = cv2.resize(small_HWC, size, interpolation=cv2.INTER_AREA)
        hsv_HWC = cv2.cvtColor(picture_HWC, cv2.COLOR_BGR2HSV)
        self.scores.append((number, _content(self.kept[-1][2], hsv_HWC) if self.kept else 0.0))
        self.kept.append((number, picture_HWC, hsv_HWC))
        self.number = number
        self._look_for_cut(number - self.flash)
        for step in self.steps:
            # The flashes and cuts of the last frames are not known yet.
            if (number - self.flash) % max(1, step // 4) == 0:
                self._look_for_mixture(number - self.flash, step)

    def finish(self) -> list[Transition]:
        for number in range(self.number - self.flash + 1, self.number + 1):
            self._look_for_cut(number)
        for step in self.steps:
            self._look_for_mixture(self.number, step)
        gradual: list[Transition] = []
        for step in self.steps:  # shorter distances see the ends better: less moves meanwhile
            known = list(gradual)
            gradual += [each for each, window in self.gradual[step] if not any(_meet(window, one) for one in known)]
        return joined([*gradual, *(Transition(cut, cut) for cut in self.hard)])

    def _look_for_cut(self, number: int) -> None:
        """Decide whether frame `number` begins a shot, once the frames of a possible flash after it are known."""
        scores = {place: score for place, score in self.scores if abs(place - number) <= 3}
        score = scores.pop(number, 0.0)
        around = max(scores.values(), default=0.0)
        if score < CERTAIN and (score < POSSIBLE or score < STANDS_OUT * around):
            return
        frames = {place: (picture, hsv) for place, picture, hsv in self.kept if abs(place - number) <= self.flash + 1}
        if number not in frames or number - 1 not in frames:
            return
        before = [hsv for place, (_, hsv) in frames.items() if place < number]
        after = [hsv for place, (_, hsv) in frames.items() if place >= number]
        if min(_content(one, other) for one in before for other in after) < FLASH * score:
            self.flashes.append(number)
            return
        if is_cut(frames[number - 1][0], frames[number][0]):
            self.hard.append(number)

    def _look_for_mixture(self, number: int, step: int) -> None:
        """Decide whether the frames number - step to number are a gradual transition."""
        back = len(self.kept) - 1 - (self.number - number)
        if back < step:
            return
        window = [self.kept[place] for place in range(back - step, back + 1)]
        if len(window) < step + 1 or _content(window[0][2], window[-1][2]) < GRADUAL:
            return
        if any(number - step < place <= number for place in (*self.hard[-3:], *self.flashes[-6:])):
            return
        first, last = window[0][1], window[-1][1]
        start, way = first.astype(np.float32), last.astype(np.float32) - first
        length = float((way * way).sum())
        shares, worst = [], 0.0
        for _, picture, _ in window[1:-1]:
            off = picture - start
            share = float((off * way).sum()) / length
            rest = off - min(1.0, max(0.0, share)) * way
            worst = max(worst, float((rest * rest).sum()) / length)
            shares.append(share)
            if worst > MIXTURE**2:
                return
        if any(later < sooner - 0.15 for sooner, later in pairwise([0.0, *shares, 1.0])):
            return
        if _likeness(first, last) > SAME or not is_cut(first, last):  # last: blocks are searched
            return
        moved = min(0.4, max(ENDS, float(np.sqrt(worst))))  # what motion alone can shift a share
        inside = [place for (place, _, _), share in zip(window[1:-1], shares) if moved < share < 1 - moved]
        if inside:
            self.gradual[step].append((Transition(inside[0], inside[-1] + 1), Transition(number - step, number)))


def _likeness(one_HWC: np.ndarray, other_HWC: np.ndarray) -> float:
    """The correlation of two pictures; 0 if one is flat (black)."""
    one, other = (each.astype(np.float32) - each.mean() for each in (one_HWC, other_HWC))
    both = float(np.sqrt((one * one).mean() * (other * other).mean()))
    return float((one * other).mean()) / both if both > 4.0 else 0.0


def _meet(one: Transition, other: Transition) -> bool:
    return one.first <= other.last and other.first <= one.last


def _content(one_HWC: np.ndarray, other_HWC: np.ndarray) -> float:
    """The mean difference of two HSV pictures over their channels, 0 to 255, as PySceneDetect's ContentDetector
    computes it with its default weights."""
    return float(np.mean(cv2.mean(cv2.absdiff(one_HWC, other_HWC))[:3]))
