"""`kinema generate` and `kinema plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.apart import named
from ..core.errors import RequestError
from . import many, output, show
from .arguments import MANY, OUTPUT, AsJson, GenerateOptions, Output, Sheet, option, takes_wish
from .exits import guarded
from .kept import KeepEvery, KeepState, KeptState, Preview, read_state
from .piping import writes
from .request import build

if TYPE_CHECKING:
    from .work import ClipWork


@guarded
@writes()
@takes_wish
def generate(
    wish: GenerateOptions,
    output_: Output = None,
    sheet: Sheet = None,
    preview: Preview = None,
    keep_state: KeepState = None,
    keep_every: KeepEvery = None,
    seeds: Annotated[
        str | None,
        option("--seeds", metavar="LIST", panel=MANY, help="Make a clip for each seed, as 1-8 or 1-8,12."),
    ] = None,
    prompts: Annotated[
        Path | None,
        option(
            "--prompts",
            metavar="FILE",
            panel=MANY,
            help="Make a clip for each line of a text file, with every seed. A run that was stopped goes on.",
        ),
    ] = None,
    grid: Annotated[
        str | None,
        option(
            "--grid",
            metavar="FILE",
            panel=MANY,
            help="Also show all of them side by side: on a .png or .jpg, or playing in a .mp4, .webm or .gif.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        option("--resume", metavar="FILE", panel=OUTPUT, help="Go on from a saved state, to the identical clip."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a clip from a prompt, a request file, pictures, clips and paths."""
    from . import work

    if seeds is not None or prompts is not None or grid is not None:
        alone = {"sheet": sheet, "preview": preview, "keep_state": keep_state, "keep_every": keep_every}
        many.generate_many(wish, seeds, prompts, grid, output_, {**alone, "resume": resume}, as_json)
        return
    kept = KeptState(preview, keep_state, keep_every)
    if output_ is not None:
        output.check_clip(output_)
    if sheet is not None:
        output.check_sheet(sheet)
    kept.check()
    if resume is not None:
        job = _resumed(wish, resume)
        model = wish.model or job.plan.model
    else:
        request = build(wish)
        job, model = work.ClipWork(work.plan(request, wish.device, anyway=wish.anyway), ""), request.model
    job.target = output_ or str(output.new_name(job.plan))
    output.check_clip(job.target, job.plan.fps)
    job.sheet = sheet
    kept.settle(job, [*named(job.plan), wish.request, *wish.trajectory], resume)
    work.make(job, model, wish.device, wish.dtype, as_json)


@guarded
@takes_wish
def plan(
    wish: GenerateOptions,
    schema: Annotated[
        bool,
        typer.Option("--schema", help="Print the JSON schema of a request and exit.", rich_help_panel=OUTPUT),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a request would become, with the seconds and GB to expect. Needs no weights."""
    if schema:
        from ..core.request import Request

        typer.echo(json.dumps(Request.json_schema(), indent=2))
        return
    from . import work

    found = work.plan(build(wish), wish.device, anyway=True)
    if as_json:
        typer.echo(json.dumps(found.model_dump(mode="json")))
    else:
        show.plan(found)


def _resumed(wish: GenerateOptions, state: Path) -> ClipWork:
    """The job that a saved state belongs to; its plan is the state's, nothing else may be asked."""
    from . import work

    asked = [name for name, value in vars(wish).items() if value and name not in ("model", "device", "dtype", "anyway")]
    if asked:
        raise RequestError(
            f"--resume goes on with the request in {state}; {', '.join(asked).rstrip('_')} cannot be changed now.",
            field=asked[0].rstrip("_"),
            legal="-o, --sheet, --preview, --model, --device, --dtype, --keep-state",
        )
    from ..engine.rerun import check_plan
    from ..weights import store

    found = read_state(state)
    others = [store.find(step.model) for step in found.plan.by_model]
    check_plan(found.plan, store.find(wish.model or found.plan.model), wish.device, force=True, others=others)
    return work.ClipWork(found.plan, "", resume=found)
