"""Verbs that change a clip and leave it what it is: remove, edit, outpaint, extend, between, restyle.

Each one is a request with `canvas="source"`; `--request-only` prints it instead of running it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from ..core.errors import RequestError
from .arguments import option
from .how import How, make, verb

PLACE = "Where"
ROOM = 0.1
"""A thing that is removed leaves a hole this much larger than the box around it."""

KNOWN = 5
"""Frames that a model sees of a clip that it goes on from, where nobody says."""


@dataclass
class EditRegion:
    """Where a clip is changed, as typed."""

    box: Annotated[
        str | None,
        option(
            "--box",
            metavar="x,y,w,h",
            panel=PLACE,
            help="A box: pixels, or fractions of the frame where no number is above 1.",
        ),
    ] = None
    click: Annotated[
        str | None,
        option("--click", metavar="x,y", panel=PLACE, help="A point on the thing in the first frame; it is followed."),
    ] = None
    thing: Annotated[
        str | None, option("--object", metavar="WORDS", panel=PLACE, help="The thing's name; it is found and followed.")
    ] = None
    mask: Annotated[
        str | None,
        option(
            "--mask",
            metavar="MASK",
            panel=PLACE,
            help="A picture or clip (white = change), everything or nothing.",
        ),
    ] = None
    follow: Annotated[
        bool,
        typer.Option("--follow", help="--box or --mask is the thing in the first frame: follow it.",
                     rich_help_panel=PLACE),
    ] = False  # fmt: skip
    tracker: Annotated[
        Literal["auto", "opencv", "sam2"],
        typer.Option("--tracker", metavar="auto|opencv|sam2", help="Who follows; auto: SAM 2 where its weights are.",
                     rich_help_panel=PLACE),
    ] = "auto"  # fmt: skip
    shape: Annotated[
        Literal["original", "original_expand", "hull", "hull_expand", "bbox", "bbox_expand"] | None,
        option("--shape", metavar="SHAPE", panel=PLACE, help="Of the mask: original, hull or bbox, or one of these "
               "with _expand. Boxes beat outlines, which tell what stood there."),
    ] = None  # fmt: skip
    ratio: Annotated[float | None, option("--ratio", metavar="R", panel=PLACE, help="How much _expand grows it.")] = (
        None
    )


@dataclass
class Changed(How, EditRegion):
    """A place and how."""


Video = Annotated[str, typer.Argument(metavar="VIDEO", help="The clip.", show_default=False)]


@verb(Changed)
def remove(
    how: Changed,
    video: Video,
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="What is around it, in words. Never name the thing itself.")
    ] = "",
) -> None:
    """Take something out of a clip. The rest of the clip stays as it is."""
    mask = _mask(how, video, shape="bbox_expand", ratio=ROOM)
    make(how, video, prompt, [{"kind": "source", "video": video}, mask], canvas="source")


@verb(Changed)
def edit(
    how: Changed,
    video: Video,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What is to be there instead.")],
    reference: Annotated[
        list[str] | None,
        option("--reference", metavar="FILE", panel=PLACE, help="A picture of what is to be there. Repeatable."),
    ] = None,
) -> None:
    """Put something else in the place of something in a clip."""
    mask = _mask(how, video, shape="bbox_expand" if how.click or how.thing or how.follow else "original", ratio=ROOM)
    make(how, video, prompt, [{"kind": "source", "video": video}, mask, *_references(reference)], canvas="source")


@verb(How)
def outpaint(
    how: How,
    video: Video,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What there is to see, in words.")] = "",
    left: Annotated[float, option("--left", metavar="R", panel=PLACE, help="Fraction of the width.")] = 0.0,
    right: Annotated[float, option("--right", metavar="R", panel=PLACE, help="Fraction of the width.")] = 0.0,
    top: Annotated[float, option("--top", metavar="R", panel=PLACE, help="Fraction of the height.")] = 0.0,
    bottom: Annotated[float, option("--bottom", metavar="R", panel=PLACE, help="Fraction of the height.")] = 0.0,
) -> None:
    """Show more of the scene around a clip: the frame grows, the clip itself stays as it is."""
    grow = (left, top, right, bottom)
    if not any(grow):
        raise RequestError("Say how far the frame grows.", field="left", legal="--left, --right, --top, --bottom")
    make(how, video, prompt, [{"kind": "source", "video": video, "grow": grow}], canvas="source")


@verb(How)
def extend(
    how: How,
    video: Video,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What happens, in words.")] = "",
    seconds: Annotated[float | None, option("--seconds", metavar="S", help="How much longer it becomes.")] = None,
    before: Annotated[bool, typer.Option("--before", help="Make what came before the clip.")] = False,
    known: Annotated[
        int | None, option("--known", metavar="N", help="Frames that the model sees of the clip. Default: 5, or all.")
    ] = None,
) -> None:
    """Make a clip longer: what happens after it, or before it."""
    frames = min(KNOWN, _info(video).num_frames) if known is None else known
    going_on = {"kind": "continue", "clip": video, "frames": frames, "place": "end" if before else "start"}
    make(how, video, prompt, [going_on], seconds=seconds, canvas="source")


@verb(How)
def between(
    how: How,
    first: Annotated[str, typer.Argument(metavar="A", help="The clip before.", show_default=False)],
    second: Annotated[str, typer.Argument(metavar="B", help="The clip after.", show_default=False)],
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What happens, in words.")] = "",
    seconds: Annotated[float | None, option("--seconds", metavar="S", help="Length of what is new.")] = None,
    known: Annotated[int, option("--known", metavar="N", help="Frames that the model sees of each clip.")] = 4,
) -> None:
    """Join two clips or pictures by what happens between them."""
    conditions = []
    for media, place in ((first, "start"), (second, "end")):
        frames = min(known, _info(media).num_frames)
        conditions.append({"kind": "continue", "clip": media, "frames": frames, "place": place})
    make(how, first, prompt, conditions, seconds=seconds, canvas="source")


@verb(How)
def restyle(
    how: How,
    video: Video,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What it is to look like.")],
    control: Annotated[
        Literal["depth", "flow", "gray", "scribble", "edge", "pose"],
        option("--control", metavar="KIND", panel=PLACE,
               help="What is kept of the clip: depth, flow, gray, scribble, edge or pose."),
    ],
    reference: Annotated[
        list[str] | None,
        option("--reference", metavar="FILE", panel=PLACE, help="A picture of what is to be seen. Repeatable."),
    ] = None,
) -> None:  # fmt: skip
    """Paint a clip anew over its own structure."""
    drawn = {"kind": "control", "control": control}
    make(how, video, prompt, [{"kind": "source", "video": video}, drawn, *_references(reference)], canvas="source")


def _mask(how: Changed, video: str, *, shape: str, ratio: float) -> dict[str, Any]:
    """The mask condition. RequestError where not exactly one way is given."""
    from . import where

    given = {name: value for name, value in (("box", how.box), ("click", how.click), ("object", how.thing),
                                             ("mask", how.mask)) if value is not None}  # fmt: skip
    if len(given) != 1:
        raise RequestError(
            "Say where, in one way.", field="mask", value=", ".join(given), legal="--box, --click, --object or --mask"
        )
    info = _info(video)
    found: dict[str, Any] = {"kind": "mask", "shape": how.shape or shape}
    if found["shape"].endswith("_expand"):
        found["ratio"] = ratio if how.ratio is None else how.ratio
    if how.box is not None:
        found["boxes"] = (where.parse_box(how.box, info.width, info.height),)
    elif how.click is not None:
        found["click"] = where.parse_click(how.click, info.width, info.height)
    elif how.thing is not None:
        found["object"] = how.thing
    elif how.mask in ("everything", "nothing"):
        found[how.mask] = True
    else:
        assert how.mask is not None
        moving = _info(how.mask).num_frames > 1 and not how.follow
        found["video" if moving else "image"] = how.mask
    if how.follow:
        found["follow"] = True
    if how.tracker != "auto":
        found["tracker"] = how.tracker
    return found


def _references(files: list[str] | None) -> list[dict[str, Any]]:
    return [{"kind": "reference", "images": tuple(files)}] if files else []


def _info(media: str) -> Any:
    from ..conditions import inputs

    return inputs.info(media)
