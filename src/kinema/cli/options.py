"""Options that several commands share, each declared once, and the dataclasses that group them.

A command takes a dataclass by `takes`. `request.py` turns what was typed into a `Request`, `work.py` a `Request` into a
file.
"""

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

CONDITIONS, GENERATION, OUTPUT, BATCH = "Conditions", "Generation", "Output", "Several clips"


def option(
    *names: str, help: str, metavar: str = "TEXT", panel: str = GENERATION, complete: Callable[..., Any] | None = None
) -> Any:
    """An option without a default in its help. complete: what a shell may complete its value to (completion.py)."""
    return typer.Option(
        *names, help=help, metavar=metavar, rich_help_panel=panel, show_default=False, autocompletion=complete
    )


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel=OUTPUT)]
PasswordEnv = Annotated[
    str | None,
    option("--password-env", metavar="VAR", help="The environment variable with the database's password.",
           panel="Options"),
]  # fmt: skip
Anyway = Annotated[
    bool,
    typer.Option("--anyway", help="Run although the request is outside what the model was trained on.",
                 rich_help_panel=GENERATION),
]  # fmt: skip
Device = Annotated[
    str | None, option("--device", metavar="D", help="cuda, cuda:1, mps or cpu. Default: the best available.")
]
Dtype = Annotated[
    str | None,
    option("--dtype", metavar="D", help="float32, bfloat16 or float16. Default: the best for the device."),
]
Model = Annotated[
    str | None,
    option(
        "--model",
        "-m",
        metavar="MODEL",
        help="A name from `kinema models list`, a hub id, a folder or a file.",
        complete=completion.models,
    ),
]
Size = Annotated[str | None, option("--size", metavar="WxH", help="Width and height in pixels, as 832x480.")]
Output = Annotated[
    str | None,
    option(
        "--output",
        "-o",
        metavar="FILE",
        panel=OUTPUT,
        help="A .mp4, .webm, .gif or .webp file, a folder/ of frames, or a .png or .jpg of a single frame. "
        "Default: a new name.",
    ),
]
Sheet = Annotated[
    Path | None,
    option("--sheet", metavar="FILE", panel=OUTPUT, help="Also write a contact sheet, a .png or .jpg."),
]


@dataclass
class RunOptions:
    """The options of every command that generates, a film's too."""

    model: Model = None
    profile: Annotated[
        Literal["exact", "balanced", "fast"] | None,
        option("--profile", metavar="exact|balanced|fast", help="Quality against speed. Default: balanced."),
    ] = None
    size: Size = None
    steps: Annotated[int | None, option("--steps", metavar="N", help="Number of denoising steps.")] = None
    anyway: Anyway = False
    device: Device = None
    dtype: Dtype = None


@dataclass
class RequestOptions(RunOptions):
    """The options of every command that runs one request."""

    seed: Annotated[
        int | None,
        option("--seed", metavar="N", help="The same seed gives the same clip. Default: a new one."),
    ] = None
    guidance: Annotated[
        float | None,
        option("--guidance", metavar="G", help="Guidance scale; 1 turns guidance off."),
    ] = None
    negative: Annotated[str | None, option("--negative", metavar="TEXT", help="Negative prompt.")] = None
    set_: Annotated[
        list[str],
        option(
            "--set",
            metavar="KEY=VALUE",
            help="Any field of a request, or an option of the model (`kinema models show`). Repeatable.",
        ),
    ] = field(default_factory=list)


@dataclass
class LengthOptions:
    """Length and frame rate of the clip."""

    frames: Annotated[int | None, option("--frames", metavar="N", help="Length in frames.")] = None
    seconds: Annotated[float | None, option("--seconds", metavar="S", help="Length in seconds instead.")] = None
    fps: Annotated[float | None, option("--fps", metavar="F", help="Frame rate, in frames per second.")] = None


@dataclass
class UpscaleOptions:
    """Upscale steps after generation."""

    upscale: Annotated[
        list[str],
        option(
            "--upscale",
            metavar="K|METHOD:K|MODEL",
            help="Upscale the clip K times (auto: by network for the miniature, else by lanczos; "
            "or METHOD:K with network, lanczos, bicubic, nearest), or with a model that adds "
            "noise and denoises again with the same prompt (xl: the upscaler of the clip's model). Repeatable.",
        ),
    ] = field(default_factory=list)
    strength: Annotated[
        float | None,
        option("--upscale-strength", metavar="S", help="How much noise a model adds, 0.05 to 1. Default: 0.7."),
    ] = None
    enlarge: Annotated[int | None, typer.Option("--enlarge", metavar="K", hidden=True)] = None
    """The old name of `--upscale K`."""


@dataclass
class PromptOptions(UpscaleOptions, LengthOptions, RequestOptions):
    """The options of `plan`, and those of `generate` that shape its request."""

    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPT",
            help="Text that describes the clip. Optional with --request.",
            show_default=False,
        ),
    ] = None
    image: Annotated[
        str | None, option("--image", metavar="FILE", panel=CONDITIONS, help="Image for the first frame.")
    ] = None
    last: Annotated[
        str | None, option("--last", metavar="FILE", panel=CONDITIONS, help="Image for the last frame.")
    ] = None  # fmt: skip
    reference: Annotated[
        list[str],
        option("--reference", metavar="FILE", panel=CONDITIONS, help="Reference image of an object. Repeatable."),
    ] = field(default_factory=list)
    source: Annotated[str | None, option("--source", metavar="CLIP", panel=CONDITIONS, help="A clip to edit.")] = None
    mask: Annotated[
        str | None,
        option(
            "--mask",
            metavar="MASK",
            panel=CONDITIONS,
            help="Where to repaint the source: an image or clip (white = repaint), a box x0,y0,x1,y1 (two "
            "corners) in fractions of the frame, everything or nothing.",
        ),
    ] = None
    trajectory: Annotated[
        list[str],
        option(
            "--trajectory",
            metavar="PATH",
            panel=CONDITIONS,
            help="A path for an object: a text file with one x,y per line on a 256x256 canvas, a JSON or an SVG file "
            "(`kinema path preview` draws it). Repeatable.",
        ),
    ] = field(default_factory=list)
    camera: Annotated[
        str | None,
        option(
            "--camera",
            metavar="MOVE[:AMOUNT]|FILE",
            panel=CONDITIONS,
            help="A camera move (still, pan_left, pan_right, tilt_up, tilt_down, zoom_in, zoom_out, roll_left, "
            "roll_right) and its amount (1), or a file with a pose for each frame, as RealEstate10K's.",
        ),
    ] = None
    going_on: Annotated[
        str | None, option("--continue", metavar="CLIP", panel=CONDITIONS, help="A clip to continue.")
    ] = None
    style: Annotated[
        list[str],
        option(
            "--style",
            metavar="LORA[:WEIGHT]",
            panel=CONDITIONS,
            help="A name from `kinema styles` or a LoRA file, and its weight. Repeatable.",
            complete=completion.styles,
        ),
    ] = field(default_factory=list)
    fit: Annotated[
        Literal["strict", "nearest"] | None,
        option(
            "--fit",
            metavar="strict|nearest",
            help="For a size or length that the model does not support: refuse it (default), or take the nearest.",
        ),
    ] = None
    request: Annotated[
        str | None,
        option(
            "--request",
            metavar="FILE",
            help="A request in a .json or .yaml file, or - for standard input. Other options override it.",
        ),
    ] = None


@dataclass
class OutputOptions:
    """The options of a clip's output files, and of saving and resuming its sampling."""

    output_: Output = None
    sheet: Sheet = None
    preview: Annotated[
        str | None,
        option(
            "--preview",
            metavar="FILE",
            panel=OUTPUT,
            help="Write previews during sampling: a .gif, .mp4 or .png that is replaced each time, or a folder/ "
            "with one image per preview.",
        ),
    ] = None
    keep_state: Annotated[
        Path | None,
        option("--keep-state", metavar="FILE", panel=OUTPUT, help="Save the sampling state here every few steps."),
    ] = None
    keep_every: Annotated[
        int | None,
        option(
            "--keep-every", metavar="K", panel=OUTPUT, help="Save it every K steps, or frames of a fill. Default: 5."
        ),
    ] = None
    resume: Annotated[
        Path | None,
        option("--resume", metavar="FILE", panel=OUTPUT, help="Resume the same command from a saved state."),
    ] = None
    request_only: Annotated[
        bool,
        typer.Option(
            "--request-only", help="Print the request, with absolute paths, and exit.", rich_help_panel=OUTPUT
        ),
    ] = False
    as_json: AsJson = False


Server = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="auto|off|URL", envvar="KINEMA_SERVER", rich_help_panel=OUTPUT, show_default=False,
        help="auto: a `kinema serve` that runs on this machine generates the clip, if it can; off: this command; URL: "
        "that server. Default: auto.",
    ),
]  # fmt: skip


@dataclass
class SingleClipOptions(OutputOptions, RequestOptions):
    """The options of every command that writes one clip of a request."""

    server: Server = None


@dataclass
class GenerateOptions(SingleClipOptions, PromptOptions):
    """The options of `generate`."""


def takes(kind: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn a command whose first parameter is a dataclass of options into a function of its fields and of the command's
    other parameters."""

    def around(command: Callable[..., None]) -> Callable[..., None]:
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
        own = list(inspect.signature(command).parameters.values())[1:]
        parameters += [each.replace(kind=keyword, annotation=own_hints[each.name]) for each in own]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            first = kind(**{name: values.pop(name) for name in names})
            command(first, **values)

        del run.__wrapped__  # type: ignore[attr-defined]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return around
