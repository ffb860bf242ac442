"""Names of checkpoints and adapters. Dots in a folder's name belong to it (Wan2.2-T2V-A14B); a file's name loses only
the endings that weights have."""

from __future__ import annotations

import re
from pathlib import Path

ENDINGS = (".safetensors", ".gguf", ".ckpt", ".pth", ".pt", ".bin")

PLAIN = ("diffusion_pytorch_model", "model", "pytorch_model")
PARTS = ("transformer", "high_noise_model", "low_noise_model")

HUB_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}")


def model_name(path: Path) -> str:
    """The name of a model's folder or file. A snapshot folder in the Hugging Face cache takes the name of its
    repository; a file that is called as in every repository takes that of its folder, with the folder above it if that
    is one of a repository's parts (Wan2.2-T2V-A14B high_noise_model)."""
    if path.parent.name and not path.is_dir() and file_name(path) in PLAIN:
        folder = path.parent
        above = model_name(folder.parent) if folder.name in PARTS and folder.parent.name else ""
        return f"{above} {model_name(folder)}".strip()
    if path.parent.name == "snapshots" and path.parent.parent.name.startswith("models--"):
        return path.parent.parent.name.split("--")[-1]
    return path.name if path.is_dir() else file_name(path)


def file_name(path: Path) -> str:
    """A file's name without an ending of weights."""
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), "")
    return path.name[: len(path.name) - len(ending)] or path.name


def is_hub_id(name: str) -> bool:
    """Whether the name is a legal hub id, OWNER/NAME."""
    return HUB_ID.fullmatch(name) is not None and "--" not in name and ".." not in name and name[-1] not in "-."
