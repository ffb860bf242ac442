"""The finished windows of a clip: in memory, and on disk next to a saved state."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..core.errors import MediaError
from ..core.plan import Plan
from ..core.whole import whole

_NAME = re.compile(r"[0-9a-f]{16}-\d{5}\.safetensors")


class FinishedWindows:
    """Frames of finished windows by number, uint8 (F, H, W, 3); after saving they are on disk only. inputs: SHA-256 of
    the plan's inputs by name, set when a state is first saved."""

    def __init__(self) -> None:
        self._frames: dict[int, np.ndarray | Path] = {}
        self.inputs: dict[str, str] | None = None

    def __contains__(self, number: int) -> bool:
        return number in self._frames

    def add(self, number: int, frames_FHWC: np.ndarray) -> None:
        self._frames[number] = frames_FHWC

    def frames(self, number: int) -> np.ndarray:
        """A copy of a window's frames. Raises MediaError if its file is damaged or missing."""
        found = self._frames[number]
        return _read(found) if isinstance(found, Path) else found.copy()

    def save(self, folder: Path, work: str) -> list[int]:
        """Write the windows that are not in `folder` yet; return the numbers of all. work: see `work_of`. Raises
        OSError."""
        from safetensors.numpy import save_file

        for number, frames in list(self._frames.items()):
            place = folder / _name(work, number)
            if not isinstance(frames, Path) or frames != place:
                folder.mkdir(exist_ok=True)
                with whole(place) as partial:
                    save_file({"frames": self.frames(number)}, partial)
                self._frames[number] = place
        return sorted(self._frames)

    @classmethod
    def read(cls, folder: Path, work: str, numbers: list[int], inputs: dict[str, str] | None) -> FinishedWindows:
        """The windows of a saved state, left on disk. Raises MediaError if one is missing."""
        found = cls()
        found.inputs = inputs
        for number in numbers:
            place = folder / _name(work, number)
            if not place.is_file():
                raise MediaError(f"{place}: no such file; the saved state requires this window.")
            found._frames[number] = place
        return found


def folder_of(state: Path) -> Path:
    """The folder with the windows of a saved state."""
    return state.with_name(state.name + ".windows")


def work_of(plan: Plan) -> str:
    """16 hexadecimal digits: a hash of all fields of the plan that determine the frames."""
    return sha256(json.dumps(plan.deciding(), sort_keys=True).encode()).hexdigest()[:16]


def remove_others(folder: Path, work: str) -> None:
    """Remove the windows of other plans, whose state was replaced."""
    for place in folder.iterdir() if folder.is_dir() else ():
        if _NAME.fullmatch(place.name) and not place.name.startswith(work):
            place.unlink(missing_ok=True)


def discard(state: Path) -> None:
    """Remove a saved state and its folder of windows, of a clip that is finished. A state without windows stays."""
    folder = folder_of(state)
    windows = [place for place in folder.iterdir() if _NAME.fullmatch(place.name)] if folder.is_dir() else []
    if not windows:
        return
    with suppress(OSError):  # a folder that is not empty or cannot be written stays
        for place in (state, *windows):
            place.unlink(missing_ok=True)
        folder.rmdir()


def _name(work: str, number: int) -> str:
    return f"{work}-{number:05d}.safetensors"


def _read(place: Path) -> np.ndarray:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        frames: np.ndarray = load_file(place)["frames"]
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise MediaError(f"{place}: not a finished window: {error}") from None
    if frames.dtype != np.uint8 or frames.ndim != 4:
        raise MediaError(f"{place}: not a finished window: {frames.dtype} {frames.shape}")
    return frames


def num_windows(plan: Plan) -> int:
    """The number of windows of a plan's clip."""
    return len(plan.spans) if plan.canvas != "model" else 1 + len(plan.by_model)


def plan_of_window(plan: Plan, number: int) -> Plan:
    """The plan of a window: that of its upscale step, else the clip's."""
    return plan.by_model[number - 1] if plan.canvas == "model" and number else plan
