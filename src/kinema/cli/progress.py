"""How far the work is, on stderr: a bar with ETA and it/s on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from kinema.cli.say import say_aside
from kinema.core.events import Event, Note, Preview, Progress

if TYPE_CHECKING:
    from rich.progress import TaskID

WORDS = {
    "load": "loading the model", "prepare": "reading the inputs", "encode": "encoding", "sample": "sampling",
    "decode": "decoding", "write": "writing", "render": "rendering", "judge": "judging", "edit": "putting back",
    "annotate": "drawing", "follow": "following", "compose": "composing",
    "interpolate": "interpolating",
}  # fmt: skip
UNITS = {
    "sample": "steps",
    "decode": "frames",
    "write": "frames",
    "render": "clips",
    "edit": "frames",
    "annotate": "frames",
    "follow": "frames",
    "interpolate": "frames",
}


def reporter(as_json: bool = False) -> Reporter:
    """A listener for `core.events` and a context: silent with `--json`, a bar on a terminal, else lines."""
    if as_json:
        return Reporter()
    return Bar() if sys.stderr.isatty() else Lines()


def rate(done: int, seconds: float) -> str:
    """ "2.5 it/s", or "3.1 s/it" where one takes longer than a second."""
    if done == 0 or seconds <= 0:
        return ""
    return f"{done / seconds:.1f} it/s" if done >= seconds else f"{seconds / done:.1f} s/it"


def remaining(event: Progress) -> float:
    """Seconds left of the stage, by its own pace."""
    return event.seconds / event.done * (event.total - event.done) if event.done else 0.0


class Reporter:
    """Says nothing."""

    def __call__(self, event: Event) -> None:
        pass

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Lines(Reporter):
    """A line when a stage begins, and at each quarter of a long one."""

    QUIET_S = 2.0

    def __init__(self) -> None:
        self.stage, self.quarter, self.said_s = "", 0, time.monotonic()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Preview) or event.stage == "write":
            return
        if isinstance(event, Note):
            self._say(event.text)
            return
        if event.stage != self.stage:
            self.stage, self.quarter = event.stage, 0
            self._say(f"{WORDS.get(event.stage, event.stage)} ...")
        if not isinstance(event, Progress) or not event.total:
            return
        quarter = 4 * event.done // event.total
        if quarter > self.quarter and time.monotonic() - self.said_s >= self.QUIET_S:
            self.quarter = quarter
            unit = UNITS.get(event.stage, "")
            left = f", {remaining(event):.0f} s left" if event.done < event.total else ""
            self._say(f"{event.stage} {event.done}/{event.total} {unit}, {rate(event.done, event.seconds)}{left}")

    def _say(self, text: str) -> None:
        self.said_s = time.monotonic()
        say_aside(text)


class Bar(Reporter):
    """One live line for the running stage; it vanishes when the work is done."""

    def __init__(self) -> None:
        from rich import progress
        from rich.console import Console

        self.bar = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[count]}"),
            progress.TextColumn("{task.fields[pace]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self.stage = ""
        self.task: TaskID | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Preview) or event.stage == "write":
            return
        if isinstance(event, Note):
            self.bar.console.print(event.text, style="yellow", markup=False, highlight=False)
            return
        if event.stage != self.stage or self.task is None:
            if self.task is not None:
                self.bar.remove_task(self.task)
            self.stage = event.stage
            words = WORDS.get(event.stage, event.stage)
            self.task = self.bar.add_task(words, total=None, count="", pace="")
        if isinstance(event, Progress) and event.total:
            pace = f"{rate(event.done, event.seconds)}, {remaining(event):.0f} s left"
            count = f"{event.done}/{event.total}"
            self.bar.update(self.task, completed=event.done, total=event.total, count=count, pace=pace)

    def __enter__(self) -> Bar:
        self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.stop()
