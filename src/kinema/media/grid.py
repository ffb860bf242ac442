"""Show many clips on one picture: rows with a heading, and a frame of each clip with its caption. The same layout is
the background of a clip in which all of them play.

Legend: F pixel frames, H W height and width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import RequestError
from .resize import resize_frames
from .sheet import wrapped

if TYPE_CHECKING:
    from PIL import Image

_PAPER, _INK, _FAINT = (250, 250, 248), (40, 40, 44), (110, 110, 116)
_GAP, _FONT_PX, _LINE_PX = 6, 12, 16
_CAPTION_LINES, _HEADING_LINES = 2, 3


@dataclass(frozen=True)
class Row:
    """A heading ("" for none) and its cells: (caption, uint8 frame HW3). Cells wrap after the last column."""

    heading: str
    cells: Sequence[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Grid:
    """A finished layout. paper_HW3: the picture with headings, captions and frames. boxes: left, top, width, height of
    each cell's frame, in the order of the cells."""

    paper_HW3: np.ndarray
    boxes: tuple[tuple[int, int, int, int], ...]

    def picture(self) -> Image.Image:
        from PIL import Image

        return Image.fromarray(self.paper_HW3)

    def frames(self, clips: Sequence[Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
        """Yield frames HW3 in which the clips (one iterator of HW3 frames per cell) play, until the first one ends."""
        for shown in zip(*clips, strict=False):
            page = self.paper_HW3.copy()
            for frame, box in zip(shown, self.boxes, strict=True):
                _paste(page, frame, box)
            yield page


def grid(rows: Sequence[Row], columns: int, cell_px: int | None = None) -> Grid:
    """Lay out all cells with their frames. Width and height are even; frames keep their aspect ratio.

    cell_px: width of a cell; defaults to the first frame's width, upscaled by a whole number to at least 160 or reduced
    to 320. RequestError if there is no cell or no column."""
    cells = [cell for row in rows for cell in row.cells]
    if not cells or columns < 1:
        raise RequestError("A grid needs at least one clip and one column.", field="grid")
    columns = min(columns, max(len(row.cells) for row in rows))
    width = cells[0][1].shape[1]
    wide = cell_px or (min(320, width) if width >= 160 else width * -(-160 // width))
    tall = max(1, max(round(frame.shape[0] * wide / frame.shape[1]) for _, frame in cells))
    tall = min(tall, 2 * wide)
    return _drawn(rows, columns, wide, tall)


def _drawn(rows: Sequence[Row], columns: int, wide: int, tall: int) -> Grid:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=_FONT_PX)
    width = columns * (wide + _GAP) + _GAP
    texts: list[tuple[int, int, str, tuple[int, int, int]]] = []
    boxes: list[tuple[int, int, int, int]] = []
    y = _GAP
    for row in rows:
        for line in wrapped(row.heading, font, width - 2 * _GAP, _HEADING_LINES):
            texts.append((_GAP, y, line, _INK))
            y += _LINE_PX
        for start in range(0, len(row.cells), columns):
            below = 0
            for column, (caption, _) in enumerate(row.cells[start : start + columns]):
                x = _GAP + column * (wide + _GAP)
                boxes.append((x, y, wide, tall))
                lines = wrapped(caption, font, wide, _CAPTION_LINES)
                texts += [(x, y + tall + 1 + at * _LINE_PX, line, _FAINT) for at, line in enumerate(lines)]
                below = max(below, len(lines))
            y += tall + below * _LINE_PX + _GAP
    page = Image.new("RGB", (width + width % 2, y + y % 2), _PAPER)
    draw = ImageDraw.Draw(page)
    for x, top, text, ink in texts:
        draw.text((x, top), text, fill=ink, font=font)
    paper = np.array(page)
    for (_, frame), box in zip((cell for row in rows for cell in row.cells), boxes, strict=True):
        _paste(paper, frame, box)
    return Grid(paper, tuple(boxes))


def _paste(page: np.ndarray, frame: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """Paste a frame into its box, scaled to fit."""
    x, y, wide, tall = box
    height, width = frame.shape[:2]
    scale = min(wide / width, tall / height)
    high, broad = min(tall, max(1, round(height * scale))), min(wide, max(1, round(width * scale)))
    shown = resize_frames(frame, high, broad, "stretch", "nearest" if scale >= 1 else "lanczos")
    left = x + (wide - broad) // 2
    page[y : y + high, left : left + broad] = shown
