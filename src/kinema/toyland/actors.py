"""Paint objects onto a background, each in the smallest window that contains it.

Suffixes: B scenes of the canvas, M scenes of one group, F frames, C colour channels, P Q rows and columns of a window.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .palette import INK
from .shapes import BOUNDS, SHAPES

OUTLINE = 0.095  # width of the dark outline, relative to an object's radius
GLOW = 0.5  # extent of the glow of neon objects, relative to the radius


def window_px(radius_px: float, kind: str, style: str, limit: int) -> int:
    """Side of the window for an object of this radius, at most `limit`; a multiple of 8, so that few sizes occur."""
    reach = BOUNDS[kind] + OUTLINE + (GLOW if style == "neon" else 0.0) + (0.06 if style == "crayon" else 0.0)
    return min(-(-math.ceil(2.0 * reach * radius_px + 3.0) // 8) * 8, limit)


def paint_actors(
    canvas_BFCHW: Tensor,
    labels_BFHW: Tensor,
    rows_M: Tensor,
    *,
    kind: str,
    style: str,
    label: int,
    window: tuple[int, int],
    centre_MF2: Tensor,
    radius_MF: Tensor,
    turn_MF: Tensor | None,
    mirror_M: Tensor,
    color_M3: Tensor,
    light_M3: Tensor,
    plain: bool = False,
) -> None:
    """Paint one object of the same kind and style in each of M scenes, in place.

    centre_MF2 and radius_MF in canvas pixels, turn_MF in radians clockwise or None. plain: omit the marks in the
    object's own colour. Writes `label` to the visible pixels of the object.
    """
    _, num_frames, _, height, width = canvas_BFCHW.shape
    rows, columns = window
    device = canvas_BFCHW.device
    top_MF = (centre_MF2[..., 1] - rows / 2).round().clamp(0, height - rows).long()
    left_MF = (centre_MF2[..., 0] - columns / 2).round().clamp(0, width - columns).long()
    ys_MFP = top_MF[..., None] + torch.arange(rows, device=device)
    xs_MFQ = left_MF[..., None] + torch.arange(columns, device=device)

    x = ((xs_MFQ - centre_MF2[..., :1]) / radius_MF[..., None])[:, :, None, :]
    y = ((ys_MFP - centre_MF2[..., 1:]) / radius_MF[..., None])[:, :, :, None]
    if turn_MF is not None:  # an upright object keeps x and y separate, so most of its shape is one-dimensional
        cos, sin = torch.cos(turn_MF)[..., None, None], torch.sin(turn_MF)[..., None, None]
        x, y = x * cos + y * sin, y * cos - x * sin  # [M, F, P, Q]
    x = x * mirror_M[:, None, None, None]
    if style == "crayon":
        x, y = x + 0.035 * torch.sin(y * 5.0 + 1.0), y + 0.035 * torch.sin(x * 5.0)
    scale = (radius_MF * (6.0 if style == "pixel" else 1.0))[..., None, None]

    parts = [part for part in SHAPES[kind](x, y) if not (plain and part.inner and isinstance(part.tone, float))]
    silhouette = parts[0].distance
    for part in parts[1:]:
        if not part.inner:
            silhouette = torch.minimum(silhouette, part.distance)
    light = light_M3[:, None, :, None, None]
    main = color_M3[:, None, :, None, None]
    solid = _cover(silhouette, scale)
    plane = height * width
    frame_MF = rows_M[:, None] * num_frames + torch.arange(num_frames, device=device)
    corner_MFP = ys_MFP * width + left_MF[..., None]
    start_MFCP = (frame_MF[..., None] * 3 + torch.arange(3, device=device))[..., None] * plane + corner_MFP[:, :, None]
    across_Q = torch.arange(columns, device=device)
    spots = (start_MFCP[..., None] + across_Q).view(-1)
    flat = canvas_BFCHW.view(-1)
    below = flat.index_select(0, spots).view(*start_MFCP.shape, columns)

    if style == "neon":
        glow = (1.0 - silhouette / GLOW).clamp(0.0, 1.0)
        below = torch.lerp(below, main, (glow * glow * 0.55)[:, :, None])
        below = torch.lerp(below, main * 0.42, solid[:, :, None])
        for part in parts[1:]:
            below = torch.lerp(below, _tone(part.tone, main) * 0.6, _cover(part.distance, scale)[:, :, None])
        line = _cover(silhouette.abs() - 0.1, scale)
        picture = torch.lerp(below, torch.lerp(main, torch.ones_like(main), 0.25), line[:, :, None])
    else:
        ink = torch.tensor(INK, dtype=torch.float32, device=device)[:, None, None] / 255.0
        paint = ink * light
        for part in parts:
            paint = torch.lerp(paint, _tone(part.tone, main) * light, _cover(part.distance, scale)[:, :, None])
        if style == "crayon":
            stroke = torch.sin(x * 7.0 + y * 9.0) * 0.15 + 0.15
            paint = torch.lerp(paint, light, stroke[:, :, None])
        shade = (1.04 - 0.1 * y).expand_as(solid).contiguous()
        rim = _cover(silhouette - OUTLINE, scale)
        picture = torch.lerp(below, paint * shade[:, :, None], rim[:, :, None])
    flat.scatter_(0, spots, picture.view(-1))
    spots = ((frame_MF[..., None] * plane + corner_MFP)[..., None] + across_Q).view(-1)
    flat_labels = labels_BFHW.view(-1)
    seen = flat_labels.index_select(0, spots)
    flat_labels.scatter_(0, spots, torch.where(solid.reshape(-1) > 0.5, torch.full_like(seen, label), seen))


def _cover(distance: Tensor, scale: Tensor) -> Tensor:
    return (distance * -scale + 0.5).clamp(0.0, 1.0)


def _tone(tone: float | tuple[float, float, float], main: Tensor) -> Tensor:
    """A part's colour [M, 1, 3, 1, 1]: fixed, or the object's own, lighter or darker."""
    if isinstance(tone, tuple):
        return torch.tensor(tone, dtype=torch.float32, device=main.device)[:, None, None].expand_as(main)
    return main + (1.0 - main) * tone if tone >= 0.0 else main * (1.0 + tone)
