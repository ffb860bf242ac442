"""Saving and resuming a fill without a model, with an identical result.

A state has the number of filled frames, the sources of their pixels, and what the fill carries from frame to frame
(propagation.fill.SceneFill): arrays and plain values in one safetensors file with JSON in its metadata; no pickles. The
pixels filled so far are in the folder FILE.windows. The masks of the rest are computed again from the first frame on,
which takes a fraction of the time.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import KinemaError, MediaError
from ..core.outside import of_kind, parse_json
from ..core.plan import Plan
from ..core.whole import whole
from ..propagation.fill import SceneFill
from . import state_file
from .finished_windows import FinishedParts, folder_of, remove_others, work_of

SCHEMA = 1
KIND = "fill"
"""The value of "kind" in the file's metadata; sampling states have none."""
PLAIN = (int, float, str, bool, type(None))
ROOM = SceneFill.__module__.rpartition(".")[0] + "."
"""The package whose objects may be in a state, with a dot."""


@dataclass(frozen=True)
class FillState:
    """A point of a fill: `done` frames are filled, their pixels in `parts`. pixels: number of filled pixels by source,
    and of those that something moves behind. arrays, values: of the SceneFill, see `taken_apart`."""

    plan: Plan
    done: int
    pixels: dict[str, float]
    arrays: dict[str, np.ndarray]
    values: Any
    parts: FinishedParts = field(default_factory=FinishedParts)

    def filled(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the mask, bool (H, W), and the filled pixels, uint8 (N, 3), of each finished frame. Raises MediaError
        if they are damaged or missing."""
        width, height = self.plan.size
        number = done = 0
        while done < self.done:
            if number not in self.parts:
                raise MediaError(f"The saved state has {done} of its {self.done} filled frames.")
            part = self.parts.part(number)
            try:
                holes_FHW = np.unpackbits(part["masks"], axis=1, count=height * width).astype(bool)
                ends = np.cumsum([0, *holes_FHW.sum(1)])
                if part["pixels"].shape != (ends[-1], 3) or part["pixels"].dtype != np.uint8:
                    raise ValueError(f"{part['pixels'].shape} pixels")
            except (KeyError, ValueError, TypeError) as error:
                raise MediaError(f"Part {number} of the saved state is damaged: {error}") from None
            for hole_P, start, stop in zip(holes_FHW, ends, ends[1:]):
                yield hole_P.reshape(height, width), part["pixels"][start:stop]
            number, done = number + 1, done + len(holes_FHW)

    def filler(self, fresh: SceneFill) -> SceneFill:
        """Return `fresh` as the SceneFill was when the state was saved. Raises MediaError if the state is damaged."""
        try:
            return put_together(self.values, self.arrays, fresh)  # type: ignore[no-any-return]
        except (KeyError, ValueError, TypeError, AttributeError, ImportError) as error:
            raise MediaError(f"The saved state is damaged: {error}") from None

    def save(self, path: str | Path) -> Path:
        """Write the parts that are not on disk yet, then the file, atomically. Raises OSError."""
        from safetensors.numpy import save_file

        path = Path(path)
        work, folder = work_of(self.plan), folder_of(path)
        facts = {
            "schema": SCHEMA, "kind": KIND, "done": self.done, "pixels": self.pixels, "values": self.values,
            "windows": self.parts.save(folder, work), "inputs": self.parts.current_inputs(self.plan),
            "plan": self.plan.model_dump(mode="json"),
        }  # fmt: skip
        with whole(path) as partial:
            save_file(self.arrays, partial, metadata={"kinema": json.dumps(facts)})
        remove_others(folder, work)
        return path

    def check_inputs(self) -> None:
        """Raise RequestError if an input has changed since the state was saved; MediaError if one is missing."""
        self.parts.check_inputs(self.plan)

    @classmethod
    def read(cls, path: str | Path) -> FillState:
        """Read a saved state. Raises MediaError if the file is not one."""
        state_file.check(Path(path))
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="np") as file:
                facts: dict[str, Any] = parse_json((file.metadata() or {})["kinema"], str(path), dict)
                version = of_kind(facts["schema"], "schema", int)
                if version > SCHEMA:
                    raise MediaError(
                        f"{path}: written by a later version of Kinema (schema {version}; this one supports {SCHEMA})."
                    )
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            plan = Plan.from_dict(facts["plan"])
            done = of_kind(facts["done"], "done", int)
            if plan.fill != "propagate" or not 0 < done < plan.frames:
                raise KinemaError(f"{done} of {plan.frames} frames, fill = {plan.fill}")
            pixels = {
                name: float(of_kind(count, name, (int, float)))
                for name, count in of_kind(facts["pixels"], "pixels", dict).items()
            }
            inputs = facts.get("inputs")
            inputs = None if inputs is None else of_kind(inputs, "inputs", dict)
            numbers = [of_kind(number, "windows", int) for number in of_kind(facts["windows"], "windows", list)]
            parts = FinishedParts.read(folder_of(Path(path)), work_of(plan), numbers, inputs)
            return cls(plan, done, pixels, arrays, of_kind(facts["values"], "values", dict), parts)
        except MediaError:
            raise
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, SafetensorError, KinemaError) as error:
            raise MediaError(f"{path}: not a saved state of a fill: {error}") from None


@dataclass
class Keeping:
    """How one fill is saved and resumed. state: to resume from. keep: called with a FillState after every `every`
    frames, except the last."""

    plan: Plan
    state: FillState | None = None
    keep: Any = None
    every: int = 0

    def __post_init__(self) -> None:
        self.parts = self.state.parts if self.state is not None else FinishedParts()
        self.number = 0
        self.waiting: list[tuple[np.ndarray, np.ndarray]] = []
        if self.state is not None:
            covered = 0
            while covered < self.state.done and self.number in self.parts:
                covered += len(self.parts.part(self.number)["masks"])
                self.number += 1

    def add(self, done: int, hole_HW: np.ndarray, frame_HWC: np.ndarray, pixels: dict[str, float], filler: Any) -> None:
        """A frame is filled. done: the number of filled frames. pixels, filler: for the state."""
        if self.keep is None:
            return
        self.waiting.append((np.packbits(hole_HW.reshape(-1)), frame_HWC[hole_HW]))
        if done % self.every or done == self.plan.frames:
            return
        masks, colors = zip(*self.waiting)
        self.parts.put(self.number, {"masks": np.stack(masks), "pixels": np.concatenate(colors)})
        self.number, self.waiting = self.number + 1, []
        arrays: dict[str, np.ndarray] = {}
        values = taken_apart(filler, arrays, {})
        self.keep(FillState(self.plan, done, pixels, arrays, values, self.parts))


def taken_apart(value: Any, arrays: dict[str, np.ndarray], known: dict[int, int]) -> Any:
    """Return a value as JSON, its arrays copied to `arrays`: plain values, arrays, collections of them, and objects of
    propagation/. Objects of libraries are left out: they are settings, made anew. known: numbers of objects by id."""
    if isinstance(value, PLAIN):
        return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(value, np.ndarray | np.generic):
        name = str(len(arrays))
        arrays[name] = np.ascontiguousarray(value).reshape(np.shape(value)).copy()
        return {"array": name}
    if isinstance(value, list | tuple | deque):
        kind = next(each for each in (list, tuple, deque) if isinstance(value, each))
        found = {kind.__name__: [taken_apart(each, arrays, known) for each in value]}
        return found | ({"maxlen": value.maxlen} if isinstance(value, deque) else {})
    if isinstance(value, dict):
        return {"dict": [[taken_apart(part, arrays, known) for part in pair] for pair in value.items()]}
    kind = type(value)
    if not kind.__module__.startswith(ROOM):
        return {"left_out": kind.__name__}
    if id(value) in known:
        return {"same": known[id(value)]}
    number = known[id(value)] = len(known)
    parts = {name: taken_apart(part, arrays, known) for name, part in vars(value).items()}
    return {"object": f"{kind.__module__.removeprefix(ROOM)}:{kind.__name__}", "number": number, "parts": parts}


def put_together(
    given: Any, arrays: dict[str, np.ndarray], fresh: Any = None, made: dict[int, Any] | None = None
) -> Any:
    """The inverse of `taken_apart`. fresh: an object of the same class that is changed and returned; what was left out
    stays as in it."""
    made = {} if made is None else made
    if not isinstance(given, dict):
        if not isinstance(given, PLAIN):
            raise ValueError(f"a {type(given).__name__}")
        return given
    if "array" in given:
        array = arrays[given["array"]]
        return array[()] if array.ndim == 0 else array.copy()
    for kind in (list, tuple, deque):
        if kind.__name__ in given:
            values = [put_together(each, arrays, None, made) for each in given[kind.__name__]]
            return deque(values, given.get("maxlen")) if kind is deque else kind(values)
    if "dict" in given:
        return {
            put_together(key, arrays, None, made): put_together(value, arrays, None, made)
            for key, value in given["dict"]
        }
    if "same" in given:
        return made[given["same"]]
    module, _, name = given["object"].partition(":")
    if not module.isidentifier():
        raise ValueError(f"a {given['object']}")
    kind = getattr(import_module(f"{ROOM}{module}"), name)
    if not isinstance(kind, type) or kind.__module__ != f"{ROOM}{module}":
        raise ValueError(f"a {given['object']}")
    found = fresh if type(fresh) is kind else object.__new__(kind)
    made[given["number"]] = found
    for name, part in given["parts"].items():
        if not (isinstance(part, dict) and "left_out" in part):
            object.__setattr__(found, name, put_together(part, arrays, getattr(found, name, None), made))
    return found
