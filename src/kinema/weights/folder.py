"""Parts of a diffusers folder. Safetensors only; pickled weights are never opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ModelError


def network(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """A network of a diffusers or transformers class. Where only half-precision files were fetched, they are taken."""
    return kind.from_pretrained(folder, use_safetensors=True, dtype=dtype, **_variant(folder))


def _variant(folder: Path) -> dict[str, Any]:
    whole = [file for file in folder.glob("*.safetensors") if ".fp16." not in file.name]
    return {} if whole or not any(folder.glob("*.fp16.safetensors")) else {"variant": "fp16"}


def scheduler(folder: Path) -> Any:
    """The scheduler that model_index.json names. ModelError where diffusers has none of that name."""
    try:
        name = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))["scheduler"][1]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ModelError(f"{folder}: model_index.json cannot be read: {error}.") from None
    return _scheduler(name, folder)


def lone_scheduler(folder: Path) -> Any:
    """The scheduler of a folder without model_index.json, by its own configuration. ModelError where diffusers has
    none of that name."""
    file = folder / "scheduler" / "scheduler_config.json"
    try:
        name = json.loads(file.read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{file} cannot be read: {error}.") from None
    return _scheduler(name, folder)


def _scheduler(name: str, folder: Path) -> Any:
    import diffusers

    kind: Any = getattr(diffusers, name, None)
    if kind is None or not issubclass(kind, diffusers.SchedulerMixin):
        raise ModelError(f"{folder / 'scheduler'}: {name} is not a scheduler of diffusers.")
    return kind.from_pretrained(folder / "scheduler")
