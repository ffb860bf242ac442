"""PEFT's settings of an adapter: `lora_alpha`, `use_rslora`, and a table of patterns with another alpha for some
modules.

PEFT runs the patterns as regular expressions over module names. The files are untrusted, and a regular expression can
take exponential time; here a pattern is a module's name or the end of one, with `^` before a full name and `.*` for any
text. Other patterns are refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..core.errors import ModelError
from ..core.outside import for_terminal, parse_json, read_json
from .headers import Entries

MAX_PATTERNS = 10_000
MAX_PATTERN = 500
ESCAPED = re.compile(r"\\([^A-Za-z0-9])")
PLAIN = re.compile(r"[\w.\-]*")


def settings_of(file: Path, entries: Entries, text: bool = False) -> dict[str, Any]:
    """The settings in the file next to the adapter (PEFT) or in its metadata (diffusers); empty if there are none.
    ModelError for damaged settings."""
    config = file.parent / "adapter_config.json"
    if file.name == "adapter_model.safetensors" and config.exists():
        return _typed(str(config), read_json(config, dict, error=ModelError))
    what = f"{file}: lora_adapter_metadata"
    found: dict[str, Any] = parse_json(
        (entries.get("__metadata__") or {}).get("lora_adapter_metadata", "{}"), what, dict, error=ModelError
    )
    if text:
        found = {key.removeprefix("text_encoder."): found[key] for key in found if key.startswith("text_encoder.")}
    return _typed(what, {key.removeprefix("transformer.").removeprefix("unet."): value for key, value in found.items()})


def alpha_of(settings: dict[str, Any], stem: str) -> float | None:
    """The alpha of a module, by its name in the file; None if the settings have none. The first matching pattern
    decides, as in PEFT."""
    for pattern, value in (settings.get("alpha_pattern") or {}).items():
        if fits(pattern, stem):
            return float(value)
    alpha = settings.get("lora_alpha", settings.get("alpha") if "peft_type" in settings else None)
    return None if alpha is None else float(alpha)


def fits(pattern: str, name: str) -> bool:
    """Whether PEFT's `re.match(rf"(.*\\.)?({pattern})$", name)` matches, for a pattern that `parts` accepts. Takes time
    linear in the length of the name."""
    whole, pieces = parts(pattern)
    if len(pieces) == 1:
        return name == pieces[0] or (not whole and name.endswith("." + pieces[0]))
    first, *middle, last = pieces
    begins = [0] if whole else [0, *(at + 1 for at, char in enumerate(name) if char == ".")]
    start = next((at for at in begins if name.startswith(first, at)), None)
    if start is None:
        return False
    # The leftmost match of each piece leaves the most for the next ones, so no other choice needs to be tried.
    at = start + len(first)
    for piece in middle:
        found = name.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(name) - len(last) >= at and name.endswith(last)


def parts(pattern: str) -> tuple[bool, list[str]]:
    """(matches full names only, the plain pieces between its `.*`). ModelError for any other expression."""
    inner = pattern.removeprefix("^").removesuffix("$")
    pieces = [ESCAPED.sub(r"\1", piece) for piece in inner.split(".*")]
    if len(pattern) > MAX_PATTERN or not inner or not all(PLAIN.fullmatch(piece) for piece in pieces):
        raise ModelError(
            f"Unsupported pattern {for_terminal(repr(pattern), 80)}. Legal are module names or their ends, with .* in "
            "them."
        )
    return pattern.startswith("^"), pieces


def _typed(what: str, settings: dict[str, Any]) -> dict[str, Any]:
    for key in ("lora_alpha", "alpha", "r"):
        if settings.get(key) is not None and not _number(settings[key]):
            raise ModelError(f"{what}: {key} must be a number, got {for_terminal(repr(settings[key]), 80)}.")
    for key in ("alpha_pattern", "rank_pattern"):
        table = settings.get(key) or {}
        if not isinstance(table, dict) or len(table) > MAX_PATTERNS or not all(map(_number, table.values())):
            raise ModelError(f"{what}: {key} must be a table of at most {MAX_PATTERNS:,} numbers.")
        try:
            for pattern in table:
                parts(pattern)
        except ModelError as error:
            raise ModelError(f"{what}: {key}: {error}") from None
    return settings


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
