"""Verbs that edit a clip in place: remove, edit, outpaint, extend, between, restyle.

Each one is a request with `canvas="source"`; `--request-only` prints it instead of running it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from ..core.errors import RequestError
from . import output
from .exits import guarded
from .options import SingleClipOptions, option, takes
from .piping import writes
from .request import build
from .work import make_clip

REGION = "Region"
MARGIN = 0.1
"""The box around an object is grown by this fraction before the object is removed."""
CONTEXT_FRAMES = 5
"""Frames of a clip that a model sees when it extends the clip, by default."""


@dataclass
class EditRegion:
    """The region of a clip that is edited."""

    box: Annotated[
        str | None,
        option(
            "--box",
            metavar="x,y,w,h",
            panel=REGION,
            help="A box: pixels, or fractions of the frame if no number is above 1.",
        ),
    ] = None
    click: Annotated[
        str | None,
        option("--click", metavar="x,y", panel=REGION, help="A point on the object in the first frame; it is tracked."),
    ] = None
    object_: Annotated[
        str | None,
        option("--object", metavar="WORDS", panel=REGION, help="The object's name; it is detected and tracked."),
    ] = None
    mask: Annotated[
        str | None,
        option(
            "--mask",
            metavar="MASK",
            panel=REGION,
            help="An image or clip (white = edit), everything or nothing.",
        ),
    ] = None
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Track the object that --box or --mask marks in the first frame.",
                     rich_help_panel=REGION),
    ] = False  # fmt: skip
    tracker: Annotated[
        Literal["auto", "opencv", "sam2"],
        typer.Option("--tracker", metavar="auto|opencv|sam2", help="The tracker; auto: SAM 2 if its weights are here.",
                     rich_help_panel=REGION),
    ] = "auto"  # fmt: skip
    shape: Annotated[
        Literal["original", "original_expand", "hull", "hull_expand", "bbox", "bbox_expand"] | None,
        option("--shape", metavar="SHAPE", panel=REGION, help="Shape of the mask: original, hull or bbox, or one of "
               "these with _expand. A bbox hides the outline of what is removed."),
    ] = None  # fmt: skip
    ratio: Annotated[
        float | None,
        option("--ratio", metavar="R", panel=REGION, help="How much _expand grows the mask, 0 to 1. Default: 0.1."),
    ] = None


@dataclass
class FillOptions(SingleClipOptions):
    """The options of a verb that fills an area from other frames."""

    fill: Annotated[
        Literal["auto", "propagate", "generate", "both"] | None,
        option("--fill", metavar="auto|propagate|generate|both", panel=REGION,
               help="propagate: from other frames of the clip, then patches; generate: by the model; both: the model "
               "where no frame shows it; auto: both, or propagate if the model does not know such images. "
               "Default: auto; of edit: generate."),
    ] = None  # fmt: skip


@dataclass
class RegionOptions(FillOptions, EditRegion):
    """The options of a verb that edits a region."""


Video = Annotated[str, typer.Argument(metavar="VIDEO", help="The clip.", show_default=False)]


@dataclass
class RemoveOptions(RegionOptions):
    """The options of `remove`."""

    grow: Annotated[
        float | None,
        option(
            "--grow",
            metavar="R",
            panel=REGION,
            help="Grow the mask by this fraction of its size, 0 to 1. Default: 0.1.",
        ),
    ] = None
    shadow: Annotated[
        bool,
        typer.Option("--shadow", help="Also remove the shadow or reflection of the object.", rich_help_panel=REGION),
    ] = False


@guarded
@writes()
@takes(RemoveOptions)
def remove(
    options: RemoveOptions,
    video: Video,
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="Text that describes the background, not the object.")
    ] = "",
) -> None:
    """Remove an object from a clip. The rest of the clip is not changed."""
    by_model = options.mask in ("everything", "nothing") and not options.shadow
    fill = options.fill or ("generate" if by_model else "auto")
    if options.grow is not None:
        if options.ratio is not None:
            raise RequestError(
                "--grow and --ratio are the same.", field="grow", value=options.grow, legal="one of them"
            )
        _check_fraction("grow", options.grow, 1.0, "the size of the mask")
        options.ratio = options.grow
        options.shape = options.shape and f"{options.shape.removesuffix('_expand')}_expand"  # type: ignore[assignment]
    mask = _mask(options, video, shape="bbox_expand" if fill == "generate" else "original_expand", ratio=MARGIN)
    if options.shadow:
        mask["shadow"] = True
    edit_clip(options, video, prompt, [{"kind": "source", "video": video}, mask], fill=fill)


@guarded
@writes()
@takes(RegionOptions)
def edit(
    options: RegionOptions,
    video: Video,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="Text that describes the replacement.")],
    reference: Annotated[
        list[str] | None,
        option("--reference", metavar="FILE", panel=REGION, help="Reference image of the replacement. Repeatable."),
    ] = None,
) -> None:
    """Replace an object in a clip."""
    tracked = options.click or options.object_ or options.follow
    mask = _mask(options, video, shape="bbox_expand" if tracked else "original", ratio=MARGIN)
    edit_clip(
        options, video, prompt, [{"kind": "source", "video": video}, mask, *_references(reference)], fill=options.fill
    )


@guarded
@writes()
@takes(FillOptions)
def outpaint(
    options: FillOptions,
    video: Video,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="Text that describes the scene.")] = "",
    left: Annotated[float, option("--left", metavar="R", panel=REGION, help="Fraction of the width, up to 4.")] = 0.0,
    right: Annotated[float, option("--right", metavar="R", panel=REGION, help="Fraction of the width, up to 4.")] = 0.0,
    top: Annotated[float, option("--top", metavar="R", panel=REGION, help="Fraction of the height, up to 4.")] = 0.0,
    bottom: Annotated[
        float, option("--bottom", metavar="R", panel=REGION, help="Fraction of the height, up to 4.")
    ] = 0.0,
) -> None:
    """Outpaint a clip: the frame grows, the pixels of the clip are not changed."""
    grow = (left, top, right, bottom)
    for name, value in zip(("left", "top", "right", "bottom"), grow):
        _check_fraction(name, value, 4.0, "the width" if name in ("left", "right") else "the height")
    if not any(grow):
        raise RequestError(
            "How far the frame grows is required.", field="left", legal="--left, --right, --top, --bottom"
        )
    edit_clip(options, video, prompt, [{"kind": "source", "video": video, "grow": grow}], fill=options.fill or "auto")


@guarded
@writes()
@takes(SingleClipOptions)
def extend(
    options: SingleClipOptions,
    video: Video,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="Text that describes the new part.")] = "",
    seconds: Annotated[float | None, option("--seconds", metavar="S", help="Duration of the new part.")] = None,
    before: Annotated[bool, typer.Option("--before", help="Add the new part before the clip.")] = False,
    known: Annotated[
        int | None,
        option("--known", metavar="N", help="Context frames: how many of the clip the model sees. Default: 5, or all."),
    ] = None,
) -> None:
    """Extend a clip at its end, or at its beginning."""
    frames = min(CONTEXT_FRAMES, _info(video).num_frames) if known is None else known
    continued = {"kind": "continue", "clip": video, "frames": frames, "place": "end" if before else "start"}
    edit_clip(options, video, prompt, [continued], seconds=seconds)


@guarded
@writes()
@takes(SingleClipOptions)
def between(
    options: SingleClipOptions,
    first: Annotated[str, typer.Argument(metavar="A", help="The clip before.", show_default=False)],
    second: Annotated[str, typer.Argument(metavar="B", help="The clip after.", show_default=False)],
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="Text that describes the new part.")] = "",
    seconds: Annotated[float | None, option("--seconds", metavar="S", help="Duration of the new part.")] = None,
    known: Annotated[
        int, option("--known", metavar="N", help="Context frames: how many of each clip the model sees.")
    ] = 4,
) -> None:
    """Join two clips or images by a generated transition."""
    conditions = []
    for media, place in ((first, "start"), (second, "end")):
        frames = min(known, _info(media).num_frames)
        conditions.append({"kind": "continue", "clip": media, "frames": frames, "place": place})
    edit_clip(options, first, prompt, conditions, seconds=seconds)


@guarded
@writes()
@takes(SingleClipOptions)
def restyle(
    options: SingleClipOptions,
    video: Video,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="Text that describes the new look.")],
    control: Annotated[
        Literal["depth", "flow", "gray", "scribble", "edge", "pose"],
        option("--control", metavar="KIND", panel=REGION,
               help="The structure that is kept: depth, flow, gray, scribble, edge or pose."),
    ],
    reference: Annotated[
        list[str] | None,
        option("--reference", metavar="FILE", panel=REGION, help="Reference image of the new look. Repeatable."),
    ] = None,
) -> None:  # fmt: skip
    """Generate a clip again with the structure of the given one."""
    drawn = {"kind": "control", "control": control}
    edit_clip(options, video, prompt, [{"kind": "source", "video": video}, drawn, *_references(reference)])


def edit_clip(
    options: SingleClipOptions, video: str, prompt: str, conditions: list[dict[str, Any]], /, *, ending: str = "edited",
    canvas: str = "source", **fields: Any,
) -> None:  # fmt: skip
    """Build the request of a verb, with what was typed over it, and run it to VIDEO-ENDING.mp4. fields: of the request,
    None is left out."""
    from ..core.request import Request

    own = {name: value for name, value in fields.items() if value is not None}
    base = Request.from_dict({"prompt": prompt, "conditions": conditions, "canvas": canvas, **own})
    make_clip(options, build(options, base), lambda found: output.name_after(video, ending, found.frames), [video])


def _mask(options: RegionOptions, video: str, *, shape: str, ratio: float) -> dict[str, Any]:
    """Return the mask condition. Raises RequestError unless exactly one region is given."""
    from . import where

    ways = {"box": options.box, "click": options.click, "object": options.object_, "mask": options.mask}
    given = {name: value for name, value in ways.items() if value is not None}
    if len(given) != 1:
        raise RequestError(
            "Exactly one region is required.",
            field="mask",
            value=", ".join(given),
            legal="--box, --click, --object or --mask",
        )
    info = _info(video)
    found: dict[str, Any] = {"kind": "mask", "shape": options.shape or shape}
    if found["shape"].endswith("_expand"):
        found["ratio"] = ratio if options.ratio is None else options.ratio
        _check_fraction("ratio", found["ratio"], 1.0, "the size of the mask")
    elif options.ratio is not None:
        raise RequestError(
            f"--shape {found['shape']} does not grow, so --ratio is not used.", field="ratio", value=options.ratio,
            legal=f"--shape {found['shape']}_expand",
        )  # fmt: skip
    if options.box is not None:
        found["boxes"] = (where.parse_box(options.box, info.width, info.height),)
    elif options.click is not None:
        found["click"] = where.parse_click(options.click, info.width, info.height)
    elif options.object_ is not None:
        found["object"] = options.object_
    elif options.mask in ("everything", "nothing"):
        found[options.mask] = True
    else:
        assert options.mask is not None
        moving = _info(options.mask).num_frames > 1 and not options.follow
        found["video" if moving else "image"] = options.mask
    if options.follow:
        found["follow"] = True
    if options.tracker != "auto":
        found["tracker"] = options.tracker
    return found


def _check_fraction(name: str, value: float, most: float, of: str) -> None:
    """Raise RequestError for an option that is no fraction from 0 to `most`."""
    if not 0 <= value <= most:
        raise RequestError(f"--{name} is a fraction of {of}.", field=name, value=value, legal=f"0 to {most:g}")


def _references(files: list[str] | None) -> list[dict[str, Any]]:
    return [{"kind": "reference", "images": tuple(files)}] if files else []


def _info(media: str) -> Any:
    from ..conditions import inputs

    return inputs.info(media)
