"""The due time and the program date-time of each frame of a channel."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .clock import Clock

STEP_S = 2.0
"""A larger deviation of the wall clock counts as a clock change."""


@dataclass(frozen=True)
class PlayoutTimeline:
    """Frame 0 is due at `steady` on the monotonic clock of boot `boot`, and dated `wall`. Both may be long past: the
    frame counter continues through restarts."""

    steady: float
    wall: float
    boot: str
    fps: float

    @classmethod
    def starting(cls, frame: int, fps: float, clock: Clock, after_s: float = 0.0) -> PlayoutTimeline:
        """A timeline on which `frame` is due `after_s` from now."""
        ahead = after_s - frame / fps
        return cls(clock.steady() + ahead, clock.wall() + ahead, clock.boot, fps)

    def due(self, frame: int) -> float:
        return self.steady + frame / self.fps

    def wall_of(self, frame: int) -> float:
        return self.wall + frame / self.fps

    def behind(self, frame: int, clock: Clock) -> float | None:
        """Seconds that `frame` is late (negative: early); None if the machine has rebooted since."""
        if not clock.boot or clock.boot != self.boot:
            return None
        return clock.steady() - self.due(frame)

    def dated(self, clock: Clock) -> PlayoutTimeline:
        """This timeline with its dates adjusted to a changed wall clock; itself if unchanged."""
        step = (clock.wall() - clock.steady()) - (self.wall - self.steady)
        return replace(self, wall=self.wall + step) if abs(step) > STEP_S else self
