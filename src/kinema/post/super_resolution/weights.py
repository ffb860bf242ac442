"""Load a super-resolution network: the shipped one, or a file of another architecture through spandrel.

A folder with config.json holds a CompactNetwork. Any other file is a published state dict, whose architecture spandrel
(extra `upscale`) recognizes by its tensors: ESRGAN, compact, SPAN, RealPLKSR and others. Files are read by
weights/state_dict.py, not by spandrel: tensors only, no code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...core.errors import ModelError
from ...core.extras import install_command
from ...core.outside import read_json
from ...weights.state_dict import one_line, read
from .files import Network, network_file
from .network import RGB, CompactConfig, CompactNetwork


@dataclass(frozen=True)
class SuperResolution:
    """A loaded network. module: maps (B, T, 3, H, W), float32 in [0, 1], to (B, 3, s H, s W). frames: T, 1 or 3.
    scale: s. kind: its architecture. tiles: may a frame be processed in parts? batches: several frames at once?"""

    module: nn.Module
    frames: int
    scale: int
    kind: str
    tiles: bool = True
    batches: bool = True


def open_network(network: Network = None) -> SuperResolution:
    """Load a network for inference, float32, on the CPU.

    Raises WeightsMissing and ModelError: missing, damaged, not a super-resolution network for RGB, or spandrel is not
    installed."""
    file = network_file(network)
    state = read(file)
    if file.with_name("config.json").is_file():
        return _compact(state, file)
    return _foreign(state, file)


def _compact(state: dict[str, Any], file: Path) -> SuperResolution:
    place = file.with_name("config.json")
    try:
        config = CompactConfig.from_dict(read_json(place, dict, error=ModelError))
    except (ValueError, TypeError) as error:
        raise ModelError(f"{place}: {error}.") from None
    network = CompactNetwork(config)
    try:
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except (RuntimeError, AttributeError) as error:
        raise ModelError(f"{file}: not the weights of this network ({one_line(error)}).") from None
    module = network.eval().requires_grad_(False)
    return SuperResolution(module, config.frames, config.scale, "compact")


def _foreign(state: dict[str, Any], file: Path) -> SuperResolution:
    try:
        import spandrel
    except ImportError as error:
        if error.name not in ("spandrel", "torchvision", "einops"):
            raise
        raise ModelError(
            f"{file} requires spandrel, which is not installed ({error.name} is missing): {install_command('upscale')}"
        ) from None
    state = spandrel.canonicalize_state_dict(state)
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{file}: not a state dict (names and tensors).")
    try:
        found = spandrel.ModelLoader().load_from_state_dict({name: value.float() for name, value in state.items()})
    except spandrel.UnsupportedModelError:
        raise ModelError(f"{file}: spandrel recognizes no architecture in its tensors.") from None
    except (RuntimeError, KeyError, ValueError, AssertionError) as error:
        raise ModelError(f"{file}: incomplete, or of an unknown variant ({one_line(error)}).") from None
    name = found.architecture.name
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.purpose not in ("SR", "Restoration"):
        raise ModelError(f"{file}: {name} ({found.purpose}) is not a super-resolution network.")
    if (found.input_channels, found.output_channels) != (RGB, RGB):
        raise ModelError(
            f"{file}: {found.input_channels} channels in, {found.output_channels} out; a network for RGB has 3 and 3."
        )
    tiles = found.tiling is spandrel.ModelTiling.SUPPORTED
    return SuperResolution(SingleFrame(found), 1, found.scale, name, tiles, batches=False)


class SingleFrame(nn.Module):
    """A network of spandrel with the interface of SuperResolution: (1, 1, 3, H, W) to (1, 3, s H, s W)."""

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.model = descriptor.eval().model.requires_grad_(False)
        self.descriptor = descriptor

    def forward(self, frames_BTCHW: Tensor) -> Tensor:
        made: Tensor = self.descriptor(frames_BTCHW[:, 0])
        return made
