"""Nodes that write and show, by class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ...core.chunk import Chunk
from .values import Outputs, Pictures, Written


def _saved(node: str, inputs: Mapping[str, Any], outputs: Outputs, suffix: str) -> list[Written]:
    from ...media.write import write

    video = inputs.get("video")
    pictures: Pictures = inputs["images"] if video is None else video.pictures
    fps = float(inputs["fps"] if video is None else video.fps)

    def chunks() -> Iterator[Chunk]:
        at = 0
        for block in pictures.blocks(0, pictures.count):
            yield Chunk((block.clip(0, 1) * 255).astype(np.uint8), at, fps)
            at += len(block)

    path = outputs.reserve(str(inputs.get("filename_prefix", "ComfyUI")), suffix, "output")
    write(chunks(), path)
    return [Written(node, path, "output", {"fps": fps, "frames": pictures.count})]


SAVED: Mapping[str, Callable[..., list[Written]]] = {
    "SaveVideo": lambda node, inputs, outputs, **_: _saved(node, inputs, outputs, ".mp4"),
    "SaveWEBM": lambda node, inputs, outputs, **_: _saved(node, inputs, outputs, ".webm"),
    "SaveAnimatedWEBP": lambda node, inputs, outputs, **_: _saved(node, inputs, outputs, ".webp"),
}
