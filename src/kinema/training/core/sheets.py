"""Contact sheets: labelled rows of frames, for inspection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

GAP, LINE = 2, 12


def strip(frames_FHWC: np.ndarray, picks: Sequence[int], zoom: int = 2) -> np.ndarray:
    """Return the picked frames side by side, upscaled by nearest neighbour; uint8 (H', W', 3)."""
    cells = [np.pad(frames_FHWC[pick].repeat(zoom, 0).repeat(zoom, 1), ((0, 0), (0, GAP), (0, 0))) for pick in picks]
    return np.concatenate(cells, axis=1)


def sheet(rows: Sequence[tuple[str, Sequence[np.ndarray]]], path: Path, columns: int = 1, zoom: int = 1) -> None:
    """Write an image of labelled strips in `columns` columns."""
    tiles = []
    for label, strips in rows:
        picture = np.concatenate(
            [np.pad(part, ((0, 0), (0, 3 * GAP), (0, 0)), constant_values=255) for part in strips], 1
        )
        canvas = Image.new("RGB", (picture.shape[1], picture.shape[0] + LINE + GAP), "white")
        canvas.paste(Image.fromarray(picture), (0, LINE))
        ImageDraw.Draw(canvas).text((1, 0), label[: picture.shape[1] // 6], fill="black")
        tiles.append(np.asarray(canvas))
    width = max(tile.shape[1] for tile in tiles)
    height = max(tile.shape[0] for tile in tiles)
    while len(tiles) % columns:
        tiles.append(np.full((height, width, 3), 255, np.uint8))
    whole = [np.pad(t, ((0, height - t.shape[0]), (0, width - t.shape[1]), (0, 0)), constant_values=255) for t in tiles]
    lines = [np.concatenate(whole[i : i + columns], axis=1) for i in range(0, len(whole), columns)]
    image = Image.fromarray(np.concatenate(lines, axis=0))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST).save(path, optimize=True)
