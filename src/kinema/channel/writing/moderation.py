"""Moderation of themes, prompts and titles by a blocklist.

A blocklist stops words, not meanings. Whole words are compared, after normalizing accents, look-alike letters of other
scripts, digits used as letters, separated letters and repeated letters ("p0rn", "p.o.r.n", "pooorn").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from ...core.errors import RequestError
from ...core.text_file import read_text
from .prompt import prompt_of
from .shots import MAX_THEME_CHARS, MAX_TITLE_CHARS, Episode, StyleBible, Theme, find_invisible

LIMITS = {"theme": MAX_THEME_CHARS, "title": MAX_TITLE_CHARS, "prompt": 700}
MAX_MARKS = 3  # accents per letter; no language needs more
# Cyrillic and Greek letters that look like Latin ones.
_ALIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u043a\u043c\u0442\u0432\u043d\u04cf\u0501\u051b"
    "\u03b1\u03b5\u03bf\u03c1\u03b9\u03bd\u03ba\u03c4\u03c5\u03c7\u0131\u2113",
    "aeopcyxijskmtbhhdhaeopivktuxil",
)
_DIGITS = str.maketrans(
    {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "@": "a", "$": "s", "+": "t"}
)
_EITHER = ("1", "!", "|")  # an i or an l


class Refused(RequestError):
    """A refused theme, prompt or title, with the reason."""


class Moderation:
    """The rules of one channel: Kinema's blocklist and the channel's own (one entry per line; # starts a comment; a
    trailing * matches any ending)."""

    def __init__(self, own: Path | None = None, *, entries: Iterable[str] | None = None) -> None:
        shipped = files(__package__).joinpath("blocklist.txt").read_text(encoding="utf-8") if entries is None else ""
        lines = [*shipped.splitlines(), *(entries or ()), *(_read(own) if own is not None else ())]
        self.entries = tuple(line.partition("#")[0].strip() for line in lines if line.partition("#")[0].strip())

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        return [(entry, _pattern(entry)) for entry in self.entries]

    def check(self, text: str, kind: str) -> str:
        """Return the stripped text. kind: "theme", "title" or "prompt". Refused if it is illegal or blocked."""
        limit = LIMITS[kind]
        if len(text) > limit:
            raise Refused(
                f"The {kind} has {len(text):,} characters.", field=kind, value=text[:60], legal=f"{limit} at most"
            )
        if (place := find_invisible(text)) is not None:
            code = f"U+{ord(text[place]):04X}"
            raise Refused(
                f"The {kind} contains the control character {code} at position {place}.", field=kind, value=code,
                legal="one line of ordinary text",
            )  # fmt: skip
        clean = text.strip()
        if not any(char.isalnum() or unicodedata.category(char) == "So" for char in clean):
            raise Refused(f"The {kind} contains no words.", field=kind, value=text, legal="words")
        if re.search(rf"(?:[{MARKS}]){{{MAX_MARKS + 1},}}", unicodedata.normalize("NFD", clean)):
            raise Refused(f"The {kind} has too many accents on a letter.", field=kind, legal=f"{MAX_MARKS} at most")
        if (entry := self.blocked(clean)) is not None:
            raise Refused(
                f"The {kind} contains a blocked word: {entry!r}.", field=kind, value=clean,
                legal="other words",
            )  # fmt: skip
        return clean

    def blocked(self, text: str) -> str | None:
        """The first blocklist entry found in the text, or None."""
        readings = _readings(text)
        return next((entry for entry, pattern in self._patterns if any(map(pattern.search, readings))), None)

    def theme(self, text: str, source: str = "owner") -> Theme:
        """Return the text as a Theme. Refused if it is illegal or blocked."""
        return Theme(text=self.check(text, "theme"), source="viewer" if source == "viewer" else "owner")

    def episode(self, episode: Episode, bible: StyleBible) -> Episode:
        """Return the episode. Refused if its title, cast or a prompt is illegal or blocked."""
        self.check(episode.title, "title")
        for member in episode.cast:
            self.check(f"{member.name}: {member.description}", "prompt")
        for shot in episode.shots:
            self.check(prompt_of(shot, episode.cast, bible), "prompt")
        return episode


MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f"


def _read(path: Path) -> list[str]:
    try:
        return read_text(path, error=RequestError).text.splitlines()
    except FileNotFoundError:
        raise RequestError(f"No such file: {path}.", field="blocklist", value=str(path)) from None
    except RequestError as error:
        raise RequestError(
            f"Cannot read the blocklist: {error}", field="blocklist", value=str(path), legal="a text file"
        ) from None


def _pattern(entry: str) -> re.Pattern[str]:
    stem = " ".join(re.findall(r"\w+", _plain(entry)))
    return re.compile(rf"(?<!\w){re.escape(stem)}" + (r"\w*" if entry.endswith("*") else r"(?!\w)"))


def _plain(text: str) -> str:
    """Lower case without accents and invisible characters; compatibility forms and look-alikes as Latin letters."""
    spread = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(char for char in spread if unicodedata.category(char) not in ("Mn", "Me", "Cf"))
    return kept.translate(_ALIKE)


def _readings(text: str) -> set[str]:
    """The possible readings of the text, each as words separated by single spaces."""
    plain = _plain(text)
    variants = {plain}
    if re.search(r"[^\W\d_]", plain):  # digits stand for letters only among letters
        for letter in "il":
            read = plain.translate(_DIGITS)
            for sign in _EITHER:
                read = read.replace(sign, letter)
            variants.add(read)
    readings: set[str] = set()
    for way in variants:
        spaced = " ".join(re.findall(r"[^\W_]+", way))
        tight = " ".join(re.sub(r"[\W_]+", "", word) for word in way.split())
        for words in (spaced, tight):
            joined = re.sub(r"(?<!\w)(?:\w ){2,}\w(?!\w)", lambda run: run.group().replace(" ", ""), words)
            for reading in (words, joined):
                readings |= {reading, *(re.sub(r"(\w)\1{2,}", drawn, reading) for drawn in (r"\1", r"\1\1"))}
    return readings
