"""`kinema worker`: generates shots for channels on other machines."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import Annotated

import typer

from ..core.errors import RequestError
from . import exits
from .exits import guarded
from .options import option
from .say import log_to_stderr, say_aside


@guarded
def worker(
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", help="As postgresql://user@host:5432/name, without a password.",
                     show_default=False),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT", help="Take requests over HTTP instead (port 0: any free one).",
                     show_default=False),
    ] = None,
    models: Annotated[
        list[str] | None,
        option("--model", metavar="NAME", help="With --listen: a model that may be used. Repeatable.",
               panel="Options"),
    ] = None,
    device: Annotated[
        str, option("--device", metavar="D", help="With --listen: cuda, cuda:1, mps or cpu.", panel="Options")
    ] = "",
    token_env: Annotated[
        str | None,
        option("--token-env", metavar="VAR", help="With --listen: the environment variable with the required token.",
               panel="Options"),
    ] = None,
    password_env: Annotated[
        str | None,
        option("--password-env", metavar="VAR", help="The environment variable with the database's password.",
               panel="Options"),
    ] = None,
    lost: Annotated[
        float,
        typer.Option("--lost", metavar="S", help="Timeout after which a silent worker is considered dead.", min=1),
    ] = 60.0,
) -> None:  # fmt: skip
    """Generate shots for channels on other machines until Ctrl-C: for those of a PostgreSQL database, with any number
    of workers, or for requests over HTTP (`making.model = "kinema:http://HOST:PORT/MODEL"`)."""
    if (database is None) == (listen is None):
        raise RequestError(
            "Exactly one of --database and --listen is required.", field="worker", legal="--database or --listen"
        )
    if listen is not None:
        from ..channel.web.clip_process import serve

        serve(listen, models or ["kinema-mini-wan"], device, token_env, say_aside)
        _leave()
    assert database is not None
    from ..channel.making import durable
    from ..channel.making.postgres import address
    from ..channel.making.workers import work

    durable.check()

    log_to_stderr(logging.INFO)
    logging.getLogger("kinema.channel").setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    exits.begin()
    work(address(database, password_env), stop, lost_s=lost, report=say_aside)
    _leave()


def _leave() -> None:
    """Exit without waiting for a thread that generates; its shot is requeued to another worker."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
