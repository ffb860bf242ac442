"""`kinema channel`: a channel that runs day and night."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import RequestError
from ..core.outside import for_terminal
from . import exits
from .channel_status import status_line, status_lines
from .exits import guarded
from .options import AsJson, option
from .piping import no_stdout
from .say import answer, log_to_stderr, say

if TYPE_CHECKING:
    from ..channel.config import ChannelConfig

app = typer.Typer(
    no_args_is_help=True, help="Run a channel: it writes, generates and broadcasts a programme, day and night."
)
DEFAULT = Path("channel.toml")
File = Annotated[Path, typer.Argument(metavar="FILE", help="The channel file.")]


@app.callback()
def _group() -> None:
    """Run a channel: it writes, generates and broadcasts a programme, day and night."""


@app.command("init")
@guarded
def init(file: File = DEFAULT, as_json: AsJson = False) -> None:
    """Write a channel file with comments; it runs offline without changes."""
    from ..channel import control

    path = control.init(file)
    answer({"path": str(path)}, as_json, f"{path}\nStart it with: kinema channel start {path}")


@app.command("start")
@guarded
def start(file: File = DEFAULT, as_json: AsJson = False) -> None:
    """Run the channel in the foreground until Ctrl-C or `kinema channel stop`. With --json: a status every second."""
    from ..channel import control

    log_to_stderr(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    shown: list[str] = []
    page = _config(file).page

    def report(status: dict[str, Any]) -> None:
        if page.port and not shown and not as_json:
            say(f"page http://{page.host}:{page.port}/  stream http://{page.host}:{page.port}/live.m3u8")
        if as_json:
            typer.echo(json.dumps(status))
            return
        line = status_line(status)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[2K{for_terminal(line, 200)}")
        elif shown[-1:] != [line]:
            say(line, err=True)
        shown[:] = [line]
        sys.stderr.flush()

    exits.begin()
    control.start(file, stop, report)
    if not as_json:
        say(*[""] * sys.stderr.isatty(), "Stopped.", err=True)


@app.command("stop")
@guarded
def stop(file: File = DEFAULT, as_json: AsJson = False) -> None:
    """Stop the channel, and wait until it has stopped."""
    from ..channel import control

    stopped = control.stop(_config(file))
    answer({"stopped": stopped}, as_json, "Stopped." if stopped else "It was not running.")


@app.command("status")
@guarded
def status(file: File = DEFAULT, as_json: AsJson = False) -> None:
    """Show the status: the clip on air, the stock, shots in the making, and shots set aside with their reasons."""
    from ..channel import control

    found = control.status(_config(file))
    if as_json:
        typer.echo(json.dumps(found))
        return
    say(*status_lines(found))


@app.command("queue")
@guarded
def queue(
    file: File = DEFAULT,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="Maximum of each kind.", min=1, max=1000)] = 10,
    as_json: AsJson = False,
) -> None:
    """List upcoming shots: queued by hand, ready and not aired yet, in the making, planned."""
    from ..channel import control

    found = control.queue(_config(file), limit)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for kind, shots in found.items():
        for shot in shots:
            say(f"{kind:<8} {shot['id']}  {shot['title']}: {shot['prompt']}")


def _check_playlist(output: Path) -> None:
    """Raise RequestError for an existing file that is not an ffconcat list."""
    try:
        with output.open("rb") as file:
            is_list = file.read(16) == b"ffconcat version" if output.is_file() else False
    except FileNotFoundError:
        return
    except OSError:
        is_list = False
    if not is_list:
        raise RequestError(f"{output}: exists and is not an ffconcat list; it is not replaced.", field="output")


@app.command("playlist")
@guarded
def playlist(
    file: File = DEFAULT,
    output: Annotated[
        Path, option("--output", "-o", metavar="FILE", help="The list; an older one is replaced.", panel="Options")
    ] = Path("channel.ffconcat"),
    as_json: AsJson = False,
) -> None:
    """Write the channel's clips as an ffconcat list for ffmpeg."""
    from ..channel import control

    no_stdout(output, "A list of clips")
    _check_playlist(output)
    clips = control.playlist(_config(file), output)
    if as_json:
        typer.echo(json.dumps({"path": str(output), "clips": [clip.id for clip in clips]}))
        return
    say(f"{output}: {len(clips)} clips, {sum(clip.seconds for clip in clips):.0f} s")
    say(f"ffmpeg -re -stream_loop -1 -f concat -safe 0 -i {output} -c copy -f flv rtmp://HOST/APP/KEY")


@app.command("skip")
@guarded
def skip(file: File = DEFAULT, as_json: AsJson = False) -> None:
    """Skip the clip on air."""
    from ..channel import control

    control.skip(_config(file))
    answer({"skip": True}, as_json, "The clip will be skipped at its next keyframe.")


@app.command("ban")
@guarded
def ban(
    shot: Annotated[
        str, typer.Argument(metavar="SHOT", help="The shot's id, see `queue` and `status`.", show_default=False)
    ],
    file: File = DEFAULT,
    reason: Annotated[
        str, option("--reason", metavar="TEXT", help="The reason, for the record.", panel="Options")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Never generate or show a shot again; if it is on air, it is skipped."""
    from ..channel import control

    found = control.ban(_config(file), shot, reason)
    answer(found, as_json, f"{shot} is banned.")


@app.command("suggest")
@guarded
def suggest(
    theme: Annotated[str, typer.Argument(metavar="THEME", help="The theme, as a viewer typed it.", show_default=False)],
    file: File = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Add a viewer's theme: it is moderated, and one of the next episodes is about it."""
    from ..channel import control

    waiting = control.suggest(_config(file), theme)
    answer({"waiting": waiting}, as_json, f"Added; {waiting} waiting.")


@app.command("page")
@guarded
def page(
    file: File = DEFAULT,
    host: Annotated[
        str | None, option("--host", metavar="ADDRESS", help="Address. Default: the file's.", panel="Options")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="0: any free port. Default: the file's.", min=0, max=65535)
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="The owner's token. Default: from the environment."),
    ] = None,
) -> None:  # fmt: skip
    """Serve a channel's page, stream and HTTP API until Ctrl-C; `start` does so too."""
    from ..channel.web.owner import token_from
    from ..channel.web.site_process import serve

    serve(_config(file), host=host, port=port, token=token_from(token_file), report=say)


@app.command("demo")
@guarded
def demo(
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", help="Default: 8080 or the next free port.", min=0, max=65535),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="Folder for the channel. Default: a temporary one."),
    ] = None,
) -> None:  # fmt: skip
    """Run a demo channel with page, music and filler until Ctrl-C."""
    import contextlib
    import time

    from ..channel import demo as channel
    from ..core.leftovers import temporary_folder

    log_to_stderr(logging.WARNING)
    stop, began = threading.Event(), time.monotonic()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    found = channel.free_port(port)

    def on_air(address: str) -> None:
        say(
            f"On air after {time.monotonic() - began:.0f} s.", f"page    {address}", f"stream  {address}live.m3u8",
            "Ctrl-C stops it. New clips are added as they are generated.",
        )  # fmt: skip

    with contextlib.ExitStack() as kept:
        if folder is None:
            folder = kept.enter_context(temporary_folder("tv"))
        file = channel.write_file(folder, found)
        say(f"Starting a channel in {folder} ...")
        exits.begin()
        channel.run(file, found, stop, on_air)
        say("Stopped.")


def _config(file: Path) -> ChannelConfig:
    from ..channel.config import read

    return read(file)
