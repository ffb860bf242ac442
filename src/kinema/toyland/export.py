"""Write a data set of Toyland clips with captions to a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..core.whole import write_text
from .caption import describe
from .render import render
from .scene import WORLD, Scene, World, sample_scene

_BATCH = 16


def export(
    folder: Path,
    num: int,
    *,
    write_clip: Callable[[np.ndarray, float, Path], None],
    seed: int = 0,
    size: tuple[int, int] = (64, 64),
    num_frames: int = 17,
    fps: float = 8.0,
    world: World = WORLD,
    device: str = "cpu",
    caption: Callable[[Scene, int], str] = describe,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write scenes seed, seed + 1, ... of a world: `00000.mp4`, `00000.txt` (the caption) and so on.

    size is (height, width) in px. write_clip(frames_FHWC uint8 RGB, fps, path) writes one clip. caption(scene, seed)
    returns the caption. on_progress(done, num) is called after each batch. Returns the path of `metadata.jsonl`, with a
    line per clip: file_name, text, fps, seed and the whole scene. It is written last, after all clips. Raises
    ValueError if num is negative.
    """
    if num < 0:
        raise ValueError(f"num must be 0 or more, got {num}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for start in range(0, num, _BATCH):
        seeds = range(seed + start, seed + min(start + _BATCH, num))
        scenes = [sample_scene(number, world) for number in seeds]
        height, width = size
        out = render(scenes, num_frames=num_frames, height=height, width=width, fps=fps, device=device)
        frames_BFHWC = out.frames_BFHWC.cpu().numpy()
        for row, (number, scene) in enumerate(zip(seeds, scenes, strict=True)):
            name = f"{start + row:05d}"
            text = caption(scene, number)
            write_clip(frames_BFHWC[row], fps, folder / f"{name}.mp4")
            (folder / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
            record = {
                "file_name": f"{name}.mp4",
                "text": text,
                "fps": fps,
                "seed": number,
                "scene": scene.to_dict(),
            }
            lines.append(json.dumps(record, sort_keys=True))
        if on_progress is not None:
            on_progress(len(lines), num)
    metadata = folder / "metadata.jsonl"
    write_text(metadata, "".join(line + "\n" for line in lines))
    return metadata
