"""The guide: what is on, what was on, what comes next; for pages (JSON), television software (XMLTV, M3U) and people.

A viewer sees the channel some seconds late. `on_at` answers for the date and time that the viewer's player shows (its
program date-time), so a title changes with the picture.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ..library import Aired, Library
from ..state_file import read_state


def status(folder: Path) -> dict[str, Any] | None:
    """The playout's own word, at most a second or two old while it is on air; None where it is not."""
    found = read_state(Path(folder) / "state" / "status.json")
    return found if isinstance(found, dict) else None


def now_next(folder: Path, library: Library, recent: int = 20) -> dict[str, Any]:
    """on_air: is it; now: the clip going out; next: what is ready to follow (the owner may still change it); recent:
    the latest airings, each with `at` and `until` as program date-times, for mapping a viewer's time to a title."""
    said = status(folder)
    lines = library.as_run(recent)
    return {
        "on_air": said is not None,
        "name": said["name"] if said else None,
        "now": said["clip"] if said else None,
        "next": said["next"] if said else [],
        "shown_at": said["shown_at"] if said else None,
        "recent": [{**asdict(line), "until": line.until} for line in lines],
    }


def on_at(lines: Sequence[Aired], at: float) -> Aired | None:
    """The airing at a program date-time (seconds since 1970); a skipped clip ends where the next begins."""
    found = [line for line in lines if line.at <= at < line.until]
    return max(found, key=lambda line: line.frame, default=None)


def in_order(lines: Sequence[Aired]) -> list[Aired]:
    """Airings as they followed each other, each dated before the next. Where the wall clock was set back between two,
    its dates before that were wrong: those airings are dated anew, by the frame counter, from the first after it."""
    made: list[Aired] = []
    set_back = 0.0
    for line in sorted(lines, key=lambda line: line.frame, reverse=True):
        if made and line.at - set_back > made[-1].at:
            set_back = line.at + (made[-1].frame - line.frame) / line.fps - made[-1].at
        made.append(replace(line, at=line.at - set_back) if set_back else line)
    return made[::-1]


def programmes(lines: Sequence[Aired], shortest_s: float = 300.0) -> list[tuple[float, float, str, list[Aired]]]:
    """Airings in the order of time as programmes of one theme: (begin, end, title, airings). What is shorter than
    `shortest_s` joins the programme before it: a guide of three-second entries helps nobody."""
    made: list[tuple[float, float, str, list[Aired]]] = []
    themes = itertools.groupby(in_order(lines), key=lambda line: line.theme if line.kind != "filler" else None)
    for theme, group in themes:
        run = list(group)
        begin, end = run[0].at, run[-1].until
        if made and (theme is None or end - begin < shortest_s or made[-1][2] == theme):
            first, _, title, before = made[-1]
            made[-1] = (first, end, title, before + run)
        else:
            made.append((begin, end, theme or "", run))
    return made


def xmltv(channel_id: str, name: str, lines: Sequence[Aired], *, icon: str = "", hours_ahead: float = 6.0) -> str:
    """An XMLTV guide: programmes that ran, and the one that runs, which is taken to last `hours_ahead` (a channel that
    chooses from moment to moment has no later plan; a schedule's day parts give its themes)."""
    rows = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<!DOCTYPE tv SYSTEM "xmltv.dtd">',
        '<tv generator-info-name="kinema">',
        f"  <channel id={quoteattr(channel_id)}>",
        f"    <display-name>{escape(name)}</display-name>",
        *([f"    <icon src={quoteattr(icon)}/>"] if icon else []),
        "  </channel>",
    ]
    made = programmes(lines)
    for number, (begin, end, title, run) in enumerate(made):
        stop = end + hours_ahead * 3600 if number == len(made) - 1 else made[number + 1][0]
        titles = list(dict.fromkeys(line.title for line in run if line.kind != "filler" and line.title))
        what = ", ".join(titles[:12]) + (f" and {len(titles) - 12} more" if len(titles) > 12 else "")
        rows += [
            f'  <programme start="{_xmltv_time(begin)}" stop="{_xmltv_time(stop)}" channel={quoteattr(channel_id)}>',
            f"    <title>{escape(title or name)}</title>",
            *([f"    <desc>{escape(what)}</desc>"] if what else []),
            "    <category>Generated video</category>",
            "  </programme>",
        ]
    return "\n".join([*rows, "</tv>"]) + "\n"


def m3u(channel_id: str, name: str, url: str, *, guide_url: str = "", logo: str = "", group: str = "Kinema") -> str:
    """A playlist of one channel for television software; several can be joined below one head."""
    head = "#EXTM3U" + (f' url-tvg="{_plain(guide_url)}"' if guide_url else "")
    facts = f'tvg-id="{_plain(channel_id)}" tvg-name="{_plain(name)}"' + (f' tvg-logo="{_plain(logo)}"' if logo else "")
    title = _plain(name).replace(",", " ")
    return f'{head}\n#EXTINF:-1 {facts} group-title="{_plain(group)}",{title}\n{_plain(url)}\n'


def as_run_lines(lines: Sequence[Aired]) -> str:
    """The as-run log as JSON lines, the earliest first."""
    return "".join(json.dumps(asdict(line)) + "\n" for line in sorted(lines, key=lambda line: line.frame))


def _xmltv_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S +0000")


def _plain(text: str) -> str:
    return "".join(char for char in text if char.isprintable()).replace('"', "'")
