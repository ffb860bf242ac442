"""Layer names of MotionLoRA files: map diffusers' names of motion modules to AnimateDiff's. No torch."""

from __future__ import annotations

import re

from ...weights.adapter_keys import AdapterNames

WORDS = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"(\.motion_modules\.\d+)\.", r"\1.temporal_transformer."),
        (r"\.attn([12])\b", lambda found: f".attention_blocks.{int(found[1]) - 1}"),
        (r"(?<=\d\.)norm([12])\b", lambda found: f"norms.{int(found[1]) - 1}"),
        (r"(?<=\d\.)norm3\b", "ff_norm"),
    )
)
"""diffusers' names in a motion module to AnimateDiff's."""


def original(name: str) -> str:
    """AnimateDiff's name of a motion module or parameter with this name in diffusers; other names are unchanged."""
    if ".motion_modules." not in name:
        return name
    for pattern, word in WORDS:
        name = pattern.sub(word, name)
    return name


def comfyui(name: str) -> str:
    """The name in ComfyUI files: without prefix for motion modules, with ComfyUI's prefix for the image model."""
    return original(name) if ".motion_modules." in name else f"diffusion_model.{name}"


ADAPTER_NAMES = AdapterNames(
    original=original, comfyui=comfyui, marks=re.compile(r"temporal_transformer|attention_blocks|ff_norm")
)
