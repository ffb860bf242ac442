"""The report of a data set: one HTML file without links, with histograms, thresholds, and frames of what fell where."""

from __future__ import annotations

import base64
import hashlib
import heapq
import html
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.errors import KinemaError, MediaError
from ..core.events import OnEvent, Progress, ignore
from ..core.outside import for_terminal
from ..core.whole import write_text
from .dataset import TABLE, CurationFile
from .histogram import histograms
from .marks import Threshold, resolved
from .reading import FileSpan, FrameRequest, read_frames
from .recipes import RECIPES
from .stage import Column
from .table import read_rows, table_columns

SHOWN, FRAMES, FRAME_PX = 6, 4, 96
FAILED_SHOWN = 200
KEPT = "kept"
_STYLE = """
:root{color-scheme:light dark;--ink:#26262b;--paper:#fafaf8;--soft:#77777f;--line:#dcdcd6;--kept:#2f6f5e;
--dropped:#d9a48f;--limit:#a33b2a}
@media(prefers-color-scheme:dark){:root{--ink:#e6e6e1;--paper:#1b1b1e;--soft:#9a9aa2;--line:#3a3a40;--kept:#6fbfa8;
--dropped:#7d5347;--limit:#ff8f78}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:72rem;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-top:1px solid var(--line);padding-top:1rem}
table{border-collapse:collapse}td,th{text-align:left;padding:.2rem .9rem .2rem 0;border-bottom:1px solid var(--line)}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.grid{display:flex;flex-wrap:wrap;gap:1.2rem}figure{margin:0}figcaption{color:var(--soft);font-size:.85rem;
max-width:26rem;overflow-wrap:anywhere}
img{display:block;max-width:100%}svg text{font:11px system-ui,sans-serif;fill:var(--soft)}
svg .kept{fill:var(--kept)}svg .dropped{fill:var(--dropped)}svg .axis{stroke:var(--line)}
svg path.limit{stroke:var(--limit);stroke-width:1.5}svg text.limit{fill:var(--limit)}
.key i{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 1em}
"""


def write_report(dataset: Path, target: Path, *, on_event: OnEvent = ignore) -> None:
    """Write the report. Reads the table three times and a few frames of a few clips; memory does not grow with their
    number. Raises RequestError, MediaError, KinemaError."""
    settings, table = CurationFile.read(dataset), dataset / TABLE
    columns = table_columns(table)
    names = {column.name for column in columns}
    thresholds = _absolute(table, tuple(each for each in settings.thresholds if each.column in names))
    drawn = histograms(columns, thresholds)
    counts, video_s = {"": 0, KEPT: 0}, 0.0
    chosen: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}
    failed: list[tuple[str, str]] = []
    for row in read_rows(table):
        for each in drawn:
            each.widen(row[each.column.name])
        counts[""] += 1
        counts[KEPT] += row["kept"]
        video_s += row["seconds"] or 0.0
        if row["start"] is None:
            failed += [(row["id"], row["error"])] if len(failed) < FAILED_SHOWN else []
            continue
        for place in row["reasons"] or [KEPT]:
            if place != KEPT:
                counts[place] = counts.get(place, 0) + 1
            _choose(chosen.setdefault(place, []), row)
    for row in read_rows(table, ["kept", *(each.column.name for each in drawn)]):
        for each in drawn:
            each.count(row[each.column.name], row["kept"])
    parts = [
        *_head(dataset, settings, counts, video_s),
        *_limits(settings.thresholds, thresholds, counts, names),
        '<h2>Figures</h2><p class="key"><i style="background:var(--kept)"></i>kept<i '
        'style="background:var(--dropped)"></i>not kept<i style="background:var(--limit)"></i>threshold</p>'
        '<div class="grid">',
        *(f"<figure>{each.svg()}<figcaption>{_title(each.column)}</figcaption></figure>" for each in drawn if each.num),
        "</div>",
    ]
    order = sorted(chosen, key=lambda place: (place != KEPT, -counts[place], place))
    for number, place in enumerate(order):
        on_event(Progress("report", number, len(order)))
        parts += _place(place, counts[place], chosen[place], Path(settings.folder))
    if failed:
        parts.append("<h2>Files without a clip</h2><table>")
        parts += [f"<tr><td>{_text(name)}<td>{_text(why)}" for name, why in failed]
        parts.append("</table>")
    title = f"Curation of {_text(Path(settings.folder).name)}"
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>{''.join(parts)}</html>\n"
    )
    try:
        write_text(target, page)
    except OSError as error:
        raise KinemaError(f"{target}: cannot be written ({error.strerror or error}).") from error


def _absolute(table: Path, thresholds: tuple[Threshold, ...]) -> tuple[Threshold, ...]:
    relative = sorted({each.column for each in thresholds if each.relative})
    figures: dict[str, list[Any]] = {name: [] for name in relative}
    for row in read_rows(table, relative) if relative else ():
        for name in relative:
            figures[name].append(row[name])
    return resolved(thresholds, figures)


def _choose(held: list[tuple[int, str, dict[str, Any]]], row: dict[str, Any]) -> None:
    """Keep SHOWN clips: those with the smallest hashes of their names, which is a sample, the same in every run."""
    key = -int.from_bytes(hashlib.sha256(row["id"].encode()).digest()[:8])
    small = {name: row[name] for name in ("id", "source", "start", "stop", "fps", "caption", "seconds")}
    if len(held) < SHOWN:
        heapq.heappush(held, (key, row["id"], small))
    elif key > held[0][0]:
        heapq.heapreplace(held, (key, row["id"], small))


def _head(dataset: Path, settings: CurationFile, counts: dict[str, int], video_s: float) -> Iterator[str]:
    recipe = RECIPES.get(settings.recipe)
    yield (
        f"<p>{counts[KEPT]} of {counts['']} rows kept; {video_s / 60:.1f} minutes of video. Recipe: "
        f"{_text(recipe.title if recipe else settings.recipe)}. Cuts: {_text(', '.join(settings.cuts))}. Stages: "
        f"{_text(', '.join(settings.stages))}.</p>"
    )
    for name, why in settings.left_out:
        yield f"<p>Not measured: {_text(name)}. {_text(why)}</p>"
    if recipe is not None and recipe.unknown:
        yield "<p>What the recipe's source leaves open:</p><ul>"
        yield from (f"<li>{_text(each)}</li>" for each in recipe.unknown)
        yield "</ul>"


def _limits(
    asked: tuple[Threshold, ...], absolute: tuple[Threshold, ...], counts: dict[str, int], names: set[str]
) -> Iterator[str]:
    yield "<h2>Thresholds</h2><table><tr><th>Condition<th>Clips that fail<th>Reason<th>Source"
    left = list(absolute)
    for each in asked:
        if each.column not in names:
            yield f"<tr><td>{_text(each.text())}<td>not measured<td>{_text(each.reason)}<td>{_text(each.source)}"
            continue
        value = next((one for one in left if (one.column, one.reason) == (each.column, each.reason)), None)
        shown = each.text() + (f" = {value.value:.4g}" if each.relative and value is not None else "")
        yield (
            f'<tr><td>{_text(shown)}<td class="n">{counts.get(each.reason, 0)}<td>{_text(each.reason)}'
            f"<td>{_text(each.source)}"
        )
    yield "</table>"


def _place(place: str, count: int, held: list[tuple[int, str, dict[str, Any]]], folder: Path) -> Iterator[str]:
    name = "Kept" if place == KEPT else place
    yield f'<h2>{_text(name)} ({count})</h2><div class="grid">'
    for _, key, row in sorted(held, key=lambda each: each[1]):
        caption = f": {row['caption']}" if row["caption"] else ""
        yield f"<figure>{_frames(row, folder)}<figcaption>{_text(key + caption)}</figcaption></figure>"
    yield "</div>"


def _frames(row: dict[str, Any], folder: Path) -> str:
    import cv2
    import numpy as np

    try:
        span = FileSpan(folder / row["source"], row["start"], row["stop"], row["fps"])
        frames_FHWC = read_frames(span, FrameRequest(FRAMES, FRAME_PX))
    except MediaError as error:
        return f"<p>{_text(str(error))}</p>"
    strip_HWC = np.concatenate(list(frames_FHWC), 1)
    from PIL import Image

    if strip_HWC.shape[0] > FRAME_PX:
        wide = round(strip_HWC.shape[1] * FRAME_PX / strip_HWC.shape[0])
        strip_HWC = cv2.resize(strip_HWC, (wide, FRAME_PX), interpolation=cv2.INTER_AREA)
    file = io.BytesIO()
    Image.fromarray(strip_HWC).save(file, "JPEG", quality=80)
    data = base64.b64encode(file.getvalue()).decode()
    height, width = strip_HWC.shape[:2]
    return f'<img width="{width}" height="{height}" alt="{_text(row["id"])}" src="data:image/jpeg;base64,{data}">'


def _title(column: Column) -> str:
    return _text(column.title + (f" ({column.unit})" if column.unit else ""))


def _text(text: str) -> str:
    return html.escape(for_terminal(text))
