"""Layer names of adapter files for Wan: map diffusers' names to those of Wan's original code. No torch."""

from __future__ import annotations

import re

from ...weights.adapter_keys import AdapterNames

WORDS = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"^condition_embedder\.time_embedder\.linear_1\b", "time_embedding.0"),
        (r"^condition_embedder\.time_embedder\.linear_2\b", "time_embedding.2"),
        (r"^condition_embedder\.text_embedder\.linear_1\b", "text_embedding.0"),
        (r"^condition_embedder\.text_embedder\.linear_2\b", "text_embedding.2"),
        (r"^condition_embedder\.time_proj\b", "time_projection.1"),
        (r"^condition_embedder\.image_embedder\.norm1\b", "img_emb.proj.0"),
        (r"^condition_embedder\.image_embedder\.ff\.net\.0\.proj\b", "img_emb.proj.1"),
        (r"^condition_embedder\.image_embedder\.ff\.net\.2\b", "img_emb.proj.3"),
        (r"^condition_embedder\.image_embedder\.norm2\b", "img_emb.proj.4"),
        (r"^scale_shift_table$", "head.modulation"),
        (r"^proj_out\b", "head.head"),
        (r"(?<=\d\.)scale_shift_table$", "modulation"),
        (r"(?<=\d\.)proj_in\b", "before_proj"),
        (r"(?<=\d\.)proj_out\b", "after_proj"),
        (r"(?<=\d\.)norm2\b", "norm#"),
        (r"(?<=\d\.)norm3\b", "norm2"),
        (r"norm#", "norm3"),
        (r"\battn1\b", "self_attn"),
        (r"\battn2\b", "cross_attn"),
        (r"\bto_([qkv])\b", r"\1"),
        (r"\bto_out\.0\b", "o"),
        (r"\badd_([kv])_proj\b", r"\1_img"),
        (r"\bnorm_added_k\b", "norm_k_img"),
        (r"\bffn\.net\.0\.proj\b", "ffn.0"),
        (r"\bffn\.net\.2\b", "ffn.2"),
    )
)
"""diffusers' names to those of the original code; the second and third norm swap."""


def original(name: str) -> str:
    """Wan's original name of a module or parameter with this name in diffusers."""
    for pattern, word in WORDS:
        name = pattern.sub(word, name)
    return name


ADAPTER_NAMES = AdapterNames(
    original=original, kohya=original, comfyui=lambda name: f"diffusion_model.{original(name)}",
    marks=re.compile(r"self_attn|cross_attn|ffn\.[02]\."),
)  # fmt: skip
