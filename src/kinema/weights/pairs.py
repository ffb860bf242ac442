"""Models of two files: the experts of a pair, by the functions `pair_of` and `pair` of their family (core/registry.py).

In text a pair is HIGH:LOW, two files; FILE: is one of them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ..core.card import Card
from ..core.errors import ModelError
from ..core.outside import exists
from ..core.registry import family_module

Recognise = Callable[[Path], Card]


def both(card: Card) -> tuple[Path, Path] | None:
    """The card's file and the other one of its model, in order, if that is found."""
    look = getattr(family_module(card.family), "pair_of", None)
    if look is None or not card.stage or card.path is None or not Path(card.path).is_file():
        return None
    found: tuple[Path, Path] | None = look(Path(card.path))
    return found


def whole(card: Card) -> Card:
    """The card of a file and the other one of its model; the card itself if that is not found or does not fit."""
    files = both(card)
    try:
        return card if files is None else _pair(card, files)
    except ModelError:
        return card


def named(text: str, recognise: Recognise) -> Card | None:
    """The card of HIGH:LOW, or of FILE: alone; None if neither side of any colon is a file. ModelError if only one of
    the two is, or if they are no pair."""
    half = None
    for at in (index for index, letter in enumerate(text) if letter == ":"):
        first, second = text[:at], text[at + 1 :]
        here = [bool(each) and _is_file(each) for each in (first, second)]
        if here[0] and not second:
            return recognise(_path(first))
        if all(here):
            card = recognise(_path(first))
            return _pair(card, (Path(card.path or first), Path(recognise(_path(second)).path or second)))
        if any(here):
            half = f"{text}: {(second if here[0] else first) or 'its first file'}: no such file."
    if half is not None:
        raise ModelError(half)
    return None


def text(card: Card) -> str:
    """The place of a model as `named` reads it."""
    return str(card.path) if card.second_path is None else f"{card.path}:{card.second_path}"


def halves(card: Card, recognise: Recognise) -> Iterator[Card]:
    """The cards of a pair's files, each alone; of files that cannot be read, none."""
    for path in (card.path, card.second_path):
        if card.second_path is not None and path is not None:
            try:
                yield recognise(Path(path))
            except (ModelError, OSError):
                continue


def _pair(card: Card, files: tuple[Path, Path]) -> Card:
    join = getattr(family_module(card.family), "pair", None)
    if join is None:
        raise ModelError(f"{files[0]}:{files[1]}: models of the family {card.family} are not pairs of files.")
    found: Card = join(*files)
    return found


def _path(name: str) -> Path:
    return Path(name).expanduser()


def _is_file(name: str) -> bool:
    try:
        place = _path(name)
    except (ValueError, RuntimeError):
        return False
    return exists(place) and place.is_file()
