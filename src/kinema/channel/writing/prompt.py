"""Prompts and requests of shots. The same prompt is used for generating and for upscaling a clip.

Every prompt names camera, motion, speed and direction, and repeats all details in the same words and order, so that
constant parts are identical in all shots. Subject and action come first, because short text encoders truncate the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.conditions import Continue
from ...core.errors import RequestError
from ...core.request import Profile, Request
from ...core.upscale import Upscale
from .shots import CastMember, Shot, Speed, StyleBible

MAX_PROMPT_WORDS = 60  # fits CLIP's 77 tokens, allowing for words of several tokens
ADVERBS: dict[Speed, str] = {"slow": "slowly", "steady": "steadily", "fast": "quickly"}
_CAMERA = {
    "pan": "pans", "tilt": "tilts", "zoom": "zooms", "roll": "rolls", "track": "tracks", "dolly": "dollies",
    "crane": "cranes", "orbit": "orbits",
}  # fmt: skip


def prompt_of(shot: Shot, cast: Sequence[CastMember], bible: StyleBible) -> str:
    """The prompt of a shot. RequestError: its subject is not in the cast, or the prompt has too many words."""
    member = next((one for one in cast if one.name == shot.subject), None)
    if member is None:
        legal = ", ".join(one.name for one in cast) or "none: the cast is empty"
        raise RequestError(
            f"subject = {shot.subject!r} is not in the cast.", field="subject", value=shot.subject, legal=legal
        )
    adverb = ADVERBS[shot.speed]
    scene = " ".join(
        part
        for part in (
            member.description, adverb, shot.action, shot.direction, shot.setting, shot.light, shot.weather,
        )
        if part
    )  # fmt: skip
    prompt = "; ".join(part for part in (scene, camera_words(shot), bible.look, shot.style) if part)
    if (count := len(prompt.split())) > MAX_PROMPT_WORDS:
        raise RequestError(
            f"The prompt has {count} words, too many for most text encoders: {prompt!r}.",
            field="prompt", value=prompt, legal=f"at most {MAX_PROMPT_WORDS} words",
        )  # fmt: skip
    return prompt


def camera_words(shot: Shot) -> str:
    """The camera move as a clause."""
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
    """The request of a shot, with the nearest supported duration. before: the previous clip, for a shot that continues
    it; without one, the shot is a cut."""
    fields: dict[str, Any] = {"negative_prompt": bible.negative_prompt} if bible.negative_prompt else {}
    if shot.continuity == "continue" and before is not None:
        fields["conditions"] = (Continue(clip=before),)
    if upscale:
        fields["upscale"] = tuple(upscale)
    return Request(
        prompt=prompt_of(shot, cast, bible), model=model, profile=profile, seconds=shot.seconds, seed=shot.seed,
        fit="nearest", **fields,
    )  # fmt: skip
