"""Load the parts of a diffusers folder. Safetensors only; pickled weights are never opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..core.errors import ModelError
from .configs import Config


def load_part(kind: Any, folder: Path | None, **more: Any) -> Any:
    """Load a part (network, scheduler, tokenizer, processor) of a diffusers or transformers class from its folder.
    Python code in the folder or named by its configuration (`auto_map`) is never run, and nothing is fetched. A damaged
    part raises what those libraries raise: OSError, ValueError, ..."""
    return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **more)


def network(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load a network of a diffusers or transformers class. Falls back to half-precision files if it must."""
    return load_part(kind, folder, use_safetensors=True, dtype=dtype, **_variant(folder))


def _variant(folder: Path) -> dict[str, Any]:
    whole = [file for file in folder.glob("*.safetensors") if ".fp16." not in file.name]
    return {} if whole or not any(folder.glob("*.fp16.safetensors")) else {"variant": "fp16"}


def scheduler(folder: Path) -> Any:
    """The scheduler that model_index.json names. ModelError if diffusers has no such class."""
    file = folder / "model_index.json"
    try:
        part = Config.read(file).part("scheduler")
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error}.") from None
    if part is None:
        raise ModelError(f"{file}: names no scheduler.")
    return _scheduler(part[1], folder)


def lone_scheduler(folder: Path) -> Any:
    """The scheduler of a folder without model_index.json, from its own configuration. ModelError if diffusers has no
    such class."""
    file = folder / "scheduler" / "scheduler_config.json"
    try:
        name = Config.read(file).text("_class_name")
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error}.") from None
    return _scheduler(name, folder)


def _scheduler(name: str, folder: Path) -> Any:
    import diffusers

    kind: Any = getattr(diffusers, name, None) if name.isidentifier() else None
    if not isinstance(kind, type) or not issubclass(kind, diffusers.SchedulerMixin):
        raise ModelError(f"{folder / 'scheduler'}: {name[:80]} is not a diffusers scheduler.")
    return load_part(kind, folder / "scheduler")
