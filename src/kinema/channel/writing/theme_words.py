"""What of a theme the world of Toyland can honour."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...toyland import words
from ...toyland.reword import SILENT
from ...toyland.scene import World
from ...toyland.understand import Understanding, understand
from .shots import Speed


@dataclass(frozen=True, slots=True)
class Wishes:
    """things: (kind, colour or None). colors: said without a thing. Everything else in the words of `Scene`, None or
    empty where the theme says nothing. notes: what was said that this world has not."""

    things: tuple[tuple[str, str | None], ...] = ()
    colors: tuple[str, ...] = ()
    background: str | None = None
    light: str | None = None
    weather: str | None = None
    style: str | None = None
    motion: str | None = None
    camera: str | None = None
    speeds: tuple[Speed, ...] = ()
    notes: tuple[str, ...] = ()


MOODS: tuple[tuple[str, dict[str, str]], ...] = (
    (r"\w*storms?|stormy|tempests?|hurricanes?", {"speed": "fast", "weather": "rain"}),
    (r"calm\w*|quiet\w*|gentl[ey]|peace\w*|sleep\w*|dream\w*|lullab\w+|slow\w*|lazy|soft\w*", {"speed": "slow"}),
    (r"rac(?:e|es|ing)|chas(?:e|es|ing)|fast\w*|quick\w*|rush\w*|wild\w*|hurr\w+|danc\w+", {"speed": "fast"}),
    (r"spooky|ghost\w*|scary|halloween|mystery|mysterious", {"speed": "slow", "light": "night"}),
    (r"christmas", {"background": "snow", "light": "night"}),
    (r"holidays?|picnics?|spring|summer", {"light": "day"}),
    (r"sail\w*|pirates?|harbou?rs?|islands?|shipwrecks?", {"background": "sea"}),
    (r"farms?|gardens?|forests?|woods", {"background": "meadow"}),
    (r"traffic|rush hour|market|rooftops?", {"background": "city"}),
    (r"astronauts?|moon landing|mars|aliens?|comets?", {"background": "space"}),
)  # fmt: skip
"""Words that Toyland has no picture for but that ask for something: (pattern, what). The first that says it counts;
what the theme says outright counts more."""


MAX_UNKNOWN = 8


def _unknown(plain: str) -> list[str]:
    """Words of a theme that mean nothing here, each once, at most MAX_UNKNOWN; none where a phrase that they belong to
    means something."""
    names = plain.split()
    known = [any(re.fullmatch(pattern, name) for pattern, _ in MOODS) or name in SILENT for name in names]
    for first in range(len(names)):
        for last in range(first + 1, min(first + 4, len(names) + 1)):
            part = " ".join(names[first:last])
            if understand(part) != Understanding() or any(re.fullmatch(p, part) for p in _FURTHER):
                known[first:last] = [True] * (last - first)
    return list(dict.fromkeys(name for name, one in zip(names, known) if not one))[:MAX_UNKNOWN]


_FURTHER = (
    *(pattern for pattern, _ in MOODS), *words.COLOR_WORDS.values(), *(pattern for _, pattern in words.MOTION_WORDS),
)  # fmt: skip


def wishes(text: str, world: World) -> Wishes:
    """What the theme asks for, as far as `world` has it."""
    plain = " ".join(re.findall(r"[a-z0-9]+", text.lower()))
    said = understand(plain)
    moods: dict[str, str] = {}
    for pattern, asked in MOODS:
        if re.search(rf"\b(?:{pattern})\b", plain):
            moods = asked | moods
    notes: list[str] = []

    def legal(name: str, value: str | None, known: tuple[str, ...]) -> str | None:
        if value is None or value in known:
            return value
        notes.append(f"{name} {value!r} is unknown to the models that this writes for; left out.")
        return None

    things = [
        (actor.kind, actor.color if actor.color in world.colors else None)
        for actor in said.actors
        if legal("object", actor.kind, world.kinds)
    ]
    told = {color for _, color in things}
    colors = [
        color
        for color, pattern in words.COLOR_WORDS.items()
        if color in world.colors and color not in told and re.search(rf"\b(?:{pattern})\b", plain)
    ]
    speed = moods.get("speed")
    if unknown := _unknown(plain):
        notes.append(
            f"Not understood in the theme: {', '.join(unknown)}. This writer writes of what the miniatures draw: "
            f"{', '.join(world.kinds)}; {', '.join(world.backgrounds)}. A language model (--llm) writes of "
            "anything, for a model that draws it."
        )
    return Wishes(
        things=tuple(things),
        colors=tuple(colors[:2]),
        background=legal("place", said.background or moods.get("background"), world.backgrounds),
        light=legal("light", said.light or moods.get("light"), world.lights),
        weather=legal("weather", said.weather or moods.get("weather"), world.weathers),
        style=legal("style", said.style, world.styles),
        motion=said.actors[0].motion if said.actors else None,
        camera=legal("camera", said.camera, world.cameras),
        speeds={"slow": ("slow", "steady"), "fast": ("fast", "steady")}.get(speed or "", ()),  # type: ignore[arg-type]
        notes=tuple(notes),
    )
