"""Build networks from the authors' files (original.py): every tensor is checked, and none is made up."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...core.errors import ModelError
from ...weights.configs import Config
from . import original

VAE_FIELDS = (
    "in_channels", "latent_channels", "out_channels", "block_out_channels", "down_block_types", "up_block_types",
    "layers_per_block", "act_fn", "norm_num_groups", "scaling_factor", "spatial_group_norm",
)  # fmt: skip
"""Fields that the authors' autoencoder and diffusers' have in common."""


def transformer(files: list[Path], dtype: torch.dtype, config: Config | None = None) -> Any:
    """Build EasyAnimateTransformer3DModel from its files. config: of the authors' folder, if there is one: it says
    whether the kept pixels of InP were trained with noise."""
    from diffusers import EasyAnimateTransformer3DModel

    what = str(files[0] if len(files) == 1 else files[0].parent)
    sizes = original.configuration(original.shapes_of(files), what)
    if config is not None:
        sizes["add_noise_in_inpaint_model"] = config.flag("add_noise_in_inpaint_model")
    with torch.device("meta"):
        network = EasyAnimateTransformer3DModel(**sizes)
    state = {original.name_of(name): tensor for name, tensor in _read(files).items()}
    return _filled(network, state, dtype, what)


def autoencoder(folder: Path, dtype: torch.dtype) -> Any:
    """Build AutoencoderKLMagvit from the authors' folder."""
    from diffusers import AutoencoderKLMagvit

    config = Config.read(folder / "config.json")
    given = {name: _value(config.values[name]) for name in VAE_FIELDS if config.has(name)}
    given.setdefault("spatial_group_norm", False)  # the authors' default; diffusers' is the opposite
    try:
        with torch.device("meta"):
            network: Any = AutoencoderKLMagvit(**given)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelError(f"{folder / 'config.json'}: {str(error).splitlines()[0]}.") from None
    network.register_to_config(cache_mag_vae=config.flag("cache_mag_vae", True))
    return _filled(network, _read(original.weight_files(folder)), dtype, str(folder))


def _value(value: Any) -> Any:
    """A value of the authors' configuration, in which lists may be text."""
    if not isinstance(value, str) or value[:1] not in ("(", "["):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        raise ModelError(f"a list of the autoencoder's configuration cannot be read: {value[:100]!r}.") from None


def _read(files: list[Path]) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    state: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            state |= load_file(file)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{file}: cannot be read: {error}.") from None
    return state


def _filled(network: Any, state: Mapping[str, torch.Tensor], dtype: torch.dtype, what: str) -> Any:
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [f"{name} is not a part of this network" for name in found if name not in wanted]
    problems += [
        f"{name} must have the shape {wanted[name]}, got {found[name]}"
        for name in wanted if name in found and found[name] != wanted[name]
    ]  # fmt: skip
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelError(f"{what}: {'; '.join(problems[:3])}{more}.")
    network.load_state_dict({name: value.to(dtype) for name, value in state.items()}, strict=True, assign=True)
    return network
