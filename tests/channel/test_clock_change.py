"""Days of 23, 24 and 25 hours, and a channel's time zone, independent of that of its process."""

from __future__ import annotations

import itertools
import json
import os
import re
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from kinema.channel.airing import guide
from kinema.channel.airing.playout import PlayoutSettings
from kinema.channel.airing.playout_process import plain, settings_of
from kinema.channel.day import DayPart, ZoneClock, part_at, upcoming
from kinema.channel.day_parts import DayParts
from kinema.channel.web.board import Board
from kinema.core.errors import RequestError

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = [["00:00", "02:00", "late"], ["02:00", "03:00", "wolf"], ["03:00", "06:00", "early"]]
SHORT, LONG, PLAIN = (2027, 3, 28), (2026, 10, 25), (2026, 10, 26)
HOURS = {
    SHORT: ["late", "late", "early", "early", "early", "day"],  # 2:00 to 3:00 is skipped
    LONG: ["late", "late", "wolf", "wolf", "early", "early", "early", "day"],  # 2:00 to 3:00 repeats
    PLAIN: ["late", "late", "wolf", "early", "early", "early", "day"],
}


@pytest.mark.parametrize("day", [SHORT, LONG, PLAIN])
def test_parts_of_the_day_and_guide(tmp_path, day):
    begin = datetime(*day, tzinfo=BERLIN).timestamp()
    end = (datetime(*day, tzinfo=BERLIN) + timedelta(days=1)).timestamp()
    assert (end - begin) / 3600 == {SHORT: 23, LONG: 25, PLAIN: 24}[day]
    parts = DayParts.parse(NIGHT, "Europe/Berlin")
    own = [DayPart.model_validate({"from": row[0], "until": row[1], "theme": row[2]}) for row in NIGHT]
    board = Board(tmp_path, schedule=NIGHT, theme="day", wall=lambda: begin, timezone="Europe/Berlin")
    for hour, theme in enumerate(HOURS[day]):
        for at in (begin + 3600 * hour, begin + 3600 * hour + 3599):
            assert (parts.theme_at(at) or "day") == board.theme_at(at) == theme  # playout, page
            part = part_at(own, ZoneClock("Europe/Berlin").at(at))  # producer
            assert (part.theme if part else "day") == theme
    rows = board.schedule()
    expected = [(theme, len(list(hours))) for theme, hours in itertools.groupby(HOURS[day])]
    found = [(row["theme"], (row["end"] - row["begin"]) / 3600) for row in rows]
    assert found[: len(expected) - 1] == expected[:-1] and found[len(expected) - 1][0] == "day"
    assert all(one["end"] == other["begin"] for one, other in itertools.pairwise(rows))
    spans = [
        (each.get("start"), each.get("stop")) for each in ElementTree.fromstring(board.guide("k")).iter("programme")
    ]
    assert spans and all(one[1] == other[0] for one, other in itertools.pairwise(spans))


@pytest.mark.parametrize("day", [SHORT, LONG, PLAIN])
def test_what_comes_is_made_in_the_order_in_which_it_comes(day):
    own = [DayPart.model_validate({"from": row[0], "until": row[1], "theme": row[2]}) for row in NIGHT]
    when = datetime(*day, tzinfo=BERLIN)
    wanted = list(dict.fromkeys(HOURS[day]))
    assert upcoming(own, "day", when)[: len(wanted)] == wanted
    fixed = when.astimezone(ZoneInfo("UTC"))  # a machine with another time zone
    assert upcoming(own, "day", fixed, ZoneClock("Europe/Berlin").at)[: len(wanted)] == wanted


def test_the_clock_of_a_channel_is_its_own(tmp_path):
    began = dict(os.environ)
    at = datetime(2026, 7, 1, 12, 30, tzinfo=UTC).timestamp()
    rows = [["14:00", "15:00", "berlin"], ["21:00", "22:00", "tokyo"], ["12:00", "13:00", "utc"]]
    for zone, theme in (("Europe/Berlin", "berlin"), ("Asia/Tokyo", "tokyo"), ("UTC", "utc")):
        assert DayParts.parse(rows, zone).theme_at(at) == theme
        assert Board(tmp_path, schedule=rows, wall=lambda: at, timezone=zone).theme_at(at) == theme
        told = settings_of(json.loads(json.dumps(plain(PlayoutSettings(), rows, zone))))
        assert told.theme_at is not None and told.theme_at(at) == theme
    with pytest.raises(RequestError, match="Nowhere"):
        DayParts.parse(rows, "Nowhere/City")
    assert dict(os.environ) == began
    assert ZoneClock("").at(at).timestamp() == at


def test_nothing_of_the_channel_changes_its_whole_process():
    """Library functions must not change the environment or the working folder of the process."""
    change = re.compile(r"os\.environ\[[^]]*\]\s*=[^=]|environ\.(update|setdefault)\(|\b(putenv|tzset|chdir|umask)\(")
    for path in Path(guide.__file__).parents[1].rglob("*.py"):
        assert not (found := change.search(path.read_text(encoding="utf-8"))), f"{path.name}: {found}"
