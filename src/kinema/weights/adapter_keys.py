"""Keys of adapter files: prefix + module name + role, in every dialect (the table is in adapter_files.py). The name is
looked up among the spellings of the network's modules: diffusers' or the original code's names (the family's
`AdapterNames`), with dots or with underscores."""

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
"""Start of a text encoder's keys; in newer transformers its modules have no text_model around them."""

OF_NAMES = "_"
"""VideoX-Fun repeats this after kohya's prefix: lora_unet__blocks_0."""

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
    """Spellings of the layers of a family's networks besides diffusers' names; a family's `ADAPTER_NAMES`.

    original: maps diffusers' name of a module or parameter to the one in the original code. kohya, comfyui: map it to
    the name in files for these tools (kohya's dots become underscores later; ComfyUI's includes its prefix). marks:
    matches only the original names.
    """

    original: Callable[[str], str] = same
    kohya: Callable[[str], str] = same
    comfyui: Callable[[str], str] = lambda name: f"diffusion_model.{name}"
    marks: re.Pattern[str] | None = None

    def marked(self, keys: Iterable[str]) -> bool:
        """Whether any of these keys has an original name."""
        return self.marks is not None and any(self.marks.search(key) for key in keys)


PLAIN = AdapterNames()
"""For networks whose layers have the same names in diffusers and in the original code."""


def names_of(family: str) -> AdapterNames:
    """The family's ADAPTER_NAMES, or PLAIN."""
    found: AdapterNames = getattr(family_module(family), "ADAPTER_NAMES", PLAIN)
    return found


def split(key: str) -> tuple[str | None, str]:
    """A key's role (None if unknown) and the name of its module, without prefixes."""
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
    """The module or parameter of a key's name, from `spellings`; kohya's names may contain dots too."""
    return names.get(stem) or names.get(stem.replace(".", "_"))


def plain_name(name: str) -> str:
    """A parameter's name without PEFT's wrapper layer."""
    return name.replace(".base_layer.", ".")


def spellings(shapes: Mapping[str, tuple[int, ...]], names: AdapterNames = PLAIN) -> dict[str, str]:
    """Every spelling of a module, or of a parameter outside modules with weight and bias, to diffusers' name."""
    found: dict[str, str] = {}
    for name in shapes:
        path, _, last = name.rpartition(".")
        target = path if last in ("weight", "bias") else name
        for spelling in (target, names.original(target)):
            found[spelling] = found[spelling.replace(".", "_")] = target
    return found
