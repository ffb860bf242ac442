"""What the verbs that begin with a clip or a picture have in common: how it is made, and the way to a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..core.apart import keep_apart, named
from . import completion, output
from .arguments import OUTPUT, Anyway, AsJson, Device, Dtype, Output, Sheet, option, takes
from .exits import guarded
from .kept import KeepEvery, KeepState, KeptState, Preview, read_state
from .piping import writes

if TYPE_CHECKING:
    from ..core.request import Request


@dataclass
class How:
    """What all these verbs are asked beside their own words."""

    model: Annotated[
        str | None,
        option(
            "--model",
            "-m",
            metavar="MODEL",
            help="A name from `kinema models list`, a folder or a file.",
            complete=completion.models,
        ),
    ] = None
    seed: Annotated[
        int | None, option("--seed", metavar="N", help="The same seed makes the same clip. Default: a new one.")
    ] = None
    profile: Annotated[
        Literal["exact", "balanced", "fast"] | None,
        option("--profile", metavar="exact|balanced|fast", help="Default: balanced."),
    ] = None
    steps: Annotated[int | None, option("--steps", metavar="N", help="Denoising steps.")] = None
    guidance: Annotated[
        float | None, option("--guidance", metavar="G", help="How strictly to follow the prompt; 1 turns it off.")
    ] = None
    negative: Annotated[str | None, option("--negative", metavar="TEXT", help="What to avoid, in words.")] = None
    size: Annotated[
        str | None, option("--size", metavar="WxH", help="The model's canvas. Default: what suits the edit.")
    ] = None
    set_: Annotated[
        list[str],
        option("--set", metavar="KEY=VALUE", help="An option of the model (`kinema models show`). Repeatable."),
    ] = field(default_factory=list)
    anyway: Anyway = False
    device: Device = None
    dtype: Dtype = None
    output_: Output = None
    sheet: Sheet = None
    preview: Preview = None
    keep_state: KeepState = None
    keep_every: KeepEvery = None
    resume: Annotated[
        Path | None,
        option("--resume", metavar="FILE", panel=OUTPUT, help="The same command, gone on with from a saved state."),
    ] = None
    request_only: Annotated[
        bool, typer.Option("--request-only", help="Print the request and do nothing.", rich_help_panel=OUTPUT)
    ] = False
    as_json: AsJson = False


def verb(kind: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return lambda command: guarded(writes()(takes(kind, command)))


def make(
    how: How, given: str, prompt: str, conditions: list[dict[str, Any]], *, ending: str = "edited", **fields: Any
) -> None:
    """The request, the plan, the clip. given: the file it begins with, which names the result: GIVEN-ENDING.mp4. Other
    fields are those of a request."""
    from ..core.request import Request

    fields = {name: value for name, value in fields.items() if value is not None}
    fields |= said(how, fields.get("options"))
    run(how, given, Request(prompt=prompt, conditions=tuple(conditions), **fields), ending=ending)


def said(how: How, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """What was typed of `How`, as fields of a request. options: to begin with."""
    from ..core.request import Request, parse_size
    from .request import settings

    names = ("model", "seed", "profile", "steps", "guidance")
    fields: dict[str, Any] = {name: value for name in names if (value := getattr(how, name)) is not None}
    if how.negative is not None:
        fields["negative_prompt"] = how.negative
    if how.size is not None:
        fields["width"], fields["height"] = parse_size(how.size)
    fields |= {"options": options} if options else {}
    return fields | settings(how.set_, Request(options=options or {}))


def run(how: How, given: str, request: Request, *, ending: str) -> None:
    """Plan a request and make its clip, or print the request."""
    from . import work

    if how.output_ is not None:
        output.check_clip(how.output_)
    if how.sheet is not None:
        output.check_sheet(how.sheet)
    if not how.request_only:
        keep_apart({"output": how.output_, "sheet": how.sheet}, [given, *named(request)])
    if how.request_only:
        typer.echo(request.to_json())
        return
    kept = KeptState(how.preview, how.keep_state, how.keep_every)
    kept.check()
    state = None if how.resume is None else read_state(how.resume)
    if state is not None and request.seed is None:
        request = request.changed(seed=state.plan.seed)
    plan = work.plan(request, how.device, anyway=how.anyway)
    job = work.ClipWork(plan, target_of(how, given, ending), sheet=how.sheet, resume=state)
    output.check_clip(job.target, plan.fps)
    kept.settle(job, [given, *named(request)], how.resume)
    work.make(job, request.model, how.device, how.dtype, how.as_json)


def target_of(how: How, given: str, ending: str) -> str:
    """Where the result goes: what was typed, else GIVEN-ENDING.mp4 or the next free name. RequestError or MediaError
    where it cannot be written."""
    target = how.output_ or str(output.unused(Path(f"{output.stem(given, 'clip')}-{ending}.mp4")))
    output.check_clip(target)
    keep_apart({"output": target, "sheet": how.sheet}, [given])
    return target
