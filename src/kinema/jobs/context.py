"""What the code of a job's kind works with: reports, previews, kept states, media, engines and a folder."""

from __future__ import annotations

import io
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import Cancelled, KinemaError
from ..core.events import Event, Note, Preview, Progress
from ..core.overall import Overall
from .claims import Claim, ClaimLost, Kept
from .database import outlast
from .job import Job
from .media import MediaStore
from .outbox import Outbox

if TYPE_CHECKING:
    import numpy as np

    from .pool import EnginePool

PROGRESS_S, FRACTION = 0.1, 0.002
"""Progress is stored at most every PROGRESS_S, and only if it changed by FRACTION or its stage did."""
PREVIEW_AFTER_S, PREVIEW_S, PREVIEW_SHARE, PREVIEW_PX, PREVIEW_FRAMES = 0.7, 0.3, 0.05, 512, 32
"""A job shorter than the first has no preview. The least time between two; the share of the time that previews may
take, and that their interval is of the time that the job runs already; their longest side; their most frames."""
KEEP_SHARE = 0.05
"""Share of the time that keeping states may take."""


class Returned(KinemaError):
    """The attempt stops without an end of the job: it was paused, its worker stops, or another worker has it."""


class TryLater(KinemaError):
    """Raised by a kind: the attempt failed, and another one may start after pause_s. The kind limits such attempts, by
    the `failures` of its job, where these facts are stored with the reason."""

    def __init__(self, reason: str, pause_s: float, **facts: Any) -> None:
        super().__init__(reason)
        self.pause_s, self.facts = pause_s, facts


class GivenUp(KinemaError):
    """Raised by a kind: the job fails, since another attempt would fail too."""


@dataclass
class Context:
    """The context of one attempt. job: as it was claimed. media: the store. engines: loaded models of this process.
    folder: an empty folder, removed after the attempt. stop: set when the worker should stop. keep_s: the least time
    between two kept states."""

    job: Job
    media: MediaStore
    engines: EnginePool
    folder: Path
    outbox: Outbox
    claim: Claim
    stop: threading.Event
    keep_s: float = 2.0
    results: list[str] = field(default_factory=list)
    """Media that the result refers to, filled by `store_file`."""
    sign_s: float = field(default_factory=time.monotonic)
    """When the work last said anything, by the monotonic clock."""
    has_previews: bool = True
    """Whether previews are stored; a kind whose jobs nobody watches sets it to False."""

    def __post_init__(self) -> None:
        self._began_s = time.monotonic()
        self._overall, self._told, self._told_s = Overall(), ("", -1.0), 0.0
        self._preview_due_s, self._keep_due_s = self._began_s + PREVIEW_AFTER_S, self._began_s + self.keep_s
        self._known: dict[tuple[str, int, int], str] = {}

    def check(self) -> None:
        """Raise Cancelled or Returned if the work should stop. Call it between two steps."""
        self._check(self.stopping())

    def stopping(self) -> str:
        """Why the work should stop: "cancel", "lost", "pause" or "" (it should not)."""
        self.sign_s = time.monotonic()
        return self.outbox.asked or ("pause" if self.stop.is_set() else "")

    def report(self, event: Event) -> None:
        """An `on_event` callback: stores progress, notes and previews, and raises as `check`. A pause is left to `keep`
        while steps are sampled, so that nothing is lost."""
        if isinstance(event, Note):
            self.outbox.event("note", {"text": event.text})
        self._overall(event)
        if isinstance(event, Preview):
            self.preview(event)
        else:
            self._progress()
        asked = self.stopping()
        sampling = isinstance(event, Progress | Preview) and event.stage in ("sample", "preview", "fill")
        if asked != "pause" or not sampling:
            self._check(asked)

    def due_to_keep(self) -> bool:
        """Whether a state should be kept now: it is time, or the work should pause."""
        return time.monotonic() >= self._keep_due_s or self.stopping() == "pause"

    def keep(self, write: Callable[[Path], Any], facts: dict[str, Any]) -> None:
        """Keep a state from which the next attempt continues, then raise if the work should stop. write: writes it to a
        path it is given, with what belongs to it in the same folder; files that stay the same are stored once. facts:
        plain values, returned by `kept`."""
        started = time.monotonic()
        try:
            self.claim.keep(Kept(self._stored_state(write), facts))
        except ClaimLost as error:
            raise Returned(str(error)) from None
        except (KinemaError, OSError) as error:  # the disk or the database: the work goes on with the older state
            self.note(f"The state was not kept: {error}")
        took = time.monotonic() - started
        self._keep_due_s = time.monotonic() + max(self.keep_s, took / KEEP_SHARE)
        self.check()

    def _stored_state(self, write: Callable[[Path], Any]) -> dict[str, str]:
        """Write a state and store its files; return their hashes by name."""
        folder = self.folder / "kept"
        folder.mkdir(exist_ok=True)
        write(folder / "state")
        files: dict[str, str] = {}
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name, known = path.relative_to(folder).as_posix(), path.stat()
            mark = (name, known.st_mtime_ns, known.st_size)
            if mark not in self._known:
                self._known[mark] = self.media.put(path).sha256
            files[name] = self._known[mark]
        return files

    def kept(self) -> tuple[Path, dict[str, Any]] | None:
        """The path of the state that an earlier attempt kept, and its facts; None if there is none."""
        if (kept := self.claim.kept) is None:
            return None
        folder = self.folder / "kept"
        for name, sha in kept.files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.media.path(sha), place)
            facts = place.stat()
            self._known[(name, facts.st_mtime_ns, facts.st_size)] = sha
        return folder / "state", kept.facts

    def note(self, text: str) -> None:
        self.outbox.event("note", {"text": text})

    def store_file(self, path: Path, media_type: str) -> dict[str, Any]:
        """Store a file of the result; return {"media", "bytes", "media_type", "name"}."""
        media = outlast(lambda: self.media.put(path, media_type))
        self.results.append(str(media))
        return {"media": str(media), "bytes": media.bytes, "media_type": media.media_type, "name": path.name}

    def _check(self, asked: str) -> None:
        if asked == "cancel":
            raise Cancelled("The job was canceled.")
        if asked:
            raise Returned("The job was paused." if asked == "pause" else "Another worker has the job.")

    def _progress(self) -> None:
        now = time.monotonic()
        if now - self._told_s < PROGRESS_S:
            return
        state = self._overall.now()
        fraction = state.fraction if state.fraction is not None else 0.0
        if not state.stage or (state.stage == self._told[0] and abs(fraction - self._told[1]) < FRACTION):
            return
        self._told, self._told_s = (state.stage, fraction), now
        self.outbox.progress(state.to_dict())

    def preview(
        self, event: Preview, encode: Callable[[np.ndarray], tuple[bytes, str]] | None = None, **more: Any
    ) -> None:
        """Store a preview, as often as PREVIEW_SHARE allows. A failure ends the previews. encode: of its frames, as
        (content, media type). more: further fields of its event."""
        started = time.monotonic()
        if started < self._preview_due_s or not self.has_previews:
            return
        try:
            content, media_type = (encode or _picture)(event.frames())
            media = self.media.put(content, media_type)
            self.outbox.event("preview", {"media": str(media), "media_type": media_type, "step": event.step,
                                          "steps": event.steps, "span": event.span, **more})  # fmt: skip
        except (KinemaError, OSError, ValueError) as error:
            self.note(f"No preview: {error}")
            self._preview_due_s = float("inf")
            return
        now = time.monotonic()
        pause_s = max(PREVIEW_S, (now - started) / PREVIEW_SHARE, PREVIEW_SHARE * (now - self._began_s))
        self._preview_due_s = now + pause_s


def _picture(frames_FHWC: np.ndarray) -> tuple[bytes, str]:
    """A preview as WebP: a picture, or a moving one of the frames, at most PREVIEW_PX wide and high."""
    from PIL import Image

    stride = max(1, -(-len(frames_FHWC) // PREVIEW_FRAMES))
    pictures = [Image.fromarray(frame_HWC) for frame_HWC in frames_FHWC[::stride]]
    for picture in pictures:
        picture.thumbnail((PREVIEW_PX, PREVIEW_PX))
    content = io.BytesIO()
    pictures[0].save(
        content, "WEBP", quality=70, method=0, save_all=len(pictures) > 1, append_images=pictures[1:],
        duration=120 * stride, loop=0,
    )  # fmt: skip
    return content.getvalue(), "image/webp"
