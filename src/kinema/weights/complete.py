"""Check that a checkpoint's folder has every file that its indexes name; an interrupted transfer leaves some out. Reads
names and configurations, not weights."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import ModelError
from .configs import Config

NO_NETWORK = ("Tokenizer", "TokenizerFast", "Scheduler", "Processor", "ProcessorFast", "ProcessorPil", "Extractor")
"""Endings of the names of classes without weights."""

NOT_NEEDED = ("safety_checker",)


def missing_files(folder: Path) -> list[str]:
    """Descriptions of the missing files; empty if the folder is complete. ModelError for a damaged index."""
    found = [f"{file}: missing (its transfer was interrupted)" for file in _dangling(folder)]
    index = Config.maybe(folder / "model_index.json")
    for name, (_, kind) in index.parts().items() if index is not None else ():
        if name not in NOT_NEEDED:
            found += _part(folder / name, kind)
    if index is None and _is_network(folder) and not _has_weights(folder):
        found.append(f"{folder}: contains no .safetensors file")
    for file in sorted(folder.rglob("*.safetensors.index.json")):
        found += [f"{file.parent / name}: missing shard" for name in shards(file) if not (file.parent / name).exists()]
    return found


def shards(index: Path) -> list[str]:
    """The files that a shard index names, without duplicates. ModelError if it names none, or files elsewhere."""
    config = Config.read(index)
    table = config.values.get("weight_map")
    names = set(table.values()) if isinstance(table, dict) and all(isinstance(n, str) for n in table.values()) else None
    if not names or any(Path(name).name != name or name in ("", ".", "..") for name in names):
        raise config.wrong("weight_map", "a table of tensors to files next to it")
    return sorted(names)


def _part(place: Path, kind: str) -> list[str]:
    if not place.is_dir():
        return [f"{place}: missing, but model_index.json names it"]
    if kind.endswith(NO_NETWORK):
        return [] if any(place.iterdir()) else [f"{place}: the folder is empty"]
    lost = [] if (place / "config.json").exists() else [f"{place / 'config.json'}: missing"]
    return lost if _has_weights(place) else [*lost, f"{place}: contains no .safetensors file"]


def _is_network(folder: Path) -> bool:
    try:
        config = Config.maybe(folder / "config.json")
    except ModelError:
        return False
    return config is not None and any(config.has(name) for name in ("model_type", "architectures", "_class_name"))


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) or any(folder.glob("*.safetensors.index.json"))


def _dangling(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if file.is_symlink() and not file.exists()]
