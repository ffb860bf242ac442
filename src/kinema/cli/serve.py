"""`kinema serve`: jobs over HTTP and the home page."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from ..core.environ import database_address, secret
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
    ui: Annotated[
        str | None,
        option("--ui", metavar="FOLDER|auto", help="ComfyUI's interface, served at /ui/: its folder, or the installed "
               "comfyui-frontend-package.", panel="Options"),
    ] = None,
) -> None:  # fmt: skip
    """Serve jobs over HTTP and the home page until Ctrl-C. Commands on this machine hand their work to it."""
    from ..server.comfy.interface_folder import BASE, interface_folder
    from ..server.process import Serving
    from ..server.process import serve as run
    from ..server.settings import ServerSettings

    log_to_stderr(logging.INFO)
    token = secret(token_env, "token_env") or None
    settings = ServerSettings(
        token=token,
        names=tuple(names or ()),
        models=tuple(models or ()),
        device=device or None,
        workers=workers,
        ui=None if ui is None else interface_folder(ui),
    )
    where = Serving(host, port, database_address(database, password_env), tuple(warm or ()))
    run(where, settings, lambda url: _announce(url, None if ui is None else f"{url}{BASE}/"))


def _announce(url: str, ui: str | None) -> None:
    """Print the addresses, for people and programs; to people also what they can do next."""
    say_aside(f"{url}/")
    if ui is not None:
        say_aside(f"ComfyUI's interface: {ui}")
    if sys.stderr.isatty():
        say_aside(
            "Open this page in a browser. Other commands in another terminal use this server too. Ctrl-C ends it."
        )
