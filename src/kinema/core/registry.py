"""The table of families and the lookup of cards. Modules are imported on demand and without torch.

A new family is one line here (or an entry point in the group `kinema.families` of another package).
Each family module has `CARDS`, `OPTIONS` (its settings, core/options.py), `plan(request, card, known) -> Plan`,
`recognise(folder_or_file) -> Card | None` and `load(card, location, device, dtype) -> Family`; it may have

    complete(card, folder) -> Card      adds optional parts of the model's folder (a tiny decoder, a few-step student)
    missing(location) -> [text, ...]    missing parts that a model needs outside its own folder or file
    beside(location) -> [(part, path or None, text), ...]
                                        those parts, found or missing; text: the usual file and the searched folders
    identify(path, entries) -> (text, is_part) or None
                                        what a file's tensors are, supported or not (entries: {"shape"}
                                        by name, and __metadata__)
    branches(plan) -> [names, ...]      the branches of each step, for the estimate, if not classifier-free guidance
                                        with the plan's settings
    assemble(file, base, folder, target) -> number of tensors
                                        writes a folder in diffusers' layout from an original checkpoint (safetensors)
                                        and the other parts of a base model: its card and folder
    PART_FILES                          by part, patterns of file names of ComfyUI's (a text encoder's, an
                                        autoencoder's) that stand for a part of each of its models
    MODEL_FOLDER                        ComfyUI's folder of its models' files, whose loaders offer its models by name
    pair_of(file) -> (file, file) or None
                                        this file and the other one of its model, an expert each, in order
    pair(file, file) -> Card            the card of both; ModelError if they do not belong together
    ADAPTER_NAMES                       layer names in adapter files (weights/adapter_keys.py)

`recognise` raises ModelError for a model that the family identifies but does not support.
"""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType

from .card import Card
from .errors import ModelError
from .near import nearest

FAMILIES: dict[str, str] = {
    "wan": "kinema.families.wan",
    "svd": "kinema.families.svd",
    "zeroscope": "kinema.families.zeroscope",
    "animatediff": "kinema.families.animatediff",
    "cogvideox": "kinema.families.cogvideox",
    "easyanimate": "kinema.families.easyanimate",
}


@cache
def family_module(name: str) -> ModuleType:
    """The module of a family. Raises ModelError for an unknown name."""
    table = dict(FAMILIES)
    table.update({point.name: point.value for point in entry_points(group="kinema.families")})
    if name not in table:
        raise ModelError(f"No family {name!r}. Families: {', '.join(sorted(table))}.")
    return importlib.import_module(table[name])


@cache
def family_names() -> list[str]:
    """Names in this table, then those of other packages; cached, because scanning all packages takes 20 ms."""
    others = {point.name for point in entry_points(group="kinema.families")} - set(FAMILIES)
    return [*FAMILIES, *sorted(others)]


def built_in_cards() -> list[Card]:
    """Cards of every family, in the order of the table."""
    return [card for name in family_names() for card in family_module(name).CARDS]


def find_card(model: str, cards: list[Card]) -> Card | None:
    """The card whose id, hub id or alias is `model`, ignoring case; or None."""
    wanted = model.lower()
    for card in cards:
        if wanted in {name.lower() for name in (card.id, card.hub or card.id, *card.aliases)}:
            return card
    return None


def unknown_model(model: str, cards: list[Card]) -> ModelError:
    names = [card.id for card in cards]
    near = nearest(model, names)
    hint = f" Did you mean {near}?" if near else ""
    return ModelError(
        f"No model {model!r}: neither a known name nor a folder or file.{hint} Known: {', '.join(names)}. "
        "`kinema models add PATH` registers a folder or file."
    )
