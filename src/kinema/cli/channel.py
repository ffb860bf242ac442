"""`kinema channel` and `kinema worker`: a channel that runs day and night."""

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
from .exits import guarded
from .options import AsJson, option
from .piping import no_stdout
from .say import answer, log_to_stderr, say, say_aside

if TYPE_CHECKING:
    from ..channel.config import ChannelConfig

app = typer.Typer(no_args_is_help=True, help="Run a channel: it writes, makes and shows a programme, day and night.")
DEFAULT = Path("channel.toml")
File = Annotated[Path, typer.Argument(metavar="FILE", help="The channel's file.")]


@app.callback()
def _group() -> None:
    """Run a channel: it writes, makes and shows a programme, day and night."""


@app.command("init")
@guarded
def init(file: File = DEFAULT, as_json: AsJson = False) -> None:
    """Write a channel's file: commented, and runnable as it is, offline."""
    from ..channel import control

    path = control.init(file)
    told = f"{path}\nStart it with: kinema channel start {path}"
    answer({"path": str(path)}, as_json, told)


@app.command("start")
@guarded
def start(file: File = DEFAULT, as_json: AsJson = False) -> None:
    """Run the channel in the foreground until Ctrl-C or `kinema channel stop`. With --json: a status a second."""
    from ..channel import control

    log_to_stderr(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    told: list[str] = []

    page = _config(file).page

    def tell(status: dict[str, Any]) -> None:
        if page.port and not told and not as_json:
            say(f"page http://{page.host}:{page.port}/  stream http://{page.host}:{page.port}/live.m3u8")
        if as_json:
            typer.echo(json.dumps(status))
            return
        line = _line(status)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[2K{for_terminal(line, 200)}")
        elif told[-1:] != [line]:
            say(line, err=True)
        told[:] = [line]
        sys.stderr.flush()

    exits.begin()
    control.start(file, stop, tell)
    if not as_json:
        say(*[""] * sys.stderr.isatty(), "Stopped.", err=True)


@app.command("stop")
@guarded
def stop(file: File = DEFAULT, as_json: AsJson = False) -> None:
    """Stop the channel and wait until it has stopped."""
    from ..channel import control

    stopped = control.stop(_config(file))
    answer({"stopped": stopped}, as_json, "Stopped." if stopped else "It was not running.")


@app.command("status")
@guarded
def status(file: File = DEFAULT, as_json: AsJson = False) -> None:
    """How the channel is: on air, stock, what is being made, what was set aside and why."""
    from ..channel import control

    found = control.status(_config(file))
    if as_json:
        typer.echo(json.dumps(found))
        return
    library, producer = found["library"], {"doing": "starting", **found["producer"]}
    size = f"{library['bytes'] / 1e6:,.0f} MB"
    lines = [
        f"{found['title']}: {'running' if found['running'] else 'not running'}; {found['folder']}",
        f"now        {found['time'][11:16]}, {found['theme']!r}",
        f"on air     {_on_air(found)}",
        f"stock      {found['fresh']} new clips of this theme; {library['ready']} clips in all, {size}",
        f"producer   {producer['doing'] if producer['alive'] else 'not running'}",
    ]
    lines += [_begun(shot, producer["alive"]) for shot in producer.get("making", [])]
    lines += [f"worker     {each['id']} {each['doing']}" for each in producer.get("workers", []) if producer["alive"]]
    lines += [f"trouble    {producer[name]}" for name in ("trouble", "writer") if producer.get(name)]
    lines += [f"alarm      {alarm}" for alarm in (found["playout"] or {}).get("alarms", []) if found["running"]]
    lines += [f"set aside  {shot['id']}: {shot['reason']}" for shot in found["set_aside"]]
    say(*lines)


@app.command("queue")
@guarded
def queue(
    file: File = DEFAULT,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="Of each kind.", min=1, max=1000)] = 10,
    as_json: AsJson = False,
) -> None:
    """What is coming: put up next by hand, ready and not yet aired, in the making, planned."""
    from ..channel import control

    found = control.queue(_config(file), limit)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for kind, shots in found.items():
        for shot in shots:
            say(f"{kind:<8} {shot['id']}  {shot['title']}: {shot['prompt']}")


def _check_playlist(output: Path) -> None:
    """RequestError where another file than such a list would be replaced: the channel's own, say."""
    try:
        with output.open("rb") as file:
            is_list = file.read(16) == b"ffconcat version" if output.is_file() else False
    except FileNotFoundError:
        return
    except OSError:
        is_list = False
    if not is_list:
        raise RequestError(f"{output}: is there and is no ffconcat list; it is not replaced.", field="output")


@app.command("playlist")
@guarded
def playlist(
    file: File = DEFAULT,
    output: Annotated[
        Path, option("--output", "-o", metavar="FILE", help="The list; replaced whole.", panel="Options")
    ] = Path("channel.ffconcat"),
    as_json: AsJson = False,
) -> None:
    """Write the channel's clips as an ffconcat list, for those who run ffmpeg themselves."""
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
    """Leave the clip that is on air."""
    from ..channel import control

    control.skip(_config(file))
    answer({"skip": True}, as_json, "It will be left at its next keyframe.")


@app.command("ban")
@guarded
def ban(
    shot: Annotated[str, typer.Argument(metavar="SHOT", help="Its id, see `queue` and `status`.", show_default=False)],
    file: File = DEFAULT,
    reason: Annotated[str, option("--reason", metavar="TEXT", help="Why, for the record.", panel="Options")] = "",
    as_json: AsJson = False,
) -> None:
    """Never make or show a shot; if it is on air, it is left."""
    from ..channel import control

    found = control.ban(_config(file), shot, reason)
    answer(found, as_json, f"{shot} is banned.")


@app.command("suggest")
@guarded
def suggest(
    theme: Annotated[str, typer.Argument(metavar="THEME", help="As a viewer typed it.", show_default=False)],
    file: File = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Take a viewer's theme: it is moderated, and one of the next episodes will be about it."""
    from ..channel import control

    waiting = control.suggest(_config(file), theme)
    answer({"waiting": waiting}, as_json, f"Taken; {waiting} wait.")


@app.command("page")
@guarded
def page(
    file: File = DEFAULT,
    host: Annotated[
        str | None, option("--host", metavar="ADDRESS", help="Instead of the file's.", panel="Options")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="Instead of the file's; 0: any.", min=0, max=65535)
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="With the owner's token; else from the environment."),
    ] = None,
) -> None:  # fmt: skip
    """Serve a channel's page, stream and verbs, until Ctrl-C; `start` does so too."""
    from ..channel.web.owner import token_from
    from ..channel.web.site_process import serve

    serve(_config(file), host=host, port=port, token=token_from(token_file), report=say)


@app.command("demo")
@guarded
def demo(
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", help="Of the page; 8080 or the next free one.", min=0, max=65535),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="To keep the channel in; else it is deleted at the end."),
    ] = None,
) -> None:  # fmt: skip
    """A channel out of nothing, on air at once with page, music and filler; Ctrl-C stops it."""
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
            "Ctrl-C stops it. New clips come in as they are made.",
        )  # fmt: skip

    with contextlib.ExitStack() as kept:
        if folder is None:
            folder = kept.enter_context(temporary_folder("tv"))
        file = channel.write_file(folder, found)
        say(f"A channel begins in {folder} ...")
        exits.begin()
        channel.run(file, found, stop, on_air)
        say("Stopped.")


@guarded
def worker(
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", help="As postgresql://user@host:5432/name; no password in it.",
                     show_default=False),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT", help="Take orders over HTTP instead (port 0: any free one).",
                     show_default=False),
    ] = None,
    models: Annotated[
        list[str] | None,
        option("--model", metavar="NAME", help="With --listen: a model to draw with; may be repeated.",
               panel="Options"),
    ] = None,
    device: Annotated[str, option("--device", metavar="D", help="With --listen: where.", panel="Options")] = "",
    token_env: Annotated[
        str | None, option("--token-env", metavar="VAR", help="With --listen: the variable with the token to ask for.",
                           panel="Options")
    ] = None,
    password_env: Annotated[
        str | None, option("--password-env", metavar="VAR", help="The environment variable with its password.",
                           panel="Options")
    ] = None,
    lost: Annotated[
        float, typer.Option("--lost", metavar="S", help="A worker silent for so long is taken for dead.", min=1)
    ] = 60.0,
) -> None:  # fmt: skip
    """Draw shots for channels elsewhere, until Ctrl-C: for those of a PostgreSQL database (any number of workers, on
    any machines), or for whoever orders over HTTP (`making.model = "kinema:http://HOST:PORT/MODEL"`)."""
    if (database is None) == (listen is None):
        raise RequestError("A worker has a database, or it listens.", field="worker", legal="--database or --listen")
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
    """End now: a thread that draws would be waited for, and its shot is somebody else's already."""
    import os

    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _config(file: Path) -> ChannelConfig:
    from ..channel.config import read

    return read(file)


def _on_air(status: dict[str, Any]) -> str:
    if not status["running"] or status["on_air"] is None:
        return "nothing"
    told = dict.fromkeys((status["on_air"]["id"], status["on_air"]["kind"]))
    return f"{status['on_air']['title']} ({', '.join(told)})"


def _begun(shot: dict[str, Any], alive: bool) -> str:
    """A shot that was begun: nobody makes it while the producer does not run."""
    told = " ".join(part for part in (shot["id"], shot["step"], f"({shot['quality']})") if part)
    return f"making     {told}" if alive else f"begun      {told}"


def _line(status: dict[str, Any]) -> str:
    """The channel on one line."""
    producer = status["producer"]
    doing = producer.get("doing", "starting") if producer["alive"] else "not running"
    aside = f"; {status['shots']['aside']} set aside" if status["shots"]["aside"] else ""
    stock = f"{status['fresh']} new, {status['library']['ready']} clips"
    return f"on air: {_on_air(status)}; {stock}; producer: {doing}{aside}"
