"""What checkpoints and adapters are called. A name is the whole name: a folder's dots belong to it (Wan2.2-T2V-A14B),
and of a file only a known ending is taken off."""

from __future__ import annotations

import re
from pathlib import Path

ENDINGS = (".safetensors", ".gguf", ".ckpt", ".pth", ".pt", ".bin")

HUB_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}")


def model_name(path: Path) -> str:
    """The name of a model's folder or file. A folder in the Hugging Face cache, whose own name is a commit, has the
    name of its repository."""
    if path.parent.name == "snapshots" and path.parent.parent.name.startswith("models--"):
        return path.parent.parent.name.split("--")[-1]
    return path.name if path.is_dir() else file_name(path)


def file_name(path: Path) -> str:
    """A file's name without its ending, where that is one that weights have."""
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), "")
    return path.name[: len(path.name) - len(ending)] or path.name


def is_hub_id(name: str) -> bool:
    """Is it OWNER/NAME as the hub spells ids?"""
    return HUB_ID.fullmatch(name) is not None and "--" not in name and ".." not in name and name[-1] not in "-."
