"""The model under Tora's training: a loaded CogVideoX, frozen, with or without Tora's parts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ...core.whole import whole, write_text
from ...families.cogvideox.tora import checkpoint
from ...families.cogvideox.tora.networks import MotionGuidance
from ...weights.store import locate
from ..data.motion_clips import MotionEncoder
from ..tasks.ddpm import Schedule

KEPT = ("vae", "text_encoder", "tokenizer", "scheduler")
PIPELINES = {"t2v": "ToraPipeline", "i2v": "ToraImageToVideoPipeline"}


class ToraBase:
    """family: a CogVideoXFamily. Its transformer, autoencoder and text encoder are frozen."""

    def __init__(self, family: Any, device: str) -> None:
        self.family, self.device, self.card = family, device, family.card
        self.parts = family.parts
        self.schedule = Schedule.of(self.parts.scheduler)
        self._states: dict[str, Tensor] = {}

    @classmethod
    def load(cls, card: Any, device: str) -> ToraBase:
        from ...engine.load import load

        dtype = "float32" if device == "cpu" else "bfloat16"
        found = cls(load(card.path or card.id, device=device, dtype=dtype).family, device)
        found.parts.vae.to(device)
        return found

    @property
    def guidance(self) -> MotionGuidance | None:
        """Tora's parts of the model, if it has them."""
        return None if self.parts.motion is None else self.parts.motion.guidance

    def encoder(self, **settings: Any) -> MotionEncoder:
        """The encoder of clips. settings: of MotionEncoder."""
        vae, config = self.parts.vae, self.family.config
        factor = None
        if config.in_channels != config.out_channels:
            factor = 1.0 / self.family.scale**2 if vae.config.invert_scale_latents else 1.0
        return MotionEncoder(
            self.encode, int(config.out_channels), picture_factor=factor,
            stride=int(vae.config.temporal_compression_ratio), **settings,
        )  # fmt: skip

    @torch.no_grad()
    def encode(self, pixels_BCFHW: Tensor) -> Tensor:
        """Pixels (1, 3, F, H, W) to the mean latents (1, C, T, h, w), scaled and padded for the transformer."""
        vae = self.parts.vae
        mean = vae.encode(pixels_BCFHW.to(self.device, vae.dtype)).latent_dist.mean
        found: Tensor = self.family.padded(mean.float() * self.family.scale)
        return found

    @torch.no_grad()
    def decode(self, latents_TCHW: Tensor, num_frames: int) -> Tensor:
        """Latents of a clip, padding included, to uint8 frames (F, H, W, 3)."""
        vae = self.parts.vae
        z = latents_TCHW.transpose(0, 1)[None].to(self.device) / self.family.scale
        pixels = vae.decode(z.to(vae.dtype)).sample[0, :, -num_frames:]
        return ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).cpu()

    @torch.no_grad()
    def states(self, captions: list[str]) -> Tensor:
        """Encode captions to (B, L, D), with a cache."""
        for caption in captions:
            if caption not in self._states:
                self._states[caption] = self.family.text_states(caption)[0].clone().cpu()
        return torch.stack([self._states[caption] for caption in captions]).to(self.device)

    def export(self, folder: Path, guidance: MotionGuidance, sigma_px: float) -> Path:
        """Write a folder in the published layout of Tora (`fuser.{i}.*` and `traj_extractor.*` among the transformer's
        tensors): the model's own files, and its transformer with these parts in the model's dtype."""
        source, dtype = locate(self.card), self.family.dtype
        folder.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            if (folder / name).exists():
                shutil.rmtree(folder / name)
            shutil.copytree(source / name, folder / name)
        target = folder / "transformer"
        target.mkdir(exist_ok=True)
        tensors = checkpoint.state_of([self.parts.transformer, guidance])
        tensors = {name: (x.to(dtype) if x.is_floating_point() else x).cpu() for name, x in tensors.items()}
        with whole(target / "diffusion_pytorch_model.safetensors") as beside:
            save_file(tensors, beside, metadata={"format": "pt"})
        config = checkpoint.config_of(self.parts.transformer.config, sigma_px)
        write_text(target / "config.json", json.dumps(config, indent=2))
        index = json.loads((source / "model_index.json").read_text(encoding="utf-8"))
        index |= {"_class_name": PIPELINES[self.card.variant], "transformer": ["tora", "ToraTransformer3DModel"]}
        write_text(folder / "model_index.json", json.dumps(index, indent=2))
        return folder
