"""The queue of a `kinema worker --listen`: orders of clips, generated one at a time and stored until they are fetched.

The client names an order. Repeating an order is idempotent, so a client that lost the response can retry; a different
order with the same name is refused. Orders do not survive the process.
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


class QueueFull(KinemaError):
    """The queue is full; retry later."""


class IdTaken(KinemaError):
    """Another order has the same name."""


@dataclass(frozen=True)
class Order:
    """An order. state: waiting, drawing, done (the clip is at `path`) or failed (`error`; `again`: retry may help)."""

    job: ShotOrder
    path: Path
    state: str = WAITING
    error: str = ""
    again: bool = False


class OrderQueue:
    """models: the names of the models served. folder: a private folder for clips. device: "" is the best available.
    `run` generates clips until `stop`; all other methods are thread-safe."""

    def __init__(self, models: Sequence[str], folder: Path, device: str = "") -> None:
        self.models, self.folder, self.device = tuple(models), folder, device
        self._orders: OrderedDict[str, Order] = OrderedDict()
        self._change, self._end, self._number = threading.Condition(), False, 0

    def add(self, job: ShotOrder) -> Order:
        """The order with the name of `job`; a new one if there is none or it failed. RequestError: a model that is not
        served; IdTaken; QueueFull."""
        if job.model not in self.models:
            raise RequestError(
                f"Model {job.model!r} is not served here.", field="model", value=job.model,
                legal=", ".join(self.models),
            )  # fmt: skip
        local = replace(job, making={"device": self.device, "slowest_s": SLOWEST_S}, space={}, tail="", keeps=False)
        with self._change:
            earlier = self._orders.get(job.id)
            if earlier is not None and earlier.state != FAILED:
                if earlier.job != local:
                    raise IdTaken(f"Another order has the id {job.id}.")
                return earlier
            if sum(each.state in (WAITING, DRAWING) for each in self._orders.values()) >= MOST_WAITING:
                raise QueueFull(f"The queue is full ({MOST_WAITING} orders).")
            self._number += 1
            self._orders[job.id] = order = Order(local, self.folder / f"{self._number:06d}.mp4")
            self._orders.move_to_end(job.id)
            self._change.notify_all()
        return order

    def get(self, name: str) -> Order | None:
        with self._change:
            return self._orders.get(name)

    def forget(self, name: str) -> None:
        """Delete an order and its clip, unless it is being generated."""
        with self._change:
            if (order := self._orders.get(name)) is not None and order.state != DRAWING:
                del self._orders[name]
                _delete(order.path)

    def stop(self) -> None:
        with self._change:
            self._end = True
            self._change.notify_all()

    def run(self) -> None:
        """Generate the clips of orders until `stop`."""
        while (item := self._next()) is not None:
            name, order = item
            try:
                model = maker(order.job.model)
                model.check(order.job)
                model.make(order.job, order.path)
                ended = replace(order, state=DONE)
            except (RequestError, ModelError, Cancelled) as error:  # Cancelled: a retry would take as long
                ended = replace(order, state=FAILED, error=str(error))
            except BaseException as error:  # including SystemExit raised by a library
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
            over = [each for each, other in self._orders.items() if other.state in (DONE, FAILED)]
            for old in over[: max(0, len(over) - MOST_KEPT)]:
                _delete(self._orders.pop(old).path)


def _delete(clip: Path) -> None:
    """Delete a clip and its manifest."""
    for path in (clip, sidecar_of(clip)):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("cannot delete %s: %s", path, error)
