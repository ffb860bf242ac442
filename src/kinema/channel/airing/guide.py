"""The programme guide: now, next and past airings, as JSON, XMLTV and M3U.

Viewers see the channel some seconds late. `on_at` takes the program date-time of the viewer's player, so that titles
change with the picture.
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
    """The status that the playout wrote, about a second old; None if it is not on air."""
    state = read_state(Path(folder) / "state" / "status.json")
    return state if isinstance(state, dict) else None


def now_next(folder: Path, library: Library, recent: int = 20) -> dict[str, Any]:
    """now: the clip being sent; next: the clips ready to follow (the owner may still change them); recent: the latest
    airings, with `at` and `until` as program date-times, to map a viewer's time to a title."""
    state = status(folder)
    lines = library.as_run(recent)
    return {
        "on_air": state is not None,
        "name": state["name"] if state else None,
        "now": state["clip"] if state else None,
        "next": state["next"] if state else [],
        "shown_at": state["shown_at"] if state else None,
        "recent": [{**asdict(line), "until": line.until} for line in lines],
    }


def on_at(lines: Sequence[Aired], at: float) -> Aired | None:
    """The airing at a program date-time (seconds since 1970), or None. A skipped clip ends where the next begins."""
    matches = [line for line in lines if line.at <= at < line.until]
    return max(matches, key=lambda line: line.frame, default=None)


def in_order(lines: Sequence[Aired]) -> list[Aired]:
    """Airings by frame number, with increasing dates. Dates before a wall clock that was set back are wrong; they are
    recomputed with the frame counter from the first airing after the change."""
    dated: list[Aired] = []
    set_back = 0.0
    for line in sorted(lines, key=lambda line: line.frame, reverse=True):
        if dated and line.at - set_back > dated[-1].at:
            set_back = line.at + (dated[-1].frame - line.frame) / line.fps - dated[-1].at
        dated.append(replace(line, at=line.at - set_back) if set_back else line)
    return dated[::-1]


def programmes(lines: Sequence[Aired], shortest_s: float = 300.0) -> list[tuple[float, float, str, list[Aired]]]:
    """Airings grouped into programmes of one theme, in order: (begin, end, title, airings). A group shorter than
    `shortest_s` joins the previous programme, since guides do not show entries of a few seconds."""
    groups: list[tuple[float, float, str, list[Aired]]] = []
    themes = itertools.groupby(in_order(lines), key=lambda line: line.theme if line.kind != "filler" else None)
    for theme, group in themes:
        run = list(group)
        begin, end = run[0].at, run[-1].until
        if groups and (theme is None or end - begin < shortest_s or groups[-1][2] == theme):
            first, _, title, before = groups[-1]
            groups[-1] = (first, end, title, before + run)
        else:
            groups.append((begin, end, theme or "", run))
    return groups


def xmltv(channel_id: str, name: str, lines: Sequence[Aired], *, icon: str = "", hours_ahead: float = 6.0) -> str:
    """An XMLTV guide of past programmes and the current one, which is assumed to last `hours_ahead`: clips are chosen
    one at a time, so nothing later is planned."""
    rows = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<!DOCTYPE tv SYSTEM "xmltv.dtd">',
        '<tv generator-info-name="kinema">',
        f"  <channel id={quoteattr(channel_id)}>",
        f"    <display-name>{escape(name)}</display-name>",
        *([f"    <icon src={quoteattr(icon)}/>"] if icon else []),
        "  </channel>",
    ]
    groups = programmes(lines)
    for number, (begin, end, title, run) in enumerate(groups):
        stop = end + hours_ahead * 3600 if number == len(groups) - 1 else groups[number + 1][0]
        titles = list(dict.fromkeys(line.title for line in run if line.kind != "filler" and line.title))
        description = ", ".join(titles[:12]) + (f" and {len(titles) - 12} more" if len(titles) > 12 else "")
        rows += [
            f'  <programme start="{_xmltv_time(begin)}" stop="{_xmltv_time(stop)}" channel={quoteattr(channel_id)}>',
            f"    <title>{escape(title or name)}</title>",
            *([f"    <desc>{escape(description)}</desc>"] if description else []),
            "    <category>Generated video</category>",
            "  </programme>",
        ]
    return "\n".join([*rows, "</tv>"]) + "\n"


def m3u(channel_id: str, name: str, url: str, *, guide_url: str = "", logo: str = "", group: str = "Kinema") -> str:
    """An M3U playlist of one channel for television software; several can be joined under one header."""
    head = "#EXTM3U" + (f' url-tvg="{_plain(guide_url)}"' if guide_url else "")
    facts = f'tvg-id="{_plain(channel_id)}" tvg-name="{_plain(name)}"' + (f' tvg-logo="{_plain(logo)}"' if logo else "")
    title = _plain(name).replace(",", " ")
    return f'{head}\n#EXTINF:-1 {facts} group-title="{_plain(group)}",{title}\n{_plain(url)}\n'


def as_run_lines(lines: Sequence[Aired]) -> str:
    """The as-run log as JSON Lines, the earliest first."""
    return "".join(json.dumps(asdict(line)) + "\n" for line in sorted(lines, key=lambda line: line.frame))


def _xmltv_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H%M%S +0000")


def _plain(text: str) -> str:
    return "".join(char for char in text if char.isprintable()).replace('"', "'")
