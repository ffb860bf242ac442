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
from ....weights.configs import Config
from ....weights.headers import tensors
from .cards import CHANNELS, FUSER, TRANSFORMER
from .fusers import FUSERS
from .guide import MotionFeatures, guided
from .networks import MotionGuidance

PREFIXES = ("fuser.", "traj_extractor.")
OPTIONAL = ".num_batches_tracked"
"""Counters of batch normalisation, which inference does not read."""
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


def build(config: Mapping[str, Any], what: str) -> MotionGuidance:
    """New parts for a transformer's configuration (config.json). ModelError, which begins with `what`, for a fuser that
    is not known or sizes that do not fit."""
    read = Config(config, what)
    name, channels = read.text("motion_fuser", FUSER), read.whole("motion_channels", CHANNELS, most=MAX_CHANNELS)
    if name not in FUSERS:
        raise ModelError(f"{what}: unknown motion_fuser {name[:40]!r}; known: {', '.join(FUSERS)}.")
    try:
        return MotionGuidance.of(config, channels, FUSERS[name])
    except ValueError as error:
        raise ModelError(f"{what}: {error}") from None


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a network's folder, those of its shard index if there is one."""
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    return [folder / name for name in shards(indexes[0])] if indexes else sorted(folder.glob("*.safetensors"))


def load(folder: Path, transformer: nn.Module, dtype: torch.dtype) -> ToraGuide:
    """Load Tora's parts from the folder of a transformer whose own weights are loaded. ModelError names missing and
    unknown tensors of both, and those of a wrong shape."""
    from safetensors import safe_open

    file = folder / "config.json"
    with torch.device("meta"):
        guidance = build(Config.read(file).values, str(file))
    places = {name: each for each in weight_files(folder) for name in tensors(each)}
    shapes = {name: shape for each in weight_files(folder) for name, shape in tensors(each).items()}
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


def config_of(config: Mapping[str, Any], guidance: MotionGuidance, sigma_px: float) -> dict[str, Any]:
    """The configuration of a folder with these parts, from that of its transformer. sigma_px: the Gaussian of the
    motion maps in the training."""
    names = {kind: name for name, kind in FUSERS.items()}
    return {
        **{name: value for name, value in config.items() if not name.startswith("_")},
        "_class_name": TRANSFORMER,
        "motion_channels": guidance.traj_extractor.conv_in.out_channels,
        "motion_fuser": names[type(guidance.fuser[0])],  # type: ignore[index]
        "motion_sigma": sigma_px,
    }
