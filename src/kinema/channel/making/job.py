"""A shot as its maker is asked for it, and how makers fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...core.conditions import Continue
from ...core.errors import KinemaError

if TYPE_CHECKING:
    from ...core.request import Request

KNOWN_FRAMES: int = Continue.model_fields["frames"].default


class Down(KinemaError):
    """Whoever should make the clip cannot be reached now; the shot itself may be good."""


class Late(Down):
    """The clip was not there within its time. Another try would take as long."""


@dataclass(frozen=True)
class ShotOrder:
    """A shot as a maker, on whatever machine, is asked for it; plain JSON (`to_dict`, `from_dict`). seed and seconds
    are wishes. making: the channel's settings of that name; space: those for a Space. tail: the last frames of the shot
    before, a file on this machine, to go on from; only makers that can are given one. keeps: another shot will go on
    from this one's clip."""

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

    def to_dict(self) -> dict[str, Any]:
        return dict(self.__dict__)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ShotOrder:
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})

    def request(self) -> Request:
        """Lengths are wishes: the nearest that the model can do is made. A clip that goes on begins with the known
        frames, beyond its seconds."""
        from ...core.request import Request

        said: dict[str, Any] = {"negative_prompt": self.negative_prompt} if self.negative_prompt else {}
        seconds = self.seconds
        if self.tail:
            from ...media.read import probe

            said["conditions"] = (Continue(clip=self.tail, frames=KNOWN_FRAMES),)
            seconds += KNOWN_FRAMES / probe(self.tail).fps
        return Request(
            prompt=self.prompt, model=self.model, profile=self.profile, seconds=seconds, seed=self.seed, fit="nearest",
            **said,
        )  # fmt: skip

    @property
    def device(self) -> str | None:
        return self.making.get("device") or None
