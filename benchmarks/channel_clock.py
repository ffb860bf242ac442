"""Set the wall clock of a channel's processes, but not the machine's (set_clock.c), for channel_faults.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from kinema.channel.airing import guide
from kinema.channel.library import Library

SOURCE = Path(__file__).with_name("set_clock.c")


class SetClock:
    """The wall clock of processes that are started inside `around`; their steady clock does not change. works: is a C
    compiler installed?"""

    def __init__(self, work: Path) -> None:
        self._file, self._library = work / "clock", work / "set_clock.so"
        self.set(0)
        compiler = shutil.which("cc")
        self.works = compiler is not None
        if compiler:
            subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", self._library, SOURCE], check=True)

    def set(self, ahead_s: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_s:d}\n")
        new.replace(self._file)

    @contextmanager
    def around(self) -> Iterator[None]:
        mine = {"LD_PRELOAD": str(self._library), "KINEMA_WALL": str(self._file)} if self.works else {}
        os.environ.update(mine)
        yield
        for name in mine:
            del os.environ[name]


class Dates:
    """Dates and frames of all segments that were listed during calls of `look`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at: dict[int, float] = {}
        self.frames: dict[int, int] = {}

    def look(self) -> None:
        text = (self.folder / "on_air" / "live.m3u8").read_text()
        first = int(re.search(r"MEDIA-SEQUENCE:(\d+)", text)[1])
        for number, date in enumerate(re.findall(r"DATE-TIME:(\S+)", text), first):
            self.at.setdefault(number, datetime.fromisoformat(date.replace("Z", "+00:00")).timestamp())
        for one in json.loads((self.folder / "state" / "hls.json").read_text())["segments"]:
            self.frames[one["number"]] = one["frame"]

    def steps(self) -> list[float]:
        """Jumps of dates between consecutive segments, without the segment's duration."""
        ordered = [self.at[number] for number in sorted(self.at)]
        return [round(b - a - 2.0) for a, b in pairwise(ordered) if abs(b - a - 2.0) > 0.01]

    def guided(self) -> tuple[int, int]:
        """(correct, total): for how many segments does the guide name the right clip at the segment's date?"""
        with Library(self.folder) as library:
            lines = library.as_run(500)
        right = 0
        for number, frame in self.frames.items():
            found = guide.on_at(lines, self.at[number] + 0.001)
            right += found is not None and found.frame <= frame < found.frame + found.frames
        return right, len(self.frames)

    def television_guide_is_in_order(self) -> bool:
        with Library(self.folder) as library:
            text = guide.xmltv("c", "C", library.as_run(500))
        times = re.findall(r'start="(\d+) \+0000" stop="(\d+) ', text)
        return bool(times) and all(start <= stop for start, stop in times) and times == sorted(times)
