"""The events of a workflow for clients of Comfy API v2: a stream of status, progress, output, preview and log.

A stream begins with the present: the status, the progress and the outputs so far. Events have numbers, with which a
client that sends `Last-Event-ID` goes on where it left off.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...core.errors import KinemaError
from ...http.server_events import ServerEvent
from ...jobs.job import ENDED, JobEvent
from .prompts import PromptRecord, Prompts
from .v2_jobs import JobsShown, error_of, output_of
from .v2_progress import NodeCount
from .v2_results import names_in

PAGE = 200
MAX_PREVIEW_BYTES = 2**20


@dataclass
class V2Events:
    """The events of one workflow for one client. base: the address of this server, as the client has it. position: in
    the queue. `read` is for http/server_events.py."""

    prompts: Prompts
    shown: JobsShown
    record: PromptRecord
    base: str
    position: int | None
    count: NodeCount
    at: int
    begin: bool
    told: dict[str, Any] = field(default_factory=dict)
    """The progress that the client has."""
    sent: set[str] = field(default_factory=set)
    """Ids of the outputs that the client has."""

    def read(self, _after: int) -> Sequence[ServerEvent]:
        """The next events; none if nothing has happened."""
        found = self._present() if self.begin else []
        while not found:
            page = self.prompts.events(self.record.job, self.at, limit=PAGE)
            if not page:
                if self.prompts.find(self.record.id) is not None:
                    return []
                return [ServerEvent(self.at, "status", {"status": "expired", "queue_position": None}, True)]
            newest = page[-1].number
            for event in page:
                found += self._of(event, event.number == newest)
            self.at = newest
        return found

    def _present(self) -> list[ServerEvent]:
        self.begin = False
        state = self.record.state
        found = [] if state == "queued" else [self._progress(self.at)]
        found += self._outputs(self.at)
        status = self._status(self.at, state, state in ENDED)
        return [*found, status] if state in ENDED else [status, *found]

    def _of(self, event: JobEvent, is_newest: bool) -> list[ServerEvent]:
        number, data = event.number, event.data
        self.count.take(event)
        if event.kind == "state":
            return self._state(number, data["state"], is_newest)
        if event.kind in ("node", "node_progress"):
            return self._changed(number) + (self._outputs(number) if names_in(data.get("output")) else [])
        if event.kind == "preview" and "node" in data:
            return self._preview(number, data)
        if event.kind == "note":
            return [ServerEvent(number, "log", {"level": "info", "message": str(data.get("text", ""))})]
        return []

    def _state(self, number: int, state: str, is_newest: bool) -> list[ServerEvent]:
        if state not in ENDED:
            status = self._status(number, state, False)
            return [status, self._progress(number)] if state == "running" else [status]
        self.record = self.prompts.find(self.record.id) or self.record
        return [*self._changed(number), *self._outputs(number), self._status(number, state, is_newest)]

    def _outputs(self, number: int) -> list[ServerEvent]:
        """The outputs that the client does not have."""
        made = self.shown.results.of(self.record, self.count.outputs)
        new = [each for each in made if each.id not in self.sent]
        self.sent |= {each.id for each in new}
        return [ServerEvent(number, "output", output_of(each, self.record, self.base)) for each in new]

    def _preview(self, number: int, data: dict[str, Any]) -> list[ServerEvent]:
        """A preview; none if a later one has replaced it."""
        try:
            path = self.prompts.store.media.path(data["media"])
            if path.stat().st_size > MAX_PREVIEW_BYTES:
                return []
            content = base64.b64encode(path.read_bytes()).decode("ascii")
        except (KinemaError, OSError):
            return []
        shown = {"node_id": str(data["node"]), "content_type": data["media_type"], "data_base64": content}
        return [ServerEvent(number, "preview", shown)]

    def _changed(self, number: int) -> list[ServerEvent]:
        """The progress, if it is not that which the client has."""
        before = self.told
        return [each for each in [self._progress(number)] if each.data != before]

    def _progress(self, number: int) -> ServerEvent:
        self.told = self.count.snapshot()
        return ServerEvent(number, "progress", self.told)

    def _status(self, number: int, state: str, is_last: bool) -> ServerEvent:
        data: dict[str, Any] = {"status": state, "queue_position": self.position if state == "queued" else None}
        if (error := error_of(self.record, self.count)) is not None:
            data["error"] = error
        return ServerEvent(number, "status", data, is_last)
