"""Write a trained network as a folder of the miniatures: model.safetensors, config.json and card.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from ...weights.store import digests


def export_network(folder: Path, network: nn.Module, config: dict[str, Any], card: dict[str, Any]) -> dict[str, Any]:
    """Write the weights in float16, and the card with the number of parameters and the SHA-256 of the weights added.
    Returns what a stage records: the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    _write_json(folder / "config.json", config)
    about = {name: card[name] for name in ("name", "license", "recipe")}
    about["parameters"] = sum(value.numel() for value in state.values())
    _write_json(folder / "card.json", about | {"training": card["training"], "weights_sha256": digests(folder)})
    return {"folder": str(folder)}


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
