"""From a shot to what a video model is asked: one prompt, for the clip and for what upscales it.

What the field learnt early are rules here: the camera, the motion, its speed and its direction are always said, and
every detail is said again in every shot, in the same words and the same order, so that what stays the same is the same
bytes. The subject and what it does come first, because short text encoders cut the end off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.conditions import Continue
from ...core.errors import RequestError
from ...core.request import Profile, Request
from ...core.upscale import Upscale
from .shots import CastMember, Shot, Speed, StyleBible

MAX_PROMPT_WORDS = 60  # what fits CLIP's 77 tokens, with room for words that are several
ADVERBS: dict[Speed, str] = {"slow": "slowly", "steady": "steadily", "fast": "quickly"}
_CAMERA = {
    "pan": "pans", "tilt": "tilts", "zoom": "zooms", "roll": "rolls", "track": "tracks", "dolly": "dollies",
    "crane": "cranes", "orbit": "orbits",
}  # fmt: skip


def prompt_of(shot: Shot, cast: Sequence[CastMember], bible: StyleBible) -> str:
    """The prompt of a shot. RequestError where its subject is not in the cast, or it has too many words."""
    member = next((one for one in cast if one.name == shot.subject), None)
    if member is None:
        legal = ", ".join(one.name for one in cast) or "nobody: the cast is empty"
        raise RequestError(
            f"subject = {shot.subject!r} is not in the cast.", field="subject", value=shot.subject, legal=legal
        )
    adverb = ADVERBS[shot.speed]
    what = " ".join(
        part
        for part in (
            member.description, adverb, shot.action, shot.direction, shot.setting, shot.light, shot.weather,
        )
        if part
    )  # fmt: skip
    prompt = "; ".join(part for part in (what, camera_words(shot), bible.look, shot.style) if part)
    if (count := len(prompt.split())) > MAX_PROMPT_WORDS:
        raise RequestError(
            f"A prompt of {count} words, too long for most text encoders: {prompt!r}.",
            field="prompt", value=prompt, legal=f"{MAX_PROMPT_WORDS} words at most",
        )  # fmt: skip
    return prompt


def camera_words(shot: Shot) -> str:
    """What the camera does, as a clause."""
    if shot.camera == "still":
        return "the camera does not move"
    return f"the camera {ADVERBS[shot.speed]} {_CAMERA[shot.camera]} {shot.camera_direction}"


def request_of(
    shot: Shot,
    cast: Sequence[CastMember],
    bible: StyleBible,
    *,
    model: str = "kinema-mini-wan",
    profile: Profile = "balanced",
    upscale: Sequence[Upscale] = (),
    before: str | None = None,
) -> Request:
    """The shot as a request. `before`: the clip before it, which a shot that continues goes on from (without one, it is
    cut). Lengths are wishes: the nearest that the model can do is made."""
    fields: dict[str, Any] = {"negative_prompt": bible.negative_prompt} if bible.negative_prompt else {}
    if shot.continuity == "continue" and before is not None:
        fields["conditions"] = (Continue(clip=before),)
    if upscale:
        fields["upscale"] = tuple(upscale)
    return Request(
        prompt=prompt_of(shot, cast, bible), model=model, profile=profile, seconds=shot.seconds, seed=shot.seed,
        fit="nearest", **fields,
    )  # fmt: skip
