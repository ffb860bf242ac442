"""Match the words of a theme to the world of Toyland."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...toyland import words
from ...toyland.reword import SILENT
from ...toyland.scene import World
from ...toyland.understand import Understanding, understand
from .shots import Speed


@dataclass(frozen=True, slots=True)
class ThemeTerms:
    """The terms of a theme that Toyland knows. objects: (kind, colour or None). colors: without an object. Other fields
    use the terms of `Scene`; None or empty if not specified. notes: terms that this world does not have."""

    objects: tuple[tuple[str, str | None], ...] = ()
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
"""Words that imply terms: (pattern, terms). The first match of a field applies; explicit terms of the theme override
it."""


MAX_UNKNOWN = 8


def _unknown(plain: str) -> list[str]:
    """Unknown words of a theme that are not part of a known phrase, without duplicates, at most MAX_UNKNOWN."""
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


def terms_of(text: str, world: World) -> ThemeTerms:
    """The terms of a theme that `world` has."""
    plain = " ".join(re.findall(r"[a-z0-9]+", text.lower()))
    understood = understand(plain)
    moods: dict[str, str] = {}
    for pattern, implied in MOODS:
        if re.search(rf"\b(?:{pattern})\b", plain):
            moods = implied | moods
    notes: list[str] = []

    def legal(name: str, value: str | None, known: tuple[str, ...]) -> str | None:
        if value is None or value in known:
            return value
        notes.append(f"Ignored: the models of this writer do not know the {name} {value!r}.")
        return None

    objects = [
        (actor.kind, actor.color if actor.color in world.colors else None)
        for actor in understood.actors
        if legal("object", actor.kind, world.kinds)
    ]
    used = {color for _, color in objects}
    colors = [
        color
        for color, pattern in words.COLOR_WORDS.items()
        if color in world.colors and color not in used and re.search(rf"\b(?:{pattern})\b", plain)
    ]
    speed = moods.get("speed")
    if unknown := _unknown(plain):
        notes.append(
            f"Unknown words in the theme: {', '.join(unknown)}. This writer knows the objects and places of the "
            f"miniatures: {', '.join(world.kinds)}; {', '.join(world.backgrounds)}. For other themes, use a language "
            "model (--llm) and a larger video model."
        )
    return ThemeTerms(
        objects=tuple(objects),
        colors=tuple(colors[:2]),
        background=legal("place", understood.background or moods.get("background"), world.backgrounds),
        light=legal("light", understood.light or moods.get("light"), world.lights),
        weather=legal("weather", understood.weather or moods.get("weather"), world.weathers),
        style=legal("style", understood.style, world.styles),
        motion=understood.actors[0].motion if understood.actors else None,
        camera=legal("camera", understood.camera, world.cameras),
        speeds={"slow": ("slow", "steady"), "fast": ("fast", "steady")}.get(speed or "", ()),  # type: ignore[arg-type]
        notes=tuple(notes),
    )
