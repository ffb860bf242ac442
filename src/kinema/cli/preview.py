"""`--preview`: previews of a clip during sampling, in a file that is replaced each time."""

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
"""Previews take at most about this fraction of the time."""
PICTURE_FRAMES = 6


def check(text: str) -> None:
    """Raise RequestError or MediaError for a preview that cannot be written."""
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
    """A callback that passes events on and writes previews: the first immediately, later ones as SHARE allows.

    An image shows frames side by side, a clip plays them; a folder gets an image per preview, step-0001.png and so on,
    for later windows window-002-step-0001.png. If a preview cannot be written, a note is printed and the previews stop,
    not the work.
    """

    def __init__(self, text: str, fps: float, on_event: OnEvent) -> None:
        self.target, self.is_folder = Path(text), _is_folder(text)
        self.fps, self.on_event = fps, on_event
        self.due_s = 0.0
        self.offered = self.written = False

    def __call__(self, event: Event) -> None:
        self.on_event(event)
        self.offered = self.offered or isinstance(event, Preview)
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
            note(f"Previews stopped: {error}")
            self.due_s = float("inf")
            return
        self.written = True
        now = time.monotonic()
        self.due_s = now + (now - started) * (1 - SHARE) / SHARE

    def _save_clip(self, frames_FHWC: np.ndarray) -> None:
        from ..core.chunk import Chunk
        from ..media.write import write

        write([Chunk(frames_FHWC, 0, self.fps)], self.target, quality="draft")


def save_picture(frames_FHWC: np.ndarray, target: Path) -> None:
    """Write some of the frames side by side to a temporary file and rename it."""
    from ..media.sheet import sheet
    from ..media.write_picture import write_picture

    with whole(target) as beside:
        write_picture(sheet(frames_FHWC, columns=PICTURE_FRAMES), beside)


def _is_folder(text: str) -> bool:
    return text.endswith(("/", os.sep))
