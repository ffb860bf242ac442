"""`kinema submit VERB ...`: a verb's request as a job of a server, in place of a file."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from .exits import guarded
from .options import option
from .submission import Submission, submitting
from .verbs import application

Verb = Literal["generate", "animate", "remove", "edit", "outpaint", "extend", "between", "restyle", "upscale"]
WHERE, JOB = "Server", "Job"
Server = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", envvar="KINEMA_SERVER", rich_help_panel=WHERE, show_default=False,
                 help="The address of the server. Default: the `kinema serve` that runs on this machine."),
]  # fmt: skip
TokenEnv = Annotated[
    str | None,
    option("--token-env", metavar="VAR", panel=WHERE,
           help="The environment variable with the server's token. Default: KINEMA_SERVER_TOKEN."),
]  # fmt: skip


@guarded
def submit(
    verb: Annotated[Verb, typer.Argument(metavar="VERB", help="A verb that makes one clip.", show_default=False)],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENTS", help="Its arguments and options, as without `submit`."),
    ] = None,
    server: Server = None,
    token_env: TokenEnv = None,
    priority: Annotated[
        int, typer.Option("--priority", metavar="N", help="Jobs of a higher one start first.", rich_help_panel=JOB)
    ] = 0,
    name: Annotated[str | None, option("--name", metavar="TEXT", panel=JOB, help="A name for the job.")] = None,
    key: Annotated[
        str | None,
        option(
            "--key",
            metavar="TEXT",
            panel=JOB,
            help="An idempotency key: the same command with it again is the same job.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Submit a clip to a server and print the id of the job: kinema submit generate "a red ball" --seed 7.

    Options of `submit` come before the verb, those of the verb after it. `-o` sets the format and the name of the
    clip; `kinema jobs get ID` saves it.
    """
    with submitting(Submission(server, token_env, priority, name, key)):
        code = application(verb)([verb, *(arguments or [])], prog_name="kinema submit", standalone_mode=False)
    raise typer.Exit(code if isinstance(code, int) else 0)
