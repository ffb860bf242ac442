"""Networks beside the UNet that guide it: ControlNet (a control clip, frame by frame; arXiv 2302.05543) and SparseCtrl
(pictures for a few of the frames; arXiv 2311.16933). What they add to the UNet's features goes in at every step.
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
from .beside import SPARSE, kind_of, place_of


@dataclass(frozen=True)
class Pictures:
    """Pixels (N, 3, H, W) in [0, 1] and the frames that they are for."""

    pixels_NCHW: torch.Tensor
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Guide:
    """A loaded network with what it looks at. cond_BCTHW: pixels or latents of every frame, zeros where nothing is
    given (SparseCtrl); mask_B1THW: 1 where something is."""

    model: Any
    cond_BCTHW: torch.Tensor
    mask_B1THW: torch.Tensor
    scale: float

    def residuals(
        self, x_BCTHW: torch.Tensor, t: torch.Tensor, states_TLD: torch.Tensor, frames: slice
    ) -> dict[str, Any]:
        """What UNetMotionModel is given beside the latents of these frames."""
        cond = self.cond_BCTHW[:, :, frames]
        given: dict[str, Any] = {
            "encoder_hidden_states": states_TLD,
            "conditioning_scale": self.scale,
            "return_dict": False,
        }
        if type(self.model).__name__ == SPARSE:
            given |= {"controlnet_cond": cond, "conditioning_mask": self.mask_B1THW[:, :, frames]}
            down, middle = self.model(x_BCTHW, t, **given)
        else:
            rows = x_BCTHW[0].transpose(0, 1)
            down, middle = self.model(rows, t, controlnet_cond=cond[0].transpose(0, 1), **given)
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}


def read(plan: Plan) -> Pictures | None:
    """What the plan's conditions show, on its canvas. MediaError for what cannot be read; RequestError for a control
    clip that is shorter than the plan, or a frame that is not in it."""
    found: list[np.ndarray] = []
    frames: list[int] = []
    for condition in plan.conditions:
        if condition.kind == "control" and condition.video is not None:
            clip_FHWC, _ = inputs.clip(condition.video, stop=plan.frames)
            if len(clip_FHWC) < plan.frames:
                raise RequestError(
                    f"The control clip has {len(clip_FHWC)} frames, {plan.frames} are asked for.",
                    field="frames", value=plan.frames, legal=f"up to {len(clip_FHWC)}", nearest=len(clip_FHWC),
                )  # fmt: skip
            found.extend(clip_FHWC)
            frames.extend(range(plan.frames))
        elif condition.kind == "image":
            at = {"first": 0, "last": plan.frames - 1}.get(str(condition.at), condition.at)
            if int(at) >= plan.frames:
                raise RequestError(
                    f"There is no frame {at}.", field="conditions.image.at", value=at, legal=f"0 to {plan.frames - 1}"
                )
            found.append(inputs.picture(condition.image))
            frames.append(int(at))
    if not found:
        return None
    fitted = np.stack([cover(frame, plan.height, plan.width) for frame in found])
    return Pictures((to_unit(fitted) + 1) / 2, tuple(frames))


def load(name: str, dtype: torch.dtype) -> Any:
    """The network in a folder or of a hub id that was pulled."""
    import diffusers

    folder = place_of(name)
    kind: Any = getattr(diffusers, kind_of(folder))
    try:
        return network(kind, folder, dtype).eval().requires_grad_(False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"{folder}: cannot be loaded: {str(error).splitlines()[0]}") from error


@torch.inference_mode()
def guide(model: Any, pictures: Pictures, vae: Any, num_frames: int, scale: float) -> Guide:
    """SparseCtrl for RGB sees pictures as latents (`use_simplified_condition_embedding`), other networks as pixels."""
    device, dtype = model.device, model.dtype
    seen = pictures.pixels_NCHW.to(device)
    if type(model).__name__ == SPARSE and model.use_simplified_condition_embedding:
        z_NCHW = vae.encode((2 * seen - 1).to(vae.dtype)).latent_dist.mode()
        seen = z_NCHW * vae.config.scaling_factor
    channels, rows, columns = seen.shape[1:]
    cond = torch.zeros(1, channels, num_frames, rows, columns, dtype=dtype, device=device)
    mask = torch.zeros(1, 1, num_frames, rows, columns, dtype=dtype, device=device)
    cond[:, :, list(pictures.frames)] = seen.to(dtype).transpose(0, 1)[None]
    mask[:, :, list(pictures.frames)] = 1
    return Guide(model, cond, mask, scale)
