"""Runs commands with wrong inputs in this process and prints, as JSON, what each said. See test_cli_refusals.py."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from kinema.core.chunk import Chunk
from kinema.media.write import write


class Begun(Exception):
    """Work would have been begun."""


def main() -> None:
    asked: list[str] = json.loads(sys.stdin.read())
    make_inputs()
    import typer.testing
    from cli_tools import run

    from kinema.cli.main import app

    stop_before_work()
    built = typer.testing._get_command(app)  # once, not for each of hundreds
    typer.testing._get_command = lambda _: built
    run("--version")
    found: dict[str, Any] = {}
    for command in asked:
        before, started = "torch" in sys.modules, time.process_time()
        try:
            result = run(*command.split())
            code: Any = result.exit_code
            told = result.stderr if code else ""
        except Begun:
            code, told = "begun", ""
        except BaseException as error:
            code, told = "raised", repr(error)
        found[command] = {
            "code": code, "told": plain(told), "seconds": time.process_time() - started,
            "torch": "torch" in sys.modules and not before and code not in ("begun", 0),
        }  # fmt: skip
    sys.stdout.write(json.dumps(found))


def plain(text: str) -> str:
    """One line, without what differs between machines and versions."""
    text = " ".join(text.split())
    text = re.sub(r"Known: .*? `kinema", "Known: ... `kinema", text)
    return text.replace(str(Path.cwd()), "HERE")


def stop_before_work() -> None:
    import kinema.cli.interpolate
    import kinema.cli.mask
    import kinema.cli.work
    import kinema.conditions.control
    import kinema.media.write
    import kinema.music

    def begun(*_: Any, **__: Any) -> Any:
        raise Begun

    kinema.cli.work.load_engine = begun
    kinema.cli.interpolate._run = begun
    kinema.cli.mask._write = begun
    kinema.conditions.control.write = begun
    kinema.media.write.write = begun
    kinema.music.save = begun


def make_inputs() -> None:
    import av

    noise = np.random.default_rng(0).integers(0, 255, (8, 48, 64, 3), np.uint8)
    write([Chunk(noise, 0, 8.0, np.zeros((48000, 1), np.float32))], "good.mp4")
    write([Chunk(noise[:1], 0, 8.0)], "photo.png")
    write([Chunk(noise, 0, 40.0)], "fast.gif")
    Path("text.txt").write_text("just words\n")
    Path("empty.mp4").touch()
    Path("cut.mp4").write_bytes(Path("good.mp4").read_bytes()[:700])
    Path("cut.png").write_bytes(Path("photo.png").read_bytes()[:2000])
    Path("bare").mkdir()
    Path("bare/readme.txt").write_text("nothing to see")
    Path("clips").mkdir()
    Path("clips/good.mp4").write_bytes(Path("good.mp4").read_bytes())
    Path("broken").mkdir()
    Path("broken/cut.mp4").write_bytes(Path("good.mp4").read_bytes()[:700])
    Path("done").mkdir()
    settings = {"recipe": "lora", "minutes": 1.0, "options": {"data": "clips", "rank": "8"}}
    Path("done/stages.json").write_text(json.dumps({"schema": 1, "data": {"minutes": 0.1}, "settings": settings}))
    with av.open("sound.mp4", "w") as file:
        stream = file.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
