"""Ctrl-C and SIGTERM in a training loop: the running step is finished, and a checkpoint written, before they act."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """A context that holds the first SIGINT or SIGTERM until `deliver`; the second acts at once. Outside the main
    thread, or with active=False, nothing is held."""

    def __init__(self, active: bool = True) -> None:
        self.active = active and threading.current_thread() is threading.main_thread()
        self.asked: int | None = None
        self.holding = True
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if self.active:
            for number in SIGNALS:
                before = signal.getsignal(number)
                if callable(before):  # ignored signals, and those that end the process, stay as they are
                    self._before[number] = before
                    signal.signal(number, self._arrived)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self.holding and self.asked is None:
            self.asked = number
        else:
            self._before[number](number, frame)

    def deliver(self, save: Callable[[], None]) -> None:
        """If a signal was held, call `save` and let it act: KeyboardInterrupt, or what the command raises."""
        if self.asked is not None:
            save()
            self._before[self.asked](self.asked, None)

    @contextmanager
    def at_once(self, save: Callable[[], None]) -> Iterator[None]:
        """Context for long work between steps, such as an evaluation: signals end it at once, and `save` is called
        after it has cleaned up."""
        self.holding = False
        try:
            yield
        except Exception:
            raise
        except BaseException:
            save()
            raise
        finally:
            self.holding = True
