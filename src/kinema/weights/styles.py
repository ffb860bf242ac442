"""Find and list styles (LoRA adapters), and read the metadata of their files. Needs no torch."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..core.by_hash import file_of
from ..core.errors import ModelError, RequestError
from ..core.home import home
from ..core.plan import Plan
from .store import header, known_cards

DESCRIPTIONS = "styles.json"
"""File next to the built-in adapters: name -> description."""
_DOWN = re.compile(r"(?:lora_A|lora_down|lora\.down|_lora\.down)(?:\.\w+)?\.weight$|\.lora_A$")

_DIFFERENCES = (".diff", ".diff_b", ".diff_m")


@dataclass(frozen=True)
class StyleFacts:
    """A style with a name. model: the model that it was trained on, from the file's metadata; None if unknown. ships:
    the style is built in. problem: why it cannot be used; empty if it can."""

    name: str
    path: Path
    ships: bool
    model: str | None = None
    description: str = ""
    trigger: str | None = None
    rank: int | None = None
    bytes: int = 0
    problem: str = ""


def folders() -> list[Path]:
    """The folders of named adapters: `adapters` in Kinema's data folder, then the built-in ones."""
    return [home() / "adapters", shipped()]


def shipped() -> Path:
    return Path(str(files("kinema"))) / "miniatures" / "adapters"


def find(adapter: str) -> Path:
    """The .safetensors file of an adapter specified as a file, a folder, or a name in one of `folders()`. ModelError,
    with the searched paths and the nearest name, if there is none; pickled files are refused."""
    if (place := file_of(adapter)) is not None:
        return place
    path = Path(adapter).expanduser()
    places = [path] if path.is_absolute() else [path, *(folder / adapter for folder in folders())]
    for place in places:
        for candidate in (place, place.with_name(place.name + ".safetensors")):
            if candidate.exists():
                return adapter_file(candidate).resolve()
    near = nearest(adapter)
    hint = f" Did you mean {near}?" if near else ""
    raise ModelError(f"No adapter {adapter!r}.{hint} Searched: {', '.join(str(place) for place in places)}.")


def adapter_file(place: Path) -> Path:
    """The adapter file of a file or a folder. ModelError if a folder has none or several."""
    if place.is_dir():
        for name in ("adapter_model.safetensors", "pytorch_lora_weights.safetensors"):
            if (place / name).exists():
                return place / name
        found = sorted(place.glob("*.safetensors"))
        if len(found) == 1:
            return found[0]
        if found:
            raise ModelError(f"{place}: {len(found)} .safetensors files; name one of them.")
        raise ModelError(f"{place}: contains no .safetensors file (pickled weights, .bin or .pt, are never read).")
    if place.suffix != ".safetensors":
        raise ModelError(f"{place}: adapters must be .safetensors files; pickled weights can run code.")
    return place


def named() -> list[StyleFacts]:
    """Every named style, those in Kinema's data folder first."""
    found: dict[str, StyleFacts] = {}
    for folder in folders():
        described = _descriptions(folder)
        for place in sorted(folder.iterdir()) if folder.is_dir() else []:
            name = place.name if place.is_dir() else place.stem
            if name in found or not (place.is_dir() or place.suffix == ".safetensors"):
                continue
            found[name] = _facts(name, place, folder == shipped(), described.get(name, ""))
    return list(found.values())


def nearest(adapter: str) -> str | None:
    """The named style closest to this name, or None."""
    names = {style.name: style.name for style in named()}
    # "pan-left" matches "mini-pan-left": a name without its first word counts as much as the name itself.
    names |= {name.partition("-")[2]: name for name in names if "-" in name}
    plain = Path(adapter).name.removesuffix(".safetensors").lower().replace("_", "-")
    close = difflib.get_close_matches(plain, names, n=1, cutoff=0.6)
    return names[close[0]] if close else None


def check(plan: Plan) -> None:
    """RequestError if a style of the plan is not found, is not an adapter, or was trained on a model of another family.
    Reads headers, no weights."""
    if all(condition.kind != "style" for condition in plan.conditions):
        return
    families = {card.id: card.family for card in known_cards()}
    for index, condition in enumerate(plan.conditions):
        if condition.kind != "style":
            continue
        field = f"conditions.{index}.adapter"
        try:
            base = _notes(header(find(condition.adapter))).get("base")
        except ModelError as error:
            names = [style.name for style in named() if families.get(style.model or "", plan.family) == plan.family]
            legal = "a .safetensors file, a folder, or a name from `kinema styles`"
            known = "not a file, a folder or a name from `kinema styles`"
            missing = str(error).startswith("No adapter ")
            message = f"No style {condition.adapter!r}: {known}." if missing else str(error)
            raise RequestError(
                message, field=field, value=condition.adapter,
                legal=f"{legal} ({', '.join(names)})" if names else legal, nearest=nearest(condition.adapter),
            ) from None  # fmt: skip
        if base is not None and families.get(base, plan.family) != plan.family:
            raise RequestError(
                f"The style {condition.adapter} was trained on {base}, {plan.model} is of another family.", field=field,
                value=condition.adapter, legal=f"styles for {plan.family} models",
                models=[base],
            )  # fmt: skip


def adapter(file: Path) -> StyleFacts | None:
    """The facts of a file if it is an adapter."""
    found = _facts(file.stem, file, False, "")
    return None if found.problem else found


def _facts(name: str, place: Path, ships: bool, description: str) -> StyleFacts:
    try:
        file = adapter_file(place)
        entries = header(file)
    except ModelError as error:
        return StyleFacts(name, place, ships, problem=str(error))
    notes = _notes(entries)
    ranks = Counter(int(entry["shape"][0]) for key, entry in entries.items() if _DOWN.search(key) and entry["shape"])
    return StyleFacts(
        name, file, ships,
        model=_first(notes, "base", "base_model", "ss_base_model_version", "modelspec.architecture"),
        description=description
        or _first(notes, "description", "modelspec.description", "title", "modelspec.title")
        or "",
        trigger=_first(notes, "trigger", "trigger_words", "modelspec.trigger_phrase", "trigger_phrase"),
        rank=ranks.most_common(1)[0][0] if ranks else None, bytes=file.stat().st_size,
        problem="" if ranks or any(key.endswith(_DIFFERENCES) for key in entries) else f"{file}: not an adapter file.",
    )  # fmt: skip


def _notes(entries: dict[str, Any]) -> dict[str, Any]:
    notes = entries.get("__metadata__")
    return notes if isinstance(notes, dict) else {}


def _first(notes: dict[str, Any], *names: str) -> str | None:
    return next((str(notes[name])[:200] for name in names if notes.get(name)), None)


def _descriptions(folder: Path) -> dict[str, str]:
    from ..core.outside import read_json

    try:
        found: dict[str, Any] = read_json(folder / DESCRIPTIONS, dict, error=ModelError)
    except (FileNotFoundError, ModelError):
        return {}
    return {name: text for name, text in found.items() if isinstance(text, str)}
