"""The inputs of a node that is evaluated: of the declared types, whole numbers as such, defaults where a prompt has no
value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.errors import RequestError
from ...core.outside import for_terminal
from ..nodes.check import illegal
from ..nodes.table import DECLARED
from .descriptions import (
    CameraUse,
    Conditioning,
    Guider,
    LatentClip,
    Levels,
    ModelPart,
    ModelUse,
    Noise,
    SamplerName,
    VisionUse,
)
from .values import Masks, Pictures, Sound, Video

TYPES: dict[str, type | tuple[type, ...]] = {
    "IMAGE": Pictures, "MASK": Masks, "VIDEO": Video, "AUDIO": Sound, "IMAGE,MASK": (Pictures, Masks),
    "MODEL": ModelUse, "CLIP": ModelPart, "VAE": ModelPart, "CLIP_VISION": ModelPart, "CLIP_VISION_OUTPUT": VisionUse,
    "CONDITIONING": Conditioning, "LATENT": LatentClip, "NOISE": Noise, "SAMPLER": SamplerName, "SIGMAS": Levels,
    "GUIDER": Guider, "WAN_CAMERA_EMBEDDING": CameraUse, "INT": (int, float), "FLOAT": (int, float),
    "BOOLEAN": bool, "STRING": str,
}  # fmt: skip


def checked(kind: str, given: Mapping[str, Any], origins: Mapping[str, str]) -> dict[str, Any]:
    """The inputs of a node of a class, with defaults. origins: the class of the node at the other end of each link.
    RequestError: a link of another type than the input's, or a value out of range that is known only now."""
    declared = DECLARED.get(kind)
    by_name = {each.name: each for each in declared.inputs_of(given)} if declared else {}
    found = dict(given)
    for name, value in given.items():
        each = by_name.get(name) or by_name.get(name.partition(".")[0])
        if each is None:
            continue
        if name in origins and (expected := TYPES.get(each.type)) is not None:
            if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
                raise RequestError(f"its input {name} is linked to {for_terminal(origins[name], 60)}.",
                                   field="workflow", legal=f"a link of type {each.type}")  # fmt: skip
            if isinstance(value, int | float | str) and (legal := illegal(value, each)):
                raise RequestError(f"{name} = {value}.", field="workflow", value=value, legal=legal)
        if each.type == "INT" and isinstance(value, float) and value.is_integer():
            found[name] = int(value)
    for name, each in by_name.items():
        if each.widget and name not in found and each.default is not None:
            found[name] = each.default
    return found
