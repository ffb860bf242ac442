"""The page of an evaluation: figures with their intervals and protocols, worst and best clips side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import page
from ..page import ClipPictures, text
from ..plots import histogram, number
from .report import extremes, failed_text, interval, plain, to_dict
from .result import Evaluation, Figure

JSON, PAGE = "report.json", "report.html"
MOST_LISTED = 500
"""Of files that were left out."""


def save(found: Evaluation, folder: Path, command: Sequence[str] = ()) -> dict[str, Any]:
    """Write report.json and report.html into a folder; returns the contents of the first. Raises MediaError."""
    data = to_dict(found, command)
    page.write(folder / PAGE, html(found, data))
    page.write(folder / JSON, json.dumps(data, indent=1, allow_nan=False) + "\n")
    return data


def html(found: Evaluation, data: dict[str, Any]) -> str:
    """The page. data: the same evaluation as `report.to_dict` returns it."""
    pictures = ClipPictures()
    parts = [f"<h1>Evaluation of {text(found.path)}</h1>", _about(data), _table(found)]
    parts += [_section(found, each, pictures) for each in found.figures]
    if found.not_computed:
        rows = [[text(name), text(why)] for name, why in found.not_computed.items()]
        parts.append(f"<section><h2>Not computed</h2>{page.table(['metric', 'reason'], rows)}</section>")
    if found.failed:
        rows = [[text(failed_text(each))] for each in found.failed[:MOST_LISTED]]
        more = len(found.failed) - MOST_LISTED
        rest = f'<p class="soft">{more:,} more; report.json has all.</p>' if more > 0 else ""
        heading = f"<h2>Left out: {len(found.failed)}</h2>"
        parts.append(f"<section>{heading}{page.table(['file and reason'], rows)}{rest}</section>")
    if found.differing:
        rows = [[text(side), text(clip), text(how)] for side, clip, how in found.differing[:MOST_LISTED]]
        heading = f"<h2>Of another size or frame rate: {len(found.differing)}</h2><p class=soft>They were measured.</p>"
        parts.append(f"<section>{heading}{page.table(['set', 'clip', 'how'], rows)}</section>")
    return page.document(f"Evaluation of {found.path.name}", "\n".join(parts), pictures.style)


def _about(data: dict[str, Any]) -> str:
    pairs = [("clips", _side(data["clips"]))]
    if data["against"] is not None:
        pairs.append(("against", f"{text(data['against']['path'])}: {_side(data['against'])}"))
    if data["command"]:
        pairs.append(("command", f"<code>{text(' '.join(data['command']))}</code>"))
    pairs.append(("made", f"{text(data['date'])} by Kinema {text(data['kinema'])} in {data['seconds']:.0f} s"))
    return page.facts(pairs)


def _side(side: dict[str, Any]) -> str:
    frames = side["frames"]
    if frames is None:
        return str(side["count"])
    many = f"{frames[0]}" if frames[0] == frames[1] else f"{frames[0]} to {frames[1]}"
    return text(f"{side['count']} with {many} frames, {_counts(side['sizes'])}, {_counts(side['fps'])} fps")


def _counts(counts: dict[str, int]) -> str:
    shown = list(counts.items())[:4]
    if len(counts) == 1:
        return shown[0][0]
    return ", ".join(f"{name} ({count})" for name, count in shown) + (", ..." if len(counts) > 4 else "")


def _table(found: Evaluation) -> str:
    rows = []
    for each in found.figures:
        name, value = text(each.name), f"<b>{number(each.score.value)}</b> {text(each.unit)}"
        cells = [text(interval(each)), text(each.better), str(len(each.clips)), text(each.title)]
        rows.append([f'<a href="#{name}">{name}</a>', value, *cells])
    head = ["metric", "value", "95 % interval", "better", "clips", ""]
    return f"<section><h2>Figures</h2>{page.table(head, rows, (0, 1, 2))}</section>"


def _section(found: Evaluation, figure: Figure, pictures: ClipPictures) -> str:
    score = figure.score
    parts = [f'<section id="{text(figure.name)}"><h2>{text(figure.name)}: {text(figure.title)}</h2>']
    shown = interval(figure)
    better = "" if figure.better == "neither" else f" {figure.better.capitalize()} is better."
    value = f"<b>{number(score.value)}</b> {text(figure.unit)}".strip() + (f" ({text(shown)})" if shown else "")
    parts.append(f"<p>{value}, {len(figure.clips)} clips.{better}</p>")
    plot = histogram(score.per_clip or (), score.value, score.low, score.high, figure.unit)
    pairs = [("protocol", text(plain(figure.protocol)))]
    if score.facts:
        pairs.append(("facts", text(plain(score.facts))))
    parts.append(plot + page.facts(pairs))
    worst, best = extremes(figure)
    names = ("Lowest", "Highest") if figure.better == "neither" else ("Worst", "Best")
    sides = []
    for name, chosen in zip(names, (worst, best)):
        shown = "".join(_clip(found, figure, *pair, pictures) for pair in chosen)
        sides += [f"<div><h3>{name}</h3><div class=row>{shown}</div></div>"] if shown else []
    if sides:
        parts.append(f'<div class="sides">{"".join(sides)}</div>')
    return "\n".join((*parts, "</section>"))


def _clip(found: Evaluation, figure: Figure, name: str, value: float, pictures: ClipPictures) -> str:
    file = found.files[name]
    partner = found.partner(name) if figure.against == "pairs" else None
    shown = pictures.show(file.path, name, None if partner is None else partner.path)
    words = f'<br><span class="soft">{text((file.caption or "")[:160])}</span>' if file.caption else ""
    return f"<figure>{shown}<figcaption>{text(name)}: {number(value)}{words}</figcaption></figure>"
