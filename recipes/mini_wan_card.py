"""The card.json of kinema-mini-wan."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mini_wan_editions import Edition
from mini_wan_networks import GUIDANCE, SHIFT, STEPS, transformer_config
from mini_wan_vae import vae_config

from kinema.evaluation.cases import HELD_OUT
from kinema.weights.store import digests


def write_card(folder: Path, edition: Edition, training: dict[str, Any]) -> None:
    """Write card.json: the model's architecture, recommended settings and training, without the scorecard."""
    config = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))  # it may be wider
    vae = {name: value for name, value in vae_config(edition).items() if "latents" not in name}
    card = {
        "name": "kinema-mini-wan",
        "edition": edition.name,
        "family": "wan",
        "license": "Apache-2.0",
        "architecture": {
            "pipeline": "WanVACEPipeline",
            "vae": {**vae, "decoder_base_dim": config.get("decoder_base_dim") or config["base_dim"]},
            "transformer": transformer_config(edition),
            "text_encoder": {"class": "UMT5EncoderModel", **edition.text},
        },
        "recipe": "recipes/mini_wan.py",
        "world": asdict(edition.world),
        "native": {
            "frames": edition.frames, "height": edition.side, "width": edition.side, "fps": edition.fps,
            "max_sequence_length": edition.tokens,
        },
        "recommended": {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "flow_shift": SHIFT},
        "held_out_from_seed": HELD_OUT,
        "training": training,
        "weights_sha256": digests(folder),
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
