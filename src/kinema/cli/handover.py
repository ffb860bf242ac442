"""A command's clip made by a warm server: the same plan, notes, progress, file and exit codes, without importing torch.

`prepared` decides whether a server takes the request (None: this process runs it), `Handover.run` submits the job,
follows it (followed.py) and writes the file.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import KinemaError, RequestError
from ..core.events import OnEvent
from . import connect
from .clip_work import ClipWork, finished
from .connect import AUTO, OFF, RunningServer
from .followed import FollowedJob, queued
from .options import SingleClipOptions
from .progress import reporter
from .say import note
from .sent import NotSendable, SentRequest, sendable

if TYPE_CHECKING:
    from ..core.plan import Plan
    from ..core.request import Request

LOCAL = ("sheet", "preview", "keep_state", "keep_every", "resume", "dtype", "device")
"""Options that belong to a command that generates the clip itself."""
OUTCOME = ("filled", "moving", "lost", "unsure")
"""Fields of a manifest that a run finds out (engine/manifest.py)."""


@dataclass
class Handover:
    """A planned request that a server will run. must: the user named this server, so that nothing else may run it."""

    running: RunningServer
    sent: SentRequest
    plan: Plan
    must: bool
    key: str = field(default_factory=lambda: secrets.token_hex(16))

    def run(self, work: ClipWork, on_event: OnEvent) -> dict[str, Any]:
        """Have the clip generated and write it. Returns what `--json` prints. Raises ServerLost, the error of the job,
        MediaError; an interrupt cancels the job, says so and goes on."""
        started, target = time.perf_counter(), Path(work.target)
        job = FollowedJob(self.running.server, self._again, self.name, named=self.sent.named)
        body = self.sent.job | {"file": f"clip{target.suffix.lower()}"}

        def submit(limit_s: float | None = None) -> Any:
            return job.server.submit("clip", body, key=self.key, name=shown(target), limit_s=limit_s)

        try:
            submitted = job.kept(submit, on_event)
            job.id = str(submitted["id"])
            queued(submitted, on_event)
            result = job.result(on_event)
            manifest = job.fetch(target, result, on_event)
        except Exception:
            raise
        except BaseException:
            note(job.cancel(submit))
            raise
        return finished(
            work, target, on_event, plan=manifest["plan"], has_weights=bool(manifest.get("weights")),
            seconds=time.perf_counter() - started, device=str(result.get("device", "")), preview=None,
            facts={name: value for name, value in manifest.items() if name in OUTCOME},
        )  # fmt: skip

    @property
    def name(self) -> str:
        return "The server" if self.must else "The server on this machine"

    def _again(self) -> Any:
        return connect.again(self.running.server, by_name=self.must)


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
    _check(options, running, must)
    sent = uploaded(request, running.server, options.as_json)
    return Handover(running, sent, planned_there(sent, running.server), must)


def uploaded(request: Request, server: Any, as_json: bool) -> SentRequest:
    """The request as a server gets it, its inputs uploaded and its seed set. NotSendable, and what uploading raises."""
    sent = sendable(request if request.seed is not None else request.changed(seed=secrets.randbelow(2**31)))
    if sent.files:
        with reporter(as_json, begins=False) as on_event:
            sent.upload(server, on_event)
    return sent


def planned_there(sent: SentRequest, server: Any) -> Plan:
    """The plan that a server made, with the names that were typed. Raises RequestError with these names."""
    from ..core.plan import Plan

    try:
        found = server.plan(sent.job)
    except RequestError as error:
        raise RequestError(
            sent.named(error.message), field=error.field, value=sent.named(error.value), legal=sent.named(error.legal)
        ) from None
    return Plan.from_dict(sent.named(found))


def _check(options: SingleClipOptions, running: RunningServer, must: bool) -> None:
    """NotSendable if a server cannot do what the options ask for."""
    from .. import __version__

    for name in LOCAL:
        if getattr(options, name) is not None:
            raise NotSendable(f"--{name.replace('_', '-')} works without a server")
    if options.output_ is not None and not Path(options.output_).suffix:
        raise NotSendable("a folder of frames is written without a server")
    if running.version != __version__:
        raise NotSendable(f"it has version {running.version} of Kinema, this is {__version__}")
    if not must and not running.server.is_ready(connect.FOUND_S):
        raise NotSendable("it has no worker")


def shown(target: Path) -> str:
    """The name of a file, as a job's name may be."""
    return "".join(letter for letter in target.name if letter.isprintable())[:200]
