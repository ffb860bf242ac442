"""ControlNet (a control clip, frame by frame; arXiv 2302.05543) and SparseCtrl (images for some frames; arXiv
2311.16933). Their residuals are added to the UNet's features at every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...conditions import inputs
from ...conditions.image import cover, to_unit
from ...core.errors import ModelError, RequestError
from ...core.plan import Plan
from ...weights.folder import network
from .controlnet import SPARSE, kind_of, place_of


@dataclass(frozen=True)
class GuidePictures:
    """Pixels (N, 3, H, W) in [0, 1] and the indices of their frames."""

    pixels_NCHW: torch.Tensor
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Guide:
    """A loaded network with its input. cond_BCTHW: pixels or latents of every frame, zeros for frames without a
    picture (SparseCtrl). mask_B1THW: 1 for frames with a picture."""

    model: Any
    cond_BCTHW: torch.Tensor
    mask_B1THW: torch.Tensor
    scale: float

    def residuals(
        self, x_BCTHW: torch.Tensor, t: torch.Tensor, states_TLD: torch.Tensor, frames: slice
    ) -> dict[str, Any]:
        """The residuals of these frames, as keyword arguments of UNetMotionModel."""
        cond = self.cond_BCTHW[:, :, frames]
        inputs: dict[str, Any] = {
            "encoder_hidden_states": states_TLD,
            "conditioning_scale": self.scale,
            "return_dict": False,
        }
        if type(self.model).__name__ == SPARSE:
            inputs |= {"controlnet_cond": cond, "conditioning_mask": self.mask_B1THW[:, :, frames]}
            down, middle = self.model(x_BCTHW, t, **inputs)
        else:
            rows = x_BCTHW[0].transpose(0, 1)
            down, middle = self.model(rows, t, controlnet_cond=cond[0].transpose(0, 1), **inputs)
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}


def read(plan: Plan) -> GuidePictures | None:
    """Read the plan's control clips and images onto its canvas. MediaError for unreadable files; RequestError for a
    control clip that is too short, or a frame index out of range."""
    found: list[np.ndarray] = []
    frames: list[int] = []
    for condition in plan.conditions:
        if condition.kind == "control" and condition.video is not None:
            clip_FHWC, _ = inputs.clip(condition.video, stop=plan.frames)
            if len(clip_FHWC) < plan.frames:
                raise RequestError(
                    f"The control clip has {len(clip_FHWC)} frames, the request {plan.frames}.",
                    field="frames", value=plan.frames, legal=f"up to {len(clip_FHWC)}", nearest=len(clip_FHWC),
                )  # fmt: skip
            found.extend(clip_FHWC)
            frames.extend(range(plan.frames))
        elif condition.kind == "image":
            at = {"first": 0, "last": plan.frames - 1}.get(str(condition.at), condition.at)
            if int(at) >= plan.frames:
                raise RequestError(
                    f"Frame {at} is out of range.", field="conditions.image.at", value=at,
                    legal=f"0 to {plan.frames - 1}",
                )  # fmt: skip
            found.append(inputs.picture(condition.image))
            frames.append(int(at))
    if not found:
        return None
    fitted = np.stack([cover(frame, plan.height, plan.width) for frame in found])
    return GuidePictures((to_unit(fitted) + 1) / 2, tuple(frames))


def load(name: str, dtype: torch.dtype) -> Any:
    """Load a network from a folder or a pulled hub id."""
    import diffusers

    folder = place_of(name)
    kind: Any = getattr(diffusers, kind_of(folder))
    try:
        return network(kind, folder, dtype).eval().requires_grad_(False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{folder}: cannot be loaded: {str(error).splitlines()[0]}") from error


@torch.inference_mode()
def guide(model: Any, pictures: GuidePictures, vae: Any, num_frames: int, scale: float) -> Guide:
    """Build a network's input: latents for SparseCtrl RGB (`use_simplified_condition_embedding`), pixels for others."""
    device, dtype = model.device, model.dtype
    x = pictures.pixels_NCHW.to(device)
    if type(model).__name__ == SPARSE and model.use_simplified_condition_embedding:
        z_NCHW = vae.encode((2 * x - 1).to(vae.dtype)).latent_dist.mode()
        x = z_NCHW * vae.config.scaling_factor
    channels, rows, columns = x.shape[1:]
    cond = torch.zeros(1, channels, num_frames, rows, columns, dtype=dtype, device=device)
    mask = torch.zeros(1, 1, num_frames, rows, columns, dtype=dtype, device=device)
    cond[:, :, list(pictures.frames)] = x.to(dtype).transpose(0, 1)[None]
    mask[:, :, list(pictures.frames)] = 1
    return Guide(model, cond, mask, scale)
