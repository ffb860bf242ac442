"""The offline writer: episodes in Toyland's words, by rules and a seed, without end.

An episode opens by coming closer, develops, and ends by drawing away, while the day may turn to night. What the theme
says that Toyland knows (objects, colours, places, light, weather, style, motion, camera, moods) is honoured. Shots are
cards dealt from shuffled decks without putting any back, so that none comes twice before a deck is out, and an episode
follows from seed and number alone: a writer that is started again goes on as if it had never stopped.
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
from .theme_words import Wishes, wishes

SPEEDS: tuple[Speed, ...] = ("slow", "steady", "fast")
APPROACH, RETREAT = ("zoom-in", "tilt-down"), ("zoom-out", "tilt-up")
WITHIN = ("still", "pan-left", "pan-right", "roll-left", "roll-right")
"""Camera moves of openings, endings and of what is between: no move is in two of them, so no card is either."""
DAYS = (
    ("day", "day", "sunset"), ("day", "sunset", "night"), ("sunset", "sunset", "night"), ("night", "night", "day"),
    ("day", "day", "day"), ("night", "night", "night"), ("sunset", "day", "day"),
)  # fmt: skip
"""How the light goes through an episode: opening, development, ending."""
SIZES = ("", "small", "big")
NAMES = (
    "Pip", "Momo", "Ruby", "Tilly", "Bo", "Zuzu", "Fern", "Otto", "Nell", "Kiki", "Lumi", "Dot", "Hugo", "Wren", "Juno",
    "Milo", "Peg", "Rollo", "Suki", "Tam",
)  # fmt: skip
TITLES = (
    "{lead} {place}", "{lead} and {other}", "The day of {lead}", "Where {lead} goes", "{other} finds {lead}",
    "A little film about {lead}", "{lead}, {light}", "What {other} saw {place}",
)  # fmt: skip


class Deed(NamedTuple):
    """What a thing does: verbs to choose from (None: the thing's own), direction, motion, and the axis it moves on."""

    verbs: tuple[str | None, str | None]
    direction: str
    motion: str
    axis: str


DEEDS = (
    Deed((None, "moves"), "left", "left", "x"),
    Deed((None, "moves"), "right", "right", "x"),
    Deed((None, "goes"), "from left to right", "right", "x"),
    Deed((None, "goes"), "from right to left", "left", "x"),
    Deed(("rises", "climbs"), "up", "up", "y"),
    Deed(("sinks", "falls"), "down", "down", "y"),
    Deed(("bounces", "hops"), "up and down", "bounce", "y"),
    Deed((None, "moves"), "in a circle", "circle", "xy"),
    Deed((None, "moves"), "up and to the left", "diagonal", "xy"),
    Deed((None, "moves"), "up and to the right", "diagonal", "xy"),
    Deed((None, "moves"), "down and to the left", "diagonal", "xy"),
    Deed((None, "moves"), "down and to the right", "diagonal", "xy"),
    Deed(("spins", "rotates"), "in place", "stay", ""),
    Deed(("grows", "gets"), "bigger", "stay", ""),
    Deed(("gets", "grows"), "smaller", "stay", ""),
)
_CLASHES = {"pan": "x", "tilt": "y", "zoom": "", "roll": "", "still": ""}


class DrawnShot(NamedTuple):
    """What is drawn for one shot. setting, light: which wording of the episode's place and of its first light; of
    openings only."""

    camera: str
    deed: Deed
    verb: int
    speed: Speed
    member: int
    setting: int
    light: int


class GrammarWriter:
    """Writes in the words of `world`: by default of that part of Toyland which the shipped miniatures know."""

    name = "grammar"

    def __init__(self, world: World = WORLD_MINI) -> None:
        self.world = world

    def episode(self, brief: Brief) -> Episode:
        """The episode: the same for the same brief, whatever was written before."""
        wish = wishes(brief.theme.text, self.world)
        rng = random.Random(f"episode/{brief.seed}/{brief.theme.text}/{brief.number}/{brief.draw}")
        cast, kinds = self._cast(brief, wish, rng)
        place = wish.background or rng.choice(self.world.backgrounds)
        lights = (wish.light,) * 3 if wish.light else rng.choice(self._days())
        cards = self._cards(brief, wish, len(cast), place, lights[0])
        setting = words.SAY_PLACE[place][cards[0].setting]
        light = {name: rng.choice(words.SAY_LIGHT[name]) for name in lights}
        light[lights[0]] = words.SAY_LIGHT[lights[0]][cards[0].light]
        weather = self._weather(wish, place, rng)
        style = self._style(brief, wish)
        shots: list[Shot] = []
        for number, card in enumerate(cards):
            part = part_of(number, brief.shots)
            member = cast[card.member]
            when = light[lights[("opening", "development", "ending").index(part)]]
            move, _, way = card.camera.partition("-")
            own = words.GO.get(kinds[card.member], ("moves",))[0]
            verb = card.deed.verbs[card.verb] or own
            if verb == own == "moves" and card.verb == 0:
                verb = "travels"  # of a thing that Toyland has no verb for, so that its two cards differ
            fields: dict[str, Any] = {
                "part": part, "subject": member.name, "action": verb, "direction": card.deed.direction,
                "setting": setting, "light": when, "weather": weather, "camera": _camera(move),
                "camera_direction": _way(way), "speed": card.speed, "style": style,
            }  # fmt: skip
            continuity = _continuity(shots[-1] if shots else None, fields, rng)
            seed = shots[-1].seed if continuity == "match" else rng.randrange(1 << 31)
            shots.append(Shot(**fields, seconds=brief.bible.seconds, seed=seed, continuity=continuity))
        return Episode(
            number=brief.number, title=_title(cast, shots[0], rng), theme=brief.theme, writer=self.name, cast=cast,
            shots=tuple(shots), notes=wish.notes,
        )  # fmt: skip

    def _cast(self, brief: Brief, wish: Wishes, rng: random.Random) -> tuple[tuple[CastMember, ...], list[str]]:
        """Who is seen, and of what kind each is ("" where Toyland has none)."""
        if brief.bible.cast:
            return brief.bible.cast, [_kind_in(member.description) for member in brief.bible.cast]
        looks: list[tuple[str, str, str]] = []
        asked = [*wish.things, *((None, color) for color in wish.colors)][:2]
        asked += [(None, None)] * (2 if not asked else 1)
        # Each place in the cast has kinds of its own, so that no two cards are ever about the same thing.
        taken = [kind for kind, _ in asked if kind]
        free = [kind for kind in self.world.kinds if kind not in taken]
        random.Random(f"kinds/{brief.seed}/{brief.theme.text}/{brief.draw}").shuffle(free)
        for slot, (kind, color) in enumerate(asked):
            kind = kind or rng.choice(free[slot :: len(asked)] or self.world.kinds)
            looks.append((rng.choice(SIZES), color or rng.choice(self.world.colors), kind))
        names = rng.sample(NAMES, len(looks))
        cast = tuple(CastMember(name=name, description=_described(*look)) for name, look in zip(names, looks))
        return cast, [kind for _, _, kind in looks]

    def _cards(self, brief: Brief, wish: Wishes, num_members: int, place: str, light: str) -> list[DrawnShot]:
        """One card a shot, dealt from the deck of its part."""
        said = len(words.SAY_PLACE[place]), len(words.SAY_LIGHT[light])
        between = max(brief.shots - 2, 0)
        cards: list[DrawnShot] = []
        for part, num in (("opening", 1), ("development", between), ("ending", min(brief.shots - 1, 1))):
            choices = self._choices(part, wish, num_members, said)
            seed = f"deck/{brief.seed}/{brief.theme.text}/{part}/{brief.draw}"
            cards += [_deal(choices, brief.number * num + which, seed) for which in range(num)]
        return cards

    def _choices(self, part: str, wish: Wishes, num_members: int, said: tuple[int, int]) -> list[Sequence[Any]]:
        """What the cards of one part of an episode are made of: one of each, in any combination. The opening does what
        the theme says. A camera never goes along the axis that its subject moves on, unless the theme wants both."""
        own = {"opening": APPROACH, "ending": RETREAT, "development": WITHIN}[part]
        cameras = [move for move in own if move in self.world.cameras and move != wish.camera] or list(own)
        deeds, members = list(DEEDS), range(num_members)
        if part == "opening":
            cameras = [wish.camera] if wish.camera else cameras
            deeds = [deed for deed in DEEDS if wish.motion in (None, deed.motion)]
            members = range(min(len(wish.things), num_members) or num_members)
        pairs = [(camera, deed) for camera, deed in product(cameras, deeds) if _clear(camera, deed)]
        pairs = pairs or list(product(cameras, deeds))
        wordings = [range(count) if part == "opening" else range(1) for count in said]
        return [pairs, (0, 1), wish.speeds or SPEEDS, members, *wordings]

    def _days(self) -> list[tuple[str, ...]]:
        return [day for day in DAYS if set(day) <= set(self.world.lights)] or [(self.world.lights[0],) * 3]

    def _weather(self, wish: Wishes, place: str, rng: random.Random) -> str:
        weather = wish.weather
        if weather is None and place != "space" and rng.random() < self.world.some_weather:
            weather = rng.choice(self.world.weathers)
        return rng.choice(words.SAY_WEATHER[weather]) if weather and weather != "none" else ""

    def _style(self, brief: Brief, wish: Wishes) -> str:
        return words.SAY_STYLE[wish.style][0] if wish.style else brief.bible.style


def _deal(choices: Sequence[Sequence[Any]], place: int, seed: str) -> DrawnShot:
    """Card number `place` of the deck of all combinations, which is shuffled anew whenever it is out."""
    size = prod(map(len, choices))
    cycle, place = divmod(place, size)
    number = _order(size, f"{seed}/{cycle}")[place]
    chosen = []
    for choice in choices:
        number, which = divmod(number, len(choice))
        chosen.append(choice[which])
    (camera, deed), *rest = chosen
    return DrawnShot(camera, deed, *rest)


@lru_cache(maxsize=16)
def _order(size: int, seed: str) -> tuple[int, ...]:
    order = list(range(size))
    random.Random(seed).shuffle(order)
    return tuple(order)


def _clear(camera: str, deed: Deed) -> bool:
    move = camera.partition("-")[0]
    return not _CLASHES[move] or _CLASHES[move] not in deed.axis


def _continuity(before: Shot | None, fields: dict[str, Any], rng: random.Random) -> Any:
    if before is None or fields["light"] != before.light:
        return "cut"
    if fields["subject"] == before.subject:
        return rng.choice(("continue", "match"))
    return "cut" if rng.random() < 0.7 else "match"


def _described(size: str, color: str, kind: str) -> str:
    told = " ".join(part for part in (size, color, kind) if part)
    return f"{'an' if told[0] in 'aeiou' else 'a'} {told}"


def _kind_in(description: str) -> str:
    actors = understand(description).actors
    return actors[0].kind if actors else ""


def _title(cast: Sequence[CastMember], opening: Shot, rng: random.Random) -> str:
    others = [member.name for member in cast if member.name != opening.subject]
    text = rng.choice(TITLES if others else TITLES[::2])
    told = {"lead": opening.subject, "other": rng.choice(others or [opening.subject])}
    title = text.format(**told, place=opening.setting, light=opening.light)
    return title[0].upper() + title[1:80]


def _camera(move: str) -> Camera:
    return move  # type: ignore[return-value]


def _way(way: str) -> CameraDirection:
    return way or "none"  # type: ignore[return-value]
