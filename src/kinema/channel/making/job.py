"""The order of a shot, and the errors of makers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...core.conditions import Continue
from ...core.errors import KinemaError

if TYPE_CHECKING:
    from ...core.request import Request
    from ...jobs.context import Context

KNOWN_FRAMES: int = Continue.model_fields["frames"].default
"""Context frames of a clip that continues another."""


class Unavailable(KinemaError):
    """The service is unavailable; a retry may succeed."""


class ClipTimeout(Unavailable):
    """The clip was not finished within its time limit. A retry would take as long."""


@dataclass(frozen=True)
class ShotOrder:
    """The order of a shot for a maker. seed and seconds are requested values. making: the channel's `[making]`
    settings; space: its `[space]` settings. tail: a local file with the last frames of the previous shot, only for
    makers that can continue a clip. keeps: another shot will continue this one. context: that of the job which runs
    the order in a worker."""

    id: str
    prompt: str
    negative_prompt: str
    seconds: float
    seed: int
    profile: str
    model: str
    making: dict[str, Any]
    space: dict[str, Any] = field(default_factory=dict)
    width: int = 576
    height: int = 320
    tail: str = ""
    keeps: bool = False
    context: Context | None = field(default=None, compare=False, repr=False)

    @classmethod
    def from_dict(cls, data: dict[str, Any], **more: Any) -> ShotOrder:
        """The order in the body of a shot's job; other fields of the body are left out."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data} | more)

    def check(self) -> None:
        """Raise if the work should stop. Makers call it between two steps, and while they wait."""
        if self.context is not None:
            self.context.check()

    def request(self) -> Request:
        """The request for a Kinema model, with the nearest supported duration. A clip that continues another is longer
        by its context frames."""
        from ...core.request import Request

        fields: dict[str, Any] = {"negative_prompt": self.negative_prompt} if self.negative_prompt else {}
        seconds = self.seconds
        if self.tail:
            from ...media.read import probe

            fields["conditions"] = (Continue(clip=self.tail, frames=KNOWN_FRAMES),)
            seconds += KNOWN_FRAMES / probe(self.tail).fps
        return Request(
            prompt=self.prompt, model=self.model, profile=self.profile, seconds=seconds, seed=self.seed, fit="nearest",
            **fields,
        )  # fmt: skip
