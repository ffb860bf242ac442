"""Fine-tune a temporal decoder (Video LDM, arXiv 2304.08818, section 3.1.1; Stable Video Diffusion's VAE). The encoder
is frozen, so latents do not change; the decoder sees several frames and learns to avoid flicker.

Loss: that of the image autoencoder (kl_vae.py), and the error of the changes from frame to frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..data.frame_latents import FrameLatents, to_network
from ..data.store import ClipStore
from .vae import pixel_error

CHANGES = 1.0
"""Weight of the error of changes."""
Decode = Callable[[Tensor], Tensor]


class TemporalDecoderTask:
    """vae: an AutoencoderKLTemporalDecoder; its decoder is trained in place. store, clips: latents and their frames, in
    the same order. frames: number of frames decoded together."""

    names_for_adam = ("conv_in", "conv_out", "mix_factor", "norm")

    def __init__(
        self, vae: Any, store: FrameLatents, clips: ClipStore, held_out: FrameLatents, held_out_clips: ClipStore, *,
        frames: int = 6, batch: int = 3, device: str = "cpu",
    ):  # fmt: skip
        self.vae = vae.to(device)
        for name, parameter in vae.named_parameters():
            parameter.requires_grad_(name.startswith("decoder."))
        self.modules: dict[str, nn.Module] = {"vae": vae}
        self.store, self.clips, self.held_out, self.held_out_clips = store, clips, held_out, held_out_clips
        self.frames, self.batch_size, self.device = frames, batch, device

    def decode(self, latents_BTChw: Tensor) -> Tensor:
        """(B, T, 3, H, W)."""
        z = latents_BTChw.flatten(0, 1).float() / self.vae.config.scaling_factor
        out = self.vae.decode(z.to(self.device), num_frames=latents_BTChw.shape[1]).sample
        return out.unflatten(0, latents_BTChw.shape[:2])

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(len(self.store), (self.batch_size,), generator=generator)
        start = int(torch.randint(self.store.num_frames - self.frames + 1, (), generator=generator))
        span = slice(start, start + self.frames)
        frames, mask = self.clips.take(index.tolist())
        true = to_network(frames[:, span].flatten(0, 1)).unflatten(0, (len(index), -1)).to(self.device)
        out = self.decode(self.store.latents[index.to(self.store.latents.device)][:, span]).float()
        error = out - true
        reconstruction = pixel_error(error, mask[:, span, None].float().to(self.device))
        changes = (error[:, 1:] - error[:, :-1]).abs().mean()
        psnr = 10 * torch.log10(4 / error.detach().square().mean())
        return reconstruction + CHANGES * changes, {"psnr": psnr.item(), "changes": changes.item()}

    def evaluate(self, step: int) -> dict[str, Any]:
        return measure(self.decode, self.held_out, self.held_out_clips)


@torch.no_grad()
def measure(decode: Decode, held_out: FrameLatents, clips: ClipStore, max_clips: int = 32) -> dict[str, Any]:
    """Measure psnr_db over all frames, and flicker: the mean absolute change from frame to frame of pixels whose true
    change is 0, in steps of 1/255."""
    square, count, flicker, still = 0.0, 0, 0.0, 0
    for index in range(min(max_clips, len(held_out))):
        frames, _ = clips.take([index])
        true = to_network(frames[0])
        out = decode(held_out.latents[index : index + 1])[0].float().cpu().clamp(-1, 1)
        square, count = square + float((out - true).square().sum()), count + true.numel()
        rests = (true[1:] - true[:-1]).abs().amax(1, keepdim=True).expand_as(true[1:]) == 0
        flicker = flicker + float((out[1:] - out[:-1]).abs()[rests].sum())
        still += int(rests.sum())
    return {
        "psnr_db": round(float(10 * torch.log10(torch.tensor(4 * count / max(square, 1e-9)))), 2),
        "flicker": round(127.5 * flicker / max(still, 1), 3),
    }
