"""Safetensors files and names of a Wan transformer that are all header: as large as real ones, but on
disk a few kilobytes."""

from __future__ import annotations

import json
import struct

DIMS = {"1.3B": (1536, 8960, 30), "14B": (5120, 13824, 40), "5B": (3072, 14336, 30)}
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "U8": 1, "I8": 1, "F8_E8M0": 1}


def write(file, shapes, metadata=None, values=()):
    """A safetensors file of these names, (type, shape) each, that is all hole after its header."""
    table, end, filled = {}, 0, []
    for name, (kind, shape) in shapes.items():
        size = BYTES[kind]
        for side in shape:
            size *= side
        table[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [end, end + size]}
        if name in dict(values):
            filled.append((end, dict(values)[name]))
        end += size
    if metadata:
        table["__metadata__"] = metadata
    text = json.dumps(table).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for at, data in filled:
            stream.seek(8 + len(text) + at)
            stream.write(data)
        stream.truncate(8 + len(text) + end)
    return file


def keys(size="14B", channels=16, out=16, clip=False, vace=0, more=(), prefix="", kind="F16"):
    """Names and shapes of a transformer in the original layout, as much of it as tells one from another."""
    width, ffn, layers = DIMS[size]
    found = {
        "patch_embedding.weight": (width, channels, 1, 2, 2), "text_embedding.0.weight": (width, 4096),
        "time_embedding.0.weight": (width, 256), "head.modulation": (1, 2, width),
        "head.head.weight": (4 * out, width),
    }  # fmt: skip
    for layer in range(layers):
        found[f"blocks.{layer}.self_attn.q.weight"] = (width, width)
        found[f"blocks.{layer}.ffn.0.bias"] = (ffn,)
    if clip:
        found |= {"img_emb.proj.0.weight": (1280,), "blocks.0.cross_attn.k_img.weight": (width, width)}
    for layer in range(vace):
        found[f"vace_blocks.{layer}.after_proj.weight"] = (width, width)
    if vace:
        found["vace_patch_embedding.weight"] = (width, 96, 1, 2, 2)
    return {prefix + name: (kind, shape) for name, shape in (found | dict(more)).items()}


def typed(shapes):
    return {name: value if isinstance(value[0], str) else ("F16", value) for name, value in shapes.items()}
