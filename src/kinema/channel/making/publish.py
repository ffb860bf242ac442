"""The last step of a shot, on the channel's own machine: choose its music, conform its clip, add it to the library.

It is a kind of jobs of one channel (`publish_kind`), whose name contains the channel's token, so that only the process
with its library takes them.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...jobs.kinds import JobKind
from ..conform import Encoding, conform
from ..library import Library, LibraryClip
from ..running import encoding
from .beds import bed_for
from .finish import fitted
from .job import KNOWN_FRAMES
from .kinds import shot_kind
from .steps import stoppable

if TYPE_CHECKING:
    from ...jobs.context import Context
    from ..config import ChannelConfig
    from .ledger import Ledger


@dataclass
class Channel:
    """The stores of a channel. token: its name in a shared database."""

    config: ChannelConfig
    ledger: Ledger
    library: Library
    token: str

    @property
    def encoding(self) -> Encoding:
        return encoding(self.config)


def publish_kind(channel: Channel) -> JobKind:
    """The kind of jobs that publish shots of this channel."""
    return shot_kind(publish_step(channel.token), functools.partial(publish, channel))


def publish_step(token: str) -> str:
    """The step in the name of the kind."""
    return f"publish-{token}"


def publish(channel: Channel, context: Context, body: dict[str, Any]) -> dict[str, Any]:
    """Add the clip of a shot to the library, once, unless it is banned: {"state": the state of the shot}. body: also
    `clip`, and `how` it was generated."""
    from ...media.read import read_chunks

    planned, ledger, library = body["planned"], channel.ledger, channel.library
    if (shot := ledger.get(planned)) is None or shot.state != "banned":
        bed = bed_for(channel.config, body["theme"])
        chunks = stoppable(context, read_chunks(context.media.path(body["clip"]), audio=False))
        size = channel.encoding.width, channel.encoding.height
        clip = conform(fitted(chunks, *size, body["making"]["fit"]), library.clip_path(planned), channel.encoding)
        if (shot := ledger.get(planned)) is not None and shot.state == "banned":
            with contextlib.suppress(OSError):
                clip.path.unlink(missing_ok=True)
        else:
            library.add(
                LibraryClip(
                    planned, clip.path, title=body["title"], prompt=body["prompt"], theme=body["theme"],
                    frames=clip.frames, fps=clip.frames / clip.seconds, fingerprint=clip.fingerprint,
                    shot=body["shot"] | {"quality": body["quality"], "model": body["model"]} | recorded(body),
                    made_at=_made_at(channel, body), music=bed,
                )
            )  # fmt: skip
            ledger.end(planned, "published")
    shot = ledger.get(planned)
    return {"state": shot.state if shot is not None else "published"}


def recorded(body: dict[str, Any]) -> dict[str, Any]:
    """The record of how a shot was generated. known_frames: the context frames from the previous shot, which are not in
    its clip. left_out: optional steps that failed, and why."""
    how = body["how"]
    left = {"left_out": how["left_out"]} if how.get("left_out") else {}
    if how.get("goes_on"):
        return {"made_as": "continue", "goes_on_from": body["before"], "known_frames": KNOWN_FRAMES} | left
    return ({"made_as": "cut", "why_cut": how["why_cut"]} if "why_cut" in how else {}) | left


def _made_at(channel: Channel, body: dict[str, Any]) -> float:
    """The creation time for the library. New clips air in this order, so a clip that continues another gets a time
    right after it; 0 (now) for all others."""
    before = channel.library.get(body["before"]) if body["how"].get("goes_on") else None
    return before.made_at + 0.001 if before is not None else 0.0
