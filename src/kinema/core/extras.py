"""How the optional packages are installed: the command that works where Kinema runs."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
"""The folder of the sources, where Kinema runs from one."""


def install(extra: str) -> str:
    """The command for an extra of pyproject.toml (lora, channel, train), quoted for every shell: in a checkout the one
    for its folder, else that for the installed package."""
    if (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "src" / "kinema").is_dir():
        return f"pip install -e '.[{extra}]'"
    return f"pip install 'kinema[{extra}]'"
