"""Optional parts of Kinema: the purpose of each, whether it is installed, and the command that installs it."""

from __future__ import annotations

import json
import os
import shlex
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

EXTRAS = {
    "lora": "LoRA adapters (--style) and training them",
    "server": "kinema serve, kinema worker, jobs in PostgreSQL",
    "channel": "television: kinema channel, writers and makers over HTTP",
    "gguf": "checkpoints in GGUF files",
    "upscale": "super-resolution networks of other architectures: kinema upscale --network FILE",
    "lpips": "the perceptual distance of pairs: kinema evaluate --metrics lpips",
    "train": "training: kinema train, TensorBoard, 8-bit optimisers",
    "curate": "from a heap of videos to a training set: kinema curate",
    "scale": "kinema curate on Ray Data, and TransNetV2's detector of cuts",
    "test": "the test suite and its tools",
}


def missing(extra: str) -> tuple[str, ...]:
    """The packages of an extra, and of the extras that it contains, that are not installed; any version counts as
    installed."""
    found = _own()
    if found is None:
        return ()
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in found.requires or ()]
    wanted = [
        each
        for each in wanted
        if each.marker is not None
        and each.marker.evaluate({"extra": extra})
        and not each.marker.evaluate({"extra": ""})
    ]
    inner = [name for each in wanted if each.name == "kinema" for extra in each.extras for name in missing(extra)]
    return tuple(dict.fromkeys([*inner, *(each.name for each in wanted if not _is_installed(each.name))]))


def install_command(extra: str) -> str:
    """The command that installs an extra for this Python, from the checkout that Kinema runs from or by package name.
    The quotes are for zsh, which treats bare brackets as a pattern."""
    root = checkout()
    package = "kinema" if root is None else _short(root)
    editable = "" if root is None else "-e "
    return f"{shlex.quote(_short(Path(sys.executable)))} -m pip install {editable}'{package}[{extra}]'"


def checkout() -> Path | None:
    """The folder of an editable install (pip install -e), or None."""
    found = _own()
    try:
        origin = json.loads((found and found.read_text("direct_url.json")) or "{}")
        if origin.get("dir_info", {}).get("editable"):
            return Path(unquote(urlsplit(origin["url"]).path))
    except (ValueError, KeyError, AttributeError):
        pass
    return None


def _short(path: Path) -> str:
    """The path, relative if it is inside the current folder."""
    here = Path.cwd()
    if path == here:
        return "."
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)


def _own() -> Distribution | None:
    try:
        return distribution("kinema")
    except PackageNotFoundError:
        return None


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
