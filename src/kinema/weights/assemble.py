"""Make a folder in diffusers' layout of an original checkpoint that holds only a model's own network: the other parts
are those of a base model. The family of the base model knows the layout (`assemble`, core/registry.py)."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import ModelError
from ..core.registry import built_in_cards, family_module
from ..core.whole import hidden
from . import store
from .convert import PICKLES, convert


def assemble(source: Path, base: str, target: Path) -> int:
    """Write the folder; return the number of tensors of its network. base: a model on this machine, by name, hub id or
    folder. ModelError if the source cannot be read, does not fit the base, or the base's family converts none."""
    card = store.find(base)
    module = family_module(card.family)
    if not hasattr(module, "assemble"):
        able = [each.id for each in built_in_cards() if hasattr(family_module(each.family), "assemble")]
        raise ModelError(f"{card.id}: no original checkpoint is converted with this base. Legal: {', '.join(able)}.")
    folder = store.locate(card)
    if not folder.is_dir():
        raise ModelError(f"{folder}: the base is a folder in diffusers' layout.")
    if source.suffix.lower() not in PICKLES:
        if source.suffix.lower() != ".safetensors":
            raise ModelError(f"{source}: no checkpoint. Legal suffixes are {', '.join(PICKLES)}, .safetensors.")
        return int(module.assemble(source, card, folder, target))
    plain = hidden(target, ".safetensors")
    try:
        convert(source, plain)
        return int(module.assemble(plain, card, folder, target))
    finally:
        plain.unlink(missing_ok=True)
