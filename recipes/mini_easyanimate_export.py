"""Write kinema-mini-easyanimate: a folder in diffusers' layout with card.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mini_easyanimate_networks import (
    FPS,
    FRAMES,
    GUIDANCE,
    SIDE,
    STEPS,
    TEXT,
    TOKENS,
    TRANSFORMER,
    VAE,
    WORLD,
    scheduler,
)

from kinema.core.whole import hidden
from kinema.evaluation.cases import HELD_OUT
from kinema.families.easyanimate.paper.cards import AUTOENCODER, PIPELINE
from kinema.families.easyanimate.paper.cards import TRANSFORMER as TRANSFORMER_CLASS
from kinema.training.tasks.export import edit_json, put_model
from kinema.weights.store import digests

MOST_BYTES = 8_000_000


def write_model(
    folder: Path, *, vae: Any, transformer: Any, text_encoder: Any, tokenizer: Any, training: dict[str, Any],
    own_clips: bool = False, sizes: Sequence[tuple[int, int]] = (),
) -> dict[str, Any]:  # fmt: skip
    """Write the folder in float16, under a temporary name first. Returns its size in bytes. Raises ValueError if that
    is too much. own_clips: trained on a user's clips, not on Toyland. sizes:
    (width, height) of buckets."""
    partial = hidden(folder)
    parts = {"vae": vae, "transformer": transformer, "text_encoder": text_encoder}
    for name, part in parts.items():
        part.to(torch.float16).save_pretrained(partial / name)
        edit_json(partial / name / "config.json", _name_or_path=None)
    edit_json(partial / "text_encoder" / "config.json", dtype="float32")
    tokenizer.save_pretrained(partial / "tokenizer")
    edit_json(partial / "tokenizer" / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast", backend=None)
    scheduler().save_pretrained(partial / "scheduler")
    index = {
        "_class_name": PIPELINE, "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"], "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "transformer": ["kinema", TRANSFORMER_CLASS], "vae": ["kinema", AUTOENCODER],
    }  # fmt: skip
    (partial / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    (partial / "card.json").write_text(
        json.dumps(_card(partial, training, own_clips, sizes), indent=2) + "\n", encoding="utf-8"
    )
    return put_model(partial, folder, MOST_BYTES)


def _card(
    folder: Path, training: dict[str, Any], own_clips: bool, sizes: Sequence[tuple[int, int]]
) -> dict[str, Any]:  # fmt: skip
    known = {} if own_clips else {"license": "Apache-2.0", "world": asdict(WORLD), "held_out_from_seed": HELD_OUT}
    others = {"sizes": sorted({(w, h) for w, h in sizes} - {(SIDE, SIDE)})} if sizes else {}
    return {
        "name": "own clips" if own_clips else "kinema-mini-easyanimate",
        "family": "easyanimate",
        **known,
        "architecture": {
            "pipeline": PIPELINE,
            "vae": {"class": AUTOENCODER, **VAE},
            "transformer": {"class": TRANSFORMER_CLASS, **TRANSFORMER},
            "text_encoder": {"class": "T5EncoderModel", **TEXT},
        },
        "recipe": "recipes/mini_easyanimate.py",
        "native": {
            "frames": FRAMES,
            "height": SIDE,
            "width": SIDE,
            "fps": FPS,
            "max_sequence_length": TOKENS,
            **others,
        },
        "recommended": {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE},
        "training": training,
        "weights_sha256": digests(folder),
    }
