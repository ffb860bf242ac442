"""Nodes that load weights, and adapters on them."""

from __future__ import annotations

from .declaration import Declaration, DeclaredInput, choice, file, number, sockets

_DTYPES = choice("weight_dtype", "default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2")
_KIND = DeclaredInput("type", "COMBO", "stable_diffusion")
"""Of a text encoder; newer models add to its values."""


def _strength(name: str) -> DeclaredInput:
    return number(name, 1.0, -100, 100)


LOADERS = (
    Declaration(
        "CheckpointLoaderSimple", (file("ckpt_name", "checkpoints"),), ("MODEL", "CLIP", "VAE"),
        "the request's model", title="Load Checkpoint",
    ),
    Declaration(
        "ImageOnlyCheckpointLoader", (file("ckpt_name", "checkpoints"),), ("MODEL", "CLIP_VISION", "VAE"),
        "the request's model",
    ),
    Declaration(
        "UNETLoader", (file("unet_name", "diffusion_models"), _DTYPES), ("MODEL",), "the request's model",
        title="Load Diffusion Model",
    ),
    Declaration(
        "CLIPLoader", (file("clip_name", "text_encoders"), _KIND, choice("device", "default", "cpu")),
        ("CLIP",), "part of the model: its text encoder", title="Load CLIP",
    ),
    Declaration(
        "VAELoader", (file("vae_name", "vae"),), ("VAE",), "part of the model: its autoencoder", title="Load VAE"
    ),
    Declaration(
        "CLIPVisionLoader", (file("clip_name", "clip_vision"),), ("CLIP_VISION",),
        "part of the model: its image encoder", title="Load CLIP Vision",
    ),
    Declaration(
        "LoraLoader",
        (*sockets("model MODEL, clip CLIP"), file("lora_name", "loras"), _strength("strength_model"),
         _strength("strength_clip")),
        ("MODEL", "CLIP"), "a style of the request", title="Load LoRA",
    ),
    Declaration(
        "LoraLoaderModelOnly", (*sockets("model MODEL"), file("lora_name", "loras"), _strength("strength_model")),
        ("MODEL",), "a style of the request",
    ),
)  # fmt: skip
