"""`kinema generate` and `kinema plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import RequestError
from . import many, output, show
from .exits import guarded
from .options import BATCH, OUTPUT, AsJson, GenerateOptions, PromptOptions, option, takes
from .piping import writes
from .request import prompt_request, settings, typed_conditions, typed_fields
from .work import make_clip

RUN_ONLY = ("model",)
"""Fields of a request that may be typed with `--resume` alone: where the model is now."""


@guarded
@writes()
@takes(GenerateOptions)
def generate(
    options: GenerateOptions,
    seeds: Annotated[
        str | None,
        option("--seeds", metavar="LIST", panel=BATCH, help="Generate a clip for each seed, as 1-8 or 1-8,12."),
    ] = None,
    prompts: Annotated[
        Path | None,
        option(
            "--prompts",
            metavar="FILE",
            panel=BATCH,
            help="Generate a clip for each line of a text file, with every seed. An interrupted run resumes.",
        ),
    ] = None,
    grid: Annotated[
        str | None,
        option(
            "--grid",
            metavar="FILE",
            panel=BATCH,
            help="Also write all clips side by side: one frame of each to a .png or .jpg, or playing to a .mp4, .webm "
            "or .gif.",
        ),
    ] = None,
) -> None:
    """Generate a clip from a prompt, a request file, images, clips and paths."""
    if seeds is not None or prompts is not None or grid is not None:
        many.generate_many(options, seeds, prompts, grid)
        return
    request = None if _continues_alone(options) else prompt_request(options)
    make_clip(options, request, output.new_name, [options.request, *options.trajectory, options.camera])


@guarded
@takes(PromptOptions)
def plan(
    options: PromptOptions,
    schema: Annotated[
        bool,
        typer.Option("--schema", help="Print the JSON schema of a request and exit.", rich_help_panel=OUTPUT),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the plan of a request, with its estimated time and memory. Requires no weights."""
    if schema:
        from ..core.request import Request

        typer.echo(json.dumps(Request.json_schema(), indent=2))
        return
    from . import work

    found = work.plan(prompt_request(options), options.device, anyway=True)
    if as_json:
        typer.echo(json.dumps(found.model_dump(mode="json")))
    else:
        show.plan(found)


def _continues_alone(options: GenerateOptions) -> bool:
    """Whether `--resume FILE` stands without a request, which is then that of the state. Raises RequestError for
    options that would change it."""
    if options.resume is None or options.prompt is not None or options.request is not None:
        return False
    typed = {**typed_fields(options), **settings(options.set_)}
    names = [name for name in typed if name not in RUN_ONLY]
    names += [condition["kind"] for condition in typed_conditions(options)]
    if names:
        raise RequestError(
            f"--resume runs the request in {options.resume}: {', '.join(names)} cannot be changed.", field=names[0],
            legal="--resume alone, or with the whole command as it was; -o, --sheet, --preview, --model, --device, "
            "--dtype and --keep-state may differ",
        )  # fmt: skip
    return True
