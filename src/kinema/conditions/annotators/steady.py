"""Numbers that are measured on each frame and must not flicker: levels that follow a stream, without looking ahead."""

from __future__ import annotations


class Follow:
    """The first value as it is; then a `share` of the way to each new one."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.value: float | None = None

    def __call__(self, value: float) -> float:
        self.value = value if self.value is None else self.value + self.share * (value - self.value)
        return self.value


class Peak(Follow):
    """A peak that rises at once, so that nothing is cut off, and falls by a `share` of the way."""

    def __call__(self, value: float) -> float:
        if self.value is None or value > self.value:
            self.value = value
            return value
        return super().__call__(value)
