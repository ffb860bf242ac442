"""`kinema samples`: inputs for the examples."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from .exits import guarded
from .options import AsJson
from .progress import reporter
from .say import say

START_S, WORK_S = 1.6, 1.2
"""Seconds of the start and of rendering, until they have been measured on this machine."""


@guarded
def samples(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder; it is created.")] = Path("samples"),
    force: Annotated[bool, typer.Option("--force", help="Replace existing samples.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write inputs for the examples: images, clips, a path and a film plan that suit the miniatures."""
    from ..engine.timed import Work, timed
    from ..workflow.samples import SAMPLES, write_samples

    started = time.perf_counter()
    with (
        reporter(as_json) as shown,
        timed(Work("samples", (("samples", 1.0),), START_S, WORK_S, 1.0), shown) as on_event,
    ):
        paths = write_samples(folder, force=force, on_event=on_event)
    found = [
        {"path": str(path), "what": sample.what, "command": sample.next_command(folder)}
        for path, sample in zip(paths, SAMPLES, strict=True)
    ]
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "samples": found}))
        return
    for each in found:
        say(f"{each['path']}  {each['what']}", f"    {each['command']}")
    say(f"{len(found)} samples in {time.perf_counter() - started:.1f} s")
