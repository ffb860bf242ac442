"""Train kinema-mini-upscale: a compact super-resolution network for the clips of kinema-mini-wan, x4.

    kinema train recipes/mini_upscale.py --minutes 60 --out runs/upscale
    kinema train recipes/mini_upscale.py --minutes 60 --out runs/upscale --resume

The small clips are what the miniature makes of true ones: half are round trips through its autoencoder, half are also
taken 0.1 to 0.35 of the way to noise and back by its transformer with the caption. More noise moves shapes, and a
network cannot learn to move them back. The truth is the same scene rendered at four times the size. `--set
start=FILE` continues from weights of the same network, `--set model=FOLDER` makes the pairs with another miniature,
`--set adversarial=0.01` sets the weight of the adversarial loss (default 0: without).

Stages: pairs, upscaler, export (model.safetensors, config.json, card.json).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanVACETransformer3DModel
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoTokenizer, UMT5EncoderModel

from kinema.evaluation.cases import HELD_OUT
from kinema.post.super_resolution.network import MINI, CompactNetwork
from kinema.toyland.caption import describe
from kinema.toyland.scene import WORLD_MINI, Scene
from kinema.training.core import processes, run_folder
from kinema.training.core.checkpoints import load_averaged
from kinema.training.core.loop import LoopConfig, train
from kinema.training.core.settings import number
from kinema.training.core.stages import Settings, Stage
from kinema.training.data.latents import encoder
from kinema.training.data.parallel_vae import decode, denormalize, to_network
from kinema.training.data.upscale_pairs import SHARD, UpscalePairs, write_pairs
from kinema.training.data.vace import assemble
from kinema.training.tasks.export_network import export_network
from kinema.training.tasks.flow import integrate, like, noise_like
from kinema.training.tasks.tiny_decoder import to_bytes
from kinema.training.tasks.upscale import UpscaleTask
from kinema.weights.device import good_at_bfloat16

SIDE, FRAMES, CROP, TOKENS = 64, 17, 32, 64
CLIPS, HELD_OUT_CLIPS = 2048, 24
FIRST = 2_000_000
"""Seed of the first scene; the miniature was trained on others."""
NOISE, STEPS = (0.1, 0.35), 3
"""How far to noise the redrawn clips go, and the steps back."""
ADVERSARIAL = 0.0


def stages(settings: Settings) -> list[Stage]:
    work = MiniUpscale(settings)
    return [
        Stage("pairs", 0.2, work.pairs), Stage("upscaler", 0.8, work.upscaler), Stage("export", 0.0, work.export),
    ]  # fmt: skip


class MiniUpscale:
    def __init__(self, settings: Settings):
        self.settings, self.out = settings, settings.out
        self.device = processes.own_device(settings.device)
        self.full = self.device != "cpu" or settings.minutes >= 10
        start, model = settings.options.get("start"), settings.options.get("model")
        self.start = None if start is None else Path(start)
        self.model = Path(str(files("kinema"))) / "miniatures" / "mini_wan" if model is None else Path(model)
        self.adversarial = number("adversarial", settings.options.get("adversarial"), (float, ADVERSARIAL, 0.0, 1.0))
        self.bf16 = good_at_bfloat16(torch.device(self.device))
        torch.set_num_threads(8 if self.device != "cpu" else 1)

    def pairs(self, minutes: float) -> dict[str, Any]:
        """Write OUT/pairs and OUT/held_out."""
        made = Remake(self.model, self.device, self.bf16)
        size: dict[str, Any] = {"num_frames": FRAMES, "side": SIDE, "scale": MINI.scale}
        few = HELD_OUT_CLIPS if self.full else 2
        write_pairs(self.out / "held_out", WORLD_MINI, range(HELD_OUT, HELD_OUT + few), made, **size)
        seeds = range(FIRST, FIRST + (CLIPS if self.full else SHARD))
        write_pairs(
            self.out / "pairs", WORLD_MINI, seeds, made, minutes=minutes, **size,
            report=lambda done, total: self.settings.budget.report("computing pairs", done, total),
        )  # fmt: skip
        return {"clips": len(UpscalePairs(self.out / "pairs"))}

    def network(self) -> CompactNetwork:
        torch.manual_seed(0)
        network = CompactNetwork(MINI)
        if self.start is not None:
            network.load_state_dict({name: value.float() for name, value in load_file(self.start).items()})
        return network

    def upscaler(self, minutes: float) -> dict[str, Any]:
        task = UpscaleTask(
            self.network(), UpscalePairs(self.out / "pairs"), UpscalePairs(self.out / "held_out"), self.out / "sheets",
            device=self.device, batch=(64 if self.device != "cpu" else 8) // processes.count(), side=CROP,
            adversarial=self.adversarial,
        )  # fmt: skip
        slower = 1.0 if self.start is None else 0.5
        config = LoopConfig(
            out=self.out / "upscaler_run", minutes=max(minutes, 0.02), device=self.device, bf16=self.bf16,
            resume=self.settings.resume, lr_muon=3e-3 * slower, lr_adam=1.5e-3 * slower, ema=0.99, decay_from=0.4,
            final_lr=0.02, evaluate_minutes=max(1.0, min(7.0, minutes / 3)), budget=self.settings.budget,
        )  # fmt: skip
        return train(task, config, self.settings.show) | {"samples": task.samples}

    def export(self, minutes: float) -> dict[str, Any]:
        """Write OUT/export: averaged weights in float16, config.json, and card.json with the training record."""
        if not processes.first():
            return {}
        network = self.network()
        load_averaged(self.out / "upscaler_run" / "checkpoint.pt", {"upscaler": network})
        card = {
            "name": "kinema-mini-upscale", "license": "Apache-2.0", "recipe": "recipes/mini_upscale.py",
            "training": {
                "device": self.settings.device_name, "processes": processes.count(),
                "adversarial": self.adversarial, "stages": run_folder.read(self.out).done,
            },
        }  # fmt: skip
        return export_network(self.out / "export", network, MINI.to_dict(), card)


class Remake:
    """What a Wan VACE miniature makes of true clips: even ones pass its autoencoder, odd ones also its transformer."""

    def __init__(self, folder: Path, device: str, bf16: bool) -> None:
        def part(kind: Any, name: str) -> Any:
            return kind.from_pretrained(folder / name, trust_remote_code=False).eval().requires_grad_(False).to(device)

        self.vae = part(AutoencoderKLWan, "vae")
        self.transformer = part(WanVACETransformer3DModel, "transformer")
        self.text_encoder = part(UMT5EncoderModel, "text_encoder")
        self.tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", trust_remote_code=False)
        self.encode, self.device, self.bf16 = encoder(self.vae, device), device, bf16
        self.gray: Tensor | None = None

    @torch.inference_mode()
    def __call__(self, frames_BFHWC: Tensor, scenes: Sequence[Scene], seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.bf16):
            clean = self.encode(to_network(frames_BFHWC)).to(self.device)
            clean[1::2] = self.redrawn(clean[1::2], scenes[1::2], generator)
            parts = [to_bytes(decode(self.vae, denormalize(self.vae, one[None]))) for one in clean]
        return torch.cat(parts).permute(0, 2, 3, 4, 1)

    def redrawn(self, clean_BCTHW: Tensor, scenes: Sequence[Scene], generator: torch.Generator) -> Tensor:
        """Clips taken a random part of the way to noise, and back in STEPS steps with their captions."""
        if not len(clean_BCTHW):
            return clean_BCTHW
        low, high = NOISE
        start_B = low + (high - low) * torch.rand(len(clean_BCTHW), generator=generator, dtype=torch.float64)
        share = like(start_B, clean_BCTHW)
        noisy = (1 - share) * clean_BCTHW + share * noise_like(clean_BCTHW, generator)
        if self.gray is None:
            self.gray = self.encode(torch.zeros(1, 3, FRAMES, SIDE, SIDE)).to(self.device)
        gray = self.gray.expand(len(noisy), -1, -1, -1, -1)
        control = assemble(gray, gray, torch.ones(len(noisy), FRAMES, SIDE, SIDE, device=self.device))
        states = self.embed([describe(scene, 0) for scene in scenes])

        def velocity(x: Tensor, sigma_B: Tensor, states: Tensor) -> Tensor:
            found: Tensor = self.transformer(
                hidden_states=x, timestep=sigma_B.float().to(x.device) * 1000, encoder_hidden_states=states,
                control_hidden_states=control, return_dict=False,
            )[0]  # fmt: skip
            return found.float()

        return integrate(velocity, noisy, start_B, 0 * start_B, states, num_steps=STEPS, shift=1.0)

    def embed(self, captions: list[str]) -> Tensor:
        """Text states (B, TOKENS, D), padded with zeros as the pipeline does."""
        words = self.tokenizer(captions, padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
        ids, mask = words.input_ids.to(self.device), words.attention_mask.to(self.device)
        states = self.text_encoder(ids, mask).last_hidden_state * mask[..., None]
        return F.pad(states, (0, 0, 0, TOKENS - ids.shape[1]))
