"""ComfyUI's names of model files, and the models of Kinema that they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ...core.card import Card
from ...core.errors import ModelError
from ...core.outside import for_terminal
from ...core.registry import family_module, family_names, find_card
from ...weights import store, styles
from .table import DECLARED

INPUT = "input"
"""ComfyUI's folder of pictures and clips."""
TRACKERS = "sam3*.safetensors"
"""Files in whose place Kinema's own tracker works (`segmentation/`)."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file that a workflow names. model: the id of the Kinema model that it is, or is a part of; "" if none
    reads it. part: it is a part of that model, or of every model of a family. here: whether that model is on this
    machine. supply: how to get it."""

    name: str
    folder: str
    nodes: tuple[str, ...]
    model: str
    here: bool
    supply: str
    part: bool = False


def model_files(
    prompt: Mapping[str, Mapping[str, Any]], sources: Mapping[str, Mapping[str, Any]] | None = None
) -> list[ModelFile]:
    """The model files that the declared nodes of a prompt name, each once. sources: what the workflow notes about
    files, {"url", "directory"} by name. Reads headers at most, no weights."""
    users: dict[tuple[str, str], list[str]] = {}
    for key, node in prompt.items():
        declared = DECLARED.get(node["class_type"])
        for each in declared.inputs if declared else ():
            value = node["inputs"].get(each.name)
            if each.folder not in ("", INPUT) and isinstance(value, str) and value:
                users.setdefault((value, each.folder), []).append(key)
    cards = store.known_cards()
    used = {card.id for name, _ in users for card in [card_of(name, cards)] if card is not None}
    return [
        _found(name, folder, tuple(nodes), cards, used, (sources or {}).get(name, {}))
        for (name, folder), nodes in users.items()
    ]


def _found(
    name: str, folder: str, nodes: tuple[str, ...], cards: Sequence[Card], used: set[str], source: Mapping[str, Any]
) -> ModelFile:
    url = source.get("url")
    fetched = f"; the workflow names {for_terminal(url, 300)}" if isinstance(url, str) and url else ""
    if (card := card_of(name, cards)) is not None:
        here = is_here(card)
        fetch = f"`kinema models pull {card.id}`" if card.hub else f"`kinema models add FILE`{fetched}"
        supply = "on this machine" if here else fetch
        return ModelFile(name, folder, nodes, card.id, here, supply)
    if folder == "loras":
        if any(name == style.name for style in styles.named()):
            return ModelFile(name, folder, nodes, name, True, "a style of this machine")
        return ModelFile(name, folder, nodes, "", False, f"a LoRA: `--model FILE=LORA`, or FILE=none{fetched}")
    if fnmatchcase(plain_name(name), TRACKERS):
        return ModelFile(name, folder, nodes, "tracker", True, "not read: Kinema's tracker takes its place", part=True)
    if family := family_of_part(name):
        of = [card for card in cards if card.family == family and card.id in used]
        label = ", ".join(card.id for card in of) or f"every model of the family {family}"
        return ModelFile(name, folder, nodes, label, any(map(is_here, of)), f"part of {label}", part=True)
    return ModelFile(name, folder, nodes, "", False, f"no model of Kinema reads it{fetched}")


def card_of(name: str, cards: Sequence[Card] | None = None) -> Card | None:
    """The model that a file name stands for: the name of a model itself, or that of its published file, of which one on
    this machine comes first. Folders before a file's name and upper case do not count."""
    cards = store.known_cards() if cards is None else cards
    if (named := find_card(name, list(cards))) is not None:
        return named
    plain = plain_name(name)
    found = [card for card in cards if any(fnmatchcase(plain, each.lower()) for each in card.single_files)]
    return next((card for card in found[1:] if is_here(card)), found[0]) if len(found) > 1 else next(iter(found), None)


def family_of_part(name: str) -> str | None:
    """The family one of whose parts has this file name."""
    plain = plain_name(name)
    for family in family_names():
        patterns = getattr(family_module(family), "PART_FILES", {})
        if any(fnmatchcase(plain, each.lower()) for found in patterns.values() for each in found):
            return family
    return None


def plain_name(name: str) -> str:
    """The name of a file without its folders, in lower case."""
    return name.replace("\\", "/").rpartition("/")[2].lower()


def is_here(card: Card) -> bool:
    """Whether a model can be loaded on this machine."""
    try:
        return store.here(card)
    except ModelError:
        return False
