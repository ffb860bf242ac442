"""`kinema serve`: jobs over HTTP and the home page."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from ..core.errors import RequestError
from .exits import guarded
from .options import PasswordEnv, option
from .say import log_to_stderr, say_aside


@guarded
def serve(
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="An address other than this machine's requires a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", help="0: any free port.", min=0, max=65535)
    ] = 8188,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", help="Worker processes; 0: only those started elsewhere.",
                          min=0, max=64)
    ] = 1,
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", show_default=False,
                     help="postgresql://user@host:5432/name or sqlite:///FILE. Default: a file of this user."),
    ] = None,
    password_env: PasswordEnv = None,
    token_env: Annotated[
        str | None,
        option("--token-env", metavar="VAR", help="The environment variable with the token that clients must send.",
               panel="Options"),
    ] = None,
    models: Annotated[
        list[str] | None,
        option("--model", metavar="NAME", help="A model that clients may use. Repeatable. Default: all of this "
               "machine.", panel="Options"),
    ] = None,
    warm: Annotated[
        list[str] | None,
        option("--warm", metavar="NAME", help="A model that workers load at once. Repeatable.", panel="Options"),
    ] = None,
    device: Annotated[
        str, option("--device", metavar="D", help="cuda, cuda:1, mps or cpu. Default: the best.", panel="Options")
    ] = "",
    names: Annotated[
        list[str] | None,
        option("--name", metavar="HOST", help="A host name by which clients reach this server. Repeatable.",
               panel="Options"),
    ] = None,
) -> None:  # fmt: skip
    """Serve jobs over HTTP and the home page until Ctrl-C. Commands on this machine hand their work to it."""
    from ..server.process import Serving
    from ..server.process import serve as run
    from ..server.settings import ServerSettings

    log_to_stderr(logging.INFO)
    token = secret(token_env, "token_env")
    settings = ServerSettings(
        token=token, names=tuple(names or ()), models=tuple(models or ()), device=device or None, workers=workers
    )
    where = Serving(host, port, with_password(database, secret(password_env, "password_env")), tuple(warm or ()))
    run(where, settings, _announce)


def _announce(url: str) -> None:
    """Print the address, for people and programs; to people also what they can do next."""
    say_aside(f"{url}/")
    if sys.stderr.isatty():
        say_aside(
            "Open this page in a browser. Other commands in another terminal use this server too. Ctrl-C ends it."
        )


def secret(variable: str | None, field: str) -> str | None:
    """The value of an environment variable. RequestError if it is not set."""
    if variable is None:
        return None
    value = os.environ.get(variable, "").strip()
    if not value:
        raise RequestError(f"The environment variable {variable} is not set.", field=field, value=variable)
    return value


def with_password(database: str | None, password: str | None) -> str | None:
    """The URL of a database with its password."""
    if database is None or password is None:
        return database
    from urllib.parse import quote, urlsplit

    parts = urlsplit(database)
    user, at, rest = parts.netloc.rpartition("@")
    if not at or ":" in user:
        raise RequestError("The password requires a URL with a user and no password.", field="database",
                           legal="postgresql://user@host:5432/name")  # fmt: skip
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{rest}").geturl()
