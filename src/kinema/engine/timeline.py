"""The clip that is edited or continued, frame by frame: existing frames, masks of the area to generate, and sound.

Frames are read forward, once, and dropped after they are yielded, so memory does not grow with length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np

from ..conditions import inputs, outpaint
from ..conditions.image import cover
from ..core.chunk import Chunk
from ..core.conditions import Continue, Control, Source
from ..core.errors import MediaError
from ..core.events import Event, Note, OnEvent, Outcome, ignore
from ..core.plan import Plan
from .fill import Shares, before_model
from .sightings import Sightings

T = TypeVar("T")


@dataclass
class Findings:
    """What reading the timeline of an edit finds out. on_event: reports frames that are filled from other frames."""

    shares: Shares = field(default_factory=Shares)
    seen: Sightings = field(default_factory=Sightings)
    on_event: OnEvent = ignore

    def report(self, stage: str) -> Iterator[Event]:
        """Yield the notes on a finished clip, and its outcome if there is any."""
        facts: dict[str, Any] = {}
        if self.shares.fractions():
            yield Note(stage, f"Filled {self.shares.text()}.")
            facts |= self.shares.facts()
        yield from (Note(stage, note) for note in self.seen.notes())
        if self.seen.lost or self.seen.unsure:
            facts |= self.seen.facts()
        if facts:
            yield Outcome(stage, facts=facts)


@dataclass
class EditTimeline:
    """frames: an iterator of (frame uint8 (H, W, 3), sound or None); a frame None is to be generated. masks: an
    iterator of float32 (H, W), or None: only missing frames are generated. controls: an iterator of control frames, or
    None."""

    frames: Iterator[tuple[np.ndarray | None, np.ndarray | None]]
    size: tuple[int, int]
    num_frames: int
    masks: Iterator[np.ndarray] | None = None
    controls: Iterator[np.ndarray] | None = None
    _kept: dict[str, dict[int, Any]] = field(default_factory=lambda: {"frame": {}, "mask": {}, "control": {}})
    _read: dict[str, int] = field(default_factory=lambda: {"frame": 0, "mask": 0, "control": 0})

    def frame(self, index: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        return self._get("frame", index, self.frames)

    def mask(self, index: int) -> np.ndarray:
        """(H, W) float32: 1 = generate."""
        width, height = self.size
        if self.frame(index)[0] is None:
            return np.ones((height, width), np.float32)
        if self.masks is None:
            return np.zeros((height, width), np.float32)
        return self._get("mask", index, self.masks)

    def control(self, index: int) -> np.ndarray | None:
        return None if self.controls is None else self._get("control", index, self.controls)

    def forget(self, before: int) -> None:
        for kept in self._kept.values():
            for index in [each for each in kept if each < before]:
                del kept[index]

    def _get(self, name: str, index: int, source: Iterator[Any]) -> Any:
        kept = self._kept[name]
        while self._read[name] <= index:
            kept[self._read[name]] = next(source)
            self._read[name] += 1
        return kept[index]


def open_timeline(plan: Plan, found: Findings | None = None) -> EditTimeline:
    """The timeline of a plan with `canvas="source"` or "upscale". found: is completed as the timeline is read. Reading
    it may raise MediaError."""
    source = next((c for c in plan.conditions if isinstance(c, Source)), None)
    if source is not None:
        return _edited(plan, source, found or Findings())
    parts: list[Iterator[tuple[np.ndarray | None, np.ndarray | None]]] = []
    start = next((c for c in plan.conditions if isinstance(c, Continue) and c.place == "start"), None)
    end = next((c for c in plan.conditions if isinstance(c, Continue) and c.place == "end"), None)
    given = [inputs.info(c.clip) for c in (start, end) if c is not None]
    new = plan.frames - sum(info.num_frames for info in given)
    sound = all(info.has_audio for info in given)
    width, height = plan.size
    if start is not None:
        parts.append(_exactly(given[0].num_frames, _frames(start.clip, width, height, sound), start.clip))
    silence = np.zeros((round(48_000 / plan.fps), 1), np.float32) if sound else None
    parts.append((None, silence) for _ in range(new))
    if end is not None:
        parts.append(_exactly(given[-1].num_frames, _frames(end.clip, width, height, sound), end.clip))
    return EditTimeline(chain(*parts), (width, height), plan.frames)


def source_streams(
    plan: Plan, source: Source, seen: Sightings | None = None
) -> tuple[Iterator[tuple[np.ndarray, np.ndarray | None]], Iterator[np.ndarray]]:
    """Return the frames of a source, with their sound, and its masks, float32 (H, W), all of the plan's length. seen:
    see `mask_stream.masks`."""
    from . import mask_stream

    width, height = plan.size
    mask = next((c for c in plan.conditions if c.kind == "mask"), None)
    masks = mask_stream.masks(mask, source, plan.frames, width, height, seen)
    masks = _exactly(plan.frames, masks, (mask.video if mask is not None else None) or source.video)
    method = plan.upscale[0].by if plan.upscale else "lanczos"
    frames = _exactly(plan.frames, _frames(source.video, width, height, True, source.grow, method), source.video)
    return frames, masks


def _edited(plan: Plan, source: Source, found: Findings) -> EditTimeline:
    width, height = plan.size
    control = next((c for c in plan.conditions if c.kind == "control"), None)
    controls = None
    if control is not None:
        drawn = _controls(control, source, plan.frames, width, height)
        controls = _exactly(plan.frames, drawn, control.video or source.video)
    frames, masks = source_streams(plan, source, found.seen)
    if plan.fill == "both":
        frames, masks = before_model(frames, masks, plan, found.shares, found.on_event)
    return EditTimeline(frames, (width, height), plan.frames, masks, controls)


def _exactly(count: int, frames: Iterator[T], media: str) -> Iterator[T]:
    """Yield the first `count` frames. Raises MediaError if the clip has fewer than its header states."""
    given = 0
    for frame in islice(frames, count):
        yield frame
        given += 1
    if given < count:
        raise MediaError(
            f"{media[:200]}: only {given} of the {count} frames in its header are readable; rewrite it "
            "(`ffmpeg -i CLIP NEW.mp4`), or use the readable part."
        )


def _frames(
    video: str, width: int, height: int, sound: bool, grow: outpaint.Grow = (), method: str = "lanczos"
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    from PIL import Image

    from ..media.read import read_chunks

    with inputs.as_file(video) as path:
        for chunk in read_chunks(path, chunk_frames=1, audio=sound):
            frame = outpaint.grown(chunk.frames[0], grow) if any(grow) else chunk.frames[0]
            yield cover(frame, height, width, Image.Resampling[method.upper()]), chunk.audio


def _controls(control: Control, source: Source, num_frames: int, width: int, height: int) -> Iterator[np.ndarray]:
    """Control frames: those of its clip, or computed from the source as it is read."""
    if control.video is not None:
        return _held(control.video, num_frames, width, height)
    from ..conditions.control import annotate

    frames = _frames(source.video, width, height, False, source.grow)
    return annotate((frame for frame, _ in frames), control.control)


def _held(video: str, num_frames: int, width: int, height: int) -> Iterator[np.ndarray]:
    """Frames of a control clip; if it is shorter, its last frame is repeated."""
    given, frame = 0, None
    for frame, _ in _frames(video, width, height, False):
        yield frame
        given += 1
    for _ in range(num_frames - given):
        if frame is not None:
            yield frame


def sounding(frames: list[np.ndarray], sounds: list[np.ndarray | None], start: int, fps: float) -> Chunk:
    """One chunk of these frames, with their sound if all have some."""
    parts = [sound for sound in sounds if sound is not None]
    channels = max((part.shape[1] for part in parts), default=0)
    whole = None
    if parts and len(parts) == len(frames):
        whole = np.concatenate([np.repeat(p, channels, 1) if p.shape[1] < channels else p for p in parts])
    return Chunk(np.stack(frames), start, fps, whole)
