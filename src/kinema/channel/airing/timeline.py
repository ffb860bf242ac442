"""When each frame of the channel is due, and at what date and time it counts as shown."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .clock import Clock

STEP_S = 2.0
"""A wall clock that differs more than this from where it should be was set by somebody."""


@dataclass(frozen=True)
class PlayoutTimeline:
    """Frame 0 is due at `steady` on the steady clock of the machine's run `boot`, and dated `wall`. Both may lie long
    before the channel began: the frame counter goes on through restarts."""

    steady: float
    wall: float
    boot: str
    fps: float

    @classmethod
    def starting(cls, frame: int, fps: float, clock: Clock, after_s: float = 0.0) -> PlayoutTimeline:
        """`frame` is due `after_s` from now."""
        ahead = after_s - frame / fps
        return cls(clock.steady() + ahead, clock.wall() + ahead, clock.boot, fps)

    def due(self, frame: int) -> float:
        return self.steady + frame / self.fps

    def wall_of(self, frame: int) -> float:
        return self.wall + frame / self.fps

    def behind(self, frame: int, clock: Clock) -> float | None:
        """Seconds that `frame` is late (negative: early); None where the machine was started anew since."""
        if not clock.boot or clock.boot != self.boot:
            return None
        return clock.steady() - self.due(frame)

    def dated(self, clock: Clock) -> PlayoutTimeline:
        """The same pace; the dates follow the wall clock where it was set."""
        step = (clock.wall() - clock.steady()) - (self.wall - self.steady)
        return replace(self, wall=self.wall + step) if abs(step) > STEP_S else self
