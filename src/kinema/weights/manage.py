"""Remove, rename and add models, and check the disk space for a download. Built-in models cannot be changed."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ..core.card import Card
from ..core.errors import KinemaError, ModelError
from ..core.home import home
from ..core.outside import exists, for_terminal
from ..core.registry import find_card
from . import added, comfy_folders, hub, looked, store
from .names import is_hub_id

MOST_FILES, MOST_SHOWN = 200, 5
SPARE_BYTES = 500_000_000
"""Free disk space that a download must leave."""


@dataclass(frozen=True)
class Removal:
    """The effect of removing a model. entry: the list entry that is removed; the files at its path stay. folder, bytes:
    the download that is deleted."""

    name: str
    entry: added.Added | None = None
    folder: Path | None = None
    bytes: int = 0

    def words(self) -> str:
        if self.entry is not None:
            return f"{self.name} is removed from the list; its files stay: {self.entry.path}"
        return f"{self.name}: {gigabytes(self.bytes)} are deleted in {self.folder}"


def removal(model: str) -> Removal:
    """The effect of `remove`. ModelError for models that were neither added nor fetched."""
    entry = _entry(model)
    if entry is not None:
        return Removal(entry.id, entry)
    card = find_card(model, store.known_cards())
    if card is not None and card.builtin is not None:
        raise ModelError(f"{card.id} is built in; only models that were added or pulled can be removed.")
    hub_id = (card.hub if card is not None else None) or model
    for repo in _cached():
        if repo.repo_id == hub_id and repo.repo_type == "model":
            return Removal(card.id if card else hub_id, None, Path(repo.repo_path), repo.size_on_disk)
    raise ModelError(
        f"{for_terminal(model, 200)}: not on this machine; `kinema models list` lists the models that are."
    )


def remove(planned: Removal) -> None:
    """Remove a model. ModelError if its folder cannot be deleted."""
    if planned.entry is not None:
        added.change(home() / "models.json", lambda entries: [each for each in entries if each != planned.entry])
        return
    assert planned.folder is not None
    try:  # the folder, not revisions by their hash: a copy under another owner's name has the same ones
        shutil.rmtree(planned.folder)
    except OSError as error:
        raise ModelError(f"{planned.folder}: cannot be deleted ({error.strerror or error}).") from None


def rename(model: str, name: str) -> added.Added:
    """Rename an added model. ModelError if the model was not added, or the name is taken or not legal."""
    entry = _entry(model)
    if entry is None:
        card = find_card(model, store.known_cards())
        why = "not an added model" if card is not None else "no such model"
        raise ModelError(f"{for_terminal(model, 200)}: {why}; only models that were added can be renamed.")
    if not name.strip() or name != name.strip() or "/" in name or len(name) > added.MAX_NAME_CHARS or "\0" in name:
        raise ModelError(
            f"{name[:80]!r}: not a legal name for a model. Legal are up to {added.MAX_NAME_CHARS} characters without a "
            "slash and without spaces at the ends."
        )
    taken = find_card(name, store.known_cards())
    if (taken is not None and taken.id != entry.id) or (_entry(name) not in (None, entry)):
        raise ModelError(f"{name}: another model already has this name.")
    renamed = replace(entry, id=name)
    added.change(home() / "models.json", lambda entries: [renamed if each == entry else each for each in entries])
    return renamed


@dataclass(frozen=True)
class Room:
    """Disk space of a download. needed_bytes: of the missing files. free_bytes: on the disk of the cache."""

    needed_bytes: int
    free_bytes: int

    def words(self) -> str:
        return f"{gigabytes(self.needed_bytes)} to fetch; {gigabytes(self.free_bytes)} free"


def room(model: str) -> Room | None:
    """The disk space that a pull of this model needs; None if it fetches nothing or the hub cannot be reached.
    ModelError if the disk has too little space."""
    card: Card | None = find_card(model, store.known_cards())
    hub_id = (card.hub if card is not None else model) or ""
    if (card is not None and card.hub is None) or not is_hub_id(hub_id):
        return None
    from huggingface_hub import HfApi, constants, try_to_load_from_cache

    try:
        files = HfApi().model_info(hub_id, files_metadata=True, timeout=10).siblings or []
    except Exception:  # the pull itself reports why the hub does not answer
        return None
    wanted = [each for each in files if any(fnmatch(each.rfilename, pattern) for pattern in hub.PATTERNS)]
    missing = [each for each in wanted if not isinstance(try_to_load_from_cache(hub_id, each.rfilename), str)]
    place = Path(constants.HF_HUB_CACHE)
    while not place.exists():
        place = place.parent
    found = Room(sum(each.size or 0 for each in missing), shutil.disk_usage(place).free)
    if found.needed_bytes + SPARE_BYTES > found.free_bytes and missing:
        raise ModelError(f"{hub_id}: not enough disk space in {constants.HF_HUB_CACHE}: {found.words()}.")
    return found


def addable(folder: Path) -> list[Path]:
    """Single-file checkpoints in a folder (for example ComfyUI's) that can be added."""
    found = []
    for file in itertools.islice(sorted(folder.rglob("*.safetensors")), MOST_FILES):
        try:
            store.recognise(file)
        except (KinemaError, OSError):
            continue
        found.append(file)
    return found


def add(path: Path) -> Card:
    """As `store.add`; the error for a folder that is not a checkpoint names the single-file checkpoints in it."""
    try:
        return store.add(path)
    except ModelError as error:
        inside = addable(path) if exists(path) and path.is_dir() else []
        if not inside:
            raise
        more = f" and {len(inside) - MOST_SHOWN} more" if len(inside) > MOST_SHOWN else ""
        names = ", ".join(for_terminal(str(each), 300) for each in inside[:MOST_SHOWN])
        raise ModelError(f"{error} Files in it that can be added one by one: {names}{more}.") from None


@dataclass(frozen=True)
class AddedFolders:
    """What was added of ComfyUI's folders, and the networks that were not: (file, what it is and why)."""

    models: tuple[Card, ...]
    refused: tuple[tuple[Path, str], ...]


def add_folders(found: comfy_folders.ComfyFolders) -> AddedFolders:
    """Add every supported network in ComfyUI's folders, experts that belong together as one model. Their other parts
    are found in these folders from then on. ModelError if there is none."""
    comfy_folders.remember(found)
    models: dict[str, Card] = {}
    refused: list[tuple[Path, str]] = []
    for file in found.files():
        try:
            card = store.add(file)
            models[card.id] = card
        except (ModelError, OSError) as error:
            refused.append((file, _why(file, error)))
    if not models:
        names = "; ".join(f"{file.name}: {why}" for file, why in refused[:MOST_SHOWN])
        raise ModelError(f"No video model of Kinema in {len(refused)} files{f': {names}' if names else ''}.")
    return AddedFolders(tuple(models.values()), tuple(refused))


def _why(file: Path, error: Exception) -> str:
    """What a file that was not added is, and why it was not."""
    try:
        found = looked.look(str(file))
    except (KinemaError, OSError):
        return str(error).removeprefix(f"{file}: ").removeprefix(f"{file.resolve()}: ")
    why = found.why.removeprefix(f"{file}: ").removeprefix(f"{file.resolve()}: ")
    return why if found.what in why else f"{found.what}: {why}"


def gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:.1f} MB"


def _entry(model: str) -> added.Added | None:
    entries = added.read(home() / "models.json").entries
    return next((each for each in entries if each.id.lower() == model.lower()), None)


def _cached() -> list[Any]:
    """The repositories in the Hugging Face cache."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        return list(scan_cache_dir().repos)
    except (CacheNotFound, OSError, ValueError):
        return []
