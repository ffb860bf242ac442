"""Saying a prompt in the words that a small model knows: "a crimson sphere" becomes "a red ball".

A word that the model knows stays. One that it does not know, but that means something in Toyland (`words.py`), alone
or with its neighbours, is replaced by a known word of the same meaning; emoji are read by their Unicode names. What is
left over is taken out and reported, so that nothing is lost silently.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from ..core.invisible import EMOJI_JOINER, without_invisible
from . import words

LONGEST = 4  # words of a phrase that means one thing
LOOSE = {
    "a", "an", "the", "in", "on", "at", "over", "and", "of", "to", "by", "with", "from", "into", "near", "under",
    "above", "through",
}  # fmt: skip
SILENT = LOOSE | {
    "is", "are", "was", "were", "be", "been", "being", "it", "its", "s", "t", "this", "that", "these", "those",
    "there", "here", "as", "for", "has", "have", "which", "who", "while", "some", "any", "his", "her", "their",
    "my", "our", "your", "very", "so", "just", "video", "film", "clip", "movie", "picture", "image", "scene",
    "shows", "showing", "one",
}  # fmt: skip
"""Words that carry nothing in Toyland: left out without a report where the model does not know them."""
SPEEDS = frozenset(("slowly", "steadily", "quickly", "swiftly", "rapidly", "fast"))
"""How fast: Toyland has one pace, so where the model does not know them they are left out. Writers of shots say one of
them in every prompt, for models that do."""
GO = r"(?:roll|mov|slid|float|driv|sail|swimm?|drift)(?:e|es|s|ed|ing)|roll|float|sail|swim|drift|fly|flies|flying|flew"
"""Going in the manner of one object or another."""


@dataclass(frozen=True, slots=True)
class Reworded:
    """text: what is left, in known words. replaced: (said, read as) pairs. untaught: words that mean something in
    Toyland for which the model has no word. unknown: words that mean nothing here. speeds: words of SPEEDS that were
    left out. In order, each once. num_words: words said, punctuation not counted."""

    text: str
    replaced: tuple[tuple[str, str], ...]
    untaught: tuple[str, ...]
    unknown: tuple[str, ...]
    num_words: int
    speeds: tuple[str, ...] = ()


def pieces(text: str) -> list[str]:
    """Words, marks and emoji of a text, compatibility forms and case folded, nothing that nobody sees. Hyphens and
    apostrophes only separate."""
    found: list[str] = []
    last = ""
    for char in unicodedata.normalize("NFKC", without_invisible(text)).lower():
        kind = _kind(char, last)
        joins = kind == "word" or _is_part(char) or (bool(found) and found[-1].endswith(EMOJI_JOINER))
        if kind in ("word", "emoji") and kind == last and joins:
            found[-1] += char
        elif kind != "space":
            found.append(char)
        last = kind
    return found


def _kind(char: str, last: str) -> str:
    category = unicodedata.category(char)
    if char in "-'\u2019" or (category[0] in "ZC" and category != "Cf"):
        return "space"
    if _is_part(char):
        return last if last in ("word", "emoji") else "space"
    if category == "So":
        return "emoji"
    return "mark" if category[0] in "PS" else "word"


def _is_part(char: str) -> bool:
    """An accent, a joiner, a selector, a skin tone: part of the sign before it."""
    return unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf", "Sk")


def is_word(piece: str) -> bool:
    """Not a punctuation mark."""
    return _kind(piece[0], "") != "mark"


def reword(text: str, knows: Callable[[str], bool], allowed: Callable[[str, str], bool]) -> Reworded:
    """`text` in words that the model knows. allowed(class, value): was it taught that? As ("kind", "boat")."""
    said = pieces(text)
    read: list[str | None] = []
    replaced: dict[str, str] = {}
    untaught: dict[str, None] = {}
    unknown: dict[str, None] = {}
    speeds: dict[str, None] = {}
    at = 0
    while at < len(said):
        length, meaning = _meaning_at(said, at, knows, allowed)
        phrase = " ".join(said[at : at + length])
        if meaning is None and knows(phrase):
            read.append(phrase)
        elif meaning:
            read.extend(meaning.split())
            replaced[_shown(phrase)] = meaning
        else:
            read.append(None)
            if meaning == "":
                untaught[_shown(phrase)] = None
            elif phrase in SPEEDS:
                speeds[phrase] = None
            elif is_word(phrase) and phrase not in SILENT:
                unknown[_shown(phrase)] = None
        at += length
    return Reworded(
        _joined(_without_loose_ends(read)), tuple(replaced.items()), tuple(untaught), tuple(unknown),
        sum(map(is_word, said)), tuple(speeds),
    )  # fmt: skip


def _meaning_at(
    said: list[str], at: int, knows: Callable[[str], bool], allowed: Callable[[str, str], bool]
) -> tuple[int, str | None]:
    """(number of pieces, known words for them): "" for what was not taught, None for what means nothing or is known."""
    for length in range(min(LONGEST, len(said) - at), 0, -1):
        part = said[at : at + length]
        if not all(map(is_word, part)) or all(map(knows, part)):
            continue
        phrase = " ".join(part)
        if length == 1 and _kind(phrase[0], "") == "emoji":
            return 1, _emoji(phrase, knows, allowed)
        for group, value, pattern in _classes():
            if not pattern.fullmatch(phrase):
                continue
            if not allowed(group, value):
                return length, ""
            if found := _known_words(group, value, pattern, phrase, knows):
                return length, found
    return 1, None


@cache
def _classes() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    """(class, value, pattern) in the order in which `understand` looks."""
    tables: list[tuple[str, list[tuple[str, str]]]] = [
        ("camera", [(move, pattern) for move, pattern, alone in words.CAMERA_MOVES if alone]),
        ("style", list(words.STYLE_WORDS.items())),
        ("weather", list(reversed(words.WEATHER_WORDS.items()))),
        ("light", list(words.LIGHT_WORDS.items())),
        ("change", list(reversed(words.CHANGE_WORDS.items()))),
        ("spin", [("yes", words.SPIN_WORDS)]),
        ("background", list(words.BACKGROUND_WORDS.items())),
        ("color", list(words.COLOR_WORDS.items())),
        ("kind", list(words.KIND_WORDS.items())),
        ("motion", list(words.MOTION_WORDS)),
        ("size", list(words.SIZE_WORDS.items())),
        ("go", [("moves", GO)]),
    ]
    return tuple((group, value, re.compile(pattern)) for group, rows in tables for value, pattern in rows)


def _known_words(
    group: str, value: str, pattern: re.Pattern[str], phrase: str, knows: Callable[[str], bool]
) -> str | None:
    """Words that say this value and that the model knows; None where there are none."""
    say: dict[str, tuple[str, ...]] = {
        "camera": words.SAY_CAMERA.get(value, ()),
        "style": words.SAY_STYLE.get(value, ()),
        "weather": words.SAY_WEATHER.get(value, ()),
        "change": words.SAY_CHANGE.get(value, ()),
        "spin": words.SAY_SPIN,
        "motion": tuple(deed.format(go="moves") for deed in words.SAY_MOTION.get(value, ("moves diagonally",))),
        "background": tuple(
            word for place in words.SAY_PLACE.get(value, ()) for word in place.split() if pattern.fullmatch(word)
        ),
    }
    options = sorted(say.get(group, ()), key=lambda deed: len(deed.split()))
    # "leftwards" is a direction, not a deed; nouns and colours are called as Toyland calls them.
    if group not in say or group == "background" or (group == "motion" and phrase.startswith(value)):
        options.insert(0, f"{value}ly" if value == "diagonal" else value)
    return next((option for option in options if all(map(knows, option.split()))), None)


def _emoji(emoji: str, knows: Callable[[str], bool], allowed: Callable[[str, str], bool]) -> str | None:
    """An emoji by what of its name is understood: U+1F534, LARGE RED CIRCLE, is a big red ball."""
    read = reword(_emoji_name(emoji).replace("circle", "ball"), knows, allowed)
    if read.untaught and not read.replaced:
        return ""
    return read.text if set(read.text.split()) - LOOSE else None


def _emoji_name(emoji: str) -> str:
    """Unicode's name of its first sign, in lower case, which says what the whole is about; empty where it has none."""
    return unicodedata.name(emoji[0], "").lower()


def _shown(phrase: str, most: int = 24) -> str:
    """A word as a report shows it: long ones cut, emoji with their names, nothing unprintable."""
    if _kind(phrase[0], "") == "emoji":
        return f"{phrase[0]} ({_emoji_name(phrase)})" if _emoji_name(phrase) else phrase[0]
    plain = "".join(char for char in phrase if char.isprintable())
    return plain if len(plain) <= most else f"{plain[:most]}..."


def _without_loose_ends(read: list[str | None]) -> list[str]:
    """Articles and prepositions that led to a word which was taken out go with it; "an red" becomes "a red", and
    "red red" one red."""
    kept: list[str] = []
    gap = False
    for piece in reversed(read):
        if piece is None:
            gap = True
            continue
        ends = not kept or not is_word(kept[-1]) or kept[-1] in LOOSE
        if piece in LOOSE and gap and ends:
            continue
        if not is_word(piece) and gap and (not kept or not is_word(kept[-1])):
            continue
        gap = False
        if kept and piece == kept[-1]:
            continue  # "cherry red" is one red
        if piece in ("a", "an") and kept:
            piece = "an" if kept[-1][0] in "aeiou" else "a"
        kept.append(piece)
    kept.reverse()
    while kept and not is_word(kept[0]):
        del kept[0]
    return kept


def _joined(read: list[str]) -> str:
    return re.sub(r" (?=[,.;:!?])", "", " ".join(read))
