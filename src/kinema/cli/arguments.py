"""The arguments that `generate` and `plan` share, declared once."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from . import completion

CONDITIONS, HOW, OUTPUT, MANY = "Pictures, clips and paths", "How to make it", "Output", "Many at once"


def option(
    *names: str, help: str, metavar: str = "TEXT", panel: str = HOW, complete: Callable[..., Any] | None = None
) -> Any:
    """An option without a default in its help. complete: what a shell may complete its value to (completion.py)."""
    return typer.Option(
        *names, help=help, metavar=metavar, rich_help_panel=panel, show_default=False, autocompletion=complete
    )


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.", rich_help_panel=OUTPUT)]
Anyway = Annotated[bool, typer.Option("--anyway", help="Go on although the model has not learnt what is asked of it.")]
Device = Annotated[
    str | None, option("--device", metavar="D", help="cuda, cuda:1, mps or cpu. Default: the best there is.")
]
Dtype = Annotated[
    str | None,
    option("--dtype", metavar="D", help="float32, bfloat16 or float16. Default: what suits the device."),
]


Enlarge = Annotated[int | None, typer.Option("--enlarge", metavar="K", hidden=True)]
"""The old name of `--upscale K`."""


@dataclass
class GenerateOptions:
    """What `generate` and `plan` are asked, as typed."""

    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPT",
            help="What to show, in words. May be left out with --request.",
            show_default=False,
        ),
    ] = None
    model: Annotated[
        str | None,
        option(
            "--model",
            "-m",
            metavar="MODEL",
            help="A name from `kinema models list`, a hub id, a folder or a file.",
            complete=completion.models,
        ),
    ] = None
    image: Annotated[
        str | None, option("--image", metavar="FILE", panel=CONDITIONS, help="The clip's first frame.")
    ] = None
    last: Annotated[str | None, option("--last", metavar="FILE", panel=CONDITIONS, help="The clip's last frame.")] = (
        None
    )
    reference: Annotated[
        list[str],
        option("--reference", metavar="FILE", panel=CONDITIONS, help="A picture of a thing to show. Repeatable."),
    ] = field(default_factory=list)
    source: Annotated[str | None, option("--source", metavar="CLIP", panel=CONDITIONS, help="A clip to edit.")] = None
    mask: Annotated[
        str | None,
        option(
            "--mask",
            metavar="MASK",
            panel=CONDITIONS,
            help="Where to repaint the source: a picture or clip (white = repaint), a box x0,y0,x1,y1 in "
            "fractions of the frame, everything or nothing.",
        ),
    ] = None
    trajectory: Annotated[
        list[str],
        option(
            "--trajectory",
            metavar="POINTS",
            panel=CONDITIONS,
            help="A path to follow: a text file with one x,y a line on a 256x256 canvas. Repeatable.",
        ),
    ] = field(default_factory=list)
    going_on: Annotated[
        str | None, option("--continue", metavar="CLIP", panel=CONDITIONS, help="A clip to go on from.")
    ] = None
    style: Annotated[
        list[str],
        option(
            "--style",
            metavar="LORA[:WEIGHT]",
            panel=CONDITIONS,
            help="A name from `kinema styles` or an adapter file, and its weight. Repeatable.",
            complete=completion.styles,
        ),
    ] = field(default_factory=list)
    size: Annotated[str | None, option("--size", metavar="WxH", help="Pixels, as 832x480.")] = None
    frames: Annotated[int | None, option("--frames", metavar="N", help="Length in frames.")] = None
    seconds: Annotated[float | None, option("--seconds", metavar="S", help="Length in seconds, instead.")] = None
    fps: Annotated[float | None, option("--fps", metavar="F", help="Frames a second.")] = None
    seed: Annotated[
        int | None,
        option("--seed", metavar="N", help="The same seed makes the same clip. Default: a new one."),
    ] = None
    steps: Annotated[int | None, option("--steps", metavar="N", help="Denoising steps.")] = None
    guidance: Annotated[
        float | None,
        option("--guidance", metavar="G", help="How strictly to follow the prompt; 1 turns it off."),
    ] = None
    negative: Annotated[str | None, option("--negative", metavar="TEXT", help="What to avoid, in words.")] = None
    profile: Annotated[
        Literal["exact", "balanced", "fast"] | None,
        option("--profile", metavar="exact|balanced|fast", help="Default: balanced."),
    ] = None
    fit: Annotated[
        Literal["strict", "nearest"] | None,
        option(
            "--fit",
            metavar="strict|nearest",
            help="What to do with a size or length the model cannot make: refuse it (default) or take the nearest.",
        ),
    ] = None
    upscale: Annotated[
        list[str],
        option(
            "--upscale",
            metavar="K|METHOD:K|MODEL",
            help="Make the clip larger: K times as wide and high (by lanczos, or nearest:K, bicubic:K), or by a model "
            "that takes it back to noise and denoises it with the same prompt (xl: the one made for it). Repeatable.",
        ),
    ] = field(default_factory=list)
    strength: Annotated[
        float | None,
        option("--upscale-strength", metavar="S", help="How far back to noise a model upscales from. Default: 0.7."),
    ] = None
    enlarge: Enlarge = None
    request: Annotated[
        str | None,
        option(
            "--request",
            metavar="FILE",
            help="A request in a .json or .yaml file, or - for standard input. Other arguments override it.",
        ),
    ] = None
    set_: Annotated[
        list[str],
        option(
            "--set",
            metavar="KEY=VALUE",
            help="Any field of a request, or an option of the model (`kinema models show`). Repeatable.",
        ),
    ] = field(default_factory=list)
    anyway: Anyway = False
    device: Device = None
    dtype: Dtype = None


Output = Annotated[
    str | None,
    option(
        "--output",
        "-o",
        metavar="FILE",
        panel=OUTPUT,
        help="A .mp4, .webm, .gif or .webp file, or a folder/ of pictures. Default: a new name from the "
        "prompt and seed.",
    ),
]
Sheet = Annotated[
    Path | None,
    option("--sheet", metavar="FILE", panel=OUTPUT, help="Also write a contact sheet, a .png or .jpg."),
]


def takes_wish(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose first parameter is a Wish, as a function of the Wish's fields and its own others."""
    return takes(GenerateOptions, command)


def takes(kind: Any, command: Callable[..., None]) -> Callable[..., None]:
    """A command whose first parameter is a dataclass of arguments, as a function of its fields and the others."""
    hints = typing.get_type_hints(kind, include_extras=True)
    own_hints = typing.get_type_hints(command, include_extras=True)
    names = [each.name for each in fields(kind)]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(
            each.name,
            keyword,
            annotation=hints[each.name],
            default=[] if callable(each.default_factory) else each.default,
        )
        for each in fields(kind)
    ]
    parameters += [
        parameter.replace(kind=keyword, annotation=own_hints[parameter.name])
        for parameter in list(inspect.signature(command).parameters.values())[1:]
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        first = kind(**{name: given.pop(name) for name in names})
        command(first, **given)

    del run.__wrapped__  # type: ignore[attr-defined]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
