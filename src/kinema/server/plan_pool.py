"""Plans of requests from outside, in processes of their own.

A plan reads the inputs of the request, which are files of strangers: a decoder that crashes or takes for ever must not
be the server's. Each process plans one request at a time; one that exceeds the time limit is killed and replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import RequestError
from ..core.outside import parse_json

MAX_ANSWER = 64 * 2**20


class PlanFailed(RequestError):
    """The process that planned a request died or was too slow."""


class PlanRefused(RequestError):
    """An error of the plan, as its process has reported it."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        super().__init__(str(found.get("message", "")), field=str(found.get("field", "")))
        self._found = dict(found)

    def to_dict(self) -> dict[str, Any]:
        return self._found


class PlanPool:
    """num_processes: plans made at the same time; they are started when first needed. device: for the estimates."""

    def __init__(self, num_processes: int = 2, device: str | None = None) -> None:
        self.device = device
        self._free: list[asyncio.subprocess.Process] = []
        self._room = asyncio.Semaphore(num_processes)

    async def plan(self, request: Mapping[str, Any], media: Mapping[str, Path], limit_s: float) -> dict[str, Any]:
        """The plan as JSON. request: its fields; media: the files of the hashes that it names. PlanRefused: the
        request is not legal, its model is missing, or an input is unreadable; PlanFailed."""
        line = json.dumps({"request": request, "media": {name: str(path) for name, path in media.items()},
                           "device": self.device}) + "\n"  # fmt: skip
        async with self._room:
            process = await self._process()
            try:
                async with asyncio.timeout(limit_s):
                    text = await _exchange(process, line.encode())
            except TimeoutError:
                await _kill(process)
                raise PlanFailed(f"The plan took longer than {limit_s:g} s.") from None
            except BaseException:  # the client is gone, or the process is
                await _kill(process)
                raise
            self._free.append(process)
        found: dict[str, Any] = parse_json(text, "The plan", dict, max_bytes=MAX_ANSWER)
        if "refused" in found:
            raise PlanRefused(found["refused"])
        return dict(found["plan"])

    async def warm(self) -> None:
        """Start one process, so that the first plan is quick."""
        async with self._room:
            self._free.append(await self._process())

    async def close(self) -> None:
        """End the processes."""
        while self._free:
            await _kill(self._free.pop())

    async def _process(self) -> asyncio.subprocess.Process:
        while self._free:
            process = self._free.pop()
            if process.returncode is None:
                return process
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kinema.server.plan_process", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, limit=MAX_ANSWER, start_new_session=True,
        )  # fmt: skip


async def _exchange(process: asyncio.subprocess.Process, line: bytes) -> bytes:
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(line)
        await process.stdin.drain()
        text = await process.stdout.readline()
    except (OSError, ValueError, asyncio.LimitOverrunError) as error:
        raise PlanFailed(f"The plan failed: {error}.") from None
    if not text.endswith(b"\n"):
        raise PlanFailed("The process that planned the request died; an input of it may be damaged.")
    return text


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
