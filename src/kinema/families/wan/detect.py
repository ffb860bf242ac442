"""What kind of Wan model a folder or file is, read off configurations and safetensors headers alone (no torch)."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Any

from ...core.card import Card
from ...core.errors import ModelError
from ...core.outside import read_json
from ...weights.store import header
from .cards import ACCEPTS, CARDS, MINI, NEEDS, options

PIPELINES = {"WanPipeline": "t2v", "WanImageToVideoPipeline": "i2v", "WanVACEPipeline": "vace"}


def recognise(path: Path) -> Card | None:
    """The card of a diffusers folder or a single file of the original layout; None where it is not Wan's."""
    if path.is_dir():
        return _folder(path)
    if path.suffix == ".safetensors":
        return _file(path)
    return None


def _folder(path: Path) -> Card | None:
    try:
        parts = read_json(path / "model_index.json", dict, error=ModelError)
        variant = PIPELINES[parts["_class_name"]]
        config = read_json(path / "transformer" / "config.json", dict, error=ModelError)
    except (OSError, ValueError, KeyError):
        return None
    width = config["num_attention_heads"] * config["attention_head_dim"]
    return _named(path, variant, width, config["num_layers"], len(config.get("vace_layers") or ()), config["text_dim"])


def _file(path: Path) -> Card | None:
    facts = file_facts(header(path))
    if facts is None:
        return None
    hint_layers = len(facts["vace_layers"])
    return _named(path, facts["variant"], facts["width"], facts["layers"], hint_layers, facts["text_dim"])


def file_facts(entries: dict[str, Any]) -> dict[str, Any] | None:
    """Variant and sizes of a transformer in the original (or ComfyUI's) key layout; None where it is not one.

    Keys may carry the prefix `model.diffusion_model.`. The facts are those of WanModel: width and text width from
    `text_embedding.0.weight`, layers by counting, VACE by `vace_patch_embedding`, image to video by `img_emb`.
    """
    names = {key.removeprefix("model.diffusion_model."): entry for key, entry in entries.items()}
    text = names.get("text_embedding.0.weight")
    patch = names.get("patch_embedding.weight")
    if text is None or patch is None or "head.modulation" not in names:
        return None
    layers = 1 + max(int(key.split(".")[1]) for key in names if key.startswith("blocks."))
    hints = 1 + max((int(key.split(".")[1]) for key in names if key.startswith("vace_blocks.")), default=-1)
    variant = "vace" if hints else "i2v" if any(key.startswith("img_emb.") for key in names) else "t2v"
    return {
        "variant": variant,
        "width": text["shape"][0],
        "text_dim": text["shape"][1],
        "layers": layers,
        "in_channels": patch["shape"][1],
        "ffn": names["blocks.0.ffn.0.bias"]["shape"][0],
        "freq_dim": names["time_embedding.0.weight"]["shape"][1],
        "vace_layers": list(range(0, layers, layers // hints))[:hints] if hints else [],
        "vace_channels": names["vace_patch_embedding.weight"]["shape"][1] if hints else 0,
        "image_dim": names["img_emb.proj.0.weight"]["shape"][0] if variant == "i2v" else None,
    }


def _named(path: Path, variant: str, width: int, layers: int, hint_layers: int, text_dim: int) -> Card:
    """The published card of that shape, pointing here; for an unknown shape a card of its own."""
    for card in CARDS:
        network = card.network
        if (card.variant, network.width, network.layers) == (variant, width, layers) and card.builtin is None:
            named = any(fnmatch.fnmatch(path.name, pattern) for pattern in card.single_files)
            # The two image-to-video models have one shape; only their names tell them apart.
            size = "720p" if "720" in path.name else "480p"
            if variant != "i2v" or named or size in card.id:
                return card.model_copy(update={"id": path.stem, "path": str(path), "hub": None, "aliases": ()})
    return MINI.model_copy(
        update={
            "id": path.stem,
            "path": str(path),
            "builtin": None,
            "aliases": (),
            "title": f"Wan {variant} of {layers} layers, {width} wide",
            "licence": "unknown",
            "variant": variant,
            "accepts": ACCEPTS[variant] + (("trajectory",) if variant == "vace" and text_dim < 1024 else ()),
            "needs": NEEDS[variant],
            "network": MINI.network.model_copy(
                update={
                    "width": width,
                    "layers": layers,
                    "hint_layers": hint_layers,
                    "parameters": 12 * layers * width**2,
                }
            ),
            "options": options(variant, 3.0, MINI.network.text_length if text_dim < 1024 else 512),
            "notes": ("A checkpoint of unpublished shape: limits and defaults are the miniature's.",),
        }
    )
