"""A job on a server, followed to its end: progress, notes, its error, its file.

The server keeps a job whatever happens to the connection. One that stops answering is looked for until RETURN_S have
passed, and followed again from the last event that arrived.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.errors import Cancelled, KinemaError, MediaError, error_from_dict
from ..core.events import Event, Note, OnEvent
from ..core.overall import ProgressState, Reported
from ..jobs.job import ENDED
from .connect import NoServer
from .progress import transferred

if TYPE_CHECKING:
    from ..http.jobs_client import JobsServer

RETURN_S, LOOK_S = 30.0, 0.5
"""How long a server that stopped answering is waited for, and how often it is looked for."""
CANCEL_S = 5.0
Found = TypeVar("Found")


class ServerLost(KinemaError):
    """The server stopped answering and did not return in time, or has lost the job."""


@dataclass
class FollowedJob:
    """server: has the job. again: finds the server after it stopped answering; None or NoServer: not yet. who: names
    the server in messages. id: of the job. named: gives plain JSON of the server the names that were typed."""

    server: JobsServer
    again: Callable[[], JobsServer | None]
    who: str
    id: str = ""
    named: Callable[[Any], Any] = lambda value: value

    def result(self, on_event: OnEvent) -> dict[str, Any]:
        """Follow the job to its end and return its result. Raises the error with which it failed, Cancelled,
        ServerLost."""
        seen, before = [0], -1
        while (end := self.kept(lambda: self._follow(seen, on_event), on_event)) is None:
            if seen[0] == before:  # a stream without an event
                if self.kept(lambda: self.server.job(self.id), on_event).get("state") in ENDED:
                    end = {}
                    break
                time.sleep(LOOK_S)
            before = seen[0]
        job = self.kept(lambda: self.server.job(self.id), on_event)
        if job.get("state") == "succeeded":
            return dict(job["result"])
        reason = str(self.named(job.get("reason") or f"The job {self.id} is {job.get('state')}."))
        if job.get("state") == "canceled":
            raise Cancelled(reason)
        raise error_from_dict(self.named(end.get("error")), reason)

    def _follow(self, seen: list[int], on_event: OnEvent) -> dict[str, Any] | None:
        """Pass on the events of the job until its stream ends; return the data of its end. seen: the number of the last
        event."""
        for event in self.server.events(self.id, seen[0]):
            seen[0] = event["number"]
            kind, data = event["kind"], event["data"]
            if kind == "progress":
                with contextlib.suppress(KinemaError):
                    state = ProgressState.from_dict(data)
                    on_event(Reported(state.stage, state=state))
            elif kind == "note":
                on_event(Note("sample", str(self.named(data.get("text", "")))))
            elif kind == "state" and data.get("state") in ENDED:
                return dict(data)
            elif kind == "state" and data.get("state") == "queued" and data.get("reason"):
                on_event(Note("load", f"{self.named(data['reason'])} The server tries again."))
        return None

    def fetch(self, target: Path, result: dict[str, Any], on_event: OnEvent) -> dict[str, Any]:
        """Download the result to the target, with its sidecar, and return its manifest. Raises MediaError, ServerLost;
        no partial file remains."""
        return self.kept(lambda: self._fetch(target, result, on_event), on_event)

    def _fetch(self, target: Path, result: dict[str, Any], on_event: OnEvent) -> dict[str, Any]:
        from ..core.whole import hidden
        from ..media.manifest import put_clip, read_manifest

        partial = hidden(target)
        try:
            self.server.save_result(self.id, result, partial, transferred(on_event, "fetch"))
            sidecar = result.get("sidecar")  # reading the file itself would import the codecs
            manifest = read_manifest(partial) if sidecar is None else self.server.media_json(str(sidecar))
            put_clip(partial, target, json.dumps(manifest))
        except OSError as error:
            raise MediaError(f"{target}: cannot be written ({error.strerror or error}).") from error
        finally:
            partial.unlink(missing_ok=True)
        return manifest

    def kept(self, action: Callable[[], Found], on_event: OnEvent) -> Found:
        """Do something with the server; if it is gone, wait for its return and do it again. Raises ServerLost."""
        from ..http.client import Unreachable
        from ..http.jobs_client import NoSuchJobThere

        while True:
            try:
                return action()
            except Unreachable as error:
                gone = error
            except NoSuchJobThere as error:
                raise ServerLost(f"{self.who} no longer has the job {self.id}: {error}") from None
            on_event(Note("start", f"{self.who} stopped answering; waiting up to {RETURN_S:g} s for its return."))
            self.server = self._returned(gone)

    def _returned(self, gone: KinemaError) -> JobsServer:
        """Wait for the server, which may have another address after a restart. Raises ServerLost."""
        end = time.monotonic() + RETURN_S
        while time.monotonic() < end:
            with contextlib.suppress(NoServer):
                if (found := self.again()) is not None:
                    return found
            time.sleep(LOOK_S)
        job = f" It keeps the job {self.id}." if self.id else ""
        raise ServerLost(f"{self.who} did not return within {RETURN_S:g} s: {gone}{job}")

    def cancel(self, submit: Callable[[float], Any]) -> str:
        """Cancel the job; return a sentence that says whether that worked. submit: the same submission within a time
        limit, which gives the id of a job whose submission was interrupted."""
        try:
            self.id = self.id or str(submit(CANCEL_S)["id"])
            self.server.act(self.id, "cancel", limit_s=CANCEL_S)
        except KinemaError:
            if not self.id:
                return f"{self.who} does not answer and may have the job; see kinema jobs list."
            return f"{self.who} does not answer; its job goes on. To stop it: kinema jobs cancel {self.id}"
        return f"{self.who} has canceled the job {self.id}."


def queued(job: dict[str, Any], on_event: OnEvent) -> None:
    """Report that a job waits for others."""
    if job.get("position"):
        on_event(Event("queue"))
