"""Train kinema-mini-image from scratch on frames of Toyland: an AutoencoderKL, a CLIP text encoder and a
UNet2DConditionModel. It is a small Stable Diffusion, and the image model of the miniatures of AnimateDiff, Zeroscope
and Stable Video Diffusion.

    kinema train recipes/mini_image.py --minutes 75 --processes 2 --out runs/mini_image
    kinema train recipes/mini_image.py --device cuda --minutes 8 --out runs/mini_image
    kinema train recipes/mini_image.py --stage unet --minutes 40 --processes 2 --out runs/mini_image --resume
    kinema train recipes/mini_image.py --set start=runs/mini_image/export --minutes 60 --processes 2 --out runs/longer

`--set start=DIR` continues the training of a finished model's UNet and text encoder; with `--set kinds=fish` on objects
that it has never seen (Toyland's kinds, joined with commas), as for a personalized image model.

Stages: clips (render Toyland), vae, cache (latents of every frame), unet (with the text encoder), export (a diffusers
folder that StableDiffusionPipeline opens, with a card and a sheet).
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from kinema.toyland.caption import describe, describe_place
from kinema.toyland.scene import KINDS, sample_scene
from kinema.training.core import processes
from kinema.training.core.checkpoints import load_averaged
from kinema.training.core.loop import train
from kinema.training.core.sheets import sheet
from kinema.training.core.stages import Settings, Stage
from kinema.training.data.captioner import toyland_captions
from kinema.training.data.tokenizers import build_clip_tokenizer
from kinema.training.tasks import kl_vae
from kinema.training.tasks.image_model import ImageTask

sys.path.insert(0, str(Path(__file__).parent))
from mini_wan_judge import percent, right
from toyland_sd import GUIDANCE, SCHEDULE, SIDE, STEPS, WORLD, Work, as_bytes, save, scheduler, write_card

TOKENS, CAPTIONS = 40, 20_000
VAE = {
    "block_out_channels": (64, 64, 64), "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3, "layers_per_block": 1, "latent_channels": 4, "norm_num_groups": 32,
    "sample_size": SIDE,
}  # fmt: skip
"""The spatial factor is 4, not 8, since an object is a sixth of a 64-pixel image. Widths are multiples of 32, since the
classes of Stable Video Diffusion normalize 32 groups of channels."""
UNET = {
    "sample_size": SIDE // 4, "in_channels": 4, "out_channels": 4, "block_out_channels": (64, 64, 96),
    "layers_per_block": 1, "cross_attention_dim": 128, "attention_head_dim": (4, 4, 6), "norm_num_groups": 32,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), "use_linear_projection": True,
}  # fmt: skip
TEXT = {
    "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4,
    "max_position_embeddings": TOKENS, "projection_dim": 128,
}  # fmt: skip


def stages(settings: Settings) -> list[Stage]:
    run = Image(settings)
    if run.start is not None:
        return [
            Stage("clips", 0.03, run.clips),
            Stage("keep", 0.0, run.keep),
            Stage("cache", 0.12, run.cache),
            Stage("unet", 0.85, run.unet),
            Stage("export", 0.0, run.export),
        ]
    return [
        Stage("clips", 0.03, run.clips),
        Stage("vae", 0.27, run.vae),
        Stage("cache", 0.10, run.cache),
        Stage("unet", 0.60, run.unet),
        Stage("export", 0.0, run.export),
    ]


def new_parts() -> dict[str, Any]:
    """Untrained UNet and text encoder, and a tokenizer for the words of many captions."""
    torch.manual_seed(0)
    scenes = [sample_scene(seed, WORLD) for seed in range(CAPTIONS)]
    captions = [caption(scene, seed) for seed, scene in enumerate(scenes) for caption in (describe, describe_place)]
    tokenizer = build_clip_tokenizer(captions, TOKENS)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, **TEXT,
    )  # fmt: skip
    return {"unet": UNet2DConditionModel(**UNET), "text_encoder": CLIPTextModel(text), "tokenizer": tokenizer}


class Image(Work):
    """The stages of the image model. start: the folder of a finished model to continue training."""

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self.start = Path(settings.options["start"]) if "start" in settings.options else None
        if self.start is not None and not (self.start / "model_index.json").is_file():
            raise ValueError(f"start must be the folder of a finished model; {self.start} has no model_index.json.")
        kinds = tuple(settings.options.get("kinds", ",".join(WORLD.kinds)).split(","))
        if wrong := [kind for kind in kinds if kind not in KINDS]:
            raise ValueError(f"No such kind: {wrong[0]}. Legal: {', '.join(KINDS)}.")
        self.world = replace(WORLD, kinds=kinds)

    def clips(self, minutes: float) -> dict[str, Any]:
        return self.render_all(full=3072 if self.world == WORLD else 512, big=16_384, rehearsal=64, world=self.world)

    def vae(self, minutes: float) -> dict[str, Any]:
        torch.manual_seed(0)
        vae = AutoencoderKL(**VAE)
        kl_vae.initialize(vae, torch.Generator().manual_seed(0))
        task = kl_vae.KlVaeTask(
            vae, self.open_clips(), self.open_clips("held_out"), device=self.device, batch_scale=16 if self.big else 1,
            num_held_out=48 if self.full else 4,
        )  # fmt: skip
        config = self.config("vae_run", minutes, lr_muon=3e-3, lr_adam=1.2e-3, ema=0.99)
        train(task, config, self.settings.show)
        kl_vae.set_scaling_factor(vae, self.open_clips(), self.device)
        scores = task.evaluate(0)
        if processes.first():
            vae.to("cpu", memory_format=torch.contiguous_format).save_pretrained(self.out / "vae")
        processes.wait()
        return scores

    def keep(self, minutes: float) -> dict[str, Any]:
        """Copy the VAE of `start`."""
        if self.start is not None and processes.first():
            vae = AutoencoderKL.from_pretrained(self.start / "vae", torch_dtype=torch.float32, trust_remote_code=False)
            vae.save_pretrained(self.out / "vae")
        processes.wait()
        return {}

    def cache(self, minutes: float) -> dict[str, Any]:
        return self.encode_all(AutoencoderKL.from_pretrained(self.out / "vae", trust_remote_code=False))

    def parts(self) -> dict[str, Any]:
        """The initial UNet, text encoder and tokenizer."""
        if self.start is None:
            return new_parts()
        return {
            "unet": UNet2DConditionModel.from_pretrained(
                self.start / "unet", torch_dtype=torch.float32, trust_remote_code=False
            ),
            "text_encoder": CLIPTextModel.from_pretrained(
                self.start / "text_encoder", dtype=torch.float32, trust_remote_code=False
            ),
            "tokenizer": CLIPTokenizer.from_pretrained(self.start / "tokenizer", trust_remote_code=False),
        }

    def task(self, parts: dict[str, Any]) -> ImageTask:
        return ImageTask(
            parts["unet"], parts["text_encoder"], parts["tokenizer"], self.latents(),
            self.latents("latents_held_out"), toyland_captions(self.world), schedule=SCHEDULE, device=self.device,
            batch=512 if self.big else 64 // processes.count(),
        )  # fmt: skip

    def unet(self, minutes: float) -> dict[str, Any]:
        parts = self.parts()
        self.optimize(parts["unet"])
        task = self.task(parts)
        task.judge = partial(self.judge, task)
        config = self.config("unet_run", minutes, lr_muon=2.4e-3, lr_adam=1.2e-3, ema=0.997)
        return train(task, config, self.settings.show) | {"samples": task.samples}

    def pipeline(self, parts: dict[str, Any]) -> Any:
        vae = AutoencoderKL.from_pretrained(self.out / "vae", trust_remote_code=False).eval().to(self.device)
        found = StableDiffusionPipeline(
            vae=vae, scheduler=scheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False,
            **parts,
        )  # fmt: skip
        found.set_progress_bar_config(disable=True)
        return found

    @torch.no_grad()
    def judge(self, task: ImageTask, step: int) -> dict[str, Any]:
        """Score images of held-out captions; writes OUT/sheets/image_STEP.png."""
        scenes = self.held_out_scenes(64 if self.full else 4, self.world)
        parts = {"unet": task.unet, "text_encoder": task.words.text_encoder, "tokenizer": task.words.tokenizer}
        captions = [describe(scene, 0) for scene in scenes]
        pictures = self.pipeline(parts)(
            captions, num_inference_steps=STEPS if self.full else 4, guidance_scale=GUIDANCE,
            height=SIDE, width=SIDE, output_type="np",
            generator=torch.Generator().manual_seed(0),
        ).images  # fmt: skip
        frames = as_bytes(pictures)
        rows = [(text, [picture.repeat(2, 0).repeat(2, 1)]) for text, picture in zip(captions, frames, strict=True)]
        sheet(rows[:32], self.out / "sheets" / f"image_{step:06d}.png", columns=8)
        answers = [right(picture[None], scene, self.world) for picture, scene in zip(frames, scenes, strict=True)]
        return {"probes": percent(answers)}

    def trained_parts(self) -> dict[str, Any]:
        parts = self.parts()
        networks = {name: parts[name] for name in ("unet", "text_encoder")}
        load_averaged(self.out / "unet_run" / "checkpoint.pt", networks)
        return parts

    def export(self, minutes: float) -> dict[str, Any]:
        """Write OUT/export: a diffusers folder in float16, with card.json."""
        if not processes.first():
            return {}
        folder = self.out / "export"
        save(self.pipeline(self.trained_parts()), folder)
        architecture = {"pipeline": "StableDiffusionPipeline", "vae": VAE, "unet": UNET, "text_encoder": TEXT}
        card = self.card("kinema-mini-image", folder, native={"height": SIDE, "width": SIDE}, architecture=architecture)
        if self.start is not None and (self.start / "card.json").is_file():
            before = json.loads((self.start / "card.json").read_text(encoding="utf-8"))
            card["training"]["before"] = before["training"]
            write_card(folder, card)
        return {"folder": str(folder)}
