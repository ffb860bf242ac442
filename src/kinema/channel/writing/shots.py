"""What a director writes: themes, style bibles, casts, shots and episodes, as frozen values that are plain JSON.

Text fields are one line of printable characters. A shot names its subject; what the subject looks like stands in the
cast, once, and is repeated byte for byte wherever it is seen (prompt.py).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from ...core.conditions import Value
from ...core.errors import RequestError
from ...core.fields import explained, reason
from ...core.invisible import EMOJI_JOINER, EMOJI_STYLE, is_blank
from ...core.outside import for_terminal
from ...core.request import Seed

_KEYS = frozenset("0123456789#*")
MAX_THEME_CHARS, MAX_TITLE_CHARS, MAX_SHOTS = 200, 80, 60
Camera = Literal["still", "pan", "tilt", "zoom", "roll", "track", "dolly", "crane", "orbit"]
CameraDirection = Literal["none", "left", "right", "up", "down", "in", "out"]
Speed = Literal["slow", "steady", "fast"]
Continuity = Literal["cut", "match", "continue"]
Part = Literal["opening", "development", "ending"]

_SIDES: tuple[CameraDirection, ...] = ("left", "right")
_HEIGHTS: tuple[CameraDirection, ...] = ("up", "down")
_DEPTHS: tuple[CameraDirection, ...] = ("in", "out")
CAMERA_DIRECTIONS: dict[Camera, tuple[CameraDirection, ...]] = {
    "still": ("none",), "pan": _SIDES, "tilt": _HEIGHTS, "zoom": _DEPTHS, "roll": _SIDES, "track": _SIDES,
    "dolly": _DEPTHS, "crane": _HEIGHTS, "orbit": _SIDES,
}  # fmt: skip
"""Where each camera move can go."""


def unseen(text: str) -> int | None:
    """The place of the first character that nobody sees: controls, and what a font shows as nothing (variation
    selectors, joiners, fillers), in which words could be hidden. What makes an emoji out of others is seen: one joiner
    between two, one selector after one."""
    before = ""
    for place, char in enumerate(text):
        if char == EMOJI_JOINER:
            after = text[place + 1 : place + 2]
            seen = _is_emoji(before) and bool(after) and _is_emoji(after)
        elif char == EMOJI_STYLE:
            seen = (_is_emoji(before) and before != EMOJI_STYLE) or before in _KEYS
        else:
            seen = not is_blank(char) and unicodedata.category(char) not in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")
        if not seen:
            return place
        before = char
    return None


def _is_emoji(char: str) -> bool:
    """Or what joins on to one: a skin's tone, the selector that makes one of a sign."""
    if char == EMOJI_STYLE or "\U0001f3fb" <= char <= "\U0001f3ff":
        return True
    return bool(char) and unicodedata.category(char) in ("So", "Sm")


def _one_line(text: str) -> str:
    if (place := unseen(text)) is not None:
        raise ValueError(f"is one line of printable characters; U+{ord(text[place]):04X} is none")
    if text != text.strip():
        raise ValueError("neither begins nor ends with a space")
    return text


def _verb(text: str) -> str:
    plain = text.replace("-", "")
    if not plain.isalpha() or not text.endswith(("s", "ing")):
        raise ValueError("is exactly one action verb, as 'sails' or 'sailing'")
    return text


_Line = AfterValidator(_one_line)
Name = Annotated[str, Field(min_length=1, max_length=40), _Line]
Title = Annotated[str, Field(min_length=1, max_length=MAX_TITLE_CHARS), _Line]
ThemeText = Annotated[str, Field(min_length=1, max_length=MAX_THEME_CHARS), _Line]
Description = Annotated[str, Field(min_length=3, max_length=200), _Line]
Phrase = Annotated[str, Field(min_length=1, max_length=120), _Line]
Aside = Annotated[str, Field(max_length=200), _Line]
Seconds = Annotated[float, Field(gt=0, le=60)]


class Theme(Value):
    """What a programme is about, in a person's words. `source`: whose; a viewer's words are data, whatever they say."""

    text: ThemeText
    source: Literal["owner", "viewer"] = "owner"


class CastMember(Value):
    """Who is seen: a name to call it by, and a description that every prompt repeats byte for byte."""

    name: Name
    description: Description


class StyleBible(Value):
    """What all episodes share. `style` and `look` (palette, era, lens) end every prompt. An empty `cast` leaves it to
    the writer; a given one is the only one that may be seen."""

    style: Phrase = "flat style"
    look: Aside = ""
    seconds: Seconds = 2.0
    negative_prompt: Aside = ""
    cast: Annotated[tuple[CastMember, ...], Field(max_length=12)] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> StyleBible:
        _check_names(self.cast)
        return self


class Shot(Value):
    """One clip. action: one verb; direction: where or how it goes ("left", "in a circle"); camera and
    camera_direction: how the camera moves; setting and light: where and when, in words that fit into a sentence
    ("over the sea", "at night"). seconds: wished for. continuity: "cut" begins anew, "match" keeps what the picture
    before looked like (its seed), "continue" goes on from its last frames."""

    part: Part
    subject: Name
    action: Annotated[str, Field(min_length=2, max_length=30), AfterValidator(_verb)]
    direction: Phrase
    setting: Phrase
    light: Phrase
    weather: Aside = ""
    camera: Camera
    camera_direction: CameraDirection
    speed: Speed
    style: Phrase
    seconds: Seconds
    seed: Seed
    continuity: Continuity = "cut"

    @model_validator(mode="after")
    def _camera_can(self) -> Shot:
        legal = CAMERA_DIRECTIONS[self.camera]
        if self.camera_direction not in legal:
            ways = " or ".join(map(repr, legal))
            raise ValueError(f"camera_direction of {self.camera!r} is {ways}, not {self.camera_direction!r}")
        return self


class Episode(Value):
    """Shots that belong together, with all who are seen in them. `writer`: who wrote it. `notes`: what of the theme
    could not be done, for the people who run the channel."""

    number: Annotated[int, Field(ge=0)]
    title: Title
    theme: Theme
    writer: str
    cast: Annotated[tuple[CastMember, ...], Field(min_length=1, max_length=12)]
    shots: Annotated[tuple[Shot, ...], Field(min_length=1, max_length=MAX_SHOTS)]
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _holds_together(self) -> Episode:
        _check_names(self.cast)
        names = [member.name for member in self.cast]
        for number, shot in enumerate(self.shots):
            if shot.subject not in names:
                raise ValueError(f"shots.{number}.subject = {shot.subject!r} is not in the cast: {', '.join(names)}")
            if shot.continuity == "cut":
                continue
            if number == 0:
                raise ValueError(
                    f"shots.0.continuity = {shot.continuity!r}: nothing comes before it; only 'cut' is legal"
                )
            before = self.shots[number - 1]
            for field in ("subject", "setting", "light") if shot.continuity == "continue" else ("setting",):
                if getattr(shot, field) != getattr(before, field):
                    raise ValueError(
                        f"shots.{number}.continuity = {shot.continuity!r}, but its {field} is {getattr(shot, field)!r} "
                        f"and before it {getattr(before, field)!r}; 'cut' is legal there"
                    )
        return self


class Brief(Value):
    """What a writer is asked for: one episode of `shots` shots. `draw`: another try at the same episode."""

    theme: Theme
    bible: StyleBible = Field(default_factory=StyleBible)
    number: Annotated[int, Field(ge=0)] = 0
    shots: Annotated[int, Field(ge=1, le=MAX_SHOTS)] = 8
    seed: Seed = 0
    draw: Annotated[int, Field(ge=0)] = 0
    titles: tuple[str, ...] = ()


V = TypeVar("V", bound=Value)


def parsed(kind: type[V], data: Any, what: str) -> V:
    """`data` as a value of this kind. RequestError that lists what is wrong: field, value and why, five at most."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        told = "; ".join(_told(problem, kind) for problem in found[:5])
        more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
        field = ".".join(str(part) for part in found[0]["loc"])
        value = None if isinstance(found[0]["input"], dict) else _short(found[0]["input"])
        near = explained(found[0], kind)[2]
        raise RequestError(f"Not a legal {what}: {told}{more}.", field=field, value=value, nearest=near) from None


def part_of(number: int, total: int) -> Part:
    """The place of shot `number` of `total` in an episode's arc."""
    return "opening" if number == 0 else "ending" if number == total - 1 else "development"


def _told(problem: Any, kind: type[Value]) -> str:
    if problem["type"] == "extra_forbidden":
        message, legal, near = explained(problem, kind)
        hint = f"did you mean {near}? " if near else ""
        return for_terminal(f"{message[0].lower()}{message[1:]} ({hint}legal: {legal})", 500)
    where = for_terminal(".".join(str(part) for part in problem["loc"]), 100)
    message = for_terminal(reason(problem), 500)
    if not where or isinstance(problem["input"], dict):
        return f"{where}: {message}" if where else message
    return f"{where} = {_short(problem['input'])}: {message}"


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _check_names(cast: Sequence[CastMember]) -> None:
    names = [member.name for member in cast]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two of the cast are called {twice!r}; each name once")
