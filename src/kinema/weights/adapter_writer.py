"""Write LoRA files in the dialects of common tools. Kinema reads all of them (adapter_files.py).

diffusers   unet.down_blocks.0...to_q.lora_A.weight        alpha in the metadata, as diffusers writes it
peft        base_model.model.down_blocks.0...to_q.lora_A.weight    alpha in adapter_config.json next to it
kohya       lora_unet_down_blocks_0..._to_q.lora_down.weight, .lora_up.weight, .alpha
comfyui     original names, from the family: diffusion_model.blocks.0.self_attn.q.lora_down.weight, .alpha
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.whole import write_bytes, write_text
from .adapter_keys import PLAIN, AdapterNames

if TYPE_CHECKING:
    import torch

DIALECTS = ("diffusers", "peft", "kohya", "comfyui")
Layers = Mapping[str, "tuple[torch.Tensor, torch.Tensor]"]
"""Module name in diffusers' spelling to (down (rank, in), up (out, rank))."""


def write(
    path: Path, layers: Layers, *, alpha: float, dialect: str = "diffusers", network: str = "unet",
    names: AdapterNames = PLAIN, dtype: torch.dtype | None = None, **notes: str,
) -> Path:  # fmt: skip
    """Write one .safetensors file (for peft: path is a folder) and return its path. network: "unet" or "transformer",
    the part's name in a pipeline. names: the family's spellings. dtype: defaults to float16. notes: base, trigger,
    title, ... for the file's metadata. ValueError for an unknown dialect or layers of several ranks."""
    import torch
    from safetensors.torch import save

    if dialect not in DIALECTS:
        raise ValueError(f"Unknown dialect {dialect!r}. Legal are {', '.join(DIALECTS)}.")
    ranks = {len(down) for down, _ in layers.values()}
    if len(ranks) != 1:
        raise ValueError(f"Layers must share one rank, got {sorted(ranks)}.")
    rank = ranks.pop()
    tensors: dict[str, torch.Tensor] = {}
    for module, (down, up) in layers.items():
        stem, ends = _stem(module, dialect, network, names), _ends(dialect)
        for name, tensor in zip(ends, (down, up), strict=True):
            tensors[stem + name] = tensor.detach().to("cpu", dtype or torch.float16).contiguous()
        if dialect in ("kohya", "comfyui"):
            tensors[f"{stem}.alpha"] = torch.tensor(float(alpha))
    settings = {"r": rank, "lora_alpha": alpha, "target_modules": sorted(layers)}
    metadata = {"format": "pt", "rank": str(rank), "alpha": f"{alpha:g}", **notes}
    if dialect == "diffusers":
        metadata["lora_adapter_metadata"] = json.dumps({f"{network}.{key}": value for key, value in settings.items()})
    file = path / "adapter_model.safetensors" if dialect == "peft" else path
    file.parent.mkdir(parents=True, exist_ok=True)
    if dialect == "peft":
        config: dict[str, Any] = {"peft_type": "LORA", **settings, "base_model_name_or_path": notes.get("base")}
        write_text(path / "adapter_config.json", json.dumps(config, indent=2) + "\n")
    write_bytes(file, _in_order(save(tensors, metadata=metadata)))
    return file


def _in_order(data: bytes) -> bytes:
    """Sort the metadata of a safetensors file by name. The library writes it in random order, so that two files of one
    adapter would differ."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _ends(dialect: str) -> tuple[str, str]:
    if dialect in ("diffusers", "peft"):
        return ".lora_A.weight", ".lora_B.weight"
    return ".lora_down.weight", ".lora_up.weight"


def _stem(module: str, dialect: str, network: str, names: AdapterNames) -> str:
    if dialect == "diffusers":
        return f"{network}.{module}"
    if dialect == "peft":
        return f"base_model.model.{module}"
    return "lora_unet_" + names.kohya(module).replace(".", "_") if dialect == "kohya" else names.comfyui(module)
