"""The socket of ComfyUI's clients: what happens to their workflows, and how many wait.

Every message is read from the store, so any server process serves any client, and a client that returns after a drop,
or after the server was killed, sees its running workflows from the start of their attempt, and those that ended a
moment ago. A client is served as fast as it reads: progress that it has missed is left out, and nothing is held for it.
The end of a workflow is in the store, and so in the history, before a client hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ...core.errors import KinemaError
from ...core.outside import parse_json
from ...http.changes import Changes
from ...jobs.job import ENDED, JobEvent
from ...jobs.store import JobStore
from .about_routes import FEATURES
from .messages import Message, PreviewMessage, PromptMessages, message, status_message
from .prompts import PromptRecord, Prompts
from .shown_jobs import classes_of

RECENT_S = 30.0
"""A client that connects hears of its workflows that ended within this time."""
SEND_S, LOOK_S = 30.0, 5.0
"""How long a client may take for a message; the longest time between two looks at the store."""
PAGE, MAX_ID_CHARS, MAX_TEXT_BYTES = 500, 200, 64 * 2**10
RESTARTING, TOO_SLOW = 1012, 1008


@dataclass
class _Followed:
    """A workflow as one client has heard of it. number: of the last event that was sent."""

    messages: PromptMessages
    number: int
    done: bool = False


@dataclass
class _Listener:
    """One connection. previews: whether its client understands them. counts: the workflows that wait or run, and those
    that run, as last told."""

    socket: WebSocket
    client: str
    previews: bool = False
    counts: tuple[int, int] = (-1, 0)
    followed: dict[str, _Followed] = field(default_factory=dict)


class SocketRoutes:
    """store: the jobs. changes: wakes listeners when the store has changed."""

    def __init__(self, store: JobStore, changes: Changes) -> None:
        self.store, self.changes, self.prompts = store, changes, Prompts(store)
        self._looking = asyncio.Lock()
        self._seen: tuple[str, list[PromptRecord], int] | None = None

    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/ws", self.listen)]

    async def listen(self, socket: WebSocket) -> None:
        """Query: clientId, of a client that was here before."""
        client = socket.query_params.get("clientId", "")[:MAX_ID_CHARS] or uuid.uuid4().hex
        await socket.accept()
        listener = _Listener(socket, client)
        receiving = asyncio.create_task(self._receive(listener))
        sending = asyncio.create_task(self._serve(listener))
        try:
            await asyncio.wait((receiving, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (receiving, sending):
                task.cancel()
            found = await asyncio.gather(receiving, sending, return_exceptions=True)
            slow = any(isinstance(each, TimeoutError) for each in found)
            if socket.application_state is WebSocketState.CONNECTED:
                with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError, OSError):
                    await asyncio.wait_for(socket.close(TOO_SLOW if slow else RESTARTING), 1.0)
        for each in found:
            if isinstance(each, BaseException) and not isinstance(
                each, asyncio.CancelledError | WebSocketDisconnect | TimeoutError | KinemaError
            ):
                raise each

    async def _receive(self, listener: _Listener) -> None:
        """Answer what a client says: which features it has."""
        while True:
            text = (await listener.socket.receive()).get("text")
            if listener.socket.client_state is WebSocketState.DISCONNECTED:
                return
            try:
                said = parse_json(text or "", "The message", dict, max_bytes=MAX_TEXT_BYTES)
            except KinemaError:
                continue
            if said.get("type") == "feature_flags" and isinstance(said.get("data"), dict):
                listener.previews = said["data"].get("supports_preview_metadata") is True
                await self._send(listener, message("feature_flags", dict(FEATURES)))

    async def _serve(self, listener: _Listener) -> None:
        first = True
        while not self.changes.closed:
            seen = self.changes.now
            moving, remaining = await self._look()
            counts = remaining, sum(record.state == "running" for record in moving)
            if first:
                status = status_message(remaining)
                status["data"]["sid"] = listener.client
                await self._send(listener, status)
                first, listener.counts = False, counts
            for record in moving:
                if record.client == listener.client and record.job not in listener.followed:
                    listener.followed[record.job] = await run_in_threadpool(self._follow, record)
            newest = {record.job: record.last_event for record in moving}
            sent = False
            for job, followed in [*listener.followed.items()]:
                if followed.done and job not in newest:
                    del listener.followed[job]
                elif newest.get(job, 0) > followed.number or not (followed.done or job in newest):
                    sent |= await self._tell(listener, job, followed)
            if listener.counts != counts:  # the page reads its lists of jobs again
                await self._send(listener, status_message(remaining))
                listener.counts = counts
            if not sent:
                await self.changes.wait(seen, LOOK_S)

    async def _look(self) -> tuple[list[PromptRecord], int]:
        """The workflows that run or ended a moment ago, and how many wait or run; read once for all listeners."""
        async with self._looking:
            version = await run_in_threadpool(self.store.version)
            if self._seen is None or self._seen[0] != version:
                self._seen = (version, *await run_in_threadpool(self._moving))
            return self._seen[1], self._seen[2]

    def _moving(self) -> tuple[list[PromptRecord], int]:
        with self.store.database.look() as do:
            now = self.store.database.now(do)
        return self.prompts.moving(now - RECENT_S)

    def _follow(self, record: PromptRecord) -> _Followed:
        """A workflow that a client hears of for the first time: from the start of its last attempt."""
        body = self.prompts.bodies([record.job]).get(record.job, {})
        states = self.prompts.events(record.job, kinds=("state",))
        began = [event.number for event in states if event.data["state"] == "running"]
        return _Followed(PromptMessages(record.id, classes_of(body)), max(began, default=1) - 1)

    async def _tell(self, listener: _Listener, job: str, followed: _Followed) -> bool:
        """Send the events of a workflow that a client has not heard of, a page of them; whether there were any."""
        page = await run_in_threadpool(self.prompts.events, job, followed.number, (), PAGE)
        if not page:
            followed.done = followed.done or await run_in_threadpool(self._is_gone, job)
        for event in _shortened(page):
            for each in followed.messages.take(event):
                await self._send(listener, each)
            followed.done = event.kind == "state" and event.data["state"] in ENDED
        if page:
            followed.number = page[-1].number
        return bool(page)

    def _is_gone(self, job: str) -> bool:
        return not self.prompts.bodies([job])

    async def _send(self, listener: _Listener, each: Message) -> None:
        if isinstance(each, PreviewMessage):
            content = await run_in_threadpool(self._content, each.media) if listener.previews else None
            if content is not None:
                await asyncio.wait_for(listener.socket.send_bytes(each.encoded(content)), SEND_S)
            return
        text = json.dumps(each, separators=(",", ":"))
        await asyncio.wait_for(listener.socket.send_text(text), SEND_S)

    def _content(self, media: str) -> bytes | None:
        """A preview; None if it is gone, since its workflow has ended."""
        try:
            return self.store.media.path(media).read_bytes()
        except (KinemaError, OSError):
            return None


def _shortened(page: Collection[JobEvent]) -> list[JobEvent]:
    """Events without the progress and the previews that later ones replace."""
    last: dict[tuple[str, str], int] = {}
    for event in page:
        if event.kind in ("node_progress", "preview"):
            last[event.kind, str(event.data.get("node"))] = event.number
    return [
        event for event in page
        if event.kind not in ("node_progress", "preview")
        or last[event.kind, str(event.data.get("node"))] == event.number
    ]  # fmt: skip
