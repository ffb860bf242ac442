"""Tensor names of Stable Video Diffusion in the original single file (Stability AI's generative-models), in addition to
those of sd/original.py.

Prefixes in the file: `conditioner.embedders.3.encoder.` (a second VAE for the image, the only one with quant_conv),
`conditioner.embedders.0.open_clip.model.visual.` (image encoder).
"""

from __future__ import annotations

from ...sd import original

PICTURE_VAE = "conditioner.embedders.3.encoder."
VISION = "conditioner.embedders.0.open_clip.model.visual."

VISION_PARTS = {
    "embeddings.class_embedding": "class_embedding", "embeddings.patch_embedding.weight": "conv1.weight",
    "embeddings.position_embedding.weight": "positional_embedding", "pre_layrnorm": "ln_pre",
    "post_layernorm": "ln_post",
}  # fmt: skip
VISION_LAYER = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}  # fmt: skip


def vae_name(name: str, levels: int) -> str:
    """The name of a VAE tensor in the file. The encoder comes from the image's VAE, which matches quant_conv."""
    of_picture = name.startswith(("encoder.", "quant_conv."))
    return original.vae_name(name, levels, PICTURE_VAE if of_picture else original.VAE)


def vision_name(name: str) -> tuple[str, str]:
    """The name of a CLIPVisionModelWithProjection tensor: (name in the file, "q", "k", "v" or ""). OpenCLIP stores
    query, key and value in one tensor."""
    if name == "visual_projection.weight":
        return f"{VISION}proj", ""
    inner = name.removeprefix("vision_model.")
    stem, _, kind = inner.rpartition(".")
    if inner in VISION_PARTS:
        return f"{VISION}{VISION_PARTS[inner]}", ""
    if stem in VISION_PARTS:
        return f"{VISION}{VISION_PARTS[stem]}.{kind}", ""
    _, _, layer, *rest = stem.split(".")
    part = ".".join(rest)
    if part in VISION_LAYER:
        return f"{VISION}transformer.resblocks.{layer}.{VISION_LAYER[part]}.{kind}", ""
    third = part.removeprefix("self_attn.").removesuffix("_proj")
    return f"{VISION}transformer.resblocks.{layer}.attn.in_proj_{kind}", third
