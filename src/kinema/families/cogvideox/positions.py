"""Rotary positions of CogVideoX's transformers (arXiv 2104.09864, in three dimensions)."""

from __future__ import annotations

from typing import Any

import torch

Rotary = tuple[torch.Tensor, torch.Tensor]
"""cos and sin, each (L, D / heads), float32."""


def rotary(model: Any, num_frames: int, rows: int, columns: int, device: torch.device) -> Rotary | None:
    """The table for latents of this size; None for the 2B model, which adds sinusoidal positions to its patches.

    CogVideoX 1.0 scales the positions of other sizes to the grid of its training; 1.5 counts rows and columns.
    """
    from diffusers.models import embeddings

    table: Any = embeddings.get_3d_rotary_pos_embed
    config = model.config
    if not config.use_rotary_positional_embeddings:
        return None
    patch, patch_t = config.patch_size, config.patch_size_t
    grid = (rows // patch, columns // patch)
    trained = (config.sample_height // patch, config.sample_width // patch)
    if patch_t is None:
        return table(
            embed_dim=config.attention_head_dim, crops_coords=fitted(grid, trained), grid_size=grid,
            temporal_size=num_frames, device=device,
        )  # fmt: skip
    return table(
        embed_dim=config.attention_head_dim, crops_coords=None, grid_size=grid, grid_type="slice", max_size=trained,
        temporal_size=-(-num_frames // patch_t), device=device,
    )  # fmt: skip


def fitted(grid: tuple[int, int], trained: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The rectangle with a grid's aspect that fits into the middle of the trained grid: ((top, left), (bottom, right)),
    in patches. Both grids are (rows, columns)."""
    rows, columns = trained
    aspect, trained_aspect = grid[0] / grid[1], rows / columns
    if aspect > trained_aspect:
        columns = round(rows / grid[0] * grid[1])
    else:
        rows = round(columns / grid[1] * grid[0])
    top, left = round((trained[0] - rows) / 2), round((trained[1] - columns) / 2)
    return (top, left), (top + rows, left + columns)
