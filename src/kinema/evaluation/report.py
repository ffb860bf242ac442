"""The scorecard for people: tables in markdown, and contact sheets of the first cases in order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.whole import whole
from .worker import SHOWN, TRUTHS, strip_path

if TYPE_CHECKING:
    from PIL import Image

MEASURES: dict[str, tuple[str, str]] = {
    "object": ("object right", "%"),
    "color": ("colour right", "%"),
    "background": ("background right", "%"),
    "light": ("light right", "%"),
    "style": ("style right", "%"),
    "motion": ("motion right", "%"),
    "camera": ("camera right", "%"),
    "camera_moves": ("camera right, where it moves", "%"),
    "count": ("number of objects right", "%"),
    "all": ("everything stated right", "%"),
    "steadiness": ("temporal consistency", "of 100"),
    "psnr_first": ("first frame kept", "dB"),
    "psnr_last": ("last frame kept", "dB"),
    "psnr_kept": ("kept pixels", "dB"),
    "psnr_filled": ("filled pixels, to the true empty place", "dB"),
    "in_box": ("frames with the object in the box", "%"),
    "removed": ("removed", "%"),
    "empty_frames": ("frames without an object in the box", "%"),
    "trajectory_error": ("trajectory error", "% of the side"),
    "seen": ("frames that show the object", "%"),
    "layout_iou": ("overlap with the wanted box (IoU)", "%"),
}
_SHEET_ROWS = 8


def markdown(found: dict[str, Any], sheets: Sequence[Path]) -> str:
    """scorecard.md from what is in scorecard.json."""
    columns = _columns(found)
    lines = [
        f"# Scorecard of {found['model']}",
        "",
        f"Held-out captions of Toyland (scenes from seed {found['seeds']['scenes_from']} on, case n has seed n), made "
        "by Kinema's engine with the model's defaults, judged by the probes. Intervals are 95 %. What each number "
        "means: docs/scorecard.md.",
        "",
        *_facts(found),
        "",
    ]
    for task, title in found["tasks"].items():
        measures = found["table"].get(task, {})
        if measures:
            lines += [f"## {task}: {title}", "", *_table(measures, columns), ""]
    if found["not_offered"]:
        lines += ["## Not offered", "", *[f"- {task}: {why}" for task, why in found["not_offered"].items()], ""]
    for name, rows in found["differences"].items():
        shown = {key: value for key, value in rows.items() if key.split(" ")[0] in ("text", "words")}
        if shown:
            lines += [f"## {name}", "", "Mean difference, case by case: points, or the measure's unit.", ""]
            lines += ["| measure | difference |", "|---|---|"]
            lines += [f"| {key} | {_signed(value)} |" for key, value in shown.items()]
            lines.append("")
    lines += ["## The yardstick itself", "", *_yardstick(found["probe_accuracy"]), ""]
    lines += [f"![{path.stem}]({path.name})" for path in sheets]
    return "\n".join(lines).rstrip() + "\n"


def _columns(found: dict[str, Any]) -> list[str]:
    seen = {column for task in found["table"].values() for measure in task.values() for column in measure}
    return [column for column in (*TRUTHS, *found["settings"]["profiles"]) if column in seen]


def _facts(found: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {value}" for name, value in found["versions"].items())
    pace = ", ".join(f"{name} {value:.2f} s" for name, value in found["seconds_a_clip"].items()) or "none made"
    opencv = "" if found["opencv"] else " OpenCV is missing: camera moves were not read."
    rows = {
        "command": f"`{' '.join(found['command'])}`" if found["command"] else "called from Python",
        "weights": "<br>".join(f"{name} {digest[:16]}" for name, digest in found["weights_sha256"].items()),
        "probes": found["probes_sha256"][:16],
        "versions": versions,
        "device": found["device"],
        "seconds": f"{found['seconds']:.0f}{' (gone on with earlier results)' if found['resumed'] else ''}",
        "seconds a clip": pace + "." + opencv,
    }
    return ["| | |", "|---|---|", *[f"| {name} | {value} |" for name, value in rows.items()]]


def _table(measures: dict[str, Any], columns: Sequence[str]) -> list[str]:
    lines = ["| measure | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in sorted(measures, key=lambda each: list(MEASURES).index(each) if each in MEASURES else 99):
        title, unit = MEASURES.get(name, (name, ""))
        cells = [_cell(measures[name].get(column)) for column in columns]
        lines.append(f"| {title} ({unit}) | " + " | ".join(cells) + " |")
    return lines


def _cell(value: dict[str, Any] | None) -> str:
    if value is None:
        return ""
    half = (value["high"] - value["low"]) / 2
    return f"{value['value']:.1f} &plusmn; {half:.1f} ({value['n']})"


def _signed(value: dict[str, Any]) -> str:
    return f"{value['value']:+.1f} ({value['low']:+.1f} to {value['high']:+.1f}, {value['n']})"


def _yardstick(accuracy: dict[str, Any]) -> list[str]:
    names = list(dict.fromkeys(name for part in accuracy.values() for name in part))
    units = {"track_px": "px", "seen": "%", "false_alarms": "%"}
    lines = ["| read off renders | " + " | ".join(accuracy) + " |", "|---" * (len(accuracy) + 1) + "|"]
    for name in names:
        cells = [_cell(part.get(name)) for part in accuracy.values()]
        lines.append(f"| {name} ({units.get(name, '% right')}) | " + " | ".join(cells) + " |")
    return lines


def draw_sheets(out: Path, clips: Path, entries: Sequence[dict[str, Any]], profiles: Sequence[str]) -> list[Path]:
    """sheet-<profile>-text.png (cases 0 to 15) and sheet-<profile>-tasks.png (the first of each task, the true clip
    above what was made), from the strips that the workers left."""
    captions = {(entry["task"], entry["index"]): entry["prompt"] for entry in entries}
    drawn = []
    for profile in profiles:
        for group in ("text", "words", "tasks"):
            rows = []
            for (task, index), caption in sorted(captions.items(), key=lambda pair: pair[0]):
                if (task if task in ("text", "words") else "tasks") != group:
                    continue
                made, given = strip_path(clips, profile, task, index), strip_path(clips, "given", task, index)
                if not made.exists():
                    continue
                label = f"{index}: {caption}" if group != "tasks" else f"{task} {index}: {caption}"
                if group == "tasks" and given.exists():
                    rows.append((f"true, {label}", _frames(given)))
                    label = "made"
                rows.append((label, _frames(made)))
            if rows:
                drawn.append(_save(rows, out / f"sheet-{profile}-{group}.png"))
    return drawn


def _frames(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as picture:
        strip = np.asarray(picture.convert("RGB"))
    height = strip.shape[0]
    count = SHOWN if strip.shape[1] % SHOWN == 0 and strip.shape[1] > height else 1
    return np.stack(np.split(strip, count, 1))


def _save(rows: list[tuple[str, np.ndarray]], path: Path) -> Path:
    """Rows in columns of a few, side by side."""
    from PIL import Image

    from ..media.sheet import sheet_of_clips

    per_column = max(_SHEET_ROWS, -(-len(rows) // 4))
    per_column += per_column % 2  # a true clip and what was made stay together
    parts = [rows[at : at + per_column] for at in range(0, len(rows), per_column)]
    columns: list[Image.Image] = [sheet_of_clips(part, frames_per_row=SHOWN, scale=1.5) for part in parts]
    picture = Image.new("RGB", (sum(each.width for each in columns), max(each.height for each in columns)), "white")
    x = 0
    for each in columns:
        picture.paste(each, (x, 0))
        x += each.width
    with whole(path) as beside:
        picture.save(beside, optimize=True)
    return path
