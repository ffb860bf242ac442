"""Optional parts of Kinema: what each is for, whether it is here, and the command that installs it."""

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
    "channel": "television: kinema channel, kinema worker, writers and makers over HTTP",
    "train": "training: kinema train, TensorBoard, 8-bit optimisers",
    "test": "the test suite and its tools",
}


def missing(extra: str) -> tuple[str, ...]:
    """The packages of an extra that are not installed; other versions of them count as installed."""
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
    return tuple(each.name for each in wanted if not _is_installed(each.name))


def install_command(extra: str) -> str:
    """The command for this Python that installs an extra: of the checkout that Kinema runs from, or by its name. Typed
    as it is it works in bash and in zsh, which would take bare brackets for a pattern."""
    root = checkout()
    what = "kinema" if root is None else _short(root)
    editable = "" if root is None else "-e "
    return f"{shlex.quote(_short(Path(sys.executable)))} -m pip install {editable}'{what}[{extra}]'"


def checkout() -> Path | None:
    """The folder that Kinema was installed from in place (pip install -e), or None."""
    found = _own()
    try:
        told = json.loads((found and found.read_text("direct_url.json")) or "{}")
        if told.get("dir_info", {}).get("editable"):
            return Path(unquote(urlsplit(told["url"]).path))
    except (ValueError, KeyError, AttributeError):
        pass
    return None


def _short(path: Path) -> str:
    """Relative to the current folder where it lies in there."""
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
