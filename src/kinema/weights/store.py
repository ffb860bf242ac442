"""The models of this machine: built in, added by path, or in the Hugging Face cache. Only `pull` downloads."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from stat import S_ISREG
from typing import Any

from ..core.card import Card
from ..core.errors import ModelError, WeightsMissing
from ..core.events import OnEvent, ignore
from ..core.home import home
from ..core.json_state import JsonState, StateNewer
from ..core.outside import exists, for_terminal, of_kind
from ..core.registry import built_in_cards, family_module, family_names, find_card, unknown_model
from . import added, hub, pairs, published_files, quantised
from .complete import missing_files
from .configs import Config
from .convert import PICKLES
from .headers import header
from .hub import fetched
from .names import is_hub_id


def known_cards() -> list[Card]:
    """Every card: the built-in models, then the added ones."""
    return [*built_in_cards(), *added_cards()]


def complete(card: Card) -> Card:
    """The card, completed by its family from the files in its folder or beside its file (see core/registry.py);
    unchanged if the model has no path on this machine. ModelError if the files are damaged."""
    look, place = getattr(family_module(card.family), "complete", None), own_place(card)
    return look(card, place) if look is not None and place is not None and exists(place) else card


def own_place(card: Card) -> Path | None:
    """The path that the card names, or its folder in the package; None for a hub model. The path need not exist."""
    if card.path is not None:
        return Path(card.path)
    return Path(str(files("kinema"))) / card.builtin if card.builtin is not None else None


def added_cards() -> list[Card]:
    """The cards of the added models, read from their files; after those of pairs, each of their files alone. Unreadable
    models are left out; `troubles` names them."""
    found = [card for card in map(_added_card, added.read(_list()).entries) if isinstance(card, Card)]
    names = {card.id.lower() for card in found}
    halves = [half for card in found for half in pairs.halves(card, _at) if half.id.lower() not in names]
    return [*found, *halves]


def troubles() -> dict[str, str]:
    """Error messages for unreadable added models, by model name; "models.json" stands for the list itself."""
    found = added.read(_list())
    wrong = {entry.id: str(error) for entry in found.entries if isinstance(error := _added_card(entry), ModelError)}
    return wrong | ({"models.json": " ".join(found.troubles)} if found.troubles else {})


def find(model: str) -> Card:
    """The card of a name, alias, folder or file, or of a hub id that is known or was pulled. A file that is one of a
    pair stands for both if the other is found; HIGH:LOW names two files, FILE: one alone. ModelError if the model is
    none of these, or if it was added and its files are missing or unreadable."""
    cards = known_cards()
    card = find_card(model, cards)
    if card is None:
        for entry in added.read(_list()).entries:
            if entry.id.lower() == model.lower() and isinstance(error := _added_card(entry), ModelError):
                raise error
    if card is None and (place := _existing_path(model) or fetched(model)) is not None:
        card = pairs.whole(recognise(place))
    if card is None:
        card = pairs.named(model, recognise)
    if card is None:
        raise unknown_model(model, cards)
    return complete(card)


def alone(model: str) -> str:
    """A file as a model for some of the steps, even if the other one of its pair is found; another model unchanged."""
    place = _existing_path(model)
    try:
        half = place is not None and place.is_file() and pairs.both(recognise(place)) is not None
    except ModelError:  # reported when it is used
        half = False
    return f"{model}:" if half else model


def _list() -> Path:
    return home() / "models.json"


def _added_card(entry: added.Added) -> Card | ModelError:
    """The card of an added model, or the error from reading it."""
    path = Path(entry.path)
    try:
        card = _at(path) if exists(path) else pairs.named(entry.path, _at)
        if card is None:
            return WeightsMissing(f"{entry.id}: its files were at {path}, which no longer exists.")
        return card.model_copy(update={"id": entry.id})
    except OSError as error:
        return ModelError(f"The added model {entry.id} cannot be read: {path}: {error.strerror or error}.")
    except ModelError as error:
        return ModelError(f"The added model {entry.id} cannot be read: {error}")


def recognise(path: Path) -> Card:
    """The card of a checkpoint folder or file, read from its configuration and header. ModelError if no family supports
    it; the message names the kind of checkpoint if the files do."""
    if not (path.is_file() or path.is_dir()):
        raise ModelError(f"{path}: not a regular file or folder.")
    # A link to a file keeps its own name: the hub's cache links names to hashes.
    whole_path = path.parent.resolve() / path.name if path.is_file() else path.resolve()
    quantised.refuse(whole_path, quantised.STORED)
    for name in family_names():
        try:
            card = family_module(name).recognise(whole_path)
        except _BROKEN as error:  # a configuration with another structure than its class has
            reason = for_terminal(f"{type(error).__name__}: {error}", 200)
            raise ModelError(f"{path}: its configuration cannot be read ({reason}).") from None
        if card is not None:
            quantised.refuse(whole_path, getattr(family_module(name), "WEIGHTS", quantised.READ))
            return card
    raise ModelError(
        f"{path}: {_declared(whole_path)}not a supported checkpoint. Supported are folders with model_index.json and "
        ".safetensors files of a family that `kinema models` lists."
    )


def _at(path: Path) -> Card:
    """As `recognise`. The header of a large file takes a while to read, so its card is cached."""
    facts = path.stat()
    return _recognised(path, facts.st_size, facts.st_mtime_ns) if path.is_file() else recognise(path)


@lru_cache(maxsize=100)
def _recognised(path: Path, _size: int, _changed_ns: int) -> Card:
    return recognise(path)


def _declared(path: Path) -> str:
    """The kind that an unsupported checkpoint declares, as the start of a message."""
    if path.suffix.lower() in PICKLES:
        return "a pickled checkpoint (`kinema models convert` converts it to .safetensors); "
    for file in ("model_index.json", "config.json"):
        config = Config.maybe(path / file) if path.is_dir() else None
        for key in ("_class_name", "model_type"):
            if config is not None and config.has(key):
                return f"{file} names {for_terminal(config.text(key), 80)}; "
    return ""


def add(path: Path) -> Card:
    """Add a checkpoint folder, a file, or the two files of a pair (HIGH:LOW) to the list of models and return its card.
    A file whose other expert is found is added with it."""
    card = pairs.whole(recognise(path)) if exists(path) else pairs.named(str(path), recognise)
    if card is None:
        raise ModelError(f"{path}: no such folder or file.")
    name, place = card.id, pairs.text(card)

    def with_it(entries: tuple[added.Added, ...]) -> list[added.Added]:
        nonlocal name
        others = [other for other in entries if other.path != place]
        taken = {name.lower() for known in built_in_cards() for name in (known.id, *known.aliases)}
        taken |= {other.id.lower() for other in others}
        if name.lower() in taken:
            number = next(n for n in range(2, 1000) if f"{card.id}-{n}".lower() not in taken)
            name = f"{card.id}-{number}"
        return [*others, added.Added(name, place)]

    added.change(_list(), with_it)
    return card.model_copy(update={"id": name})


def locate(card: Card) -> Path:
    """The folder or file with the card's weights. WeightsMissing, with the command that fetches them, if there is
    none."""
    place = own_place(card)
    if place is not None:
        if card.path is not None and not exists(place):
            raise WeightsMissing(f"{card.id}: its files were at {place}, which no longer exists.")
        if card.second_path is not None and not exists(Path(card.second_path)):
            raise WeightsMissing(f"{card.id}: its other file was at {card.second_path}, which no longer exists.")
        if card.path is None and not any(place.rglob("*.safetensors")):
            raise WeightsMissing(f"{card.id}: its files are missing from this installation ({card.builtin}).")
        return place
    if card.hub is not None and (found := fetched(card.hub)) is not None:
        return found
    if card.hub is not None and (part := hub.cached(card.hub)) is not None:
        raise WeightsMissing(
            f"The weights of {card.id} are incomplete: {hub.summary(hub.incomplete(part))}. "
            f"`kinema models pull {card.id}` fetches the rest."
        )
    fetches = f"`kinema models pull {card.id}` fetches them from the hub; " if card.hub is not None else ""
    raise WeightsMissing(
        f"The weights of {card.id} are not on this machine. {fetches}"
        "`kinema models add PATH` uses a folder or file that you have."
    )


def local_path(name: str) -> Path | None:
    """The path that the user names: an existing folder or file, or the pulled copy of a hub id. None for a hub id that
    was not pulled; ModelError for a name that is neither."""
    if (place := _existing_path(name)) is not None:
        return place
    if not is_hub_id(name):
        raise ModelError(f"{for_terminal(name, 200)}: no such folder or file, and not a hub id (OWNER/NAME).")
    return fetched(name)


def _existing_path(name: str) -> Path | None:
    """The path of that name if it exists; None also for names that cannot be paths."""
    try:
        place = Path(name).expanduser()
    except (ValueError, RuntimeError):
        return None
    return place if name and exists(place) else None


def pull(model: str, on_event: OnEvent = ignore) -> Path:
    """Fetch a model from the hub into the Hugging Face cache (resumable) and return its folder. Built-in and added
    models need no download. ModelError if the download fails or is incomplete. on_event: receives `Progress("fetch",
    megabytes, total megabytes)`."""
    if model in published_files.FILES:
        return published_files.fetch(model, on_event)
    card = find_card(model, known_cards())
    if card is not None and card.hub is None:
        return locate(card)
    hub_id = (card.hub if card else None) or model
    return hub.fetch(hub_id, on_event)


def here(card: Card) -> bool:
    """Whether all of the card's weights are on this machine."""
    return why_not(card) is None


def why_not(card: Card) -> str | None:
    """Why the card's weights are missing or incomplete; None if they are complete."""
    try:
        lost = missing(card)
    except ModelError as error:
        return str(error)
    return f"missing: {hub.summary(lost)}" if lost else None


def _place(card: Card) -> Path:
    """The folder or file with all or some of the card's files. WeightsMissing if there are none."""
    part = hub.cached(card.hub) if card.hub is not None and own_place(card) is None else None
    return part or locate(card)


def on_disk(card: Card) -> bool:
    """Whether any of the card's files are on this machine, complete or not."""
    try:
        return _place(card).exists()
    except WeightsMissing:
        return False


def missing(card: Card) -> list[str]:
    """Descriptions of the card's missing files; empty if complete. WeightsMissing if all are missing."""
    location = _place(card)
    look = getattr(family_module(card.family), "missing", None)
    found = missing_files(location) if location.is_dir() else []
    return found + (look(location) if look is not None else [])


def check(card: Card) -> list[str]:
    """Descriptions of the problems of the card's files; empty if there are none. Reads headers, not weights."""
    location = _place(card)
    weights = [location] if location.is_file() else sorted(location.rglob("*.safetensors"))
    weights += [Path(card.second_path)] if card.second_path is not None else []
    problems = [] if weights else [f"{location}: contains no .safetensors file"]
    for file in weights:
        try:
            header(file)
        except ModelError as error:
            problems.append(str(error))
    try:
        problems += missing(card)
        if card.builtin is None:
            recognise(location)
    except ModelError as error:
        problems += [str(error)] if str(error) not in problems else []
    return problems


def mark(location: Path) -> tuple[tuple[str, int, int], ...]:
    """Path, size and modification time of every file of a checkpoint: it differs once one of them is replaced."""
    files = [location] if location.is_file() else sorted(location.rglob("*"))
    facts = ((file, file.stat()) for file in files if file.is_file())
    return tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in facts)


def digests(location: Path, more: Iterable[Path] = ()) -> dict[str, str]:
    """SHA-256 of every weight file of a checkpoint, and of `more` files that belong to it, by name. Cached by path,
    size and modification time."""
    state = _digest_state(home() / "digests.json")
    memory, found, new = _cached(state), dict[str, str](), dict[str, str]()
    weights = [location] if location.is_file() else sorted(location.rglob("*.safetensors"))
    weights += [file for file in more if file not in weights]
    for file in weights:
        try:
            stat = file.stat()
            key = f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
            if key not in memory:
                if not S_ISREG(stat.st_mode):
                    raise ModelError(f"{file}: not a regular file.")
                with file.open("rb") as stream:
                    memory[key] = new[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"{file}: cannot be read ({error.strerror or error}).") from None
        name = (
            file.relative_to(location).as_posix() if file.is_relative_to(location) and file != location else file.name
        )
        found[name if name not in found else f"{file.parent.name}/{name}"] = memory[key]
    if new:
        # A read-only folder only means that the digests are not cached.
        with contextlib.suppress(OSError, StateNewer), state.change() as value:
            value["digests"] = {**value.get("digests", {}), **new}
    return found


def _cached(state: JsonState) -> dict[str, str]:
    """The cached digests; damaged entries are left out and computed again."""
    found = state.read().value.get("digests", {})
    return {key: value for key, value in found.items() if isinstance(value, str) and _DIGEST.fullmatch(value)}


def _digest_state(file: Path) -> JsonState:
    return JsonState(file, 1, {0: _flat_digests}, check=_are_digests, durable=False)


def _flat_digests(value: Any) -> dict[str, Any]:
    """Migrate the unversioned format: a plain table of digests."""
    return {"digests": of_kind(value, "digests", dict)}


def _are_digests(value: dict[str, Any]) -> None:
    of_kind(value["digests"], "digests", dict)


_DIGEST = re.compile("[0-9a-f]{64}")
_BROKEN = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError)
