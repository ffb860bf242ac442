"""Report downloads from the hub as progress events, in place of the hub's own bars."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

from ..core.events import OnEvent, Progress

MEGABYTE = 1_000_000


def counter(on_event: OnEvent) -> type[Any]:
    """A `tqdm_class` for `snapshot_download` that reports `Progress("fetch", MB, total MB)` instead of drawing. The
    hub's client counts bytes received and bytes written; the larger count is reported."""
    from tqdm.std import tqdm

    began_s, lock = time.perf_counter(), threading.Lock()
    seen = {"done": 0, "total": 0}

    class Counter(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **{**settings, "file": io.StringIO(), "disable": False})

        def display(self, *_: Any, **__: Any) -> bool:
            if self.unit == "B" and self.total:
                with lock:
                    seen["done"] = max(seen["done"], int(self.n) // MEGABYTE)
                    seen["total"] = max(seen["total"], -(-int(self.total) // MEGABYTE))
                    on_event(Progress("fetch", seen["done"], seen["total"], time.perf_counter() - began_s))
            return True

    return Counter
