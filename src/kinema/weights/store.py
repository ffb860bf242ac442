"""Where models are: built in, added by path, or in the Hugging Face cache. Nothing is downloaded unless pulled."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..core.card import Card
from ..core.errors import ModelError, WeightsMissing
from ..core.registry import built_in_cards, family_module, family_names, find_card, unknown_model
from ..core.whole import whole

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
    return [Card.model_validate(entry) for entry in _read_json(home() / "models.json", [])]


def find(model: str) -> Card:
    """The card of a name, hub id, alias, folder or file. ModelError where it is none of these."""
    cards = known_cards()
    card = find_card(model, cards)
    if card is None and Path(model).expanduser().exists():
        card = recognise(Path(model).expanduser())
    if card is None:
        raise unknown_model(model, cards)
    return complete(card)


def recognise(path: Path) -> Card:
    """The card of a checkpoint folder or file, read off its configuration. ModelError where no family knows it."""
    for name in family_names():
        card = family_module(name).recognise(path.resolve())
        if card is not None:
            return card
    raise ModelError(
        f"{path}: not a checkpoint that a family here knows (a folder with model_index.json, or a .safetensors file)."
    )


def add(path: Path) -> Card:
    """Make a checkpoint folder or file known by name from now on."""
    if not path.exists():
        raise ModelError(f"{path}: no such folder or file.")
    card = recognise(path)
    others = [other for other in added_cards() if other.path != card.path]
    taken = {other.id for other in (*built_in_cards(), *others)}
    if card.id in taken:
        number = next(n for n in range(2, 1000) if f"{card.id}-{n}" not in taken)
        card = card.model_copy(update={"id": f"{card.id}-{number}"})
    _write_json(home() / "models.json", [other.model_dump(mode="json") for other in (*others, card)])
    return card


def locate(card: Card) -> Path:
    """The folder or file with the card's weights on this machine. WeightsMissing says how to get them."""
    place = own_place(card)
    if place is not None:
        if card.path is not None and not place.exists():
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
    except (LocalEntryNotFoundError, FileNotFoundError):
        return None


def given(name: str) -> Path | None:
    """What a person means by a name: a path that is there, or the pulled copy of a hub id. None for neither."""
    place = Path(name).expanduser()
    if place.exists():
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
        parts = _read_json(location / "model_index.json", {})
        problems += [
            f"{location / name}: the part {name!r} that model_index.json names is missing"
            for name, value in parts.items()
            if isinstance(value, list) and value[0] is not None and not (location / name).is_dir()
        ]
    for index in location.rglob("*.safetensors.index.json") if location.is_dir() else []:
        wanted = set(_read_json(index, {}).get("weight_map", {}).values())
        problems += [
            f"{index.parent / name}: missing shard" for name in sorted(wanted) if not (index.parent / name).exists()
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
    memory = _read_json(memory_path, {})
    weights = [location] if location.is_file() else sorted(location.rglob("*.safetensors"))
    weights += [file for file in more if file not in weights]
    found, changed = {}, False
    for file in weights:
        stat = file.stat()
        key = f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in memory:
            with file.open("rb") as stream:
                memory[key] = hashlib.file_digest(stream, "sha256").hexdigest()
            changed = True
        name = (
            file.relative_to(location).as_posix() if file.is_relative_to(location) and file != location else file.name
        )
        found[name if name not in found else f"{file.parent.name}/{name}"] = memory[key]
    if changed:
        _write_json(memory_path, memory)
    return found


def _read_json(path: Path, default: Any) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read: {error}.") from None


def _write_json(path: Path, value: Any) -> None:
    """Write beside and rename; a folder that cannot be written only costs the memory of what was found."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as beside:
            beside.write_text(json.dumps(value, indent=1), encoding="utf-8")
    except OSError as error:
        if path.name == "models.json":
            raise ModelError(f"{path}: cannot be written: {error}.") from None
