"""Parse a free English sentence into attributes of a Toyland scene."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from . import words

MAX_TEXT = 4000  # maximum number of characters; the rest is ignored


@dataclass(frozen=True, slots=True)
class ActorWords:
    """Stated attributes of one object, or None. size: "small" or "big". spin: True if it spins."""

    kind: str
    color: str | None = None
    motion: str | None = None
    heading: str | None = None
    change: str | None = None
    spin: bool | None = None
    size: str | None = None


@dataclass(frozen=True, slots=True)
class Understanding:
    """Stated attributes of a scene, with the values of `Scene`, or None."""

    actors: tuple[ActorWords, ...] = ()
    background: str | None = None
    light: str | None = None
    weather: str | None = None
    camera: str | None = None
    style: str | None = None


def _tagged(tag: str, pattern: str, around: str = "{}") -> tuple[re.Pattern[str], str]:
    return re.compile(around.format(rf"\b(?:{pattern})\b")), f" @{tag} "


def _rules() -> list[tuple[re.Pattern[str], str]]:
    rules = [_tagged(f"camera:{move}", pattern) for move, pattern, alone in words.CAMERA_MOVES if alone]
    rules += [_tagged(f"style:{name}", pattern) for name, pattern in words.STYLE_WORDS.items()]
    rules += [_tagged(f"weather:{name}", pattern) for name, pattern in reversed(words.WEATHER_WORDS.items())]
    rules += [_tagged(f"motion:{motion}", pattern) for motion, pattern in words.MOTION_WORDS[:3]]
    rules += [_tagged(f"light:{name}", pattern) for name, pattern in words.LIGHT_WORDS.items()]
    rules += [_tagged(f"change:{name}", words.CHANGE_WORDS[name]) for name in ("shrink", "grow")]
    rules += [_tagged("spin:yes", words.SPIN_WORDS)]
    colors = "|".join(words.COLOR_WORDS.values())
    rules += [
        _tagged(f"background:{name}", rf"(?:(?:{colors}|rolling|soft|tall|high|wide|empty) )*(?:{pattern})")
        for name, pattern in words.BACKGROUND_WORDS.items()
    ]
    rules += [_tagged(f"color:{name}", pattern) for name, pattern in words.COLOR_WORDS.items()]
    rules += [_tagged(f"kind:{name}", words.KIND_WORDS[name]) for name in ("balloon", "rocket", "boat")]
    rules += [_tagged(f"kind:{name}", pattern) for name, pattern in words.KIND_WORDS.items()]
    rules += [_tagged(f"heading:{name}", pattern) for name, pattern in words.HEADING_WORDS.items()]
    rules += [_tagged(f"motion:{motion}", pattern) for motion, pattern in words.MOTION_WORDS[3:]]
    rules += [_tagged(f"size:{name}", pattern) for name, pattern in words.SIZE_WORDS.items()]
    return rules


_RULES = _rules()
_CAMERA = re.compile(rf"\b(?:{words.CAMERA_SUBJECT})\b(?:(?! while | as | and a )[^,.;])*")
_STATIC = re.compile(rf"\b(?:static|fixed|steady|still|locked|stationary)(?= (?:{words.CAMERA_SUBJECT})\b)")
_MOVES = [(move, re.compile(rf"\b(?:{pattern})\b")) for move, pattern, _ in words.CAMERA_MOVES]


def understand(text: str) -> Understanding:
    """Parse the attributes that a sentence states. Never raises; unknown words are ignored.

    The first mention of a place, light, weather, camera or style counts. Objects are in the order of their first
    mention, two at most; attributes of "both", or of two objects joined by "and", apply to both.
    """
    plain = re.sub(r"[^a-z0-9,.;]+", " ", text[:MAX_TEXT].lower())
    plain = _CAMERA.sub(_camera_tag, _STATIC.sub("camera still", plain))
    for pattern, tag in _RULES:
        plain = _sub_outside_tags(pattern, tag, plain)
    tokens = re.findall(r"@\w+:[\w-]+|[a-z0-9]+|[,.;]", plain)
    stated: dict[str, str] = {}
    for token in tokens:
        name, _, value = token[1:].partition(":")
        if token[0] == "@" and name in ("background", "light", "weather", "camera", "style"):
            stated.setdefault(name, value)
    return Understanding(actors=_actors(tokens), **stated)


def _sub_outside_tags(pattern: re.Pattern[str], tag: str, text: str) -> str:
    pieces = re.split(r"(@\w+:[\w-]+)", text)
    return "".join(piece if piece.startswith("@") else pattern.sub(tag, piece) for piece in pieces)


def _camera_tag(match: re.Match[str]) -> str:
    clause = match.group(0)
    for move, pattern in _MOVES:
        if pattern.search(clause):
            return f" @camera:{move} "
    return clause


def _actors(tokens: list[str]) -> tuple[ActorWords, ...]:
    places = [i for i, token in enumerate(tokens) if token.startswith("@kind:")]
    actors: list[ActorWords] = []
    spans: list[tuple[int, int]] = []
    starts = [_phrase_start(tokens, place, places[n - 1] + 1 if n else 0) for n, place in enumerate(places)]
    for number, place in enumerate(places):
        end = starts[number + 1] if number + 1 < len(places) else len(tokens)
        kind = tokens[place].split(":")[1]
        before, after = tokens[starts[number] : place], tokens[place + 1 : end]
        facts = _facts(before) | _facts([token for token in after if not token.startswith("@color:")])
        color = next((token.split(":")[1] for token in reversed(before) if token.startswith("@color:")), None)
        if color is None and after[:1] in (["is"], ["s"], ["are"]):
            color = next((token.split(":")[1] for token in after[1:3] if token.startswith("@color:")), None)
        known = [n for n, actor in enumerate(actors) if actor.kind == kind and color in (None, actor.color)]
        if known and "the" in before:
            old = actors[known[0]]
            fresh = {name: value for name, value in facts.items() if getattr(old, name) is None}
            actors[known[0]] = replace(old, **fresh)
        elif len(actors) < 2:
            if not actors:
                facts = _facts(tokens[: starts[number]]) | facts
            actors.append(ActorWords(kind=kind, color=color, **facts))
            spans.append((place, end))
    if len(actors) == 2:
        between = set(tokens[spans[0][0] + 1 : spans[0][1]])
        joined = between <= {"and", "with", "beside", "next", "to", ","} and between
        if actors[0].motion is None and (joined or "both" in tokens):
            actors[0] = replace(actors[0], motion=actors[1].motion, heading=actors[1].heading)
            if "both" in tokens:
                rest: dict[str, Any] = {
                    n: getattr(actors[1], n) for n in ("change", "spin") if getattr(actors[0], n) is None
                }
                actors[0] = replace(actors[0], **rest)
    return tuple(actors)


def _phrase_start(tokens: list[str], place: int, low: int) -> int:
    """Index of the first word of the noun phrase that ends at `place`: "a" of "a spinning red ball"."""
    start = place
    while start > low and place - start < 6:
        word = tokens[start - 1]
        if word in (
            "a",
            "an",
            "the",
            "one",
            "two",
            "another",
            "some",
            "his",
            "her",
            "its",
            "their",
            "this",
            "that",
        ):
            return start - 1
        if not word.startswith(("@color:", "@size:", "@spin:", "@change:", "@motion:", "@style:")):
            break
        start -= 1
    return start


def _facts(tokens: list[str]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for token in tokens:
        name, _, value = token[1:].partition(":")
        if token[0] != "@":
            continue
        if name == "heading":
            facts["heading"], facts["motion"] = value, "diagonal"
        elif name == "motion" and value == "diagonal":
            facts["motion"] = value
        elif name in ("motion", "change", "size"):
            facts.setdefault(name, value)
        elif name == "spin":
            facts["spin"] = True
    return facts
