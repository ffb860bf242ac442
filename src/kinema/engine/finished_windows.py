"""The finished windows of a clip, or parts of a fill: in memory, and on disk next to a saved state."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np

from ..core.errors import KinemaError, MediaError, RequestError
from ..core.plan import Plan
from ..core.whole import whole
from .manifest import input_digests

_NAME = re.compile(r"[0-9a-f]{16}-\d{5}\.safetensors")


class FinishedParts:
    """Finished parts of a clip by number, each a dict of arrays; after saving they are on disk only. inputs: SHA-256 of
    the plan's inputs by name, set when a state is first saved."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[str, np.ndarray] | Path] = {}
        self.inputs: dict[str, str] | None = None

    def __contains__(self, number: int) -> bool:
        return number in self._parts

    def __len__(self) -> int:
        return len(self._parts)

    def put(self, number: int, part: dict[str, np.ndarray]) -> None:
        self._parts[number] = part

    def part(self, number: int) -> dict[str, np.ndarray]:
        """A copy of a part. Raises MediaError if its file is damaged or missing."""
        found = self._parts[number]
        return _read(found) if isinstance(found, Path) else {name: array.copy() for name, array in found.items()}

    def save(self, folder: Path, work: str) -> list[int]:
        """Write the parts that are not in `folder` yet; return the numbers of all. work: see `work_of`. Raises
        OSError."""
        from safetensors.numpy import save_file

        for number, found in list(self._parts.items()):
            place = folder / _name(work, number)
            if not isinstance(found, Path) or found != place:
                folder.mkdir(exist_ok=True)
                with whole(place) as partial:
                    save_file(self.part(number), partial)
                self._parts[number] = place
        return sorted(self._parts)

    @classmethod
    def read(cls, folder: Path, work: str, numbers: list[int], inputs: dict[str, str] | None) -> Self:
        """The parts of a saved state, left on disk. Raises MediaError if one is missing."""
        found = cls()
        found.inputs = inputs
        for number in numbers:
            place = folder / _name(work, number)
            if not place.is_file():
                raise MediaError(f"{place}: no such file; the saved state requires this window.")
            found._parts[number] = place
        return found

    def current_inputs(self, plan: Plan) -> dict[str, str] | None:
        """Digests of the plan's inputs, computed once per run; None if one cannot be read any more."""
        if self.inputs is None:
            with suppress(KinemaError):
                self.inputs = input_digests(plan)
        return self.inputs

    def check_inputs(self, plan: Plan) -> None:
        """Raise RequestError if an input has changed since the state was saved; MediaError if one is missing."""
        for name, now in input_digests(plan).items() if self.inputs else ():
            if now != (then := (self.inputs or {}).get(name)):
                raise RequestError(
                    f"{name} has changed since the state was saved.", field="state", value=name,
                    legal=f"SHA-256 {then}",
                )  # fmt: skip


class FinishedWindows(FinishedParts):
    """Frames of finished windows by number, uint8 (F, H, W, 3)."""

    def add(self, number: int, frames_FHWC: np.ndarray) -> None:
        self.put(number, {"frames": frames_FHWC})

    def frames(self, number: int) -> np.ndarray:
        """A copy of a window's frames. Raises MediaError if its file is damaged or missing."""
        frames_FHWC = self.part(number).get("frames", np.zeros(0))
        if frames_FHWC.dtype != np.uint8 or frames_FHWC.ndim != 4:
            raise MediaError(f"{self._parts[number]}: not a finished window: {frames_FHWC.dtype} {frames_FHWC.shape}")
        return frames_FHWC


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


def _read(place: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found: dict[str, np.ndarray] = load_file(place)
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise MediaError(f"{place}: not a finished window: {error}") from None
    return found


def num_windows(plan: Plan) -> int:
    """The number of windows of a plan's clip."""
    return len(plan.spans) if plan.canvas != "model" else 1 + len(plan.by_model)


def plan_of_window(plan: Plan, number: int) -> Plan:
    """The plan of a window: that of its upscale step, else the clip's."""
    return plan.by_model[number - 1] if plan.canvas == "model" and number else plan
