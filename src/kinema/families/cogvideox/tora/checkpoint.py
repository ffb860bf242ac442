"""Tora's parts in a diffusers folder: they lie in the transformer's files, next to its own weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ....core.errors import ModelError
from ....weights.complete import shards
from ....weights.headers import tensors
from .cards import TRANSFORMER
from .fusers import FUSERS
from .guide import MotionFeatures, guided
from .networks import MotionGuidance, MotionGuidanceFuser

PREFIXES = ("fuser.", "traj_extractor.")
OPTIONAL = ".num_batches_tracked"
"""Counters of batch normalisation, which inference does not read."""
CONV_IN = "traj_extractor.conv_in.bias"
MARKS = {"extra_channels": "spatial.weight", "cross_attention": "to_q.weight"}
"""Tensors that distinguish the fusers of the ablation from the published one."""
MAX_CHANNELS = 4096


class ToraGuide:
    """The motion guide of a loaded model (families/cogvideox/motion.py)."""

    def __init__(self, guidance: MotionGuidance) -> None:
        self.guidance = guidance

    @property
    def modules(self) -> Sequence[nn.Module]:
        return (self.guidance,)

    def features(self, flow_BCTHW: torch.Tensor) -> MotionFeatures:
        """The motion of a request, from the scaled latents of its motion map."""
        fusers: Any = self.guidance.fuser
        return MotionFeatures(fusers, self.guidance(flow_BCTHW))

    def applied(
        self, transformer: nn.Module, features: MotionFeatures, shape: tuple[int, ...]
    ) -> AbstractContextManager[Any]:
        return guided(transformer, features)


def build(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], what: str) -> MotionGuidance:
    """New parts for a transformer's configuration (config.json) and the tensors of its files, which decide on the fuser
    and the extractor's channels. ModelError, which begins with `what`, if they are not Tora's or do not fit."""
    bias = shapes.get(CONV_IN, ())
    if len(bias) != 1 or not 1 <= bias[0] <= MAX_CHANNELS:
        raise ModelError(f"{what}: no parts of Tora: {CONV_IN} is missing or has a wrong shape.")
    fuser = next((FUSERS[name] for name, mark in MARKS.items() if f"fuser.0.{mark}" in shapes), MotionGuidanceFuser)
    try:
        return MotionGuidance.of(config, bias[0], fuser)
    except (ValueError, KeyError) as error:
        raise ModelError(f"{what}: {error}") from None


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a network's folder, those of its shard index if there is one."""
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    return [folder / name for name in shards(indexes[0])] if indexes else sorted(folder.glob("*.safetensors"))


def load(folder: Path, transformer: nn.Module, dtype: torch.dtype) -> ToraGuide:
    """Load Tora's parts from the folder of a transformer whose own weights are loaded. ModelError names missing and
    unknown tensors of both, and those of a wrong shape."""
    from safetensors import safe_open

    files = weight_files(folder)
    places = {name: each for each in files for name in tensors(each)}
    shapes = {name: shape for each in files for name, shape in tensors(each).items()}
    config: Any = transformer.config
    with torch.device("meta"):
        guidance = build(config, shapes, str(folder))
    expected = {name: tuple(each.shape) for part in (transformer, guidance) for name, each in part.state_dict().items()}
    check(shapes, expected, str(folder))
    state: dict[str, torch.Tensor] = {}
    for each in sorted(set(places.values())):
        with safe_open(each, framework="pt") as opened:
            for name in places:
                if places[name] == each and name.startswith(PREFIXES):
                    state[name] = opened.get_tensor(name)
    state = {name: each.to(dtype) if each.is_floating_point() else each for name, each in state.items()}
    for name, each in guidance.state_dict().items():
        if name.endswith(OPTIONAL):
            state.setdefault(name, torch.zeros((), dtype=each.dtype))
    guidance.load_state_dict(state, assign=True)
    return ToraGuide(guidance.eval().requires_grad_(False))


def check(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], what: str) -> None:
    """ModelError, which begins with `what`, if tensors are missing, unknown, or of another shape."""
    needed = {name for name in expected if not name.endswith(OPTIONAL)}
    if missing := sorted(needed - set(found)):
        raise ModelError(f"{what}: {_named(missing)} missing.")
    if unknown := sorted(set(found) - set(expected)):
        raise ModelError(f"{what}: {_named(unknown)} not known in Tora.")
    for name, shape in found.items():
        if tuple(shape) != tuple(expected[name]):
            raise ModelError(f"{what}: {name} has the shape {list(shape)}, expected {list(expected[name])}.")


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(name[:120] for name in names[:3])
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"tensors {shown}{rest} are" if len(names) > 1 else f"the tensor {shown} is"


def state_of(parts: Iterable[nn.Module]) -> dict[str, torch.Tensor]:
    """The tensors of a transformer and of its MotionGuidance in one table, as they are saved."""
    return {name: each.contiguous() for part in parts for name, each in part.state_dict().items()}


def config_of(config: Mapping[str, Any], sigma_px: float) -> dict[str, Any]:
    """The configuration of a transformer with Tora's parts, from that of CogVideoX. sigma_px: the Gaussian of its
    motion maps in the training."""
    own = {name: value for name, value in config.items() if not name.startswith("_")}
    return {**own, "_class_name": TRANSFORMER, "motion_sigma_px": sigma_px}
