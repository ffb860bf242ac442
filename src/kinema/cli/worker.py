"""`kinema worker`: runs the jobs of a database, and generates shots for channels on other machines."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from typing import Annotated, Literal

import typer

from ..core.errors import RequestError
from . import exits
from .exits import guarded
from .options import PasswordEnv, option
from .say import log_to_stderr, say_aside


@guarded
def worker(
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", show_default=False,
                     help="postgresql://user@host:5432/name, without a password, or sqlite:///FILE. Default: the jobs "
                     "of this user."),
    ] = None,
    password_env: PasswordEnv = None,
    device: Annotated[
        str, option("--device", metavar="D", help="For jobs: cuda, cuda:1, mps or cpu. Default: the best.",
                    panel="Options")
    ] = "",
    warm: Annotated[
        list[str] | None,
        option("--warm", metavar="NAME", help="A model to load at once for jobs. Repeatable.", panel="Options"),
    ] = None,
    only: Annotated[
        Literal["jobs", "channel"] | None,
        option("--only", metavar="jobs|channel", help="Run only jobs, or only the shots of channels.", panel="Options"),
    ] = None,
    lost: Annotated[
        float,
        typer.Option("--lost", metavar="S", help="Timeout after which a silent worker is considered dead.", min=1),
    ] = 60.0,
) -> None:  # fmt: skip
    """Run the jobs of a database until Ctrl-C, with any number of workers on any machines: the jobs that `kinema serve`
    and others submit and, in PostgreSQL, the shots of all channels."""
    from ..channel.making import durable
    from ..channel.making.postgres import address
    from ..jobs.store import JobStore
    from ..jobs.supervise import Workers

    shared = database is not None and not database.startswith("sqlite:")
    url = address(database, password_env) if database is not None and shared else database
    log_to_stderr(logging.INFO)
    logging.getLogger("kinema.channel").setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    exits.begin()
    if only == "channel" and not shared:
        raise RequestError("Channels share a PostgreSQL database.", field="database", legal="postgresql://...")
    if only == "channel":
        durable.check()
    with contextlib.ExitStack() as stack:
        if only != "channel":
            store = stack.enter_context(JobStore.open(url))
            more = ("--lost", str(lost))
            stack.enter_context(Workers(store, url, device=device, warm=warm or (), arguments=more, free=True))
            say_aside(f"running the jobs of {store.database.where}")
        if url is not None and shared and only != "jobs" and durable.is_installed():
            from ..channel.making.workers import work

            work(url, stop, lost_s=lost, report=say_aside)
        else:
            stop.wait()
    _leave()


def _leave() -> None:
    """Exit without waiting for a thread that generates; its shot is requeued to another worker."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
