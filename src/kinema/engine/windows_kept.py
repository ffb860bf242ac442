"""What is finished of a clip that is made in several windows: in memory, and beside a saved state on the disk."""

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


class WindowsKept:
    """Frames of finished windows by number, uint8 (F, H, W, 3). Once saved they are on the disk alone. inputs: SHA-256
    of what the plan reads by name, from the first time that a state is saved."""

    def __init__(self) -> None:
        self._frames: dict[int, np.ndarray | Path] = {}
        self.inputs: dict[str, str] | None = None

    def __contains__(self, number: int) -> bool:
        return number in self._frames

    def add(self, number: int, frames_FHWC: np.ndarray) -> None:
        self._frames[number] = frames_FHWC

    def frames(self, number: int) -> np.ndarray:
        """A copy that may be changed. MediaError where its file is damaged or gone."""
        found = self._frames[number]
        return _read(found) if isinstance(found, Path) else found.copy()

    def save(self, folder: Path, work: str) -> list[int]:
        """Write those that are not in `folder` yet; returns the numbers of all. work: what they are windows of. OSError
        where one cannot be written."""
        from safetensors.numpy import save_file

        for number, frames in list(self._frames.items()):
            place = folder / _name(work, number)
            if not isinstance(frames, Path) or frames != place:
                folder.mkdir(exist_ok=True)
                with whole(place) as beside:
                    save_file({"frames": self.frames(number)}, beside)
                self._frames[number] = place
        return sorted(self._frames)

    @classmethod
    def read(cls, folder: Path, work: str, numbers: list[int], inputs: dict[str, str] | None) -> WindowsKept:
        """Those of a saved state, left on the disk. MediaError where one is missing."""
        found = cls()
        found.inputs = inputs
        for number in numbers:
            place = folder / _name(work, number)
            if not place.is_file():
                raise MediaError(f"{place}: the state beside it names this window, and it is not there.")
            found._frames[number] = place
        return found


def folder_of(state: Path) -> Path:
    """Where the windows of a saved state are."""
    return state.with_name(state.name + ".windows")


def work_of(plan: Plan) -> str:
    """16 hexadecimal digits that change with everything in a plan that decides frames."""
    return sha256(json.dumps(plan.deciding(), sort_keys=True).encode()).hexdigest()[:16]


def remove_others(folder: Path, work: str) -> None:
    """Windows of other plans, whose state was replaced."""
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
    """How many windows make the clip of a plan."""
    return len(plan.spans) if plan.canvas != "model" else 1 + len(plan.by_model)


def plan_of_window(plan: Plan, number: int) -> Plan:
    """The plan whose steps a window takes: its own of a step of an upscale, else the clip's."""
    return plan.by_model[number - 1] if plan.canvas == "model" and number else plan
