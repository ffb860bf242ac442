"""Is everything in a checkpoint's folder that its own indexes name? An interrupted transfer leaves a folder that has
some of it. Reads names and configurations, not weights."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import ModelError
from .configs import Config

NO_NETWORK = ("Tokenizer", "TokenizerFast", "Scheduler", "Processor", "ProcessorFast", "ProcessorPil", "Extractor")
"""How the names of classes end that have no weights."""

NOT_NEEDED = ("safety_checker",)


def lacking(folder: Path) -> list[str]:
    """What is named and is not there, in words; empty where the folder is complete. ModelError for an index that is
    damaged."""
    found = [f"{file}: it is not there (its transfer did not end)" for file in _dangling(folder)]
    index = Config.maybe(folder / "model_index.json")
    for name, (_, kind) in index.parts().items() if index is not None else ():
        if name not in NOT_NEEDED:
            found += _part(folder / name, kind)
    if index is None and _is_network(folder) and not _has_weights(folder):
        found.append(f"{folder}: there is no .safetensors file")
    for file in sorted(folder.rglob("*.safetensors.index.json")):
        found += [f"{file.parent / name}: missing shard" for name in shards(file) if not (file.parent / name).exists()]
    return found


def shards(index: Path) -> list[str]:
    """The files that an index of shards names, each once. ModelError for one that names none, or files elsewhere."""
    config = Config.read(index)
    table = config.values.get("weight_map")
    names = set(table.values()) if isinstance(table, dict) and all(isinstance(n, str) for n in table.values()) else None
    if not names or any(Path(name).name != name or name in ("", ".", "..") for name in names):
        raise config.wrong("weight_map", "a table of tensors to files beside it")
    return sorted(names)


def _part(place: Path, kind: str) -> list[str]:
    if not place.is_dir():
        return [f"{place}: the part that model_index.json names is missing"]
    if kind.endswith(NO_NETWORK):
        return [] if any(place.iterdir()) else [f"{place}: the folder is empty"]
    lost = [] if (place / "config.json").exists() else [f"{place / 'config.json'}: missing"]
    return lost if _has_weights(place) else [*lost, f"{place}: there is no .safetensors file"]


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
