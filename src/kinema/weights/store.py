"""Where models are: built in, added by path, or in the Hugging Face cache. Nothing is downloaded unless pulled."""

from __future__ import annotations

import contextlib
import hashlib
import os
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
from ..core.json_state import JsonState, StateNewer
from ..core.outside import exists, for_terminal, of_kind
from ..core.registry import built_in_cards, family_module, family_names, find_card, unknown_model
from . import added, quantised
from .complete import lacking
from .configs import Config
from .convert import PICKLES
from .headers import header
from .names import is_hub_id

PATTERNS = ["*.json", "*.safetensors", "*.model", "*.txt"]
"""What a pull takes: configurations, tokenizers and safetensors. Pickled weights are never fetched."""


def home() -> Path:
    """Kinema's own folder: $KINEMA_HOME, else the user's data folder."""
    if given := os.environ.get("KINEMA_HOME"):
        return Path(given).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "kinema"


def known_cards() -> list[Card]:
    """Every card: the built-in ones, then those added on this machine."""
    return [*built_in_cards(), *added_cards()]


def complete(card: Card) -> Card:
    """The card with what the family finds in its folder (see core/registry.py); as it is where that is not a folder
    of this machine. ModelError where what lies there is broken."""
    look, place = getattr(family_module(card.family), "complete", None), own_place(card)
    return look(card, place) if look is not None and place is not None and place.is_dir() else card


def own_place(card: Card) -> Path | None:
    """Where the card says that its files are: the path it names, or inside the package; None for a hub model. Whether
    anything is there is not looked at."""
    if card.path is not None:
        return Path(card.path)
    return Path(str(files("kinema"))) / card.builtin if card.builtin is not None else None


def added_cards() -> list[Card]:
    """The cards of the models that were added, read off their files. Those that cannot be read are left out; `troubles`
    names them."""
    return [found for found in map(_added_card, added.read(_list()).entries) if isinstance(found, Card)]


def troubles() -> dict[str, str]:
    """What is wrong with models that were added, in words, by their names; "models.json" stands for the list."""
    found = added.read(_list())
    wrong = {entry.id: str(error) for entry in found.entries if isinstance(error := _added_card(entry), ModelError)}
    return wrong | ({"models.json": " ".join(found.troubles)} if found.troubles else {})


def find(model: str) -> Card:
    """The card of a name, alias, folder or file, or of a hub id that is known or was pulled. ModelError where it is
    none of these, or where it was added and its files are gone or no longer those of a model."""
    cards = known_cards()
    card = find_card(model, cards)
    if card is None:
        for entry in added.read(_list()).entries:
            if entry.id.lower() == model.lower() and isinstance(error := _added_card(entry), ModelError):
                raise error
    if card is None and (place := _there(model) or fetched(model)) is not None:
        card = recognise(place)
    if card is None:
        raise unknown_model(model, cards)
    return complete(card)


def _list() -> Path:
    return home() / "models.json"


def _added_card(entry: added.Added) -> Card | ModelError:
    """Its card, or why there is none."""
    path = Path(entry.path)
    try:
        if not exists(path):
            return WeightsMissing(f"{entry.id}: its files were at {path}, nothing is there now.")
        facts = path.stat()
        # The header of a large file takes a while to read; a folder's configurations do not.
        card = _recognised(path, facts.st_size, facts.st_mtime_ns) if path.is_file() else recognise(path)
        return card.model_copy(update={"id": entry.id})
    except OSError as error:
        return ModelError(f"{entry.id}, which was added, cannot be read: {path}: {error.strerror or error}.")
    except ModelError as error:
        return ModelError(f"{entry.id}, which was added, cannot be read: {error}")


def recognise(path: Path) -> Card:
    """The card of a checkpoint folder or file, read off its configuration and header. ModelError where no family knows
    it, or where it is of a kind that is not run: then the text names the kind."""
    if not (path.is_file() or path.is_dir()):
        raise ModelError(f"{path}: not a regular file or folder.")
    whole_path = path.resolve()
    quantised.refuse(whole_path)
    for name in family_names():
        try:
            card = family_module(name).recognise(whole_path)
        except _BROKEN as error:  # a configuration of another shape than its kind has
            reason = for_terminal(f"{type(error).__name__}: {error}", 200)
            raise ModelError(f"{path}: its configuration cannot be read ({reason}).") from None
        if card is not None:
            return card
    raise ModelError(
        f"{path}: {_said(whole_path)}not a checkpoint that a family here knows (a folder with model_index.json, or a "
        ".safetensors file)."
    )


@lru_cache(maxsize=100)
def _recognised(path: Path, _size: int, _changed_ns: int) -> Card:
    return recognise(path)


def _said(path: Path) -> str:
    """What a checkpoint that nobody knows says of itself."""
    if path.suffix.lower() in PICKLES:
        return "a pickled checkpoint (`kinema models convert` makes a .safetensors file of it); "
    for file in ("model_index.json", "config.json"):
        config = Config.maybe(path / file) if path.is_dir() else None
        for key in ("_class_name", "model_type"):
            if config is not None and config.has(key):
                return f"{file} says {for_terminal(config.text(key), 80)}; "
    return ""


def add(path: Path) -> Card:
    """Make a checkpoint folder or file known by name from now on."""
    if not exists(path):
        raise ModelError(f"{path}: no such folder or file.")
    card = recognise(path)
    name = card.id

    def with_it(entries: tuple[added.Added, ...]) -> list[added.Added]:
        nonlocal name
        others = [other for other in entries if other.path != card.path]
        taken = {name.lower() for known in built_in_cards() for name in (known.id, *known.aliases)}
        taken |= {other.id.lower() for other in others}
        if name.lower() in taken:
            number = next(n for n in range(2, 1000) if f"{card.id}-{n}".lower() not in taken)
            name = f"{card.id}-{number}"
        return [*others, added.Added(name, str(card.path))]

    added.change(_list(), with_it)
    return card.model_copy(update={"id": name})


def locate(card: Card) -> Path:
    """The folder or file with the card's weights on this machine. WeightsMissing says how to get them."""
    place = own_place(card)
    if place is not None:
        if card.path is not None and not exists(place):
            raise WeightsMissing(f"{card.id}: its files were at {place}, nothing is there now.")
        if card.path is None and not any(place.rglob("*.safetensors")):
            raise WeightsMissing(f"{card.id}: its files are not in this installation ({card.builtin}).")
        return place
    if card.hub is not None and (found := fetched(card.hub)) is not None:
        return found
    if card.hub is not None and (part := _snapshot(card.hub)) is not None:
        raise WeightsMissing(
            f"The weights of {card.id} are here in part: {_first(_lacking(part))}. "
            f"`kinema models pull {card.id}` fetches the rest."
        )
    raise WeightsMissing(
        f"The weights of {card.id} are not on this machine. `kinema models pull {card.id}` fetches them from the hub; "
        "`kinema models add PATH` uses a folder or file that you have."
    )


def fetched(hub_id: str) -> Path | None:
    """The folder of what was fetched from the hub before; None where nothing was, or not all of it. Asks no network."""
    folder = _snapshot(hub_id)
    return folder if folder is not None and not _lacking(folder) else None


def _snapshot(hub_id: str) -> Path | None:
    """The folder of a hub id in the cache, complete or not; None where there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if not is_hub_id(hub_id):
        return None
    try:
        return Path(snapshot_download(hub_id, local_files_only=True, allow_patterns=PATTERNS))
    except (LocalEntryNotFoundError, OSError, ValueError):  # ValueError: no name that a hub has
        return None


def _lacking(folder: Path) -> list[str]:
    """`lacking`, a damaged index being something that is not here yet."""
    try:
        return lacking(folder)
    except ModelError as error:
        return [str(error).removesuffix(".")]


def _first(problems: list[str]) -> str:
    return "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")


def given(name: str) -> Path | None:
    """What a person means by a name: a path that is there, or the pulled copy of a hub id. None where a hub id was not
    pulled; ModelError for a name that is neither a path here nor can be a hub id."""
    if (place := _there(name)) is not None:
        return place
    if not is_hub_id(name):
        raise ModelError(
            f"{for_terminal(name, 200)}: there is no such folder or file, and it is no id of the hub (OWNER/NAME)."
        )
    return fetched(name)


def _there(name: str) -> Path | None:
    """The path of that name, if something is there; None also for what cannot be a path."""
    try:
        place = Path(name).expanduser()
    except (ValueError, RuntimeError):
        return None
    return place if name and exists(place) else None


def pull(model: str, on_event: OnEvent = ignore) -> Path:
    """Fetch a model from the hub into the Hugging Face cache (resumable). ModelError where that fails, or where what
    the hub has is not complete. A model that is shipped or was added needs nothing fetched. on_event: told
    `Progress("fetch", megabytes, of how many)`."""
    from huggingface_hub import snapshot_download

    from .fetching import counter

    card = find_card(model, known_cards())
    if card is not None and card.hub is None:
        return locate(card)
    hub_id = (card.hub if card else None) or model
    if not is_hub_id(hub_id):
        raise ModelError(f"{for_terminal(hub_id, 200)}: no known model, and no id of the hub (OWNER/NAME).")
    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=PATTERNS, tqdm_class=counter(on_event)))
    except Exception as error:
        raise ModelError(f"{hub_id}: cannot be fetched: {_why(error)}") from None
    if lost := _lacking(folder):
        raise ModelError(
            f"{hub_id}: it was fetched, and is not complete: {_first(lost)}. Weights that it has only as pickles are "
            "never fetched."
        )
    return folder


def _why(error: Exception) -> str:
    """An error of the hub's client in words; its own are for programmers."""
    from huggingface_hub import constants, errors

    first = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, errors.GatedRepoError):
        return "its owner asks you to accept terms on the hub's page first (then `hf auth login`)."
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub has no such repository, or it is private."
    unreached = isinstance(error, errors.LocalEntryNotFoundError)
    if isinstance(error, errors.OfflineModeIsEnabled) or (unreached and constants.HF_HUB_OFFLINE):
        return "HF_HUB_OFFLINE=1 is set, so nothing is fetched."
    if unreached or isinstance(error, ConnectionError | TimeoutError):
        reason = "" if unreached else f" ({for_terminal(first, 200)})"
        return f"the hub cannot be reached{reason}. What was fetched so far stays; the same command goes on."
    return f"{for_terminal(first, 300)} ({type(error).__name__})"


def here(card: Card) -> bool:
    """Are the card's weights on this machine, all of them?"""
    return why_not(card) is None


def why_not(card: Card) -> str | None:
    """Why the card's weights are not here, in words; None where all of them are."""
    try:
        lost = missing(card)
    except ModelError as error:
        return str(error)
    return f"missing: {_first(lost)}" if lost else None


def _place(card: Card) -> Path:
    """Where the card's files are, all or some of them. WeightsMissing where none is."""
    part = _snapshot(card.hub) if card.hub is not None and own_place(card) is None else None
    return part or locate(card)


def begun(card: Card) -> bool:
    """Is something of the card's on this machine, complete or not?"""
    try:
        return _place(card).exists()
    except WeightsMissing:
        return False


def missing(card: Card) -> list[str]:
    """Parts that the card's model needs and that are not where they are looked for, in words. WeightsMissing where
    nothing of it is on this machine."""
    location = _place(card)
    look = getattr(family_module(card.family), "missing", None)
    found = lacking(location) if location.is_dir() else []
    return found + (look(location) if look is not None else [])


def check(card: Card) -> list[str]:
    """What is wrong with the card's files, in words; empty where all is well. Reads headers, not weights."""
    location = _place(card)
    weights = [location] if location.is_file() else sorted(location.rglob("*.safetensors"))
    problems = [] if weights else [f"{location}: no .safetensors file in it"]
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


def digests(location: Path, more: Iterable[Path] = ()) -> dict[str, str]:
    """SHA-256 of every weight file of a checkpoint (and of `more` files that belong to it), by name; remembered by
    path, size and time of change."""
    state = _digest_state(home() / "digests.json")
    memory, found, new = _remembered(state), dict[str, str](), dict[str, str]()
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
        # A folder that cannot be written to only costs the memory of what was found.
        with contextlib.suppress(OSError, StateNewer), state.change() as value:
            value["digests"] = {**value.get("digests", {}), **new}
    return found


def _remembered(state: JsonState) -> dict[str, str]:
    """Digests that were worked out before. Only a memory: what is damaged in it is worked out again."""
    found = state.read().value.get("digests", {})
    return {key: value for key, value in found.items() if isinstance(value, str) and _DIGEST.fullmatch(value)}


def _digest_state(file: Path) -> JsonState:
    return JsonState(file, 1, {0: _flat_digests}, check=_are_digests, durable=False)


def _flat_digests(value: Any) -> dict[str, Any]:
    """As kept before there was a version: nothing around the digests."""
    return {"digests": of_kind(value, "digests", dict)}


def _are_digests(value: dict[str, Any]) -> None:
    of_kind(value["digests"], "digests", dict)


_DIGEST = re.compile("[0-9a-f]{64}")
_BROKEN = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError)
