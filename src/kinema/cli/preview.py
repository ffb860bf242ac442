"""`--preview`: the newest look at a clip in the making, in a file that is replaced as the work goes on."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import KinemaError, MediaError, RequestError
from ..core.events import Event, OnEvent, Preview
from ..core.whole import whole
from .say import note

if TYPE_CHECKING:
    import numpy as np

PICTURES, CLIPS = (".png", ".jpg", ".jpeg"), (".gif", ".mp4", ".webm", ".webp")
SHARE = 0.1
"""Previews take at most about this share of the time."""
PICTURE_FRAMES = 6


def check(text: str) -> None:
    """Refuse a preview that could not be written. RequestError or MediaError."""
    from .output import check_name, check_parent

    target = Path(text)
    check_name(target)
    if _is_folder(text):
        if target.is_file():
            raise MediaError(f"{text}: is a file, not a folder.")
    elif target.suffix.lower() not in PICTURES + CLIPS:
        raise RequestError(
            f"{target.name}: no such preview format.",
            field="preview",
            value=text,
            legal=", ".join(PICTURES + CLIPS) + ", or a folder name ending with a slash",
            nearest=target.with_suffix(".gif").name,
        )
    elif target.is_dir():
        raise RequestError(f"{text}: is a folder; end the name with a slash.", field="preview")
    check_parent(target)


class Previews:
    """Passes every event on, and writes previews: the first one at once, later ones as often as SHARE allows.

    A picture shows frames side by side, a clip plays them; a folder gets a picture of every preview, step-0001.png and
    so on, of later windows window-002-step-0001.png. A preview that cannot be written is said once and ends the
    previews, never the work.
    """

    def __init__(self, text: str, fps: float, on_event: OnEvent) -> None:
        self.target, self.is_folder = Path(text), _is_folder(text)
        self.fps, self.on_event = fps, on_event
        self.due_s = 0.0

    def __call__(self, event: Event) -> None:
        self.on_event(event)
        if not isinstance(event, Preview) or time.monotonic() < self.due_s:
            return
        started = time.monotonic()
        try:
            frames_FHWC = event.frames()
            if self.is_folder:
                self.target.mkdir(exist_ok=True)
                window = f"window-{event.span + 1:03d}-" if event.span else ""
                save_picture(frames_FHWC, self.target / f"{window}step-{event.step:04d}.png")
            elif self.target.suffix.lower() in PICTURES:
                save_picture(frames_FHWC, self.target)
            else:
                self._save_clip(frames_FHWC)
        except (KinemaError, OSError) as error:
            note(f"No more previews: {error}")
            self.due_s = float("inf")
            return
        now = time.monotonic()
        self.due_s = now + (now - started) * (1 - SHARE) / SHARE

    def _save_clip(self, frames_FHWC: np.ndarray) -> None:
        from ..core.chunk import Chunk
        from ..media.write import write

        write([Chunk(frames_FHWC, 0, self.fps)], self.target, quality="draft")


def save_picture(frames_FHWC: np.ndarray, target: Path) -> None:
    """Some of the frames side by side, written beside and renamed."""
    from ..media.sheet import sheet
    from ..media.write_picture import write_picture

    with whole(target) as beside:
        write_picture(sheet(frames_FHWC, columns=PICTURE_FRAMES), beside)


def _is_folder(text: str) -> bool:
    return text.endswith(("/", os.sep))
