"""Weights of FILM: the shipped small network, and the published one in the layout of its public conversion.

The names of the conversion (dajes/frame-interpolation-pytorch, from the released TensorFlow weights), with finest first
where it counts from the coarsest:

    extract.extract_sublevels.convs.K.J.0       extractor.steps.K.J.conv
    predict_flow._predictor._convs.J.0          flow.predictors.LAST.convs.J.conv
    predict_flow._predictors.I._convs.J.0       flow.predictors.(LAST - 1 - I).convs.J.conv
    fuse.convs.I.M.0                            fusion.levels.(LEVELS - 1 - I).M.conv
    fuse.output_conv                            fusion.paint
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...core.errors import ModelError
from ...core.outside import read_json
from ...weights import state_dict
from .config import PUBLISHED, FilmConfig
from .files import weights_file
from .network import FilmNetwork


def open_film(model: str | os.PathLike[str] | None = None) -> FilmNetwork:
    """Load a network for inference, float32, on the CPU. model: a file or folder; None: the shipped one.

    Raises WeightsMissing and ModelError (damaged, of another network)."""
    file = weights_file(model)
    state = {name: value.float() for name, value in read(file).items()}
    if any(name.startswith("extract.") for name in state):
        config = published_config(state, file)
        state = from_published(state, config)
    else:
        config = _config_beside(file)
    network = FilmNetwork(config)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{file}: not the weights of this network ({str(error).splitlines()[-1].strip()}).") from None
    return network.eval().requires_grad_(False)


def read(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a file by name. From pickled files only tensors are loaded; TorchScript code is not run."""
    if file.suffix != ".safetensors" and state_dict.is_torchscript(file):
        try:
            return dict(torch.jit.load(str(file), map_location="cpu").state_dict())
        except (RuntimeError, ValueError, OSError, EOFError) as error:
            raise ModelError(f"{file}: cannot be read ({state_dict.one_line(error)}).") from error
    found = state_dict.read(file)
    found = found.get("state_dict", found)
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelError(f"{file}: not a state dict (names and tensors).")
    return dict(found)


def published_config(state: Mapping[str, Tensor], file: Path) -> FilmConfig:
    """The options of a network in the conversion's layout, derived from its shapes. Raises ModelError if tensors are
    missing."""

    def width(name: str) -> int:
        if name not in state:
            raise ModelError(f"{file}: {name} is missing.")
        return len(state[name])

    def count(pattern: str) -> int:
        return len({found[1] for name in state if (found := re.match(pattern, name))})

    one = r"predict_flow\._predictors\.{}\._convs\.(\d+)\.0\.weight"
    special = count(r"predict_flow\._predictors\.(\d+)\.")
    names = [f"_predictors.{special - 1 - k}" for k in range(special)] + ["_predictor"]
    convs = [count(one.format(special - 1 - k)) - 2 for k in range(special)]
    convs.append(count(r"predict_flow\._predictor\._convs\.(\d+)\.0\.weight") - 2)
    fused = count(r"fuse\.convs\.(\d+)\.")
    try:
        return FilmConfig(
            levels=PUBLISHED.levels,
            sub_levels=count(r"extract\.extract_sublevels\.convs\.(\d+)\."),
            filters=width("extract.extract_sublevels.convs.0.0.0.weight"),
            flow_convs=tuple(convs),
            flow_filters=tuple(width(f"predict_flow.{name}._convs.0.0.weight") for name in names),
            fusion_filters=tuple(width(f"fuse.convs.{fused - 1 - k}.2.0.weight") for k in range(fused)),
        )
    except ValueError as error:
        raise ModelError(f"{file}: {error}") from None


def published_name(name: str, config: FilmConfig) -> str:
    """The name in the conversion of a parameter of FilmNetwork."""
    part, *rest = name.split(".")
    kind = rest[-1]
    if part == "extractor":
        return f"extract.extract_sublevels.convs.{rest[1]}.{rest[2]}.0.{kind}"
    if part == "flow":
        last, level = len(config.flow_filters) - 1, int(rest[1])
        which = "_predictor" if level == last else f"_predictors.{last - 1 - level}"
        return f"predict_flow.{which}._convs.{rest[3]}.0.{kind}"
    if rest[0] == "paint":
        return f"fuse.output_conv.{kind}"
    return f"fuse.convs.{len(config.fusion_filters) - 1 - int(rest[1])}.{rest[2]}.0.{kind}"


def from_published(state: Mapping[str, Tensor], config: FilmConfig) -> dict[str, Tensor]:
    """The conversion's state dict with FilmNetwork's names; unknown names are kept, so that loading reports them."""
    with torch.device("meta"):
        ours = {published_name(name, config): name for name in FilmNetwork(config).state_dict()}
    return {ours.get(name, name): value for name, value in state.items()}


def to_published(network: FilmNetwork) -> dict[str, Tensor]:
    """A network's weights with the conversion's names."""
    return {published_name(name, network.config): value for name, value in network.state_dict().items()}


def _config_beside(file: Path) -> FilmConfig:
    config = file.with_name("config.json")
    try:
        return FilmConfig.from_dict(read_json(config, dict, error=ModelError))
    except OSError:
        raise ModelError(f"{file}: not FILM's published layout, and {config.name} is missing next to it.") from None
    except (ValueError, TypeError) as error:
        raise ModelError(f"{config}: {error}") from None
