"""Frame interpolation: convert the frame rate of a clip with new frames between existing ones.

    from kinema.post.interpolate import interpolate
    chunks = interpolate(read_chunks("clip.mp4"), fps=24)        # the same length, smoother
    chunks = interpolate(read_chunks("clip.mp4"), slow=2)        # twice as long, at the same rate

Frame j of the result is at j / fps seconds. If the clip has a frame at that time, it is copied unchanged. The clip's
last frame is held to the end: N frames at k times the rate become (N - 1) * k + 1, then k - 1 more.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ, Chunk
from ..core.closing import closed_after
from ..core.errors import RequestError
from ..core.events import OnEvent, Progress, ignore
from ..core.quiet import quietly

if TYPE_CHECKING:
    from .compensated import Compensated

METHODS = ("film", "mci", "blend")
SAME = 2
"""Frames whose values differ by at most this count as equal: the first is repeated, without computation."""
CHUNK_FRAMES = 16
FINEST = 1001
"""Maximum denominator of frame rates as fractions: 23.976 is 24000/1001."""

Between = Callable[[np.ndarray, np.ndarray, Sequence[Fraction]], list[np.ndarray]]


@quietly
def interpolate(
    chunks: Iterable[Chunk], fps: float | None = None, *, times: int | None = None, slow: float = 1.0,
    by: str = "film", model: str | os.PathLike[str] | None = None, device: str | None = None, total: int = 0,
    on_event: OnEvent = ignore,
) -> Iterator[Chunk]:  # fmt: skip
    """Convert a clip to `fps`, or to `times` its frame rate (defaults to 2; 1 with `slow`).

    slow: the factor by which the clip becomes longer; it then has no sound, otherwise the sound is unchanged. by:
    "film" (a network: the shipped one, or the weights `model`, see film/weights.py), "mci" (ffmpeg's motion-compensated
    filter), "blend" (a mix of both frames). Frames are not interpolated across a cut: the frame before it is held.
    Equal frames are held too. total: frames of the clip, for progress. device: of the network; None: the best
    available.

    Memory does not grow with length; closing the result closes `chunks`. Raises, before a frame is read: RequestError
    for illegal values, WeightsMissing and ModelError for a model that is missing or not FILM's.
    """
    plan = InterpolationPlan.of(fps, times, slow, by, model)
    between: Between | None = None
    if by == "film":
        from .film.between import FilmBetween
        from .film.weights import open_film

        between = FilmBetween(open_film(model), device)
    elif by == "blend":
        between = blend
    return _interpolated(chunks, plan, between, total, on_event)


@dataclass(frozen=True)
class InterpolationPlan:
    """The requested frame rate or factor, and slowdown."""

    fps: Fraction | None
    times: int
    slow: Fraction

    @classmethod
    def of(
        cls, fps: float | None, times: int | None, slow: float, by: str, model: str | os.PathLike[str] | None
    ) -> InterpolationPlan:
        """Check the arguments. Raises RequestError for illegal values."""
        if fps is not None and times is not None:
            raise RequestError("Both fps and times are given.", field="times", value=times, legal="one of them")
        if fps is not None and not 0.1 <= fps <= 1000:
            near = 0.1 if fps < 0.1 else 1000
            raise RequestError(f"fps = {fps:g}.", field="fps", value=fps, legal="0.1 to 1000", nearest=near)
        if times is not None and not 1 <= times <= 64:
            near = 1 if times < 1 else 64
            raise RequestError(f"times = {times}.", field="times", value=times, legal="1 to 64", nearest=near)
        if not 1 <= slow <= 64:
            near = 1 if slow < 1 else 64
            raise RequestError(f"slow = {slow:g}.", field="slow", value=slow, legal="1 to 64", nearest=near)
        if by not in METHODS:
            raise RequestError(
                f"Unknown method {by!r}.", field="by", value=by, legal=", ".join(METHODS), nearest="film"
            )
        if model is not None and by != "film":
            raise RequestError(
                f"{by} takes no model.", field="model", value=str(model), legal="with film", nearest=None
            )
        default = 2 if slow == 1 else 1
        return cls(None if fps is None else exact(fps), default if times is None else times, exact(slow))

    def rates(self, source_fps: float) -> tuple[Fraction, Fraction]:
        """(fps of the clip after slowdown, fps of the result). Raises RequestError if the latter is not legal."""
        own = exact(source_fps)
        target = self.fps if self.fps is not None else own * self.times
        if target > 1000:
            raise RequestError(
                f"The result would have {float(target):g} fps.", field="times", value=self.times,
                legal="up to 1000 fps", nearest=max(1, int(1000 / own)),
            )  # fmt: skip
        return own / self.slow, target


def exact(value: float) -> Fraction:
    return Fraction(value).limit_denominator(FINEST)


def blend(first_HWC: np.ndarray, second_HWC: np.ndarray, times: Sequence[Fraction]) -> list[np.ndarray]:
    """Mix both frames linearly by time."""
    first, second = first_HWC.astype(np.float32), second_HWC.astype(np.float32)
    return [np.round(first + (second - first) * np.float32(time)).astype(np.uint8) for time in times]


def num_frames(source_frames: int, source: Fraction, target: Fraction) -> int:
    """Number of frames of a result with the clip's duration, rounded, at least 1. source, target: fps."""
    return max(1, round(source_frames * target / source))


@quietly
def _interpolated(
    chunks: Iterable[Chunk], plan: InterpolationPlan, between: Between | None, total: int, on_event: OnEvent
) -> Iterator[Chunk]:
    source = iter(chunks)
    with closed_after(source):
        work: _Work | None = None
        while (chunk := next(source, None)) is not None:
            if work is None:
                work = _Work(chunk, plan, between, total, on_event)
            if chunk.audio is not None and work.sound is not None:
                work.sound.append(chunk.audio)
            for k in range(len(chunk.frames)):
                work.frame(chunk.frames[k])
                yield from work.ready()
            del chunk
        if work is not None:
            work.finish()
            yield from work.ready(last=True)


class _Work:
    """Takes the clip's frames one by one and queues the result's, in order, until a chunk is full. A frame that the
    filter has not finished is queued as a placeholder."""

    def __init__(
        self, first: Chunk, plan: InterpolationPlan, between: Between | None, total: int, on_event: OnEvent
    ) -> None:
        self.source, self.target = plan.rates(first.fps)
        self.between, self.on_event = between, on_event
        self.sound: list[np.ndarray] | None = [] if first.audio is not None and plan.slow == 1 else None
        self.sound_given = 0
        self.total = num_frames(total, self.source, self.target) if total else 0
        self.started = time.perf_counter()
        self.taken = 0  # frames of the clip
        self.count = 0  # frames of the result, queued ones included
        self.yielded = 0  # frames of the result already yielded
        self.before: np.ndarray | None = None
        self.queue: deque[np.ndarray] = deque()
        self.pending: set[int] = set()
        self.filter: Compensated | None = None
        if between is None and self.target > self.source:
            from .compensated import Compensated

            height, width = first.frames.shape[1:3]
            self.filter = Compensated(height, width, self.source, self.target)

    def frame(self, frame_HWC: np.ndarray) -> None:
        """Take the clip's next frame and compute all frames up to its time."""
        if self.before is not None:
            self._pair(self.before, frame_HWC)
        if self.filter is not None:
            self._take(self.filter.push(frame_HWC))
        self.before = frame_HWC.copy()
        self.taken += 1

    def _pair(self, first_HWC: np.ndarray, second_HWC: np.ndarray) -> None:
        """Queue the result's frames from the first frame (included) to the second (excluded)."""
        step = self.source / self.target
        places: list[Fraction] = []
        while (place := (self.count + len(places)) * step) < self.taken:
            places.append(place - (self.taken - 1))
        inside = [place for place in places if place > 0]
        if len(inside) < len(places):
            self._add(first_HWC)
        if not inside:
            return
        if same(first_HWC, second_HWC) or _cut(first_HWC, second_HWC):
            for _ in inside:
                self._add(first_HWC)
            return
        if self.between is not None:
            for frame in self.between(first_HWC, second_HWC, inside):
                self._add(frame)
            return
        for frame in blend(first_HWC, second_HWC, inside):
            self.pending.add(self.count)
            self._add(frame)

    def _add(self, frame_HWC: np.ndarray) -> None:
        self.queue.append(frame_HWC)
        self.count += 1
        seconds = time.perf_counter() - self.started
        self.on_event(Progress("interpolate", min(self.count, self.total or self.count), self.total, seconds))

    def _take(self, found: Iterable[tuple[int, np.ndarray]]) -> None:
        """Replace placeholders by the filter's frames."""
        for number, frame in found:
            if number in self.pending:
                self.pending.remove(number)
                self.queue[number - self.yielded] = frame

    def finish(self) -> None:
        """Finish the clip: hold its last frame to the end."""
        if self.filter is not None:
            self._take(self.filter.finish())
            self.pending.clear()
        assert self.before is not None
        for _ in range(self.count, num_frames(self.taken, self.source, self.target)):
            self._add(self.before)

    def ready(self, last: bool = False) -> Iterator[Chunk]:
        """Yield full chunks without placeholders; with `last` also the rest."""
        while self.queue:
            sure = min(self.pending) - self.yielded if self.pending else len(self.queue)
            if not last and sure <= CHUNK_FRAMES:  # keep a frame for the sound after the last full chunk
                return
            count = min(CHUNK_FRAMES, len(self.queue))
            frames = np.stack([self.queue.popleft() for _ in range(count)])
            start, self.yielded = self.yielded, self.yielded + count
            yield Chunk(frames, start, float(self.target), self._sound(last and not self.queue))

    def _sound(self, last: bool) -> np.ndarray | None:
        """The sound of the frames yielded since the last call; at the end, all remaining sound."""
        if self.sound is None:
            return None
        held = np.concatenate(self.sound) if self.sound else np.zeros((0, 1), np.float32)
        due = len(held) if last else round(self.yielded / self.target * AUDIO_RATE_HZ) - self.sound_given
        self.sound = [held[due:]]
        self.sound_given += min(due, len(held))
        return held[:due]


def same(first_HWC: np.ndarray, second_HWC: np.ndarray) -> bool:
    """Whether two frames are equal, up to SAME."""
    return bool(np.abs(first_HWC.astype(np.int16) - second_HWC).max() <= SAME)


def _cut(first_HWC: np.ndarray, second_HWC: np.ndarray) -> bool:
    from ..media.cut import is_cut

    return is_cut(first_HWC, second_HWC)


def manifest(
    own: dict[str, Any], *, clip: str, fps: float, target: float, slow: float, by: str, weights: dict[str, str]
) -> dict[str, Any]:
    """The manifest of an interpolated clip: the clip's own manifest, if any, and `interpolated`."""
    step = {"clip": clip, "by": by, "from_fps": fps, "fps": target, "slow": slow, "weights": weights}
    return {**own, "interpolated": step}
