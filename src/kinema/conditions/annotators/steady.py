"""Temporal smoothing of per-frame measurements, without lookahead, to avoid flicker."""

from __future__ import annotations


class Smoothed:
    """Exponential smoothing: the first value unchanged, then moving by `share` towards each new one."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.value: float | None = None

    def __call__(self, value: float) -> float:
        self.value = value if self.value is None else self.value + self.share * (value - self.value)
        return self.value


class Peak(Smoothed):
    """A peak value that rises immediately, to avoid clipping, and decays by `share`."""

    def __call__(self, value: float) -> float:
        if self.value is None or value > self.value:
            self.value = value
            return value
        return super().__call__(value)
