"""Encode pixels to latents and decode latents to pixels with AutoencoderKLCogVideoX, in time slices and tiles.

The convolutions are causal in time: each keeps the last frames of a slice (`conv_cache`), so slices follow each other
without a seam, and memory does not grow with the length. Tiles overlap and are blended; every tile has caches of its
own, which stay on the CPU between slices. Both are the library's arithmetic in another order; its own tiled decoding
keeps all frames of all tiles in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ...diffusion.tile_blend import TileGrid

Cache = Any
"""Nested dicts of the last frames of each convolution's input."""


def space_factor(vae: Any) -> int:
    """Pixels per latent, in height and width."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def latent_frames(vae: Any, num_frames: int) -> int:
    """The number of latent frames of a clip of 8n + 1 frames."""
    return (num_frames - 1) // int(vae.config.temporal_compression_ratio) + 1


def is_large(vae: Any, height: int, width: int) -> bool:
    """Whether frames have more pixels than those that the autoencoder was trained on."""
    return bool(height * width > vae.config.sample_height * vae.config.sample_width)


def tiles_fit(vae: Any) -> bool:
    """Whether the library's tiles meet on the grid of the latents. They have half the sides of the training's frames,
    which the published sizes divide evenly. Others (those of small models) would yield frames of a wrong size."""
    space = space_factor(vae)
    sides = (
        (vae.tile_sample_min_height, vae.tile_latent_min_height, vae.tile_overlap_factor_height),
        (vae.tile_sample_min_width, vae.tile_latent_min_width, vae.tile_overlap_factor_width),
    )
    return all(
        pixels == space * latents
        and pixels - int(pixels * share) == space * int(latents * (1 - share))
        and int(pixels * (1 - share)) == space * (latents - int(latents * share))
        for pixels, latents, share in sides
    )


def encode(vae: Any, x_BCFHW: torch.Tensor, noise_BCTHW: torch.Tensor, tiles: bool) -> torch.Tensor:
    """Encode pixels in [-1, 1], (1, 3, F, H, W), to latents (1, C, T, h, w), float32, not scaled: a sample of the
    posterior, as in the published pipelines. noise_BCTHW: standard normal, of the latents' shape. tiles: encode in
    overlapping tiles."""
    parameter = next(vae.parameters())
    x = x_BCFHW.to(parameter.device, parameter.dtype)
    if tiles:
        from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

        posterior = DiagonalGaussianDistribution(vae.tiled_encode(x))
    else:
        posterior = vae.encode(x).latent_dist
    return (posterior.mean + posterior.std * noise_BCTHW.to(posterior.mean)).float()


def decode(vae: Any, z_BCTHW: torch.Tensor, tiles: bool = False) -> Iterator[torch.Tensor]:
    """Decode scaled latents (1, C, T, h, w) to pixels around [-1, 1], slice by slice: (1, 3, F, H, W) with F = 8, and 9
    for the first slice of an odd number of latent frames. The concatenation equals the library's decode or, with
    tiles, its tiled decode."""
    parameter = next(vae.parameters())
    z = z_BCTHW.to(parameter.device, torch.float32) / vae.config.scaling_factor
    z = z.to(parameter.dtype)
    grid = _grid(vae, *z.shape[-2:]) if tiles else None
    memory: dict[tuple[int, int], Cache] = {}
    for start, stop in slices(z.shape[2], vae.num_latent_frames_batch_size):
        with torch.no_grad():
            part = z[:, :, start:stop]
            if vae.post_quant_conv is not None:
                part = vae.post_quant_conv(part)
            if grid is None:
                pixels, memory[0, 0] = vae.decoder(part, conv_cache=memory.get((0, 0)))
            else:
                pixels = _decoded(grid, part, memory)
        yield pixels


def slices(num_latents: int, size: int) -> list[tuple[int, int]]:
    """The (start, stop) of slices of `size` latent frames; the first is longer by the remainder."""
    rest = num_latents % size
    count = max(num_latents // size, 1)
    return [
        (size * index + (rest if index else 0), min(size * (index + 1) + rest, num_latents)) for index in range(count)
    ]


def _grid(vae: Any, rows: int, columns: int) -> TileGrid:
    """The library's tiles for latents of this size."""
    height, width = vae.tile_latent_min_height, vae.tile_latent_min_width
    blend_rows = int(vae.tile_sample_min_height * vae.tile_overlap_factor_height)
    blend_columns = int(vae.tile_sample_min_width * vae.tile_overlap_factor_width)
    return TileGrid(
        vae, range(0, rows, int(height * (1 - vae.tile_overlap_factor_height))),
        range(0, columns, int(width * (1 - vae.tile_overlap_factor_width))), height, width, blend_rows, blend_columns,
        vae.tile_sample_min_height - blend_rows, vae.tile_sample_min_width - blend_columns,
    )  # fmt: skip


def _decoded(grid: TileGrid, z_BCTHW: torch.Tensor, memory: dict[tuple[int, int], Cache]) -> torch.Tensor:
    """Decode one time slice of all tiles and blend them. memory: the caches of each tile, updated."""

    def decode(tile_BCTHW: torch.Tensor, place: tuple[int, int]) -> torch.Tensor:
        before = _moved(memory.get(place), z_BCTHW.device)
        pixels, after = grid.vae.decoder(tile_BCTHW, conv_cache=before)
        memory[place] = _moved(after, torch.device("cpu"))
        found: torch.Tensor = pixels
        return found

    return grid.blended(z_BCTHW, decode)


def _moved(cache: Cache, device: torch.device) -> Cache:
    if isinstance(cache, dict):
        return {name: _moved(each, device) for name, each in cache.items()}
    return cache.to(device) if isinstance(cache, torch.Tensor) else cache
