"""`kinema worker`: runs the jobs of a database: clips, workflows, and the shots of channels."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from . import exits
from .exits import guarded
from .options import PasswordEnv, option
from .say import log_to_stderr, say_aside

KINDS = {
    None: "kinema.cli.worker:all_kinds", "jobs": "kinema.server.comfy.kind:KINDS",
    "channel": "kinema.channel.making.kinds:channel_kinds",
}  # fmt: skip


def all_kinds() -> list[Any]:
    """The kinds of jobs of servers and of channels."""
    from ..channel.making.kinds import channel_kinds
    from ..server.comfy.kind import KINDS as OF_SERVERS

    return [*OF_SERVERS, *channel_kinds()]


@guarded
def worker(
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", show_default=False,
                     help="postgresql://user@host:5432/name, without a password, or sqlite:///FILE. Default: the jobs "
                     "of this user."),
    ] = None,
    password_env: PasswordEnv = None,
    folder: Annotated[
        Path | None,
        option("--folder", metavar="PATH", help="With PostgreSQL: the folder of the media that all machines share. "
               "Default: they are in the database.", panel="Options"),
    ] = None,
    device: Annotated[
        str, option("--device", metavar="D", help="cuda, cuda:1, mps or cpu. Default: the best.", panel="Options")
    ] = "",
    warm: Annotated[
        list[str] | None,
        option("--warm", metavar="NAME", help="A model to load at once. Repeatable.", panel="Options"),
    ] = None,
    only: Annotated[
        Literal["jobs", "channel"] | None,
        option("--only", metavar="jobs|channel", help="Run only clips and workflows, or only the shots of channels.",
               panel="Options"),
    ] = None,
    lost: Annotated[
        float,
        typer.Option("--lost", metavar="S", help="Timeout after which a silent worker is considered dead.", min=1),
    ] = 60.0,
) -> None:  # fmt: skip
    """Run the jobs of a database until Ctrl-C, with any number of workers on any machines: the clips and
    workflows that `kinema serve` and others submit, and the shots of all channels."""
    from ..core.environ import database_address
    from ..jobs.store import JobStore
    from ..jobs.supervise import Workers

    url = database_address(database, password_env)
    log_to_stderr(logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    exits.begin()
    more = ("--lost", str(lost), "--kinds", KINDS[only])
    with (
        JobStore.open(url, folder) as store,
        Workers(store, url, folder, device=device, warm=warm or (), arguments=more, free=True),
    ):
        say_aside(f"running the jobs of {store.database.where}")
        stop.wait()
