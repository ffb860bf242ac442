"""`kinema animate`: a picture that moves."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .arguments import option
from .how import How, make, verb

BEST = ("svd-xt", "svd-xt-1.1", "svd", "wan2.1-i2v-14b-480p")
"""Taken in this order, where nobody names a model; the first whose weights are on this machine."""
WORDLESS, WORDS = "kinema-mini-svd", "kinema-mini-wan"
"""Else a miniature: the one that was made for pictures, or with a prompt the one that reads it."""


@verb(How)
def animate(
    how: How,
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="A picture: the first frame.", show_default=False)],
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="What happens, in words, where the model reads them.")
    ] = "",
    motion: Annotated[
        int | None,
        option("--motion", metavar="N", help="How much moves, 0 to 255, where the model can be told. Default: 127."),
    ] = None,
    fps: Annotated[float | None, option("--fps", metavar="N", help="Frames a second.")] = None,
    frames: Annotated[int | None, option("--frames", metavar="N", help="How many frames.")] = None,
    seconds: Annotated[float | None, option("--seconds", metavar="S", help="Or how long: the nearest count.")] = None,
) -> None:
    """Make a picture move."""
    how.model = how.model or best_here() or (WORDS if prompt else WORDLESS)
    options: dict[str, Any] = {} if motion is None else {"options": {"motion": motion}}
    picture = {"kind": "image", "image": photo, "at": "first"}
    make(how, photo, prompt, [picture], ending="moving", fps=fps, frames=frames, seconds=seconds, **options)


def best_here() -> str | None:
    """A model of `BEST` that is on this machine."""
    from ..weights import store

    return next((name for name in BEST if store.here(store.find(name))), None)
