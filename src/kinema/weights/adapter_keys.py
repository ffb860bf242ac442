"""Keys of adapter files: prefix + name of a module + role, in every dialect (the table is in adapter_files.py). The
name is looked up among the spellings of the network's own modules: diffusers' or the original code's words (the
family's `AdapterNames`), with dots or with underscores."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..core.registry import family_module

PREFIXES = (
    "base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.", "pipe.dit.", "dit.", "model.",
    "unet.", "lora_unet_", "lora_transformer_", "lycoris_unet_", "lycoris_transformer_", "lycoris_",
)  # fmt: skip

TEXT = re.compile(r"^(?:lora_te1?_(?:text_model_)?|text_encoder\.(?:text_model\.)?)")
"""What keys of the text encoder begin with; in newer transformers its modules have no text_model around them."""

OF_NAMES = "_"
"""What VideoX-Fun writes a second time after kohya's prefix: lora_unet__blocks_0."""

FACTORS = (
    "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
)  # fmt: skip
"""Roles of LoHa's and LoKr's matrices, which are the ends of their keys."""

ROLES = (
    ("down", re.compile(r"\.(?:lora_(?:A|down)(?:\.[^.]+)??|lora(?:_linear_layer)?\.down)\.weight$|\.lora_A$")),
    ("up", re.compile(r"\.(?:lora_(?:B|up)(?:\.[^.]+)??|lora(?:_linear_layer)?\.up)\.weight$|\.lora_B$")),
    ("up_bias", re.compile(r"\.lora_(?:B|up)(?:\.[^.]+)??\.bias$")),
    ("middle", re.compile(r"\.lora_mid\.weight$")),
    ("magnitude", re.compile(r"\.dora_scale$")),
    ("row_magnitude", re.compile(r"\.lora_magnitude_vector(?:\.[^.]+)??(?:\.weight)?$")),
    *((name, re.compile(rf"\.{name}$")) for name in FACTORS),
    ("alpha", re.compile(r"\.alpha$")),
    ("weight", re.compile(r"\.diff$")),
    ("bias", re.compile(r"\.diff_b$")),
    ("modulation", re.compile(r"\.diff_m$")),
)
PROCESSOR = re.compile(r"\.processor\.to_(q|k|v|out)_lora\.(down|up)\.weight$")
PROCESSOR_PARTS = {"out": "out.0"}


def same(name: str) -> str:
    return name


@dataclass(frozen=True)
class AdapterNames:
    """How people's files spell the layers of a family's networks, beside diffusers' names; a family's `ADAPTER_NAMES`.

    original: diffusers' name of a module or parameter to the one in the authors' own code. kohya, comfyui: to what the
    files for these tools have (kohya's underscores are made of it; ComfyUI's with its prefix). marks: words that only
    the original names have.
    """

    original: Callable[[str], str] = same
    kohya: Callable[[str], str] = same
    comfyui: Callable[[str], str] = lambda name: f"diffusion_model.{name}"
    marks: re.Pattern[str] | None = None

    def marked(self, keys: Iterable[str]) -> bool:
        """Has any of these keys an original name?"""
        return self.marks is not None and any(self.marks.search(key) for key in keys)


PLAIN = AdapterNames()
"""Of networks whose layers diffusers and their authors call the same."""


def names_of(family: str) -> AdapterNames:
    """What the module of a family gives as ADAPTER_NAMES, else PLAIN."""
    found: AdapterNames = getattr(family_module(family), "ADAPTER_NAMES", PLAIN)
    return found


def split(key: str) -> tuple[str | None, str]:
    """A key's role and the name of its module, prefixes taken off. The role is None where there is none."""
    role = None
    key = PROCESSOR.sub(lambda found: f".to_{PROCESSOR_PARTS.get(found[1], found[1])}.lora_{found[2]}.weight", key)
    for name, pattern in ROLES:
        if found := pattern.search(key):
            role, key = name, key[: found.start()]
            break
    while prefix := next((prefix for prefix in PREFIXES if key.startswith(prefix)), None):
        key = key.removeprefix(prefix)
        if prefix.endswith("_"):
            key = key.removeprefix(OF_NAMES)
    return role, key


def module_of(stem: str, names: Mapping[str, str]) -> str | None:
    """The module or parameter that a key's name means, of `spellings`; kohya's names may have kept some of their
    dots."""
    return names.get(stem) or names.get(stem.replace(".", "_"))


def plain_name(name: str) -> str:
    """A parameter's name without the layer that PEFT lays around a module."""
    return name.replace(".base_layer.", ".")


def spellings(shapes: Mapping[str, tuple[int, ...]], names: AdapterNames = PLAIN) -> dict[str, str]:
    """Every spelling of a module, or of a parameter that no module of its own holds, to diffusers' name of
    it."""
    found: dict[str, str] = {}
    for name in shapes:
        path, _, last = name.rpartition(".")
        target = path if last in ("weight", "bias") else name
        for spelling in (target, names.original(target)):
            found[spelling] = found[spelling.replace(".", "_")] = target
    return found
