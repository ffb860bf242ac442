"""Self-contained HTML pages of results: one file that opens from a disk, without scripts and without any address.

Text is escaped where it enters the page: names, captions and reasons are untrusted.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import MediaError
from ..core.whole import write_text as write_whole

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

SHOWN_FRAMES = 16
"""Of a moving picture."""
SHOWN_HEIGHT_PX, GAP_PX = 112, 3
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_STYLE = """
:root { color-scheme: light dark; --paper: #f7f7f4; --card: #fff; --ink: #1b1c20; --soft: #5c5e66; --line: #dcdcd5;
  --bar: #7b8fb8; --band: #b93a1e2e; --mark: #b93a1e; --good: #1f7045; --bad: #ab2413; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #131417; --card: #1b1d21; --ink: #eeeeea; --soft: #a2a4ab; --line: #33353b; --bar: #6f86b5;
    --band: #ff8a6c33; --mark: #ff8a6c; --good: #6fcf97; --bad: #ff9482; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 24px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 24px; margin: 0 0 4px; overflow-wrap: anywhere; } h2 { font-size: 18px; margin: 0 0 2px; }
h3 { font-size: 14px; margin: 14px 0 6px; color: var(--soft); font-weight: 600; }
p { margin: 4px 0; } .soft { color: var(--soft); font-size: 13.5px; }
.good { color: var(--good); } .bad { color: var(--bad); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px; margin: 16px 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-size: 12.5px; color: var(--soft); font-weight: 600; white-space: nowrap; } td.number { white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
code { font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
figure { margin: 0; min-width: 0; } figcaption { font-size: 12.5px; line-height: 1.4; overflow-wrap: anywhere; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 8px 28px; }
.row { display: flex; flex-wrap: wrap; gap: 12px; }
.row figure { width: min-content; } .row figcaption { min-width: 128px; }
.clip { background: 50% / 100% 100% no-repeat; border-radius: 4px; image-rendering: auto; }
img.sheet { max-width: 100%; height: auto; border-radius: 6px; display: block; margin-top: 8px; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
.axis { stroke: var(--line); } .bar { fill: var(--bar); } .band { fill: var(--band); }
.mark { stroke: var(--mark); stroke-width: 2; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 6px 0;
  font-size: 13.5px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 600px) { body { padding: 12px; } section { padding: 12px; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def text(value: object) -> str:
    """Text for a page: escaped, without control characters and marks that change the writing direction."""
    return escape(_CONTROL.sub("", str(value)))


def document(title: str, body: str, style: str = "") -> str:
    """A whole page. body, style: HTML and CSS."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table of HTML cells. numbers: columns that are not wrapped."""
    if not rows:
        return ""
    kinds = ['<td class="number">' if column in numbers else "<td>" for column in range(len(head))]
    lines = ["".join(f"{kind}{cell}</td>" for kind, cell in zip(kinds, row, strict=True)) for row in rows]
    heads = "".join(f"<th>{text(each)}</th>" for each in head)
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table>\n<tr>{heads}</tr>\n{body}\n</table></div>'


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """A list of names and HTML values."""
    return "<dl>" + "".join(f"<dt>{text(name)}</dt><dd>{value}</dd>" for name, value in pairs) + "</dl>"


def write(path: Path, content: str) -> None:
    """Write a page or another text of results, whole. Raises MediaError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error.strerror or error}).") from error


class MovingPictures:
    """Small animations of clips as classes of a style sheet: each is in the page once, however often it is shown."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Path, Path | None], tuple[int, int]] = {}
        self._rules: list[str] = []

    def show(self, path: Path, label: str, partner: Path | None = None) -> str:
        """The element that shows a clip, or a sentence if it cannot be read. partner: a clip to its right, in step."""
        if (path, partner) not in self._numbers:
            try:
                moving, still, width = encoded(path, partner)
            except MediaError:
                return f'<p class="soft">{text(label)}: cannot be read</p>'
            number = len(self._numbers)
            self._numbers[path, partner] = number, width
            self._rules.append(f".clip{number} {{ background-image: url({moving}); }}")
            self._rules.append(
                f"@media (prefers-reduced-motion: reduce) {{ .clip{number} {{ background-image: url({still}); }} }}"
            )
        number, width = self._numbers[path, partner]
        size = f"width:{width}px;height:{SHOWN_HEIGHT_PX}px"
        return f'<div class="clip clip{number}" style="{size}" role="img" aria-label="{text(label)}"></div>'

    @property
    def style(self) -> str:
        return "\n".join(self._rules)


def encoded(path: Path, partner: Path | None = None) -> tuple[str, str, int]:
    """A clip as an animation in real time and as a still picture, both `data:` URIs, and their width. partner: a clip
    beside it. MediaError."""
    from PIL import Image

    columns, seconds = zip(*(_shown(each) for each in (path, partner) if each is not None))
    width, count = sum(frames[0].width + GAP_PX for frames in columns) - GAP_PX, min(map(len, columns))
    shown = [Image.new("RGB", (width, SHOWN_HEIGHT_PX), "gray") for _ in range(count)]
    x = 0
    for frames in columns:
        for canvas, frame in zip(shown, frames):
            canvas.paste(frame, (x, 0))
        x += frames[0].width + GAP_PX
    stream = io.BytesIO()
    each_ms = max(20, round(1000 * seconds[0] / count))
    shown[0].save(
        stream, "WEBP", save_all=True, append_images=shown[1:], duration=each_ms, loop=0, quality=70, method=3
    )
    return data_uri(stream.getvalue(), "image/webp"), picture_uri(shown[count // 2]), width


def _shown(path: Path) -> tuple[list[Image.Image], float]:
    """Evenly spaced frames at SHOWN_HEIGHT_PX, and the seconds that they span."""
    from PIL import Image

    from ..media.sheet import chosen

    frames_FHWC, fps = first_frames(path)
    height, width = frames_FHWC.shape[1:3]
    wide = max(1, round(width * SHOWN_HEIGHT_PX / height))
    how = Image.Resampling.NEAREST if height * 2 <= SHOWN_HEIGHT_PX else Image.Resampling.LANCZOS
    picked = [Image.fromarray(frames_FHWC[number]) for number in chosen(len(frames_FHWC), SHOWN_FRAMES)]
    return [picture.resize((wide, SHOWN_HEIGHT_PX), how) for picture in picked], len(frames_FHWC) / fps


def picture_uri(picture: Image.Image) -> str:
    """A picture (PIL) as a `data:` URI."""
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=80)
    return data_uri(stream.getvalue(), "image/webp")


def data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def first_frames(path: Path, most: int = 120) -> tuple[np.ndarray, float]:
    """The first frames of a clip (F, H, W, 3), uint8, and its fps. MediaError."""
    import numpy as np

    from ..media.read import read_chunks

    chunks = list(read_chunks(path, stop=most, audio=False))
    if not chunks:
        raise MediaError(f"{path}: contains no frames.")
    return np.concatenate([chunk.frames for chunk in chunks]), chunks[0].fps
