"""`kinema history`: the clips generated on this machine."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.apart import keep_apart
from ..core.errors import KinemaError, MediaError, RequestError
from . import output, show
from .exits import guarded
from .options import OUTPUT, AsJson, option
from .say import answer, frames_text, note, say

if TYPE_CHECKING:
    from ..workflow.history import HistoryEntry

FILTER = "Filter"
LIMIT = 20
SHEET_CLIPS = 100
STATES = {"here": "", "gone": " (gone)", "replaced": " (replaced since)"}


@guarded
def history(
    search: Annotated[
        str | None,
        option(
            "--search",
            metavar="WORD",
            panel=FILTER,
            help="Only clips with this text in prompt, model, file name or date, as 2026-11.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        option(
            "--since",
            metavar="DATE",
            panel=FILTER,
            help="Only clips from this day on, as 2026-11-29; also a month, or 2026-11-29 14:30.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        option("--until", metavar="DATE", panel=FILTER, help="Only clips up to the end of this day, month or minute."),
    ] = None,
    limit: Annotated[int, option("--limit", metavar="N", panel=FILTER, help="At most N clips. Default: 20.")] = LIMIT,
    sheet: Annotated[
        Path | None,
        option("--sheet", metavar="FILE", panel=OUTPUT, help="Also write an image of the first frames."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Clear the history; the clips stay.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the clips generated on this machine, newest first. KINEMA_HISTORY=off disables it."""
    from ..workflow import history as kept
    from ..workflow.history_dates import between

    if clear:
        if any(each is not None for each in (search, sheet, since, until)):
            raise RequestError("--clear removes all entries.", field="clear", legal="--clear alone")
        num = kept.clear()
        word = "entry" if num == 1 else "entries"
        answer({"forgotten": num}, as_json, f"{num} {word} removed; the clips stay.")
        return
    if limit < 1:
        raise RequestError(f"--limit {limit}.", field="limit", value=limit, legal="1 or more", nearest=1)
    begin, end = between(since, until)
    found = kept.read()
    entries = [
        entry
        for entry in found.entries
        if (search is None or _has(entry, search))
        and (begin is None or _made(entry) >= begin)
        and (end is None or _made(entry) < end)
    ]
    num, entries = len(entries), entries[:limit]
    if sheet is not None:
        output.check_sheet(sheet)
        keep_apart({"sheet": sheet}, [kept.place(), *(entry.path for entry in entries)])
        _save(entries, sheet)
    if as_json:
        shown = [{**asdict(entry), "state": entry.state} for entry in entries]
        sheet_path = str(sheet) if sheet is not None else None
        answer({"path": str(kept.place()), "on": kept.is_on(), "clips": num, "shown": shown, "sheet": sheet_path,
                "troubles": list(found.troubles)}, True, "")  # fmt: skip
        return
    for trouble in found.troubles:
        note(trouble)
    _report(entries, num, search, since, until)
    if sheet is not None:
        say(str(sheet))


def _has(entry: HistoryEntry, word: str) -> bool:
    text = f"{entry.prompt}\n{entry.model}\n{Path(entry.path).name}\n{entry.made}\n{_when(entry)}\nseed {entry.seed}"
    return word.casefold() in text.casefold()


def _made(entry: HistoryEntry) -> datetime:
    return datetime.fromisoformat(entry.when).astimezone()


def _when(entry: HistoryEntry) -> str:
    """Return date and time in the local time zone."""
    return _made(entry).strftime("%Y-%m-%d %H:%M")


def _report(entries: list[HistoryEntry], num: int, search: str | None, since: str | None, until: str | None) -> None:
    from ..workflow import history as kept

    if not entries:
        limits = [f"{word} {date}" for word, date in (("since", since), ("until", until)) if date is not None]
        limits += [f"with {search!r} in it"] if search is not None else []
        say("Nothing in the history " + (f"{' '.join(limits)}." if limits else "yet."))
    for entry in entries:
        say(*(_text(entry)))
    if num > len(entries):
        say(f"{len(entries)} of {num}; use --limit N for more, --search WORD or --since DATE for fewer.")
    if not kept.is_on():
        note("KINEMA_HISTORY is off: new clips are not recorded.")


def _text(entry: HistoryEntry) -> tuple[str, str]:
    """Return two lines: date, file and size; prompt, command, model and seed."""
    from .clip_work import readable

    size = f"{entry.width}x{entry.height}, {frames_text(entry.frames)}, {readable(entry.bytes)}"
    by = [entry.made, entry.model, f"seed {entry.seed}" if entry.seed is not None else ""]
    prompt = show.shortened(" ".join(entry.prompt.split())) or "no prompt"
    return (
        f"{_when(entry)}  {entry.path}{STATES[entry.state]}  {size}",
        f"    {prompt}  ({', '.join(part for part in by if part)})",
    )


def _save(entries: list[HistoryEntry], sheet: Path) -> None:
    """Write the first frames of the clips that still exist."""
    from ..core.whole import whole
    from ..media.grid import Row, grid
    from ..media.write_picture import write_picture

    cells: list[tuple[str, Any]] = []
    for entry in entries:
        if entry.state != "gone" and len(cells) < SHEET_CLIPS and (frame := _first(entry)) is not None:
            cells.append((f"{Path(entry.path).name}: {entry.prompt}", frame))
    if not cells:
        raise MediaError("None of these clips exists any more; the sheet would be empty.")
    try:
        with whole(sheet) as beside:
            write_picture(grid([Row("", cells)], columns=4).picture(), beside)
    except (OSError, ValueError) as error:
        raise MediaError(f"{sheet}: the contact sheet cannot be written: {error}.") from error


def _first(entry: HistoryEntry) -> Any:
    """Return the first frame, or None for a file that is no clip any more."""
    from ..media.read import read_chunks

    try:
        for chunk in read_chunks(entry.path):
            return chunk.frames[0]
    except KinemaError:
        return None
    return None
