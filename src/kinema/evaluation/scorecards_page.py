"""One page with the scorecards of several miniatures: tables, sheets, commands, dates, digests of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import page
from .page import text
from .report import MEASURES
from .worker import TRUTHS

PAGE = "scorecards.html"
WITHIN_SHEET_PX = 1400
"""Wider sheets are reduced: the page holds all of them."""
SUMMARY = ("object", "color", "background", "motion", "all", "psnr_first", "trajectory_error", "steadiness")
"""Measures of the first table, of each miniature's first task that has any."""


def save(found: Mapping[str, dict[str, Any]], folders: Mapping[str, Path], out: Path) -> Path:
    """Write the page for scorecards by name (the contents of scorecard.json). folders: where their sheets are. Raises
    MediaError."""
    parts = ["<h1>Scorecards of the shipped miniatures</h1>", _intro(found), _summary(found)]
    parts += [_section(name, card, folders[name]) for name, card in found.items()]
    page.write(out / PAGE, page.document("Scorecards of the shipped miniatures", "\n".join(parts)))
    return out / PAGE


def _intro(found: Mapping[str, dict[str, Any]]) -> str:
    first = next(iter(found.values()))
    versions = ", ".join(f"{name} {value}" for name, value in first["versions"].items())
    return (
        '<p class="soft">Held-out scenes of Toyland, generated with each model\'s defaults and read by the probes. '
        "The columns renders and autoencoder are true clips, and the same after the model's autoencoder. Intervals are "
        "95 %. docs/scorecard.md defines every measure.</p>"
    ) + page.facts([
        ("date", text(datetime.now(UTC).date().isoformat())), ("device", text(first["device"])),
        ("probes", f"<code>{text(first['probes_sha256'][:16])}</code>"), ("versions", text(versions)),
    ])  # fmt: skip


def _summary(found: Mapping[str, dict[str, Any]]) -> str:
    rows = []
    for name, card in found.items():
        task = next(name for name in card["tasks"] if name in card["table"])
        measures = card["table"][task]
        profile = card["settings"]["profiles"][0]
        cells = [cell(measures.get(measure, {}).get(profile)) for measure in SUMMARY]
        made = ", ".join(f"{value:.2f} s" for value in card["seconds_a_clip"].values()) or ""
        rows.append(
            [f'<a href="#{text(name)}">{text(card["model"])}</a>', text(task), text(profile), *cells, text(made)]
        )
    titles = [f"{MEASURES[name][0]} ({MEASURES[name][1]})" for name in SUMMARY]
    head = ["model", "task", "profile", *titles, "per clip"]
    return f"<section><h2>All</h2>{page.table(head, rows, range(len(head)))}</section>"


def _section(name: str, card: dict[str, Any], folder: Path) -> str:
    weights = "<br>".join(f"{text(file)} {text(digest[:16])}" for file, digest in card["weights_sha256"].items())
    parts = [
        f'<section id="{text(name)}"><h2>{text(card["model"])}</h2>',
        page.facts([
            ("command", f"<code>{text(' '.join(card['command']))}</code>"), ("weights", f"<code>{weights}</code>"),
            ("seconds", f"{card['seconds']:.0f}{' (resumed)' if card['resumed'] else ''}"),
        ]),
    ]  # fmt: skip
    for task, title in card["tasks"].items():
        if measures := card["table"].get(task):
            parts.append(f"<h3>{text(task)}: {text(title)}</h3>{_table(measures, card['settings']['profiles'])}")
    if card["not_offered"]:
        why = "; ".join(f"{task} ({reason})" for task, reason in card["not_offered"].items())
        parts.append(f'<p class="soft">Not offered: {text(why)}.</p>')
    for path in sorted(folder.glob("sheet-*.png")):
        label = f"Sheet of {card['model']}: {path.stem.removeprefix('sheet-')}"
        parts.append(f'<img class="sheet" alt="{text(label)}" src="{_sheet(path)}">')
    return "\n".join((*parts, "</section>"))


def _table(measures: dict[str, Any], profiles: Sequence[str]) -> str:
    columns = [
        column for column in (*TRUTHS, *profiles) if any(column in columns for columns in measures.values())
    ]  # fmt: skip
    names = sorted(measures, key=lambda name: list(MEASURES).index(name) if name in MEASURES else len(MEASURES))
    rows = []
    for name in names:
        title, unit = MEASURES.get(name, (name, ""))
        shown = f"{title} ({unit})" if unit else title
        rows.append([text(shown), *(cell(measures[name].get(column)) for column in columns)])
    return page.table(["measure", *columns], rows, range(1, len(columns) + 1))


def cell(value: dict[str, Any] | None) -> str:
    """A value with half the width of its interval, and the number of answers, as HTML."""
    if value is None:
        return ""
    half = (value["high"] - value["low"]) / 2
    return f'{value["value"]:.1f} <span class="soft">&plusmn; {half:.1f} ({value["n"]})</span>'


def _sheet(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if picture.width > WITHIN_SHEET_PX:
        picture.thumbnail((WITHIN_SHEET_PX, picture.height), Image.Resampling.LANCZOS)
    return page.picture_uri(picture)
