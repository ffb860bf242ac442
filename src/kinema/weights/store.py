"""Where models are: built in, added by path, or in the Hugging Face cache. Nothing is downloaded unless pulled."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from stat import S_ISREG
from typing import Any

from ..core.card import Card
from ..core.errors import KinemaError, ModelError, WeightsMissing
from ..core.outside import for_terminal, is_there, of_kind, read_json
from ..core.registry import built_in_cards, family_module, family_names, find_card, unknown_model
from ..core.whole import whole
from . import added

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
    """The card of a name, hub id, alias, folder or file. ModelError where it is none of these, or where it was added
    and its files are gone or no longer those of a model."""
    cards = known_cards()
    card = find_card(model, cards)
    if card is None:
        for entry in added.read(_list()).entries:
            if entry.id.lower() == model.lower() and isinstance(error := _added_card(entry), ModelError):
                raise error
    if card is None and is_there(Path(model).expanduser()):
        card = recognise(Path(model).expanduser())
    if card is None:
        raise unknown_model(model, cards)
    return complete(card)


def _list() -> Path:
    return home() / "models.json"


def _added_card(entry: added.Added) -> Card | ModelError:
    """Its card, or why there is none."""
    path = Path(entry.path)
    try:
        if not is_there(path):
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
    """The card of a checkpoint folder or file, read off its configuration. ModelError where no family knows it."""
    if not (path.is_file() or path.is_dir()):
        raise ModelError(f"{path}: not a regular file or folder.")
    for name in family_names():
        try:
            card = family_module(name).recognise(path.resolve())
        except _BROKEN as error:  # a configuration of another shape than its kind has
            reason = for_terminal(f"{type(error).__name__}: {error}", 200)
            raise ModelError(f"{path}: its configuration cannot be read ({reason}).") from None
        if card is not None:
            return card
    raise ModelError(
        f"{path}: not a checkpoint that a family here knows (a folder with model_index.json, or a .safetensors file)."
    )


@lru_cache(maxsize=100)
def _recognised(path: Path, _size: int, _changed_ns: int) -> Card:
    return recognise(path)


def add(path: Path) -> Card:
    """Make a checkpoint folder or file known by name from now on."""
    if not is_there(path):
        raise ModelError(f"{path}: no such folder or file.")
    card = recognise(path)
    before = added.read(_list())
    others = tuple(other for other in before.entries if other.path != card.path)
    taken = {*(known.id for known in built_in_cards()), *(other.id for other in others)}
    if card.id in taken:
        number = next(n for n in range(2, 1000) if f"{card.id}-{n}" not in taken)
        card = card.model_copy(update={"id": f"{card.id}-{number}"})
    added.write(_list(), (*others, added.Added(card.id, str(card.path))), before)
    return card


def locate(card: Card) -> Path:
    """The folder or file with the card's weights on this machine. WeightsMissing says how to get them."""
    place = own_place(card)
    if place is not None:
        if card.path is not None and not is_there(place):
            raise WeightsMissing(f"{card.id}: its files were at {place}, nothing is there now.")
        if card.path is None and not any(place.rglob("*.safetensors")):
            raise WeightsMissing(f"{card.id}: its files are not in this installation ({card.builtin}).")
        return place
    if card.hub is not None and (found := fetched(card.hub)) is not None:
        return found
    raise WeightsMissing(
        f"The weights of {card.id} are not on this machine. `kinema models pull {card.id}` fetches them from the hub; "
        "`kinema models add PATH` uses a folder or file that you have."
    )


def fetched(hub_id: str) -> Path | None:
    """The folder of what was fetched from the hub before; None where nothing was. Asks no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, local_files_only=True, allow_patterns=PATTERNS))
    except (LocalEntryNotFoundError, FileNotFoundError, ValueError):  # ValueError: no name that a hub has
        return None


def given(name: str) -> Path | None:
    """What a person means by a name: a path that is there, or the pulled copy of a hub id. None for neither."""
    place = Path(name).expanduser()
    if is_there(place):
        return place
    return fetched(name) if name.count("/") == 1 else None


def pull(model: str) -> Path:
    """Fetch a model from the hub into the Hugging Face cache (resumable). ModelError where that fails."""
    from huggingface_hub import snapshot_download

    card = find_card(model, known_cards())
    hub_id = (card.hub if card else None) or model
    try:
        return Path(snapshot_download(hub_id, allow_patterns=PATTERNS))
    except Exception as error:
        raise ModelError(f"{hub_id}: cannot be fetched: {type(error).__name__}: {str(error).splitlines()[0]}") from None


def here(card: Card) -> bool:
    """Are the card's weights on this machine?"""
    try:
        locate(card)
    except WeightsMissing:
        return False
    return True


def check(card: Card) -> list[str]:
    """What is wrong with the card's files, in words; empty where all is well. Reads headers, not weights."""
    location = locate(card)
    weights = [location] if location.is_file() else sorted(location.rglob("*.safetensors"))
    problems = [] if weights else [f"{location}: no .safetensors file in it"]
    for file in weights:
        try:
            header(file)
        except ModelError as error:
            problems.append(str(error))
    if location.is_dir() and (location / "model_index.json").exists():
        try:
            parts: dict[str, Any] = read_json(location / "model_index.json", dict, error=ModelError)
        except ModelError as error:
            return [*problems, str(error)]
        problems += [
            f"{location / name}: the part {name!r} that model_index.json names is missing"
            for name, value in parts.items()
            if isinstance(value, list) and value[:1] not in ([], [None]) and not (location / name).is_dir()
        ]
    for index in location.rglob("*.safetensors.index.json") if location.is_dir() else []:
        try:
            shards = of_kind(
                read_json(index, dict, error=ModelError).get("weight_map", {}), f"{index}: weight_map", dict
            )
        except KinemaError as error:
            problems.append(str(error))
            continue
        wanted = {str(name) for name in shards.values()}
        problems += [
            f"{index.parent / name}: missing shard" for name in sorted(wanted) if not is_there(index.parent / name)
        ]
    return problems


def header(file: Path) -> dict[str, Any]:
    """Names, types and shapes in a safetensors file, from its header alone. ModelError where it is not one."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(size - 8, 100_000_000):
                raise ModelError(f"{file}: not a safetensors file (or cut short).")
            entries = json.loads(stream.read(length))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: not a safetensors file: {error}.") from None
    end = max((entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__"), default=0)
    if 8 + length + end > size:
        raise ModelError(f"{file}: cut short: {size} bytes of {8 + length + end}.")
    return entries


def digests(location: Path, more: Iterable[Path] = ()) -> dict[str, str]:
    """SHA-256 of every weight file of a checkpoint (and of `more` files that belong to it), by name; remembered by
    path, size and time of change."""
    memory_path = home() / "digests.json"
    memory, found, changed = _remembered(memory_path), {}, False
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
                    memory[key] = hashlib.file_digest(stream, "sha256").hexdigest()
                changed = True
        except OSError as error:
            raise ModelError(f"{file}: cannot be read ({error.strerror or error}).") from None
        name = (
            file.relative_to(location).as_posix() if file.is_relative_to(location) and file != location else file.name
        )
        found[name if name not in found else f"{file.parent.name}/{name}"] = memory[key]
    if changed:
        # A folder that cannot be written to only costs the memory of what was found.
        with contextlib.suppress(OSError):
            memory_path.parent.mkdir(parents=True, exist_ok=True)
            with whole(memory_path, durable=False) as beside:
                beside.write_text(json.dumps(memory, indent=1), encoding="utf-8")
    return found


def _remembered(path: Path) -> dict[str, str]:
    """Digests that were worked out before. Only a memory: what is damaged in it is worked out again."""
    try:
        found: dict[str, Any] = read_json(path, dict)
    except (KinemaError, FileNotFoundError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str) and _DIGEST.fullmatch(value)}


_DIGEST = re.compile("[0-9a-f]{64}")
_BROKEN = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError)
