"""What a file or folder is, how its weights are stored, and what it needs beside it. Reads headers and configurations,
supported or not; for `kinema models check`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..core.card import Card
from ..core.errors import ModelError
from ..core.registry import family_module, family_names
from . import pairs, quantised, store, styles
from .gguf_header import gguf_header, is_gguf
from .headers import header


@dataclass(frozen=True)
class NeededPart:
    """A part that a model needs beside its own files. place: where it was found, or None. usual: the usual file and
    the searched folders."""

    part: str
    place: str | None
    usual: str


@dataclass(frozen=True)
class LookedAt:
    """A model or file. what: in words. model, variant: of a card; "" for a file that is no model. runs: whether Kinema
    runs it, once everything that it needs is there. why: why not. part: it is a part of models, or an adapter. weights:
    how they are stored."""

    path: str
    what: str
    model: str = ""
    family: str = ""
    variant: str = ""
    runs: bool = False
    why: str = ""
    part: bool = False
    weights: str = ""
    bytes: int = 0
    accepts: tuple[str, ...] = ()
    needs: tuple[NeededPart, ...] = ()
    notes: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        return asdict(self)


def look(model: str) -> LookedAt:
    """What a model of this machine is, or a file that is none: a part, an adapter, an unsupported relative. ModelError
    if it does not exist, or if nothing is known of it."""
    try:
        return of_card(store.find(model))
    except ModelError as error:
        place = Path(model).expanduser()
        found = _unsupported(place, str(error)) if _is_file(place) else None
        if found is None:
            raise
        return found


def of_card(card: Card) -> LookedAt:
    """What a card's model is. WeightsMissing if none of its files are on this machine."""
    place = store.locate(card)
    whole, files = not card.stage, [place]
    if card.second_path is not None:
        files.append(Path(card.second_path))
    return LookedAt(
        path=pairs.text(card) if card.path else str(place),
        what=card.title, model=card.id, family=card.family, variant=card.variant, runs=whole,
        why="" if whole else "one of two experts: it runs with the other one (HIGH:LOW), or in a workflow",
        weights=quantised.words(place), bytes=sum(map(_bytes, files)), accepts=card.accepts,
        needs=(*_beside(card, place), *_other(card), *_base(card)), notes=(*card.doubts, *card.notes),
    )  # fmt: skip


def _beside(card: Card, place: Path) -> list[NeededPart]:
    parts = getattr(family_module(card.family), "beside", None)
    found = parts(place) if parts is not None else []
    return [NeededPart(part, None if file is None else str(file), usual) for part, file, usual in found]


def _other(card: Card) -> list[NeededPart]:
    """The other expert of one alone."""
    if not card.stage or card.path is None:
        return []
    files = pairs.both(card)
    other = None if files is None else str(next(file for file in files if file != Path(card.path)))
    return [NeededPart("other expert", other, "the same name with high and low exchanged")]


def _base(card: Card) -> list[NeededPart]:
    """The image model that motion modules need (--set base=)."""
    option = card.options.get("base")
    if option is None:
        return []
    try:
        base = store.local_path(str(option.default))
    except ModelError:
        base = None
    return [NeededPart("image model", None if base is None else str(base), f"{option.default}; --set base=")]


def _unsupported(file: Path, why: str) -> LookedAt | None:
    if not is_gguf(file) and file.suffix.lower() not in (".safetensors", ".sft"):
        return None
    size = file.stat().st_size
    entries = gguf_header(file).entries if is_gguf(file) else header(file)
    for family in family_names():
        identify = getattr(family_module(family), "identify", None)
        if identify is not None and (found := identify(file, entries)) is not None:
            what, part = found
            why = "a part of other models" if part else why
            return LookedAt(str(file), what, why=why, part=part, weights=quantised.words(file), bytes=size)
    if not is_gguf(file) and (style := styles.adapter(file)) is not None:
        rank = f" of rank {style.rank}" if style.rank else ""
        trained = f", trained on {style.model}" if style.model else ""
        return LookedAt(
            str(file), f"an adapter (LoRA){rank}{trained}", why="use it with --style", part=True,
            weights=quantised.words(file), bytes=size,
        )  # fmt: skip
    return None


def _bytes(place: Path) -> int:
    return place.stat().st_size if place.is_file() else sum(f.stat().st_size for f in place.rglob("*") if f.is_file())


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except (OSError, ValueError):
        return False
