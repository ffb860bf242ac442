"""Keys of adapter files: prefix + name of a module + role, in every dialect (the table is in adapter_files.py). The
name is looked up among the spellings of the network's own modules: diffusers' or the original code's words, with dots
or with underscores."""

from __future__ import annotations

import re
from collections.abc import Mapping

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
ORIGINAL_WORDS = tuple(
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
"""diffusers' words to those of the original code; Wan's second and third norm change places."""


MOTION_WORDS = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"(\.motion_modules\.\d+)\.", r"\1.temporal_transformer."),
        (r"\.attn([12])\b", lambda found: f".attention_blocks.{int(found[1]) - 1}"),
        (r"(?<=\d\.)norm([12])\b", lambda found: f"norms.{int(found[1]) - 1}"),
        (r"(?<=\d\.)norm3\b", "ff_norm"),
    )
)
"""diffusers' words for a motion module to those of AnimateDiff."""


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


def original_name(name: str) -> str:
    """The original Wan's name of a module or parameter that diffusers names so."""
    for pattern, word in ORIGINAL_WORDS:
        name = pattern.sub(word, name)
    return name


def motion_name(name: str) -> str:
    """AnimateDiff's own name of a motion module or parameter that diffusers names so; others stay as they are."""
    if ".motion_modules." not in name:
        return name
    for pattern, word in MOTION_WORDS:
        name = pattern.sub(word, name)
    return name


def spellings(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Every spelling of a module, or of a parameter that no module of its own holds, to diffusers' name of
    it."""
    found: dict[str, str] = {}
    original = original_name if any("scale_shift_table" in name for name in shapes) else motion_name
    for name in shapes:
        path, _, last = name.rpartition(".")
        target = path if last in ("weight", "bias") else name
        for spelling in (target, original(target)):
            found[spelling] = found[spelling.replace(".", "_")] = target
    return found
