"""A command's clip made by a warm server: the same plan, notes, progress, file and exit codes, without importing torch.

`prepared` decides whether a server takes the request (None: this process runs it), `Handover.run` submits the job,
follows its events and writes the file. The server keeps the job whatever happens to the connection: a server that
restarts within RETURN_S is followed again from the last event that arrived.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.errors import Cancelled, KinemaError, MediaError, RequestError, error_from_dict
from ..core.events import Event, Note, OnEvent, Progress
from ..core.overall import ProgressState, Reported
from . import connect
from .clip_work import ClipWork, finished
from .connect import AUTO, OFF, RunningServer
from .options import SingleClipOptions
from .progress import reporter
from .sent import NotSendable, SentRequest, sendable

if TYPE_CHECKING:
    from ..core.plan import Plan
    from ..core.request import Request

RETURN_S, LOOK_S = 30.0, 0.5
"""How long a server that stopped answering is waited for, and how often it is looked for."""
CANCEL_S = 5.0
ENDED = ("succeeded", "failed", "canceled", "expired")
OUTCOME = ("filled", "moving", "lost", "unsure")
"""Fields of a manifest that a run finds out (engine/manifest.py)."""
Found = TypeVar("Found")


class ServerLost(KinemaError):
    """The server stopped answering and did not return in time, or has lost the job."""


@dataclass
class Handover:
    """A planned request that a server will run. must: the user named this server, so that nothing else may run it."""

    running: RunningServer
    sent: SentRequest
    plan: Plan
    must: bool
    job: str = ""
    """The id of the submitted job."""
    key: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def name(self) -> str:
        return "The server" if self.must else "The server on this machine"

    def run(self, work: ClipWork, on_event: OnEvent) -> dict[str, Any]:
        """Have the clip generated and write it. Returns what `--json` prints. Raises ServerLost, the error of the job,
        MediaError; KeyboardInterrupt cancels the job."""
        started = time.perf_counter()
        try:
            result = self._result(work, on_event)
            manifest = self._kept(lambda: self._fetch(Path(work.target), result, on_event), on_event)
        except KinemaError:
            raise
        except BaseException:
            self._cancel()
            raise
        return finished(
            work, Path(work.target), on_event, plan=manifest["plan"],
            by_model=self.plan.uses_model and (self.plan.fill != "both" or bool(manifest.get("weights"))),
            seconds=time.perf_counter() - started, device=str(result.get("device", "")), preview=None,
            facts={name: value for name, value in manifest.items() if name in OUTCOME},
        )  # fmt: skip

    def _result(self, work: ClipWork, on_event: OnEvent) -> dict[str, Any]:
        """Submit the job, follow it to its end and return its result."""
        target = Path(work.target)
        body = self.sent.job | {"file": f"clip{target.suffix.lower()}"}
        job = self._kept(lambda: self.running.server.submit("clip", body, key=self.key, name=_shown(target)), on_event)
        self.job = str(job["id"])
        if job.get("position"):
            on_event(Event("queue"))
        seen, before = [0], -1
        while not self._kept(lambda: self._follow(seen, on_event), on_event):
            if seen[0] == before:  # a stream without an event
                if self._kept(lambda: self.running.server.job(self.job), on_event).get("state") in ENDED:
                    break
                time.sleep(LOOK_S)
            before = seen[0]
        job = self._kept(lambda: self.running.server.job(self.job), on_event)
        if job["state"] == "succeeded":
            return dict(job["result"])
        reason = self.sent.named(str(job.get("reason") or f"The job {self.job} is {job['state']}."))
        if job["state"] == "canceled":
            raise Cancelled(reason)
        raise error_from_dict(self.sent.named(job.get("error")), reason)

    def _follow(self, seen: list[int], on_event: OnEvent) -> bool:
        """Pass on the events of the job until its stream ends; return whether the job ended. seen: the number of the
        last event."""
        for event in self.running.server.events(self.job, seen[0]):
            seen[0] = event["number"]
            kind, data = event["kind"], event["data"]
            if kind == "progress":
                with contextlib.suppress(KinemaError):
                    state = ProgressState.from_dict(data)
                    on_event(Reported(state.stage, state=state))
            elif kind == "note":
                on_event(Note("sample", self.sent.named(str(data.get("text", "")))))
            elif kind == "state" and data.get("state") == "queued" and data.get("reason"):
                on_event(Note("load", f"{self.sent.named(str(data['reason']))} The server tries again."))
            elif kind == "state" and data.get("state") in ENDED:
                return True
        return False

    def _fetch(self, target: Path, result: dict[str, Any], on_event: OnEvent) -> dict[str, Any]:
        """Download the result to the target, with its sidecar, and return its manifest."""
        from ..core.whole import hidden
        from ..media.manifest import put_clip, read_manifest

        partial = hidden(target)
        try:
            self.running.server.save_result(self.job, partial, _large(on_event))
            manifest = self._manifest(result) or read_manifest(partial)
            put_clip(partial, target, json.dumps(manifest))
        except OSError as error:
            raise MediaError(f"{target}: cannot be written ({error.strerror or error}).") from error
        finally:
            partial.unlink(missing_ok=True)
        return dict(manifest)

    def _manifest(self, result: dict[str, Any]) -> dict[str, Any] | None:
        """The manifest of a result from its sidecar, so that no reader of clips is imported."""
        if (sidecar := result.get("sidecar")) is None:
            return None
        return self.running.server.media_json(str(sidecar))

    def _kept(self, action: Callable[[], Found], on_event: OnEvent) -> Found:
        """Do something with the server; if it is gone, wait for its return and do it again. Raises ServerLost."""
        from ..http.client import Unreachable
        from ..http.jobs_client import NoSuchJobThere

        while True:
            try:
                return action()
            except Unreachable as error:
                gone = error
            except NoSuchJobThere as error:
                raise ServerLost(f"{self.name} no longer has the job {self.job}: {error}") from None
            on_event(Note("start", f"{self.name} stopped answering; waiting up to {RETURN_S:g} s for its return."))
            self.running = self._returned(gone)

    def _returned(self, gone: KinemaError) -> RunningServer:
        """Wait for the server, which may have another address after a restart. Raises ServerLost."""
        end = time.monotonic() + RETURN_S
        while time.monotonic() < end:
            with contextlib.suppress(connect.NoServer):
                server = self.running.server
                found = connect.named(server.url, server.token) if self.must else connect.on_this_machine()
                if found is not None:
                    return found
            time.sleep(LOOK_S)
        job = f" It keeps the job {self.job}." if self.job else ""
        raise ServerLost(f"{self.name} did not return within {RETURN_S:g} s: {gone}{job}")

    def _cancel(self) -> None:
        """Cancel the job, if it was submitted, and say so."""
        from .say import note

        if not self.job:
            return
        try:
            self.running.server.act(self.job, "cancel", limit_s=CANCEL_S)
        except KinemaError:
            note(f"{self.name} does not answer; its job goes on. To stop it: kinema jobs cancel {self.job}")
        else:
            note(f"{self.name} has canceled the job {self.job}.")


def prepared(options: SingleClipOptions, request: Request) -> Handover | None:
    """Upload the inputs of a request to the server that is to run it, and have it planned there. None: this process
    runs it, because no server runs here, or because that server cannot do what the options ask for.

    Raises RequestError, NoServer and others only for a server that `--server URL` names."""
    asked = options.server or AUTO
    if asked == OFF:
        return None
    running = connect.on_this_machine() if asked == AUTO else connect.named(asked)
    if running is None:
        return None
    try:
        return _planned(options, request, running, asked != AUTO)
    except NotSendable as error:
        if asked != AUTO:
            raise RequestError(f"--server {asked} cannot run this: {error}.", field="server", value=asked,
                               legal="--server off, or without it") from None  # fmt: skip
    except KinemaError:  # refused there: planned here, it is refused in the same words or works
        if asked != AUTO:
            raise
    return None


def _planned(options: SingleClipOptions, request: Request, running: RunningServer, must: bool) -> Handover:
    from ..core.plan import Plan

    _check(options, running, must)
    sent = sendable(request if request.seed is not None else request.changed(seed=secrets.randbelow(2**31)))
    if sent.files:
        with reporter(options.as_json, begins=False) as on_event:
            sent.upload(running.server, on_event)
    try:
        found = running.server.plan(sent.job)
    except RequestError as error:
        raise RequestError(
            sent.named(error.message), field=error.field, value=sent.named(error.value), legal=sent.named(error.legal)
        ) from None
    return Handover(running, sent, Plan.from_dict(sent.named(found)), must)


def _check(options: SingleClipOptions, running: RunningServer, must: bool) -> None:
    """NotSendable if a server cannot do what the options ask for."""
    from .. import __version__

    local = {"resume": options.resume, "keep_state": options.keep_state, "keep_every": options.keep_every,
             "preview": options.preview, "sheet": options.sheet, "dtype": options.dtype}  # fmt: skip
    for name, value in local.items():
        if value is not None:
            raise NotSendable(f"--{name.replace('_', '-')} works without a server")
    if options.output_ is not None and not Path(options.output_).suffix:
        raise NotSendable("a folder of frames is written without a server")
    if running.version != __version__:
        raise NotSendable(f"it has version {running.version} of Kinema, this is {__version__}")
    device = running.facts.get("device")
    if options.device is not None and options.device != device:
        raise NotSendable(f"it works on {device or 'a device of its own'}, not on {options.device}")
    if not must and not running.server.is_ready(connect.FOUND_S):
        raise NotSendable("it has no worker")


def _shown(target: Path) -> str:
    """The name of a file, as a job's name may be."""
    return "".join(letter for letter in target.name if letter.isprintable())[:200]


def _large(on_event: OnEvent) -> Callable[[int, int], None]:
    """Report the progress of a long download."""

    def report(done: int, total: int) -> None:
        if total > 64 * 2**20:
            on_event(Progress("fetch", done // 2**20, total // 2**20))

    return report
