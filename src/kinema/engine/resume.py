"""Saving and resuming the state of sampling, with an identical result.

A state has the latents, the step, all attributes of the scheduler (tensors, lists of tensors, numbers) and the outputs
cached for step reuse, all in their memory layout, which affects the last bits. It is stored as one safetensors file
with JSON in its metadata; no pickles. Finished windows are stored in the folder FILE.windows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..core.errors import KinemaError, MediaError
from ..core.options import Sampling
from ..core.outside import of_kind, parse_json
from ..core.plan import Plan
from ..core.whole import whole
from ..diffusion import scheduling
from ..diffusion.cache import StepReuse
from ..diffusion.latents import Latents, of_parts, parts
from . import state_file
from .finished_windows import FinishedWindows, folder_of, num_windows, plan_of_window, remove_others, work_of

SCHEMA = 2
"""Version of the file. Files without one have version 1: a single window and no layouts."""
MOST_TIMESTEPS = 2
"""Maximum timesteps per step of a scheduler (Heun's method)."""
PLAIN = (int, float, str, bool, type(None))


OF = ":"
"""Separator between the name of a part of the latents and the name of its attribute."""


def _copied(name: str, latents: Latents) -> dict[str, torch.Tensor]:
    """Copies of the parts of latents on the CPU, by name."""
    return {
        f"{name}{OF}{part}" if part else name: tensor.detach().cpu().clone() for part, tensor in parts(latents).items()
    }


def _attributes(scheduler: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield (part, name, value) of all attributes of a scheduler, or of the schedulers of several parts."""
    for part, one in scheduling.by_name(scheduler).items():
        for name, value in vars(one).items():
            if not name.startswith("_internal") and name != "config":
                yield f"{part}{OF}" if part else "", name, value


@dataclass(frozen=True)
class SamplingState:
    """A point of sampling: `step` timesteps of pass number `span` of window number `window` are done, and all
    `windows`. Passes are the spans in order, each repeated for FreeInit. Without tensors, the window has not begun."""

    plan: Plan
    span: int
    step: int
    tensors: dict[str, torch.Tensor]
    values: dict[str, Any]
    window: int = 0
    windows: FinishedWindows = field(default_factory=FinishedWindows)

    @classmethod
    def capture(cls, plan: Plan, span: int, step: int, x: Latents, scheduler: Any, reuse: StepReuse) -> SamplingState:
        tensors = _copied("latents", x)
        values: dict[str, Any] = {}
        for part, name, value in _attributes(scheduler):
            if isinstance(value, torch.Tensor):
                tensors[f"scheduler.{part}{name}"] = value.detach().cpu().clone()
            elif isinstance(value, list) and any(isinstance(item, torch.Tensor) for item in value):
                values[f"list.{part}{name}"] = [isinstance(item, torch.Tensor) for item in value]
                for index, item in enumerate(value):
                    if isinstance(item, torch.Tensor):
                        tensors[f"scheduler.{part}{name}.{index}"] = item.detach().cpu().clone()
            elif isinstance(value, PLAIN) or (isinstance(value, list) and all(isinstance(i, PLAIN) for i in value)):
                # A copy, because the list may change in place.
                values[f"plain.{part}{name}"] = list(value) if isinstance(value, list) else value
        values["first"] = reuse.first
        values["history"] = [sigma for sigma, _ in reuse.history]
        for index, (_, output) in enumerate(reuse.history):
            tensors |= _copied(f"history.{index}", output)
        return cls(plan, span, step, tensors, values)

    def restore(self, scheduler: Any, reuse: StepReuse) -> tuple[Any, int]:
        """Restore the scheduler and the step reuse; return the latents and the next step."""
        device, owners = scheduler.timesteps.device, scheduling.by_name(scheduler)
        for name, value in self.values.items():
            kind, _, place = name.partition(".")
            part, _, attribute = place.rpartition(OF)
            if kind == "plain":
                setattr(owners[part], attribute, value)
            elif kind == "list":
                items = [
                    self.tensors[f"scheduler.{place}.{index}"].to(device) if is_tensor else None
                    for index, is_tensor in enumerate(value)
                ]
                setattr(owners[part], attribute, items)
        for name, tensor in self.tensors.items():
            part, _, attribute = name.removeprefix("scheduler.").rpartition(OF)
            if name.startswith("scheduler.") and "." not in attribute:
                now = getattr(owners[part], attribute, None)  # some attributes exist only after a step
                where = now.device if isinstance(now, torch.Tensor) and attribute != "last_sample" else device
                setattr(owners[part], attribute, tensor.to(where))
        reuse.begin(self.values.get("first", reuse.first))
        reuse.history = [
            (sigma, self._latents(f"history.{index}", device)) for index, sigma in enumerate(self.values["history"])
        ]
        return self._latents("latents", device), self.step

    def _latents(self, name: str, device: torch.device) -> Any:
        """Latents saved by `_copied`."""
        return of_parts({
            part: tensor.to(device)
            for key, tensor in self.tensors.items()
            for stem, _, part in (key.partition(OF),)
            if stem == name
        })  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write the windows that are not on disk yet, then the file, atomically. Raises OSError."""
        from safetensors.torch import save_file

        path = Path(path)
        work, folder = work_of(self.plan), folder_of(path)
        facts = {
            "schema": SCHEMA,
            "span": self.span,
            "step": self.step,
            "window": self.window,
            "windows": self.windows.save(folder, work),
            "inputs": self.windows.current_inputs(self.plan),
            "values": self.values,
            "strides": {name: t.stride() for name, t in self.tensors.items() if not t.is_contiguous()},
            "plan": self.plan.model_dump(mode="json"),
        }
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors.items()}
        with whole(path) as partial:
            save_file(tensors, partial, metadata={"kinema": json.dumps(facts)})
        remove_others(folder, work)
        return path

    def check_inputs(self) -> None:
        """Raise RequestError if an input has changed since the state was saved; MediaError if one is missing."""
        self.windows.check_inputs(self.plan)

    @classmethod
    def read(cls, path: str | Path) -> SamplingState:
        """Read a saved state. Raises MediaError if the file is not one."""
        state_file.check(Path(path))
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as file:
                facts: dict[str, Any] = parse_json((file.metadata() or {})["kinema"], str(path), dict)
                version = of_kind(facts.get("schema", SCHEMA), "schema", int)
                if version > SCHEMA:
                    raise MediaError(
                        f"{path}: written by a later version of Kinema (schema {version}; this one supports {SCHEMA})."
                    )
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            span, step = (of_kind(facts[name], name, int) for name in ("span", "step"))
            window = of_kind(facts.get("window", 0), "window", int)
            values = of_kind(facts["values"], "values", dict)
            for name, strides in of_kind(facts.get("strides", {}), "strides", dict).items():
                tensors[name] = _laid_out(tensors[name], of_kind(strides, name, list))
            plan = Plan.from_dict(facts["plan"])
            _check_place(plan, window, span, step)
            numbers = [of_kind(number, "windows", int) for number in of_kind(facts.get("windows", []), "windows", list)]
            inputs = facts.get("inputs")
            inputs = None if inputs is None else of_kind(inputs, "inputs", dict)
            finished = FinishedWindows.read(folder_of(Path(path)), work_of(plan), numbers, inputs)
            return cls(plan, span, step, tensors, values, window, finished)
        except MediaError:
            raise
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, SafetensorError, KinemaError) as error:
            raise MediaError(f"{path}: not a saved sampling state: {error}") from None


def _laid_out(tensor: torch.Tensor, strides: list[int]) -> torch.Tensor:
    """The tensor with these strides, which must be dense. Raises ValueError if they are not."""
    sizes = tensor.shape
    dense = len(strides) == len(sizes) and all(isinstance(each, int) and each >= 0 for each in strides)
    if not dense or 1 + sum((size - 1) * stride for size, stride in zip(sizes, strides)) != tensor.numel():
        raise ValueError(f"strides {strides} of a tensor of {tuple(sizes)}")
    return torch.empty_strided(sizes, strides, dtype=tensor.dtype).copy_(tensor)


def _check_place(plan: Plan, window: int, span: int, step: int) -> None:
    """Raise KinemaError if the plan has no such window, pass or step."""
    if not 0 <= window < num_windows(plan):
        raise KinemaError(f"window {window} is not in its plan")
    part = plan_of_window(plan, window)
    passes = Sampling.of(part).free_init * (len(part.spans) if part.canvas == "model" else 1)
    if not (0 <= span < passes and 0 <= step <= MOST_TIMESTEPS * part.steps):
        raise KinemaError(f"step {step} of pass {span} is not in its plan")
