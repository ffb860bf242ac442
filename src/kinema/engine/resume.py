"""A moment of sampling that can be saved and taken up again, to the identical result.

Kept: the latents, the step, everything a scheduler object holds (tensors, lists of tensors, numbers), and the
outputs that step reuse remembers. Stored as one safetensors file with JSON in its metadata; no pickles.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
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

SCHEMA = 1
"""Of the file; those from before there was one are of this version."""
MOST_TIMESTEPS = 2
"""That a scheduler makes of one step (Heun's method)."""
PLAIN = (int, float, str, bool, type(None))


OF = ":"
"""Between the name of a part of the latents and what is kept of it."""


def _kept(name: str, latents: Latents) -> dict[str, torch.Tensor]:
    """The parts of latents, by name."""
    return {
        f"{name}{OF}{part}" if part else name: tensor.detach().cpu().clone() for part, tensor in parts(latents).items()
    }


def _attributes(scheduler: Any) -> Iterator[tuple[str, str, Any]]:
    """(part, name, value) of everything that a scheduler holds, or those of several parts."""
    for part, one in scheduling.by_name(scheduler).items():
        for name, value in vars(one).items():
            if not name.startswith("_internal") and name != "config":
                yield f"{part}{OF}" if part else "", name, value


@dataclass(frozen=True)
class SamplingState:
    """`step` timesteps of sampling number `span` are done: spans in their order, each as often as it is sampled."""

    plan: Plan
    span: int
    step: int
    tensors: dict[str, torch.Tensor]
    values: dict[str, Any]

    @classmethod
    def capture(cls, plan: Plan, span: int, step: int, x: Latents, scheduler: Any, reuse: StepReuse) -> SamplingState:
        tensors = _kept("latents", x)
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
                # A copy: it may change in place.
                values[f"plain.{part}{name}"] = list(value) if isinstance(value, list) else value
        values["first"] = reuse.first
        values["history"] = [sigma for sigma, _ in reuse.history]
        for index, (_, output) in enumerate(reuse.history):
            tensors |= _kept(f"history.{index}", output)
        return cls(plan, span, step, tensors, values)

    def restore(self, scheduler: Any, reuse: StepReuse) -> tuple[Any, int]:
        """Put the scheduler and the step reuse into the saved moment; returns latents and the next step."""
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
                now = getattr(owners[part], attribute, None)  # what a step leaves behind is not there before it
                where = now.device if isinstance(now, torch.Tensor) and attribute != "last_sample" else device
                setattr(owners[part], attribute, tensor.to(where))
        reuse.begin(self.values.get("first", reuse.first))
        reuse.history = [
            (sigma, self._latents(f"history.{index}", device)) for index, sigma in enumerate(self.values["history"])
        ]
        return self._latents("latents", device), self.step

    def _latents(self, name: str, device: torch.device) -> Any:
        """What `_kept` kept under a name."""
        return of_parts({
            part: tensor.to(device)
            for key, tensor in self.tensors.items()
            for stem, _, part in (key.partition(OF),)
            if stem == name
        })  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write beside and rename."""
        from safetensors.torch import save_file

        path = Path(path)
        facts = {
            "schema": SCHEMA,
            "span": self.span,
            "step": self.step,
            "values": self.values,
            "plan": self.plan.model_dump(mode="json"),
        }
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors.items()}
        with whole(path) as beside:
            save_file(tensors, beside, metadata={"kinema": json.dumps(facts)})
        return path

    @classmethod
    def read(cls, path: str | Path) -> SamplingState:
        """MediaError where the file is not a saved state."""
        state_file.check(Path(path))
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as file:
                facts: dict[str, Any] = parse_json((file.metadata() or {})["kinema"], str(path), dict)
                version = of_kind(facts.get("schema", SCHEMA), "schema", int)
                if version > SCHEMA:
                    raise MediaError(
                        f"{path}: a later version of Kinema wrote it (schema {version}; this one knows {SCHEMA})."
                    )
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            span, step = (of_kind(facts[name], name, int) for name in ("span", "step"))
            values = of_kind(facts["values"], "values", dict)
            plan = Plan.from_dict(facts["plan"])
            passes = len(plan.spans) * Sampling.of(plan).free_init
            if not (0 <= span < passes and 0 <= step <= MOST_TIMESTEPS * plan.steps):
                raise KinemaError(f"step {step} of span {span} is not in its plan")
            return cls(plan, span, step, tensors, values)
        except MediaError:
            raise
        except (OSError, KeyError, ValueError, TypeError, SafetensorError, KinemaError) as error:
            raise MediaError(f"{path}: not a saved sampling state: {error}") from None
