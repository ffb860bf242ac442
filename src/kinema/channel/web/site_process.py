"""The site of a channel, as a separate process.

    python -m kinema.channel.web.site_process CHANNEL.toml [--host ADDRESS] [--port N] [--token-file FILE] [--kept]

The owner's token comes from a file or the environment (KINEMA_CHANNEL_TOKEN), never from the command line.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ...core.errors import KinemaError
from ...http.listening import address_of, check_can_serve, listen
from ...http.serving import serve as serve_app
from ..config import ChannelConfig, read
from .owner import token_from

CANNOT = 2


def serve(
    config: ChannelConfig, *, host: str | None = None, port: int | None = None, token: str | None = None,
    report: Callable[[str], None] = lambda address: None,
) -> None:  # fmt: skip
    """Serve a channel's site until SIGTERM or SIGINT. host, port: override those of the channel file. report: called
    with the address once the site listens. RequestError: address in use, or token too short."""
    check_can_serve("A channel's page", "channel")
    from ..library import Library
    from ..running import schedule
    from . import site
    from .commands import ChannelCommands

    settings = site.SiteSettings(
        name=config.title, theme=config.theme, schedule=schedule(config), timezone=config.timezone,
        names=config.page.names, token=token, suggestions=config.viewers.take, proxies=config.page.proxies,
    )  # fmt: skip
    Library.open(config.root).close()
    app = site.site(config.root, ChannelCommands(config), settings)
    sock = listen(host or config.page.host, config.page.port if port is None else port)
    report(address_of(sock))
    serve_app(app, sock, config.page.proxies)


def main(arguments: list[str] | None = None) -> int:
    reader = argparse.ArgumentParser(
        prog="python -m kinema.channel.web.site_process", description="The site of a channel."
    )
    reader.add_argument("file", type=Path)
    reader.add_argument("--host")
    reader.add_argument("--port", type=int)
    reader.add_argument("--token-file", type=Path)
    reader.add_argument("--kept", action="store_true", help="exit when the parent process exits")
    options = reader.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    log = logging.getLogger("kinema.channel")
    if options.kept:
        threading.Thread(target=_exit_with, args=(os.getppid(),), daemon=True).start()
    try:
        config, token = read(options.file), token_from(options.token_file)
        serve(
            config, host=options.host, port=options.port, token=token,
            report=lambda address: log.info("page %s", address),
        )  # fmt: skip
    except KinemaError as error:
        log.error("%s", error)
        return CANNOT
    return 0


def _exit_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
