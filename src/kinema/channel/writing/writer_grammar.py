"""The offline writer: endless episodes in Toyland's vocabulary, by rules and a seed.

An episode opens with an approach, develops, and ends with a retreat, while the light may change. Terms of the theme
that Toyland knows (objects, colours, places, light, weather, style, motion, camera, moods) are used. Shots are drawn
from shuffled decks without replacement, so none repeats before its deck is exhausted. An episode depends only on theme,
seed and number, so the writer can resume anywhere.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any, NamedTuple

from ...toyland import words
from ...toyland.scene import WORLD_MINI, World
from ...toyland.understand import understand
from .shots import Brief, Camera, CameraDirection, CastMember, Episode, Shot, Speed, part_of
from .theme_words import ThemeTerms, terms_of

SPEEDS: tuple[Speed, ...] = ("slow", "steady", "fast")
APPROACH, RETREAT = ("zoom-in", "tilt-down"), ("zoom-out", "tilt-up")
WITHIN = ("still", "pan-left", "pan-right", "roll-left", "roll-right")
"""Camera moves of openings, endings and developments. They are disjoint, and so are the cards."""
DAYS = (
    ("day", "day", "sunset"), ("day", "sunset", "night"), ("sunset", "sunset", "night"), ("night", "night", "day"),
    ("day", "day", "day"), ("night", "night", "night"), ("sunset", "day", "day"),
)  # fmt: skip
"""The light of an episode: opening, development, ending."""
SIZES = ("", "small", "big")
NAMES = (
    "Pip", "Momo", "Ruby", "Tilly", "Bo", "Zuzu", "Fern", "Otto", "Nell", "Kiki", "Lumi", "Dot", "Hugo", "Wren", "Juno",
    "Milo", "Peg", "Rollo", "Suki", "Tam",
)  # fmt: skip
TITLES = (
    "{lead} {place}", "{lead} and {other}", "The day of {lead}", "Where {lead} goes", "{other} finds {lead}",
    "A little film about {lead}", "{lead}, {light}", "What {other} saw {place}",
)  # fmt: skip


class ShotAction(NamedTuple):
    """An action of an object: verbs to choose from (None: the object's own), direction, motion, and axis of motion."""

    verbs: tuple[str | None, str | None]
    direction: str
    motion: str
    axis: str


ACTIONS = (
    ShotAction((None, "moves"), "left", "left", "x"),
    ShotAction((None, "moves"), "right", "right", "x"),
    ShotAction((None, "goes"), "from left to right", "right", "x"),
    ShotAction((None, "goes"), "from right to left", "left", "x"),
    ShotAction(("rises", "climbs"), "up", "up", "y"),
    ShotAction(("sinks", "falls"), "down", "down", "y"),
    ShotAction(("bounces", "hops"), "up and down", "bounce", "y"),
    ShotAction((None, "moves"), "in a circle", "circle", "xy"),
    ShotAction((None, "moves"), "up and to the left", "diagonal", "xy"),
    ShotAction((None, "moves"), "up and to the right", "diagonal", "xy"),
    ShotAction((None, "moves"), "down and to the left", "diagonal", "xy"),
    ShotAction((None, "moves"), "down and to the right", "diagonal", "xy"),
    ShotAction(("spins", "rotates"), "in place", "stay", ""),
    ShotAction(("grows", "gets"), "bigger", "stay", ""),
    ShotAction(("gets", "grows"), "smaller", "stay", ""),
)
_CLASHES = {"pan": "x", "tilt": "y", "zoom": "", "roll": "", "still": ""}


class DrawnShot(NamedTuple):
    """The random choices for one shot. setting, light: the wording of the episode's place and its first light; openings
    only."""

    camera: str
    action: ShotAction
    verb: int
    speed: Speed
    member: int
    setting: int
    light: int


class GrammarWriter:
    """Writes in the vocabulary of `world`, which defaults to the part of Toyland that the shipped miniatures know."""

    name = "grammar"

    def __init__(self, world: World = WORLD_MINI) -> None:
        self.world = world

    def episode(self, brief: Brief) -> Episode:
        """Write an episode, deterministically for a brief."""
        terms = terms_of(brief.theme.text, self.world)
        rng = random.Random(f"episode/{brief.seed}/{brief.theme.text}/{brief.number}/{brief.draw}")
        cast, kinds = self._cast(brief, terms, rng)
        place = terms.background or rng.choice(self.world.backgrounds)
        lights = (terms.light,) * 3 if terms.light else rng.choice(self._days())
        cards = self._cards(brief, terms, len(cast), place, lights[0])
        setting = words.SAY_PLACE[place][cards[0].setting]
        light = {name: rng.choice(words.SAY_LIGHT[name]) for name in lights}
        light[lights[0]] = words.SAY_LIGHT[lights[0]][cards[0].light]
        weather = self._weather(terms, place, rng)
        style = self._style(brief, terms)
        shots: list[Shot] = []
        for number, card in enumerate(cards):
            part = part_of(number, brief.shots)
            member = cast[card.member]
            when = light[lights[("opening", "development", "ending").index(part)]]
            move, _, way = card.camera.partition("-")
            own = words.GO.get(kinds[card.member], ("moves",))[0]
            verb = card.action.verbs[card.verb] or own
            if verb == own == "moves" and card.verb == 0:
                verb = "travels"  # an object without its own verb: its two cards must differ
            fields: dict[str, Any] = {
                "part": part, "subject": member.name, "action": verb, "direction": card.action.direction,
                "setting": setting, "light": when, "weather": weather, "camera": _camera(move),
                "camera_direction": _way(way), "speed": card.speed, "style": style,
            }  # fmt: skip
            continuity = _continuity(shots[-1] if shots else None, fields, rng)
            seed = shots[-1].seed if continuity == "match" else rng.randrange(1 << 31)
            shots.append(Shot(**fields, seconds=brief.bible.seconds, seed=seed, continuity=continuity))
        return Episode(
            number=brief.number, title=_title(cast, shots[0], rng), theme=brief.theme, writer=self.name, cast=cast,
            shots=tuple(shots), notes=terms.notes,
        )  # fmt: skip

    def _cast(self, brief: Brief, terms: ThemeTerms, rng: random.Random) -> tuple[tuple[CastMember, ...], list[str]]:
        """The cast, and the kind of each member ("" if Toyland has none)."""
        if brief.bible.cast:
            return brief.bible.cast, [_kind_in(member.description) for member in brief.bible.cast]
        looks: list[tuple[str, str, str]] = []
        slots = [*terms.objects, *((None, color) for color in terms.colors)][:2]
        slots += [(None, None)] * (2 if not slots else 1)
        # Each slot of the cast has its own kinds, so that no two cards are about the same object.
        taken = [kind for kind, _ in slots if kind]
        free = [kind for kind in self.world.kinds if kind not in taken]
        random.Random(f"kinds/{brief.seed}/{brief.theme.text}/{brief.draw}").shuffle(free)
        for slot, (kind, color) in enumerate(slots):
            kind = kind or rng.choice(free[slot :: len(slots)] or self.world.kinds)
            looks.append((rng.choice(SIZES), color or rng.choice(self.world.colors), kind))
        names = rng.sample(NAMES, len(looks))
        cast = tuple(CastMember(name=name, description=_described(*look)) for name, look in zip(names, looks))
        return cast, [kind for _, _, kind in looks]

    def _cards(self, brief: Brief, terms: ThemeTerms, num_members: int, place: str, light: str) -> list[DrawnShot]:
        """One card per shot, from the deck of its part."""
        num_wordings = len(words.SAY_PLACE[place]), len(words.SAY_LIGHT[light])
        between = max(brief.shots - 2, 0)
        cards: list[DrawnShot] = []
        for part, num in (("opening", 1), ("development", between), ("ending", min(brief.shots - 1, 1))):
            choices = self._choices(part, terms, num_members, num_wordings)
            seed = f"deck/{brief.seed}/{brief.theme.text}/{part}/{brief.draw}"
            cards += [_deal(choices, brief.number * num + which, seed) for which in range(num)]
        return cards

    def _choices(
        self, part: str, terms: ThemeTerms, num_members: int, num_wordings: tuple[int, int]
    ) -> list[Sequence[Any]]:
        """The choices of a part's cards; a card combines one of each. The opening follows the theme. A camera does not
        move along the axis of its subject, unless the theme specifies both."""
        own = {"opening": APPROACH, "ending": RETREAT, "development": WITHIN}[part]
        cameras = [move for move in own if move in self.world.cameras and move != terms.camera] or list(own)
        actions, members = list(ACTIONS), range(num_members)
        if part == "opening":
            cameras = [terms.camera] if terms.camera else cameras
            actions = [action for action in ACTIONS if terms.motion in (None, action.motion)]
            members = range(min(len(terms.objects), num_members) or num_members)
        pairs = [(camera, action) for camera, action in product(cameras, actions) if _clear(camera, action)]
        pairs = pairs or list(product(cameras, actions))
        wordings = [range(count) if part == "opening" else range(1) for count in num_wordings]
        return [pairs, (0, 1), terms.speeds or SPEEDS, members, *wordings]

    def _days(self) -> list[tuple[str, ...]]:
        return [day for day in DAYS if set(day) <= set(self.world.lights)] or [(self.world.lights[0],) * 3]

    def _weather(self, terms: ThemeTerms, place: str, rng: random.Random) -> str:
        weather = terms.weather
        if weather is None and place != "space" and rng.random() < self.world.some_weather:
            weather = rng.choice(self.world.weathers)
        return rng.choice(words.SAY_WEATHER[weather]) if weather and weather != "none" else ""

    def _style(self, brief: Brief, terms: ThemeTerms) -> str:
        return words.SAY_STYLE[terms.style][0] if terms.style else brief.bible.style


def _deal(choices: Sequence[Sequence[Any]], place: int, seed: str) -> DrawnShot:
    """Card number `place` of the deck of all combinations, which is reshuffled whenever it is exhausted."""
    size = prod(map(len, choices))
    cycle, place = divmod(place, size)
    number = _order(size, f"{seed}/{cycle}")[place]
    chosen = []
    for choice in choices:
        number, which = divmod(number, len(choice))
        chosen.append(choice[which])
    (camera, action), *rest = chosen
    return DrawnShot(camera, action, *rest)


@lru_cache(maxsize=16)
def _order(size: int, seed: str) -> tuple[int, ...]:
    order = list(range(size))
    random.Random(seed).shuffle(order)
    return tuple(order)


def _clear(camera: str, action: ShotAction) -> bool:
    """Whether the camera moves along another axis than the subject."""
    move = camera.partition("-")[0]
    return not _CLASHES[move] or _CLASHES[move] not in action.axis


def _continuity(before: Shot | None, fields: dict[str, Any], rng: random.Random) -> Any:
    if before is None or fields["light"] != before.light:
        return "cut"
    if fields["subject"] == before.subject:
        return rng.choice(("continue", "match"))
    return "cut" if rng.random() < 0.7 else "match"


def _described(size: str, color: str, kind: str) -> str:
    text = " ".join(part for part in (size, color, kind) if part)
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def _kind_in(description: str) -> str:
    actors = understand(description).actors
    return actors[0].kind if actors else ""


def _title(cast: Sequence[CastMember], opening: Shot, rng: random.Random) -> str:
    others = [member.name for member in cast if member.name != opening.subject]
    text = rng.choice(TITLES if others else TITLES[::2])
    names = {"lead": opening.subject, "other": rng.choice(others or [opening.subject])}
    title = text.format(**names, place=opening.setting, light=opening.light)
    return title[0].upper() + title[1:80]


def _camera(move: str) -> Camera:
    return move  # type: ignore[return-value]


def _way(way: str) -> CameraDirection:
    return way or "none"  # type: ignore[return-value]
