"""`kinema workflow`: ComfyUI's workflow files, shown, converted, run and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..core.apart import keep_apart
from ..core.errors import RequestError
from ..core.whole import write_text
from .exits import guarded
from .options import OUTPUT, Anyway, AsJson, Device, option
from .output import check_parent
from .say import note, say

app = typer.Typer(no_args_is_help=True, help="Workflows of ComfyUI.")
File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", show_default=False,
        help="A workflow as JSON, or a picture, clip, sound or SVG that carries one.",
    ),
]  # fmt: skip


@app.callback()
def _group() -> None:
    """Workflows of ComfyUI, from JSON files and from the media that carry them."""


@app.command("show")
@guarded
def show(
    file: File,
    output_: Annotated[
        str | None, option("--output", "-o", metavar="FILE", panel=OUTPUT, help="Also draw the graph, as .svg.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the nodes of a workflow, what each becomes in Kinema, and what is unknown or missing."""
    from ..workflow.draw_svg import svg
    from ..workflow.draw_text import lines
    from ..workflow.findings import examine
    from ..workflow.formats.read import read_workflow

    target = _target(output_, "an SVG", ".svg", file)
    found = examine(read_workflow(file))
    if target is not None:
        write_text(target, svg(found))
    if as_json:
        typer.echo(json.dumps(found.to_dict() | ({} if target is None else {"path": str(target)})))
        return
    say(*lines(found))
    if target is not None:
        say(str(target))


@app.command("convert")
@guarded
def convert(
    file: File,
    seed: Annotated[
        int | None,
        option("--seed", metavar="N", help="Of choices in prompts, as {day|night}. Default: new choices each time."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the API prompt of a workflow as JSON, exactly as ComfyUI's page would send it.

    Unknown nodes and missing models are named on stderr.
    """
    from ..workflow.findings import examine
    from ..workflow.formats.convert import to_prompt
    from ..workflow.formats.read import read_workflow

    workflow = read_workflow(file)
    prompt = to_prompt(workflow, seed)
    if not as_json:
        for line in examine(workflow).missing():
            note(line)
    typer.echo(json.dumps(prompt, indent=None if as_json else 2))


@app.command("run")
@guarded
def run(
    file: File,
    set_: Annotated[
        list[str] | None,
        option("--set", metavar="NODE.INPUT=VALUE", panel="Options", help="Change an input; NODE is an id, a class or "
               "a title. Repeatable."),
    ] = None,
    model: Annotated[
        list[str] | None,
        option("--model", metavar="FILE=MODEL", panel="Options", help="Use a model or a LoRA file in place of a file "
               "that the workflow names; FILE=none leaves a LoRA out. Repeatable."),
    ] = None,
    inputs: Annotated[
        Path,
        option("--inputs", metavar="DIR", panel="Options", help="The folder of its pictures and clips. Default: this "
               "one."),
    ] = Path(),
    output_: Annotated[
        str | None,
        option("--output", "-o", metavar="FILE", panel=OUTPUT, help="The file of the only result, or a folder. "
               "Default: this folder."),
    ] = None,
    no_cache: Annotated[
        bool, option("--no-cache", panel="Options", help="Compute everything, and keep no results of nodes.")
    ] = False,
    device: Device = None,
    anyway: Anyway = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Run a workflow: generate what it writes, with its samplers and noise, without ComfyUI.

    Results of its nodes are kept, so that a second run computes only what has changed.
    """
    from ..workflow.findings import examine
    from ..workflow.formats.api import parse_api
    from ..workflow.formats.convert import to_prompt
    from ..workflow.formats.read import read_workflow
    from ..workflow.settings import with_values
    from .workflow_run import chosen_models, run_to_files

    workflow = read_workflow(file)
    work = examine(parse_api(with_values(to_prompt(workflow), set_ or ()), workflow.source))
    run_to_files(
        work, chosen_models(model or []), inputs, output_, file, device, anyway=anyway, use_cache=not no_cache,
        as_json=as_json,
    )  # fmt: skip


@app.command("cache")
@guarded
def cache(
    clear: Annotated[bool, option("--clear", panel="Options", help="Remove the results that are not in use.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the size of the results that `run` keeps, or remove them.

    KINEMA_WORKFLOW_CACHE_GB sets the most that they take, 20 by default; the oldest are removed first.
    """
    from ..workflow.run.cache import NodeCache
    from .clip_work import readable

    with NodeCache() as found:
        removed = found.clear() if clear else (0, 0)
        count, size = found.usage()
        if as_json:
            shown = {"folder": str(found.folder), "results": count, "bytes": size, "most_bytes": found.max_bytes}
            typer.echo(json.dumps(shown | ({"removed": removed[0], "removed_bytes": removed[1]} if clear else {})))
            return
        if clear:
            say(f"Removed {removed[0]} results ({readable(removed[1])}).")
        say(f"{found.folder}: {count} results ({readable(size)} of {readable(found.max_bytes)})")


@app.command("export")
@guarded
def export(
    request: Annotated[
        Path, typer.Argument(metavar="REQUEST", show_default=False, help="A request file, .json or .yaml.")
    ],
    output_: Annotated[
        str | None,
        option("--output", "-o", metavar="FILE", panel=OUTPUT, help="A .json file. Default: print the workflow."),
    ] = None,
) -> None:
    """Write a request as a ComfyUI workflow (an API prompt), for Wan 2.1 text to video and Stable Video Diffusion.

    The seed is written, so ComfyUI repeats its own frames; they differ from Kinema's.
    """
    from ..core.request import Request
    from ..engine.plan import plan
    from ..weights.store import find
    from ..workflow.export import export as exported

    target = _target(output_, "a JSON", ".json", request)
    wanted = Request.from_file(request)
    found = exported(plan(wanted), find(wanted.model))
    for line in found.notes:
        note(line)
    if target is None:
        typer.echo(json.dumps(found.prompt, indent=2))
        return
    write_text(target, json.dumps(found.prompt, indent=2) + "\n")
    say(str(target))


def _target(given: str | None, kind: str, suffix: str, reads: str | Path) -> Path | None:
    """The file of `--output`. RequestError: another suffix, a missing folder, or the file that the command reads."""
    if given is None:
        return None
    target = Path(given)
    if target.suffix.lower() != suffix:
        raise RequestError(f"{target}: not {kind} file.", field="output", value=given, legal=f"a name{suffix}")
    check_parent(target)
    keep_apart({"output": target}, [reads])
    return target
