"""Encode pixels to latents and decode latents to pixels with AutoencoderKLMagvit, in time slices and tiles.

Its convolutions are causal in time: each keeps the last frames of a slice as an attribute. Here the attributes are
taken out of the modules after every slice, so that runs may alternate, memory does not grow with the length, and each
tile has its own. The arithmetic is the library's, in another order; on a CPU with oneDNN, and with one convolution
where the library calls it frame by frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch.nn import functional as F

from ...diffusion.tile_blend import TileGrid

Cache = list[Any]
"""The last frames of each convolution's input, and whether an upsampler has seen its first frame."""


def prepare(vae: Any, device: torch.device) -> None:
    """Replace the forward of the causal convolutions."""
    from diffusers.models.autoencoders.autoencoder_kl_magvit import EasyAnimateCausalConv3d

    on_cpu = device.type == "cpu" and torch.backends.mkldnn.is_available()
    library: Any = EasyAnimateCausalConv3d
    for module in vae.modules():
        if isinstance(module, library):
            module.forward = MethodType(_causal_on_cpu if on_cpu else _causal, module)


def _causal(conv: Any, x_BCTHW: torch.Tensor) -> torch.Tensor:
    return F.conv3d(_with_past(conv, x_BCTHW), conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation)


def _causal_on_cpu(conv: Any, x_BCTHW: torch.Tensor) -> torch.Tensor:
    x = _with_past(conv, x_BCTHW)
    if x.dtype != torch.float32 or conv.weight.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return F.conv3d(x, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation)
    return torch.mkldnn_convolution(x, conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, conv.groups)


def _with_past(conv: Any, x_BCTHW: torch.Tensor) -> torch.Tensor:
    """The input with the frames before it: of the last slice, or the first one repeated. Keeps the last frames."""
    size = conv.temporal_padding
    if conv.prev_features is None:
        x = torch.cat([x_BCTHW[:, :, :1].expand(-1, -1, size, -1, -1), x_BCTHW], dim=2)
    else:
        x = torch.cat([conv.prev_features[:, :, conv.t_stride - 1 :], x_BCTHW], dim=2)
    conv.prev_features = x[:, :, -size:].clone()
    return x


def space_factor(vae: Any) -> int:
    """Pixels per latent, in height and width."""
    return int(vae.spatial_compression_ratio)


def time_factor(vae: Any) -> int:
    """Frames per latent frame, except the first."""
    return int(vae.temporal_compression_ratio)


def latent_frames(vae: Any, num_frames: int) -> int:
    return (num_frames - 1) // time_factor(vae) + 1


def encode(vae: Any, x_BCFHW: torch.Tensor, noise_BCTHW: torch.Tensor | None = None, tiles: bool = False) -> Any:
    """Encode pixels in [-1, 1], (1, 3, F, H, W), to latents (1, C, T, h, w), float32, not scaled: the mode of the
    posterior or, with standard normal noise of the latents' shape, a sample of it. tiles: in overlapping tiles."""
    parameter = next(vae.parameters())
    x = x_BCFHW.to(parameter.device, parameter.dtype)
    if tiles and (x.shape[-1] > vae.tile_sample_min_height or x.shape[-2] > vae.tile_sample_min_width):
        moments = _tiled_encode(vae, x)
    else:
        moments = _moments(vae, x)
    mean, logvar = moments.chunk(2, dim=1)
    if noise_BCTHW is None:
        return mean.float()
    return (mean + torch.exp(0.5 * logvar.clamp(-30.0, 20.0)) * noise_BCTHW.to(mean)).float()


def decode(vae: Any, z_BCTHW: torch.Tensor, tiles: bool = False) -> Iterator[torch.Tensor]:
    """Decode scaled latents (1, C, T, h, w) to pixels around [-1, 1], slice by slice: (1, 3, F, H, W), one frame for
    the first latent frame, four for every other. The concatenation equals the library's decode or, with tiles, its
    tiled decode."""
    parameter = next(vae.parameters())
    z = (z_BCTHW.to(parameter.device, torch.float32) / vae.config.scaling_factor).to(parameter.dtype)
    grid = _grid(vae, *z.shape[-2:]) if tiles else None
    height, width = (side * space_factor(vae) for side in z.shape[-2:])
    memory: dict[tuple[int, int], Cache] = {}
    for start, stop in slices(z.shape[2], vae.num_latent_frames_batch_size):
        with torch.no_grad():
            part = vae.post_quant_conv(z[:, :, start:stop])
            if grid is None:
                pixels = _sliced(vae, vae.decoder, part, memory, (0, 0))
            else:
                pixels = grid.blended(part, partial(_sliced_tile, vae, memory))[..., :height, :width]
        yield pixels


def slices(count: int, size: int) -> list[tuple[int, int]]:
    """The (start, stop) of time slices: the first frame alone, then `size` at a time."""
    return [(0, 1), *((start, min(start + size, count)) for start in range(1, count, size))]


def _moments(vae: Any, x_BCFHW: torch.Tensor) -> torch.Tensor:
    memory: dict[tuple[int, int], Cache] = {}
    parts = [
        _sliced(vae, vae.encoder, x_BCFHW[:, :, start:stop], memory, (0, 0))
        for start, stop in slices(x_BCFHW.shape[2], vae.num_sample_frames_batch_size)
    ]
    found: torch.Tensor = vae.quant_conv(torch.cat(parts, dim=2))
    return found


def _tiled_encode(vae: Any, x_BCFHW: torch.Tensor) -> torch.Tensor:
    vae._clear_conv_cache()
    found: torch.Tensor = vae.tiled_encode(x_BCFHW)
    vae._clear_conv_cache()
    return found


def _sliced(vae: Any, network: Any, x: torch.Tensor, memory: dict[tuple[int, int], Cache], key: Any) -> torch.Tensor:
    """Run one slice with the cache of its tile."""
    cached = [module for module in vae.modules() if hasattr(module, "prev_features")]
    for module, value in zip(cached, memory.get(key) or [None] * len(cached)):
        module.prev_features = value
    try:
        found: torch.Tensor = network(x)
        # An upsampler asks only whether its value is None; its frames would fill memory.
        memory[key] = [
            module.prev_features
            if hasattr(module, "temporal_padding") or module.prev_features is None else module.prev_features[..., :0]
            for module in cached
        ]  # fmt: skip
    finally:
        for module in cached:
            module.prev_features = None
    return found


def _sliced_tile(
    vae: Any, memory: dict[tuple[int, int], Cache], tile_BCTHW: torch.Tensor, place: tuple[int, int]
) -> torch.Tensor:  # fmt: skip
    return _sliced(vae, vae.decoder, tile_BCTHW, memory, place)


def _grid(vae: Any, rows: int, columns: int) -> TileGrid | None:
    """The library's tiles for latents of this size; None if one tile holds them."""
    space = space_factor(vae)
    height, width = vae.tile_sample_min_height // space, vae.tile_sample_min_width // space
    if rows <= height and columns <= width:
        return None
    down, right = vae.tile_sample_stride_height, vae.tile_sample_stride_width
    return TileGrid(
        vae, range(0, rows, down // space), range(0, columns, right // space), height, width,
        vae.tile_sample_min_height - down, vae.tile_sample_min_width - right, down, right,
    )  # fmt: skip
