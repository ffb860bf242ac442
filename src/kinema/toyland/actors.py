"""Painting the objects on top of a background, in the smallest window that holds each of them.

Suffixes: B scenes of the canvas, M scenes of one group, F frames, C colour channels, P Q rows and columns of a window.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kinema.toyland.palette import INK
from kinema.toyland.shapes import BOUND, SHAPES

OUTLINE = 0.095  # width of the dark line around an object, in units of its radius
GLOW = 0.5  # how far a neon object shines, in units of its radius


def window_px(radius_px: float, style: str, limit: int) -> int:
    """Side of the window that an object of this radius needs, at most `limit`; rounded up so that few sizes occur."""
    reach = BOUND + OUTLINE + (GLOW if style == "neon" else 0.0) + (0.06 if style == "crayon" else 0.0)
    return min(-(-int(2.0 * reach * radius_px + 4.0) // 16) * 16, limit)


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
    turn_MF: Tensor,
    mirror_M: Tensor,
    color_M3: Tensor,
    light_M3: Tensor,
) -> None:
    """Paints one object of the same kind and style in each of M scenes, in place.

    centre_MF2 and radius_MF in canvas pixels, turn_MF in radians clockwise. Writes `label` where the object is seen.
    """
    _, num_frames, _, height, width = canvas_BFCHW.shape
    rows, columns = window
    device = canvas_BFCHW.device
    top_MF = (centre_MF2[..., 1] - rows / 2).round().clamp(0, height - rows).long()
    left_MF = (centre_MF2[..., 0] - columns / 2).round().clamp(0, width - columns).long()
    ys_MFP = top_MF[..., None] + torch.arange(rows, device=device)
    xs_MFQ = left_MF[..., None] + torch.arange(columns, device=device)

    dx = ((xs_MFQ - centre_MF2[..., :1]) / radius_MF[..., None])[:, :, None, :]
    dy = ((ys_MFP - centre_MF2[..., 1:]) / radius_MF[..., None])[:, :, :, None]
    cos, sin = torch.cos(turn_MF)[..., None, None], torch.sin(turn_MF)[..., None, None]
    flip = mirror_M[:, None, None, None]
    x = (dx * cos + dy * sin) * flip  # [M, F, P, Q]
    y = dy * cos - dx * sin
    if style == "crayon":
        x, y = x + 0.035 * torch.sin(y * 5.0 + 1.0), y + 0.035 * torch.sin(x * 5.0)
    scale = (radius_MF * (6.0 if style == "pixel" else 1.0))[..., None, None]

    parts = SHAPES[kind](x, y)
    silhouette = parts[0].distance
    for part in parts[1:]:
        silhouette = torch.minimum(silhouette, part.distance)
    main = color_M3[:, None, :, None, None]
    ink = torch.tensor(INK, dtype=torch.float32, device=device)[:, None, None] / 255.0
    solid = _cover(silhouette, scale)
    frame_size = height * width
    start_MF = (rows_M[:, None] * num_frames + torch.arange(num_frames, device=device)) * frame_size
    spots = start_MF[..., None, None] + ys_MFP[..., :, None] * width + xs_MFQ[..., None, :]
    plane = torch.arange(3, device=device)[:, None, None] * frame_size
    spots_C = spots[:, :, None] + (2 * start_MF)[..., None, None, None] + plane
    flat = canvas_BFCHW.view(-1)
    below = torch.take(flat, spots_C)

    if style == "neon":
        glow = (1.0 - silhouette / GLOW).clamp(0.0, 1.0)
        below = torch.lerp(below, main, (glow * glow * 0.55)[:, :, None])
        below = torch.lerp(below, main * 0.42, solid[:, :, None])
        for part in parts[1:]:
            below = torch.lerp(below, _tone(part.tone, main) * 0.6, _cover(part.distance, scale)[:, :, None])
        line = _cover(silhouette.abs() - 0.1, scale)
        picture = torch.lerp(below, torch.lerp(main, torch.ones_like(main), 0.25), line[:, :, None])
    else:
        line = ink.expand_as(main)
        rim = _cover(silhouette - OUTLINE, scale)
        shade = (1.04 - 0.1 * y)[:, :, None]
        paint = line
        for part in parts:
            tone = _tone(part.tone, main)
            paint = torch.lerp(
                paint, tone * shade if part.tone == 0.0 else tone, _cover(part.distance, scale)[:, :, None]
            )
        if style == "crayon":
            stroke = (torch.sin(x * 7.0 + y * 9.0) * 0.5 + 0.5)[:, :, None]
            paint = torch.lerp(paint, torch.ones_like(main), stroke * 0.3)
        picture = torch.lerp(below, paint * light_M3[:, None, :, None, None], rim[:, :, None])
    flat[spots_C] = picture
    flat_labels = labels_BFHW.view(-1)
    seen = torch.take(flat_labels, spots)
    flat_labels[spots] = torch.where(solid > 0.5, torch.full_like(seen, label), seen)


def _cover(distance: Tensor, scale: Tensor) -> Tensor:
    return (0.5 - distance * scale).clamp(0.0, 1.0)


def _tone(tone: float | tuple[float, float, float], main: Tensor) -> Tensor:
    """A part's colour [M, 1, 3, 1, 1]: fixed, or the object's own made lighter or darker."""
    if isinstance(tone, tuple):
        return torch.tensor(tone, dtype=torch.float32, device=main.device)[:, None, None].expand_as(main)
    return main + (1.0 - main) * tone if tone >= 0.0 else main * (1.0 + tone)
