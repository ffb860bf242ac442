"""The server that a command talks to: the one that runs on this machine, or the one that `--server URL` names.

A running `kinema serve` writes KINEMA_HOME/server/server.json (its address, process, version and token), readable by
its user only. A file that a killed server left is recognised by its process and by the answer of its address.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.environ import secret
from ..core.errors import KinemaError, RequestError
from ..core.home import home
from ..core.outside import read_json

if TYPE_CHECKING:
    from ..http.jobs_client import JobsServer

AUTO, OFF = "auto", "off"
TOKEN = "KINEMA_SERVER_TOKEN"
FOUND_S = 3.0
"""Time limit for the first answer of a server on this machine; a busy machine takes a second."""


@dataclass(frozen=True)
class RunningServer:
    """A server that has answered. facts: its /healthz."""

    server: JobsServer
    facts: dict[str, Any]

    @property
    def version(self) -> str:
        return str(self.facts.get("version", ""))


class NoServer(KinemaError):
    """No server answers."""


def on_this_machine() -> RunningServer | None:
    """The server that runs on this machine, or None."""
    try:
        noted = read_json(home() / "server" / "server.json", dict)
        url, pid, token = noted["url"], noted["pid"], noted.get("token")
    except (OSError, KinemaError, KeyError):
        return None
    if not isinstance(url, str) or not isinstance(token, str | None) or type(pid) is not int or not _runs(pid):
        return None
    from ..http.jobs_client import JobsServer

    try:
        facts = JobsServer(url).health(FOUND_S)  # without the token: something else may have the address now
    except KinemaError:
        return None
    if facts.get("kinema") != "server" or facts.get("pid") != pid:
        return None
    return RunningServer(JobsServer(url, token), facts)


def named(url: str, token: str | None = None) -> RunningServer:
    """The server at an address, with this token; None: the environment's, or its own if it runs on this machine.
    RequestError: not an address. NoServer: it does not answer."""
    from ..http.client import HttpError
    from ..http.jobs_client import JobsServer

    here = on_this_machine()
    if here is not None and here.server.url == url.rstrip("/") and token is None:
        return here
    if not url.lower().startswith(("http://", "https://")):
        raise RequestError(
            f"--server {url}.", field="server", value=url, legal=f"{AUTO}, {OFF}, or an address, as "
            "http://127.0.0.1:8188",
        )  # fmt: skip
    try:
        server = JobsServer(url, token or os.environ.get(TOKEN) or None)
        return RunningServer(server, server.health())
    except HttpError as error:
        raise NoServer(str(error)) from None


def again(server: JobsServer, *, by_name: bool) -> JobsServer | None:
    """A server that stopped answering, if it is back: at its address if the user named it, else wherever this machine's
    server is now. None, or NoServer: not yet."""
    if by_name:
        return named(server.url, server.token).server
    found = on_this_machine()
    return None if found is None else found.server


def required(server: str | None, token_env: str | None = None) -> JobsServer:
    """The server of a command that works only with one. RequestError, NoServer."""
    token = secret(token_env, "token_env") or None
    if server not in (None, AUTO):
        if server == OFF:
            raise RequestError("--server off.", field="server", value=OFF, legal=f"{AUTO}, or an address")
        return named(str(server), token).server
    found = on_this_machine()
    if found is None:
        raise NoServer("No server runs on this machine. Start one with `kinema serve`, or name one with --server URL.")
    return found.server


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # another user's
    return pid > 0
