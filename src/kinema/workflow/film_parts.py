"""Finished shots of a film in a folder next to it, named by a hash of their inputs, so that an interrupted run resumes
and a changed plan generates only the shots that changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from ..conditions.inputs import digest
from ..core import lock
from ..core.chunk import Chunk
from ..core.closing import closed_after
from ..core.conditions import MEDIA_FIELDS
from ..core.errors import KinemaError, MediaError
from ..core.events import OnEvent
from ..core.plan import Plan
from ..engine.clip_file import ClipGenerator, write_clip
from ..engine.manifest import own_version
from ..media.manifest import carried

LOCK = "in_use.lock"
_SHOT = re.compile(r"shot-[0-9a-f]{20}\.mp4(\.json)?")
_HALF = re.compile(r"\.shot-[0-9a-f]{20}\.partial-.*")


class FilmBusy(KinemaError):
    """Another process is making this film."""


class FilmParts:
    """The folder TARGET.parts, locked by one process at a time. Raises MediaError if it cannot be created, FilmBusy if
    another process has locked it."""

    def __init__(self, target: Path) -> None:
        self.folder = parts_folder(target)
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock: Any = (self.folder / LOCK).open("a+b")
        except OSError as error:
            raise MediaError(f"{self.folder}: cannot be created ({error.strerror or error}).") from None
        if not lock.take(self._lock):
            self._lock.close()
            raise FilmBusy(f"{target}: another process is making this film (its shots are in {self.folder}).")
        for each in self.folder.iterdir():
            if _HALF.fullmatch(each.name):  # left by a killed process
                each.unlink(missing_ok=True)

    def place(self, key: str) -> Path:
        """Return the path of the shot with this key."""
        return self.folder / f"shot-{key}.mp4"

    def ready(self, key: str, plan: Plan) -> bool:
        """Whether the shot exists, complete and as long as planned."""
        from ..media.read import probe

        path = self.place(key)
        if not path.is_file():
            return False
        try:
            info = probe(path)
        except MediaError:
            return False
        return info.num_frames == plan.frames and (info.width, info.height) == plan.size and bool(carried(path))

    def make(self, key: str, plan: Plan, generator: ClipGenerator, on_event: OnEvent) -> Path:
        """Generate the shot and write it, nearly lossless: it is encoded again in the film."""
        return write_clip(generator, plan, self.place(key), quality="best", through=_silent, on_event=on_event)

    def close(self) -> None:
        """Unlock the folder and keep its shots for the next run; an empty folder is removed."""
        self._lock.close()
        try:
            if {each.name for each in self.folder.iterdir()} <= {LOCK}:
                self._remove_folder()
        except OSError:
            pass

    def remove(self) -> None:
        """Remove all shots, and the folder if no other files are in it."""
        self._lock.close()
        try:
            for each in self.folder.iterdir():
                if _SHOT.fullmatch(each.name):
                    each.unlink(missing_ok=True)
            self._remove_folder()
        except OSError:
            pass

    def _remove_folder(self) -> None:
        (self.folder / LOCK).unlink(missing_ok=True)
        self.folder.rmdir()


def kept(target: Path) -> int:
    """Return the number of finished shots that the next run can reuse."""
    try:
        return sum(
            bool(_SHOT.fullmatch(each.name)) and each.suffix == ".mp4" for each in parts_folder(target).iterdir()
        )
    except OSError:
        return 0


def parts_folder(target: Path) -> Path:
    return target.with_name(target.name + ".parts")


def key_of(plan: Plan, weights: dict[str, str], dtype: str = "") -> str:
    """Return 20 hexadecimal digits of a hash of everything that determines a shot's frames: the plan, the bytes of its
    inputs and adapters (not their paths), the weights, the dtype, Kinema's version."""
    fields = plan.deciding()
    for condition in fields["conditions"]:
        for name in MEDIA_FIELDS:
            media = condition.get(name)
            if isinstance(media, str):
                condition[name] = digest(media)
            elif isinstance(media, list):
                condition[name] = [digest(each) for each in media]
        if condition["kind"] == "style":
            from ..weights.styles import find

            condition["adapter"] = digest(str(find(condition["adapter"])))
    text = json.dumps({"kinema": own_version(), "plan": fields, "weights": weights, "dtype": dtype}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _silent(chunks: Any) -> Any:
    """Yield the chunks without sound: the film's sound is its music."""
    with closed_after(chunks):
        for chunk in chunks:
            yield Chunk(chunk.frames, chunk.start, chunk.fps)
