"""A bench: clips that others order, drawn here one after the other, kept until they are fetched or others need room.

An order is told by the name that its owner gave it: the same one again is the same order, so whoever lost the answer
may ask again. Another order under a name that is taken is refused. A bench forgets everything when its process ends.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...core.errors import Cancelled, KinemaError, ModelError, RequestError
from ...media.manifest import sidecar_of
from .job import ShotOrder
from .makers import maker

log = logging.getLogger("kinema.channel")
MOST_WAITING, MOST_KEPT = 8, 32
SLOWEST_S = 3600.0
WAITING, DRAWING, DONE, FAILED = "waiting", "drawing", "done", "failed"


class Busy(KinemaError):
    """There are as many orders as this bench takes; later there will be room."""


class Taken(KinemaError):
    """An order of that name is here already, for another clip."""


@dataclass(frozen=True)
class Order:
    """state: waiting, drawing, done (the clip is at `path`) or failed: `error`, and whether another try may help."""

    job: ShotOrder
    path: Path
    state: str = WAITING
    error: str = ""
    again: bool = False


class Bench:
    """models: the names it draws for, and no others. folder: for clips, its own. device: where; "": the best there is.
    `run` draws until `stop`; everything else may be called from any thread."""

    def __init__(self, models: Sequence[str], folder: Path, device: str = "") -> None:
        self.models, self.folder, self.device = tuple(models), folder, device
        self._orders: OrderedDict[str, Order] = OrderedDict()
        self._change, self._end, self._number = threading.Condition(), False, 0

    def order(self, job: ShotOrder) -> Order:
        """The order of that name, a new one where there is none, or where the last one failed. RequestError: not a
        model of this bench; Taken; Busy."""
        if job.model not in self.models:
            raise RequestError(
                f"{job.model!r} is not drawn here.", field="model", value=job.model, legal=", ".join(self.models)
            )
        mine = replace(job, making={"device": self.device, "slowest_s": SLOWEST_S}, space={}, tail="", keeps=False)
        with self._change:
            known = self._orders.get(job.id)
            if known is not None and known.state != FAILED:
                if known.job != mine:
                    raise Taken(f"{job.id} is another order, with the same id.")
                return known
            if sum(each.state in (WAITING, DRAWING) for each in self._orders.values()) >= MOST_WAITING:
                raise Busy(f"{MOST_WAITING} clips are ordered already.")
            self._number += 1
            self._orders[job.id] = found = Order(mine, self.folder / f"{self._number:06d}.mp4")
            self._orders.move_to_end(job.id)
            self._change.notify_all()
        return found

    def get(self, name: str) -> Order | None:
        with self._change:
            return self._orders.get(name)

    def forget(self, name: str) -> None:
        """What is not being drawn now; the clip is deleted."""
        with self._change:
            if (found := self._orders.get(name)) is not None and found.state != DRAWING:
                del self._orders[name]
                _delete(found.path)

    def stop(self) -> None:
        with self._change:
            self._end = True
            self._change.notify_all()

    def run(self) -> None:
        while (found := self._next()) is not None:
            name, order = found
            try:
                draws = maker(order.job.model)
                draws.check(order.job)
                draws.make(order.job, order.path)
                ended = replace(order, state=DONE)
            except (RequestError, ModelError, Cancelled) as error:  # Cancelled: it would take as long again
                ended = replace(order, state=FAILED, error=str(error))
            except BaseException as error:  # also SystemExit of somebody's library: the bench goes on
                if not isinstance(error, KinemaError):
                    log.exception("%s failed", name)
                ended = replace(order, state=FAILED, error=str(error) or type(error).__name__, again=True)
            self._note(name, ended)

    def _next(self) -> tuple[str, Order] | None:
        with self._change:
            while not self._end:
                for name, order in self._orders.items():
                    if order.state == WAITING:
                        self._orders[name] = begun = replace(order, state=DRAWING)
                        return name, begun
                self._change.wait()
        return None

    def _note(self, name: str, order: Order) -> None:
        with self._change:
            self._orders[name] = order
            over = [each for each, known in self._orders.items() if known.state in (DONE, FAILED)]
            for old in over[: max(0, len(over) - MOST_KEPT)]:
                _delete(self._orders.pop(old).path)


def _delete(clip: Path) -> None:
    """With the manifest beside it."""
    for path in (clip, sidecar_of(clip)):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:  # the bench goes on
            log.warning("%s cannot be deleted: %s", path, error)
