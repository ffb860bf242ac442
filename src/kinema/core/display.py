"""Progress display: one live line on a terminal and in a notebook, a few plain lines elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from .events import Event, Note, Outcome, Planned, Preview
from .outside import for_terminal
from .overall import Overall, ProgressState

WORDS = {
    "load": "loading the model", "prepare": "reading the inputs", "encode": "encoding", "sample": "sampling",
    "decode": "decoding", "write": "writing", "render": "rendering", "judge": "judging", "check": "checking",
    "scan": "reading the files", "measure": "measuring",
    "edit": "compositing", "read": "reading the clip", "fill": "filling", "annotate": "drawing", "follow": "tracking",
    "compose": "composing", "list": "listing the files", "split": "finding cuts",
    "mark": "marking", "report": "drawing", "export": "exporting",
    "interpolate": "interpolating", "upscale": "upscaling", "fetch": "fetching", "start": "starting",
    "upload": "uploading", "queue": "waiting in the queue",
}  # fmt: skip
UNITS = {
    "sample": "steps", "decode": "frames", "write": "frames", "render": "clips", "edit": "frames", "read": "frames",
    "fill": "frames", "annotate": "frames", "follow": "frames", "interpolate": "frames", "upscale": "frames",
    "scan": "files", "measure": "clips", "fetch": "MB", "upload": "MB", "training": "steps", "rendering": "clips",
    "encoding": "clips",
}  # fmt: skip
BAR_CHARS = 20
LONG_S = 2.0
"""In Python, shorter work is not shown."""


def terminal(stream: TextIO) -> bool:
    """Whether a line on this stream can be overwritten: a terminal, with neither TERM=dumb nor NO_COLOR."""
    if os.environ.get("TERM") == "dumb" or os.environ.get("NO_COLOR"):
        return False
    return stream.isatty()


def notebook(stream: TextIO) -> bool:
    """Whether the stream is the output of a notebook cell."""
    return "ipykernel" in sys.modules and type(stream).__module__.startswith("ipykernel")


_python = True


def command() -> None:
    """Declare this process a command, which displays its own progress; calls from Python then display nothing."""
    global _python
    _python = False


def is_command() -> bool:
    """Whether this process is a command rather than a Python program."""
    return not _python


def python_display(progress: bool | None) -> Display:
    """The display of a call from Python. progress: None shows it on a terminal and in a notebook, True everywhere,
    False nowhere. Work of two seconds or less is never shown, nor parts of work that is already shown."""
    stream = sys.stderr
    if progress is None:
        progress = stream is not None and (terminal(stream) or notebook(stream))
    if not progress or not _python or Line.shown:
        return Display()
    return Line(stream, LONG_S) if terminal(stream) or notebook(stream) else Lines(_writer(stream), LONG_S)


def _writer(stream: TextIO) -> Callable[[str], None]:
    def write(text: str) -> None:
        stream.write(f"{text}\n")
        stream.flush()

    return write


def duration(seconds: float) -> str:
    """Format seconds with the precision of an estimate: "12 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def words(now: ProgressState) -> str:
    """Format a state, omitting unknown parts: "sampling 12/30 steps (stage 3 of 4, part 2 of 5), 12 s left", "video:
    training 48/93 steps (stage 6 of 8), 12 min left"."""
    parts = [f"{now.stage}: {now.doing}" if now.doing else WORDS.get(now.stage, now.stage)]
    if now.total:
        parts.append(f"{now.done}/{now.total}")
        if unit := UNITS.get(now.doing or now.stage):
            parts.append(unit)
    place = [f"stage {now.stage_number} of {now.stages}"] if now.stages > 1 else []
    place += [f"part {now.part} of {now.parts}"] if now.parts > 1 and now.stage != "load" else []
    text = " ".join(parts) + (f" ({', '.join(place)})" if place else "")
    finished = now.fraction is not None and now.fraction >= 1
    return text if now.left_s is None or finished else f"{text}, {duration(now.left_s)} left"


class Display:
    """An event callback and context manager. This class shows nothing."""

    def __call__(self, event: Event) -> None:
        pass

    def aside(self, write: Callable[[], object]) -> None:
        """Run a function that writes to the terminal while this display is active."""
        write()

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Lines(Display):
    """A display of plain lines: one when a stage first begins, then one after a tenth of the work and two seconds, or
    after half a minute."""

    QUIET_S = 2.0
    SILENCE_S = 30.0

    def __init__(self, write: Callable[[str], None], delay_s: float = 0.0) -> None:
        self.write, self.delay_s = write, delay_s
        self.overall = Overall()
        self.begun_s = time.monotonic()
        self.written_s, self.fraction = -1e9, 0.0
        self.stages: set[tuple[str, str]] = set()

    def __call__(self, event: Event) -> None:
        self.overall(event)
        if isinstance(event, Note):
            self.write(for_terminal(event.text))
        if isinstance(event, Note | Outcome | Preview | Planned):
            return
        now, clock = self.overall.now(), time.monotonic()
        if clock - self.begun_s < self.delay_s:
            return
        since, more = clock - self.written_s, (now.fraction or 0.0) - self.fraction
        new = (now.stage, now.doing) not in self.stages
        if new or (since >= self.QUIET_S and more >= 0.1) or since >= self.SILENCE_S:
            self.stages.add((now.stage, now.doing))
            self.written_s, self.fraction = clock, now.fraction or 0.0
            percent = round(100 * (now.fraction or 0.0))
            self.write(f"{percent} %: {words(now)}" if percent else words(now))


class Line(Display):
    """A display of one line, redrawn on a timer and removed at the end."""

    EVERY_S = 0.25
    shown = 0
    """Number of active lines."""

    def __init__(self, stream: TextIO, delay_s: float = 0.0, note: Callable[[str], None] | None = None) -> None:
        self.stream, self.delay_s, self.note = stream, delay_s, note or _writer(stream)
        self.overall = Overall()
        self.lock = threading.RLock()
        self.stop = threading.Event()
        self.thread: threading.Thread | None = None
        self.width = 0
        """Width of the current text."""

    def __call__(self, event: Event) -> None:
        with self.lock:
            self.overall(event)
            if isinstance(event, Note):
                self._put("")
                self.note(for_terminal(event.text))

    def aside(self, write: Callable[[], object]) -> None:
        with self.lock:
            self._put("")
            write()

    def __enter__(self) -> Line:
        self.thread = threading.Thread(target=self._draw, name="kinema-progress", daemon=True)
        self.thread.start()
        Line.shown += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Line.shown -= 1
        self.stop.set()
        if self.thread is not None:
            self.thread.join()
        self._put("")

    def text(self, columns: int) -> str:
        """The current line, at most `columns` wide."""
        now = self.overall.now()
        if not now.stage:
            return ""
        line = words(now)
        if now.fraction is None:
            return line[:columns]
        full = round(BAR_CHARS * now.fraction)
        bar = f"[{'#' * full}{'-' * (BAR_CHARS - full)}]"
        percent = f"{100 * now.fraction:3.0f} %"
        wanted = (f"{bar} {percent}  {line}", f"{percent}  {line}")
        return next((each for each in wanted if len(each) <= columns), wanted[-1][:columns])

    def _draw(self) -> None:
        if self.stop.wait(self.delay_s):
            return
        while True:
            with self.lock:
                self._put(self.text(shutil.get_terminal_size((80, 24)).columns - 1))
            if self.stop.wait(self.EVERY_S):
                return

    def _put(self, text: str) -> None:
        if not text and not self.width:
            return
        try:
            self.stream.write(f"\r{text.ljust(self.width)}" + ("" if text else "\r"))
            self.stream.flush()
        except (OSError, ValueError):  # the stream is closed
            self.stop.set()
        self.width = len(text)
