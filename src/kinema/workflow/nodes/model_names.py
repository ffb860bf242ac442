"""ComfyUI's names of the model files that a node can choose on this machine.

A loader of ComfyUI lists files. Kinema lists the name of each published file for which it has the model, wherever its
weights lie, and every model of this machine under its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from ...core.registry import family_module
from ...weights import store, styles
from .model_files import TRACKERS, card_of, family_of_part, is_here

PUBLISHED: Mapping[str, tuple[str, ...]] = {
    "checkpoints": (
        "svd.safetensors", "svd_image_decoder.safetensors", "svd_xt.safetensors", "svd_xt_image_decoder.safetensors",
        "svd_xt_1_1.safetensors", "sam3.1_multiplex_fp16.safetensors",
    ),
    "diffusion_models": (
        "wan2.1_t2v_1.3B_fp16.safetensors", "wan2.1_t2v_1.3B_bf16.safetensors", "wan2.1_t2v_14B_fp16.safetensors",
        "wan2.1_t2v_14B_bf16.safetensors", "wan2.1_t2v_14B_fp8_e4m3fn.safetensors",
        "wan2.1_t2v_14B_fp8_scaled.safetensors", "wan2.1_i2v_480p_14B_fp16.safetensors",
        "wan2.1_i2v_480p_14B_bf16.safetensors", "wan2.1_i2v_480p_14B_fp8_e4m3fn.safetensors",
        "wan2.1_i2v_480p_14B_fp8_scaled.safetensors", "wan2.1_i2v_720p_14B_fp16.safetensors",
        "wan2.1_i2v_720p_14B_bf16.safetensors", "wan2.1_i2v_720p_14B_fp8_e4m3fn.safetensors",
        "wan2.1_i2v_720p_14B_fp8_scaled.safetensors", "wan2.1_vace_1.3B_fp16.safetensors",
        "wan2.1_vace_14B_fp16.safetensors", "wan2.1_flf2v_720p_14B_fp16.safetensors",
        "wan2.1_flf2v_720p_14B_fp8_e4m3fn.safetensors", "wan2.1_fun_inp_1.3B_bf16.safetensors",
        "wan2.1_fun_inp_14B_bf16.safetensors", "wan2.1_fun_control_1.3B_bf16.safetensors",
        "wan2.1_fun_control_14B_bf16.safetensors", "wan2.1_fun_v1.1_control_1.3B_bf16.safetensors",
        "wan2.1_fun_v1.1_control_14B_bf16.safetensors", "wan2.1_fun_camera_v1.1_1.3B_bf16.safetensors",
        "wan2.1_fun_camera_v1.1_14B_bf16.safetensors", "Wan2_1-I2V-ATI-14B_fp8_e4m3fn.safetensors",
        "wan2.2_t2v_high_noise_14B_fp16.safetensors", "wan2.2_t2v_low_noise_14B_fp16.safetensors",
        "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors", "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors",
        "wan2.2_i2v_high_noise_14B_fp16.safetensors", "wan2.2_i2v_low_noise_14B_fp16.safetensors",
        "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors", "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors",
        "wan2.2_fun_inpaint_high_noise_14B_fp8_scaled.safetensors",
        "wan2.2_fun_inpaint_low_noise_14B_fp8_scaled.safetensors",
        "wan2.2_fun_control_high_noise_14B_fp8_scaled.safetensors",
        "wan2.2_fun_control_low_noise_14B_fp8_scaled.safetensors",
        "wan2.2_fun_camera_high_noise_14B_fp8_scaled.safetensors",
        "wan2.2_fun_camera_low_noise_14B_fp8_scaled.safetensors", "wan2.2_ti2v_5B_fp16.safetensors",
        "wan2.2_fun_control_5B_bf16.safetensors", "wan2.2_fun_inpaint_5B_bf16.safetensors",
    ),
    "text_encoders": (
        "umt5_xxl_fp16.safetensors", "umt5_xxl_fp8_e4m3fn_scaled.safetensors", "umt5-xxl-enc-bf16.safetensors",
    ),
    "vae": ("wan_2.1_vae.safetensors", "Wan2_1_VAE_bf16.safetensors", "wan2.2_vae.safetensors"),
    "clip_vision": ("clip_vision_h.safetensors",),
    "loras": (),
}  # fmt: skip
"""By ComfyUI's folder. A name stands for a model by the patterns of its card, or for a part of every model of a
family."""


def model_names() -> dict[str, tuple[str, ...]]:
    """By ComfyUI's folder, the names that its loaders can choose here: those of models first, then published files."""
    here = [card for card in store.known_cards() if is_here(card)]
    families = {card.family for card in here}
    found: dict[str, tuple[str, ...]] = {}
    for folder, names in PUBLISHED.items():
        own = [card.id for card in here if getattr(family_module(card.family), "MODEL_FOLDER", "") == folder]
        files = [
            name for name in names
            if fnmatchcase(name, TRACKERS)
            or ((card := card_of(name)) is not None and is_here(card))
            or family_of_part(name) in families
        ]  # fmt: skip
        found[folder] = (*dict.fromkeys((*own, *files)),)
    found["loras"] = tuple(style.name for style in styles.named() if not style.problem)
    return found
