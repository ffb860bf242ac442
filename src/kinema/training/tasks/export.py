"""Write a trained miniature as a diffusers folder for `WanVACEPipeline.from_pretrained`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanVACEPipeline, WanVACETransformer3DModel
from transformers import UMT5EncoderModel

from ...core.whole import hidden, put

MAX_FILE_BYTES, SHARD = 16_000_000, "15MB"


def export_pipeline(
    folder: Path,
    *,
    vae: AutoencoderKLWan,
    transformer: WanVACETransformer3DModel,
    text_encoder: UMT5EncoderModel,
    tokenizer: Any,
    scheduler: Any,
    dtype: torch.dtype = torch.float16,
) -> dict[str, str]:
    """Save copies of the parts in `dtype`; returns the SHA-256 of each weight file by its path in the folder.

    The folder is written under a temporary name and moved into place. The configs of tokenizer and text encoder are
    written for both transformers 4 and 5, with float32 as the dtype to load. Raises ValueError if a file is larger than
    MAX_FILE_BYTES.
    """
    partial = hidden(folder)
    parts: dict[str, Any] = {"vae": vae, "transformer": transformer, "text_encoder": text_encoder}
    states = {name: {k: v.detach().clone() for k, v in part.state_dict().items()} for name, part in parts.items()}
    try:
        for part in parts.values():
            for p in part.parameters():
                p.data = p.data.to(dtype).contiguous()
        pipeline: Any = WanVACEPipeline(
            tokenizer=tokenizer, text_encoder=text_encoder, vae=vae, transformer=transformer, scheduler=scheduler
        )
        pipeline.save_pretrained(partial, max_shard_size=SHARD)
    finally:
        for name, part in parts.items():
            for key, p in part.named_parameters():
                p.data = states[name][key]
    edit_json(partial / "model_index.json", tokenizer=["transformers", "PreTrainedTokenizerFast"], _name_or_path=None)
    edit_json(partial / "tokenizer" / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast", backend=None)
    edit_json(partial / "text_encoder" / "config.json", dtype="float32", _name_or_path=None)
    for name in ("vae", "transformer"):
        edit_json(partial / name / "config.json", _name_or_path=None)
    hashes = {}
    for file in sorted(partial.rglob("*.safetensors")):
        file.chmod(0o644)
        data = file.read_bytes()
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"{file.parent.name}/{file.name} has {len(data)} bytes; the limit is {MAX_FILE_BYTES}")
        hashes[str(file.relative_to(partial))] = hashlib.sha256(data).hexdigest()
    put(partial, folder)
    return hashes


def put_model(partial: Path, folder: Path, most_bytes: int) -> dict[str, Any]:
    """Move a folder that was written under a temporary name into place; returns it and its size in bytes. Raises
    ValueError if that is too much."""
    size = sum(each.stat().st_size for each in partial.rglob("*") if each.is_file())
    if size > most_bytes:
        raise ValueError(f"The model has {size} bytes; the limit is {most_bytes}.")
    put(partial, folder)
    return {"folder": str(folder), "bytes": size}


def edit_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file. None removes a key."""
    values = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        values.pop(key, None)
        if value is not None:
            values[key] = value
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
