"""The station ident: the channel's name over drifting hills and a turning sun, as a seamless loop of four seconds.

It airs when no clip is available, so it depends on Pillow only. It is drawn once and stored with the filler.
"""

from __future__ import annotations

import colorsys
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...core.chunk import Chunk
from ..conform import Encoding, conform

SECONDS = 4.0


def ident_file(folder: Path, name: str, encoding: Encoding) -> Path:
    """The ident file of a channel in its encoding, drawn on the first call. MediaError if it cannot be written."""
    key = hashlib.sha256(f"{name}|{encoding.key}|3".encode()).hexdigest()[:12]
    path = folder / "filler" / f"ident-{key}.mp4"
    if not path.is_file():
        conform(ident(name, encoding), path, encoding)
        for old in path.parent.glob("ident-*.mp4"):
            if old != path:
                old.unlink(missing_ok=True)
    return path


def ident(name: str, encoding: Encoding) -> Iterator[Chunk]:
    """Yield the frames of the ident, a whole number of GOPs."""
    num = max(1, round(SECONDS * encoding.fps / encoding.gop)) * encoding.gop
    hue = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big") / 65536
    label = _label(name, encoding.width, encoding.height)
    for number in range(num):
        large = _landscape(number / num, hue, 2 * encoding.width, 2 * encoding.height)
        picture = large.reduce(2)
        picture.paste(label, (0, 0), label)
        yield Chunk(np.asarray(picture)[None].copy(), number, float(encoding.fps))


def _landscape(turn: float, hue: float, width: int, height: int) -> Any:
    """One frame without the label. turn: the position in the loop, 0 to 1."""
    from PIL import Image, ImageDraw

    top, low = np.array(_color(hue, 0.45, 0.30)), np.array(_color(hue + 0.08, 0.40, 0.80))
    share_H = np.linspace(0, 1, height)[:, None]
    sky_HC = top * (1 - share_H) + low * share_H
    picture = Image.fromarray(np.repeat(sky_HC[:, None], width, 1).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    x, y, r = width * 0.78, height * 0.30, height * 0.12
    for ray in range(12):
        angle = 2 * math.pi * (ray + turn) / 12
        reach = r * (1.55 + 0.12 * math.sin(2 * math.pi * (turn + ray) / 3))
        ends = [(x + k * math.cos(angle), y + k * math.sin(angle)) for k in (1.2 * r, reach)]
        draw.line(ends, fill=_color(hue + 0.13, 0.45, 1.0), width=max(2, height // 80))
    draw.ellipse((x - r, y - r, x + r, y + r), fill=_color(hue + 0.13, 0.45, 1.0))
    for layer in range(3):
        base, swell = height * (0.66 + 0.11 * layer), height * (0.07 - 0.012 * layer)
        waves, way = 1 + layer, 1 if layer % 2 == 0 else -1
        ridge = [
            (px, base + swell * math.sin(2 * math.pi * (waves * px / width + way * turn) + 2.1 * layer))
            for px in range(0, width + 4, 4)
        ]
        draw.polygon(
            [(0, height), *ridge, (width, height)], fill=_color(hue + 0.30 + 0.05 * layer, 0.5, 0.62 - 0.14 * layer)
        )
    return picture


def _label(name: str, width: int, height: int) -> Any:
    """The name as large as it fits, with a soft shadow, on a transparent background."""
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    size = height / 5
    while size > 10 and ImageFont.load_default(size=size).getlength(name) > width * 0.86:
        size *= 0.94
    font = ImageFont.load_default(size=size)
    place = (width * 0.07, height * 0.24)
    shadow = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    ImageDraw.Draw(shadow).text((place[0] + size / 24, place[1] + size / 16), name, fill=(0, 0, 0, 150), font=font)
    label = shadow.filter(ImageFilter.GaussianBlur(max(1.0, size / 20)))
    ImageDraw.Draw(label).text(place, name, fill=(255, 255, 255, 255), font=font)
    return label


def _color(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)
