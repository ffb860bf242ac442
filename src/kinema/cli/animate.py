"""`kinema animate`: an image to a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from .edit import edit_clip
from .exits import guarded
from .options import LengthOptions, SingleClipOptions, option, takes
from .piping import writes

BEST = ("svd-xt", "svd-xt-1.1", "svd", "wan2.1-i2v-14b-480p", "wan2.2-ti2v-5b", "cogvideox-5b-i2v")
"""Default models, in this order; the first whose weights are on this machine."""
WORDLESS, WORDS = "kinema-mini-svd", "kinema-mini-wan"
"""Otherwise a miniature: the image-to-video one, or with a prompt the one that reads it."""


@dataclass
class AnimateOptions(LengthOptions, SingleClipOptions):
    """The options of `animate`."""


@guarded
@writes()
@takes(AnimateOptions)
def animate(
    options: AnimateOptions,
    photo: Annotated[str, typer.Argument(metavar="PHOTO", help="Image for the first frame.", show_default=False)],
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="Text that describes the clip, for models that read it.")
    ] = "",
    motion: Annotated[
        int | None,
        option("--motion", metavar="N", help="Amount of motion, 0 to 255, for models with this option. Default: 127."),
    ] = None,
) -> None:
    """Animate an image."""
    own: dict[str, Any] = {} if motion is None else {"options": {"motion": motion}}
    picture = {"kind": "image", "image": photo, "at": "first"}
    edit_clip(
        options, photo, prompt, [picture], ending="moving", canvas="model",
        model=options.model or best_here() or (WORDS if prompt else WORDLESS), **own,
    )  # fmt: skip


def best_here() -> str | None:
    """Return the first model of `BEST` on this machine, or None."""
    from ..weights import store

    return next((name for name in BEST if store.here(store.find(name))), None)
