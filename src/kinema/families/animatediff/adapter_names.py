"""How MotionLoRAs spell the layers of motion modules: AnimateDiff's own words for those of diffusers. No torch."""

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
"""diffusers' words for a motion module to those of AnimateDiff."""


def original(name: str) -> str:
    """AnimateDiff's own name of a motion module or parameter that diffusers names so; others stay as they are."""
    if ".motion_modules." not in name:
        return name
    for pattern, word in WORDS:
        name = pattern.sub(word, name)
    return name


def comfyui(name: str) -> str:
    """AnimateDiff's files have no prefix; those for the image model have ComfyUI's."""
    return original(name) if ".motion_modules." in name else f"diffusion_model.{name}"


ADAPTER_NAMES = AdapterNames(
    original=original, comfyui=comfyui, marks=re.compile(r"temporal_transformer|attention_blocks|ff_norm")
)
