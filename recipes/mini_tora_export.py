"""Write kinema-mini-tora: a folder in the layout of Tora's diffusers weights, and card.json."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers import CogVideoXPipeline
from mini_tora_networks import (
    FPS,
    FRAMES,
    GUIDANCE,
    MOTION_CHANNELS,
    PATHS,
    SIDE,
    SIGMA_PX,
    STEPS,
    TEXT,
    TOKENS,
    TRANSFORMER,
    VAE,
    scheduler,
)  # fmt: skip
from safetensors.torch import save_file

from kinema.core.whole import hidden
from kinema.evaluation.cases import HELD_OUT
from kinema.families.cogvideox.tora.checkpoint import config_of, state_of
from kinema.training.tasks.export import edit_json, put_model
from kinema.weights.store import digests

WEIGHTS = "diffusion_pytorch_model.safetensors"
MOST_BYTES = 8_000_000


def write_model(
    folder: Path, *, vae: Any, transformer: Any, text_encoder: Any, tokenizer: Any, guidance: Any,
    training: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Write the folder in float16, under a temporary name first. Tora's parts are in the transformer's file, under the
    published names (fuser.*, traj_extractor.*). Returns its size in bytes. Raises ValueError if that is too much."""
    partial = hidden(folder)
    pipeline = CogVideoXPipeline(
        vae=vae, transformer=transformer, text_encoder=text_encoder, tokenizer=tokenizer, scheduler=scheduler()
    ).to(torch.float16)
    pipeline.save_pretrained(partial)
    file = partial / "transformer" / WEIGHTS
    state = state_of((transformer, guidance.half()))
    save_file(
        {name: value.half() if value.is_floating_point() else value for name, value in state.items()},
        file,
        metadata={"format": "pt"},
    )
    config = config_of(transformer.config, SIGMA_PX)
    (partial / "transformer" / "config.json").write_text(
        json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
    for part in ("vae", "text_encoder"):
        edit_json(partial / part / "config.json", _name_or_path=None)
    edit_json(partial / "text_encoder" / "config.json", dtype="float32")
    edit_json(partial / "tokenizer" / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast", backend=None)
    edit_json(
        partial / "model_index.json", _class_name="ToraPipeline", _name_or_path=None,
        transformer=["tora", "ToraTransformer3DModel"],
        tokenizer=["transformers", "PreTrainedTokenizerFast"],
    )  # fmt: skip
    (partial / "card.json").write_text(json.dumps(_card(partial, training), indent=2) + "\n", encoding="utf-8")
    return put_model(partial, folder, MOST_BYTES)


def _card(folder: Path, training: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "kinema-mini-tora",
        "family": "cogvideox",
        "license": "Apache-2.0",
        "architecture": {
            "pipeline": "ToraPipeline",
            "vae": {"class": "AutoencoderKLCogVideoX", **VAE},
            "transformer": {"class": "CogVideoXTransformer3DModel", **TRANSFORMER},
            "text_encoder": {"class": "T5EncoderModel", **TEXT},
            "motion": {"channels": MOTION_CHANNELS, "sigma_px": SIGMA_PX, "fuser": "adaptive_norm"},
        },
        "recipe": "recipes/mini_tora.py",
        "world": asdict(PATHS),
        "native": {"frames": FRAMES, "height": SIDE, "width": SIDE, "fps": FPS, "max_sequence_length": TOKENS},
        "recommended": {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE},
        "held_out_from_seed": HELD_OUT,
        "training": training,
        "weights_sha256": digests(folder),
    }
