"""Training data and loss of the probes: rendered Toyland frames with labels in the form of the network's outputs.

Legend: B images, N actor slots, F frames of a scene, R S cells, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ..toyland.render import render
from ..toyland.scene import BACKGROUNDS, COLORS, KINDS, LIGHTS, STYLES, Scene
from .cases import LEAST_SEEN_PX
from .network import CELL_PX, CELLS, SIDE, Answers

_SPREAD = 1.0  # standard deviation of the heat around an object's centre, in cells
_NEAR = 0.3  # cells with at least this heat predict their object


@dataclass(frozen=True)
class LabelledFrames:
    """Images and labels. frames_BHWC uint8; picture: background, light, style and count (B,) int64; kinds_BN and
    colors_BN int64; middle_BN2 (x, y) in cells; box_BN4 as in OBJECT_HEADS; seen_BN bool."""

    frames_BHWC: Tensor
    picture: dict[str, Tensor]
    kinds_BN: Tensor
    colors_BN: Tensor
    middle_BN2: Tensor
    box_BN4: Tensor
    seen_BN: Tensor

    def take(self, rows_B: Tensor) -> LabelledFrames:
        return LabelledFrames(
            self.frames_BHWC[rows_B],
            {name: value[rows_B] for name, value in self.picture.items()},
            *(getattr(self, n)[rows_B] for n in ("kinds_BN", "colors_BN", "middle_BN2", "box_BN4", "seen_BN")),
        )


def labelled_frames(scenes: Sequence[Scene], frames_each: int = 4, fps: float = 1.9) -> LabelledFrames:
    """Render `frames_each` frames of every scene, `1 / fps` seconds apart, with labels."""
    out = render(scenes, num_frames=frames_each, height=SIDE, width=SIDE, fps=fps)
    masks = out.masks_BNFHW.transpose(1, 2).flatten(0, 1)  # B N H W
    middle = out.tracks_BNF2.transpose(1, 2).flatten(0, 1)  # B N 2
    inside = ((middle > -2) & (middle < SIDE + 1)).all(-1)
    seen = (masks.flatten(2).sum(-1) >= LEAST_SEEN_PX) & inside
    middle = ((middle + 0.5) / CELL_PX - 0.5).clamp(0.0, CELLS - 1.0)

    def each(values: list) -> Tensor:
        return torch.tensor(values).repeat_interleave(frames_each, 0)

    def slots(name: str, words: tuple[str, ...]) -> Tensor:
        rows = [[words.index(getattr(actor, name)) for actor in scene.actors] for scene in scenes]
        return each([[*row, *[0] * (2 - len(row))] for row in rows])

    return LabelledFrames(
        out.frames_BFHWC.flatten(0, 1),
        {
            "background": each([BACKGROUNDS.index(scene.background) for scene in scenes]),
            "light": each([LIGHTS.index(scene.light) for scene in scenes]),
            "style": each([STYLES.index(scene.style) for scene in scenes]),
            "count": seen.sum(1),
        },
        slots("kind", KINDS),
        slots("color", COLORS),
        middle,
        _boxes(masks, middle),
        seen,
    )


def _boxes(masks_BNHW: Tensor, middle_BN2: Tensor) -> Tensor:
    """Distances in cells from each centre to the sides of the visible part; 0 if nothing is visible."""
    sides = []
    at = torch.arange(SIDE)
    for axis, here in ((0, masks_BNHW.any(2)), (1, masks_BNHW.any(3))):
        low = torch.where(here, at, SIDE).amin(-1) / CELL_PX - 0.5
        high = (torch.where(here, at, -1).amax(-1) + 1) / CELL_PX - 0.5
        sides.append((middle_BN2[..., axis] - low, high - middle_BN2[..., axis]))
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], -1).clamp(0.0, CELLS)


def flipped(batch: LabelledFrames, rows_B: Tensor) -> LabelledFrames:
    """Mirror the images of `rows_B` (bool) and their labels left to right."""
    frames = torch.where(rows_B[:, None, None, None], batch.frames_BHWC.flip(2), batch.frames_BHWC)
    middle, box = batch.middle_BN2.clone(), batch.box_BN4.clone()
    middle[rows_B, :, 0] = CELLS - 1 - middle[rows_B, :, 0]
    box[rows_B] = box[rows_B][..., [2, 1, 0, 3]]
    return replace(batch, frames_BHWC=frames, middle_BN2=middle, box_BN4=box)


def loss(answers: Answers, truth: LabelledFrames, object_weight: float = 1.0) -> tuple[Tensor, dict[str, float]]:
    """Sum of the losses of whole images, heat, and, near object centres, kind, colour, offset and box."""
    parts = {name: F.cross_entropy(answers.picture[name], truth.picture[name]) for name in truth.picture}
    warm_BNRS, dx, dy = _warmth(truth)
    heat_BRS, owner_BRS = warm_BNRS.max(1)
    logits = answers.cells["heat"][:, 0]
    # Cells far from objects are many and easy; their weight grows with their error.
    off = torch.sigmoid(logits) - heat_BRS
    heat = F.binary_cross_entropy_with_logits(logits, heat_BRS, reduction="none")
    parts["heat"] = 0.05 * ((heat - _entropy(heat_BRS)) * (0.2 + off.abs())).sum() / len(logits)
    near_BRS = heat_BRS > _NEAR
    if bool(near_BRS.any()):
        picture_M = near_BRS.nonzero()[:, 0]
        slot_M = owner_BRS[near_BRS]

        def here(name: str) -> Tensor:
            return answers.cells[name].movedim(1, -1)[near_BRS]

        parts["kind"] = object_weight * F.cross_entropy(here("kind"), truth.kinds_BN[picture_M, slot_M])
        parts["color"] = object_weight * F.cross_entropy(here("color"), truth.colors_BN[picture_M, slot_M])
        offset_M2 = torch.stack([t.gather(1, owner_BRS[:, None])[:, 0][near_BRS] for t in (dx, dy)], -1)
        parts["offset"] = F.smooth_l1_loss(here("offset"), offset_M2, beta=0.2)
        parts["box"] = 0.5 * F.smooth_l1_loss(here("box"), truth.box_BN4[picture_M, slot_M], beta=0.3)
    return torch.stack(list(parts.values())).sum(), {name: float(value.detach()) for name, value in parts.items()}


def _warmth(truth: LabelledFrames) -> tuple[Tensor, Tensor, Tensor]:
    """(heat, dx, dy), each (B, N, R, S): a Gaussian around each object's centre, and the offset to it in cells."""
    at = torch.arange(CELLS, dtype=torch.float32)
    dx = truth.middle_BN2[..., 0, None, None] - at[None, :]
    dy = truth.middle_BN2[..., 1, None, None] - at[:, None]
    dx, dy = torch.broadcast_tensors(dx, dy)
    warm = torch.exp(-(dx * dx + dy * dy) / (2 * _SPREAD**2)) * truth.seen_BN[..., None, None]
    return warm, dx.contiguous(), dy.contiguous()


def _entropy(p: Tensor) -> Tensor:
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p))
