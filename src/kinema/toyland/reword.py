"""Reword a prompt with the vocabulary of a small model: "a crimson sphere" becomes "a red ball".

Words in the vocabulary are kept. Words or phrases outside it that have a meaning in Toyland (`words.py`) are replaced
by synonyms in the vocabulary; emoji are read by their Unicode names. All other words are removed and reported.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from ..core.invisible import EMOJI_JOINER, without_invisible
from . import words

LONGEST = 4  # maximum number of words in a phrase
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
"""Words without a meaning in Toyland, removed without a report if outside the vocabulary."""
SPEEDS = frozenset(("slowly", "steadily", "quickly", "swiftly", "rapidly", "fast"))
"""Speeds, removed if outside the vocabulary, since Toyland has only one. Shot writers use one in every prompt, for
models that support them."""
GO = r"(?:roll|mov|slid|float|driv|sail|swimm?|drift)(?:e|es|s|ed|ing)|roll|float|sail|swim|drift|fly|flies|flying|flew"
"""Verbs of movement."""


@dataclass(frozen=True, slots=True)
class Reworded:
    """text: the reworded prompt. replaced: (phrase, replacement) pairs. untaught: phrases that have a meaning in
    Toyland but no synonym in the vocabulary. unknown: words without a meaning in Toyland. speeds: removed words of
    SPEEDS. All in order, without duplicates. num_words: number of words of the prompt, without punctuation."""

    text: str
    replaced: tuple[tuple[str, str], ...]
    untaught: tuple[str, ...]
    unknown: tuple[str, ...]
    num_words: int
    speeds: tuple[str, ...] = ()


def pieces(text: str) -> list[str]:
    """Split a text into words, punctuation marks and emoji, normalized (NFKC), in lower case, without invisible
    characters. Hyphens and apostrophes are separators."""
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
    """Is the character part of the one before it (accent, joiner, variation selector, skin tone)?"""
    return unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf", "Sk")


def is_word(piece: str) -> bool:
    """Is the piece a word or an emoji, not a punctuation mark?"""
    return _kind(piece[0], "") != "mark"


def reword(text: str, knows: Callable[[str], bool], allowed: Callable[[str, str], bool]) -> Reworded:
    """Reword `text`. knows(word): is it in the vocabulary? allowed(class, value): was the model trained on the value,
    for example ("kind", "boat")?"""
    tokens = pieces(text)
    read: list[str | None] = []
    replaced: dict[str, str] = {}
    untaught: dict[str, None] = {}
    unknown: dict[str, None] = {}
    speeds: dict[str, None] = {}
    at = 0
    while at < len(tokens):
        length, meaning = _meaning_at(tokens, at, knows, allowed)
        phrase = " ".join(tokens[at : at + length])
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
        sum(map(is_word, tokens)), tuple(speeds),
    )  # fmt: skip


def _meaning_at(
    tokens: list[str], at: int, knows: Callable[[str], bool], allowed: Callable[[str, str], bool]
) -> tuple[int, str | None]:
    """(number of pieces, replacement): "" for a value that is not allowed, None for a word that is known or has no
    meaning."""
    for length in range(min(LONGEST, len(tokens) - at), 0, -1):
        part = tokens[at : at + length]
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
    """(class, value, pattern) in the order in which `understand` applies them."""
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
    """A phrase for a value with words of the vocabulary, or None."""
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
    # "leftwards" is a direction, not a verb; nouns and colours use Toyland's own names.
    if group not in say or group == "background" or (group == "motion" and phrase.startswith(value)):
        options.insert(0, f"{value}ly" if value == "diagonal" else value)
    return next((option for option in options if all(map(knows, option.split()))), None)


def _emoji(emoji: str, knows: Callable[[str], bool], allowed: Callable[[str, str], bool]) -> str | None:
    """Reword an emoji by its name: U+1F534, LARGE RED CIRCLE, becomes "big red ball"."""
    read = reword(_emoji_name(emoji).replace("circle", "ball"), knows, allowed)
    if read.untaught and not read.replaced:
        return ""
    return read.text if set(read.text.split()) - LOOSE else None


def _emoji_name(emoji: str) -> str:
    """The Unicode name of an emoji's first character, in lower case, or ""."""
    return unicodedata.name(emoji[0], "").lower()


def _shown(phrase: str, most: int = 24) -> str:
    """Format a word for a report: truncated, emoji with their names, without unprintable characters."""
    if _kind(phrase[0], "") == "emoji":
        return f"{phrase[0]} ({_emoji_name(phrase)})" if _emoji_name(phrase) else phrase[0]
    plain = "".join(char for char in phrase if char.isprintable())
    return plain if len(plain) <= most else f"{plain[:most]}..."


def _without_loose_ends(read: list[str | None]) -> list[str]:
    """Remove articles and prepositions of removed words; "an red" becomes "a red", and "red red" becomes "red"."""
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
            continue  # "cherry red" becomes a single "red"
        if piece in ("a", "an") and kept:
            piece = "an" if kept[-1][0] in "aeiou" else "a"
        kept.append(piece)
    kept.reverse()
    while kept and not is_word(kept[0]):
        del kept[0]
    return kept


def _joined(read: list[str]) -> str:
    return re.sub(r" (?=[,.;:!?])", "", " ".join(read))
