"""Train kinema-mini-svd: a small Stable Video Diffusion on top of kinema-mini-image, for clips of 14 frames.

    kinema train recipes/mini_svd.py --minutes 90 --processes 2 --out runs/mini_svd
    kinema train recipes/mini_svd.py --set clips=runs/mini_zeroscope --stage video --minutes 40 --out runs/mini_svd
    kinema train recipes/mini_svd.py --set start=runs/mini_svd/export --stage quality --minutes 20 --out runs/longer

Stages: clips, cache, vision (a CLIP image encoder against captions), decoder (the temporal VAE decoder), then the
stages of the paper (arXiv 2311.15127), of which the first, images, is kinema-mini-image: video (all clips, 80 % of them
with the image), quality (clips with much motion, 90 % of them with the image, more noise); export.
"""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from kinema.sd.spatio_temporal import inflate, inflate_decoder
from kinema.training.core import processes
from kinema.training.core.checkpoints import load_averaged
from kinema.training.core.loop import train
from kinema.training.core.sheets import sheet, strip
from kinema.training.core.stages import Settings, Stage
from kinema.training.data.captioner import Captioner, toyland_captions
from kinema.training.data.frame_latents import to_network
from kinema.training.tasks import temporal_decoder
from kinema.training.tasks.edm import NoiseLevels, align_times
from kinema.training.tasks.export import edit_json
from kinema.training.tasks.image_text import ImageTextTask
from kinema.training.tasks.image_to_video import Buckets, ImageToVideoTask
from kinema.training.tasks.temporal_decoder import TemporalDecoderTask

sys.path.insert(0, str(Path(__file__).parent))
from toyland_sd import FPS, LOOK_STEPS, LOOKED_AT, REHEARSAL_STEPS, SCHEDULE, SIDE, WORLD, OnImage, as_bytes

FRAMES = 14
VISION = {
    "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 224,
    "patch_size": 32, "projection_dim": 128,
}  # fmt: skip
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
"""CLIP's normalization, as in Stable Video Diffusion's feature extractor."""
VIDEO, QUALITY = NoiseLevels(0.5, 1.6), NoiseLevels(1.0, 1.6)
STEPS, GUIDANCE, MOTION = 25, (1.0, 2.0), 127
MOVES_MORE_THAN = 0.3
"""Share of the clips, those with the least motion, that the last stage omits."""
SIGMAS = (0.002, 700.0)
PICTURE = 0.2
"""Initial weight of the image latents: the value with the smallest error over noise levels of 0.2 to 40."""
LENGTHS = (1, 4, 4, FRAMES)


def stages(settings: Settings) -> list[Stage]:
    work = Svd(settings)
    return [
        Stage("clips", 0.02, work.clips, fixed_cost=work.fixed_cost(0.1)),
        Stage("cache", 0.12, work.cache, fixed_cost=work.fixed_cost(2.1)),
        Stage("vision", 0.06, work.vision, fixed_cost=work.fixed_cost(0.1, 0.1)),
        Stage("decoder", 0.15, work.decoder, fixed_cost=work.fixed_cost(4.1, 6.0)),
        Stage("video", 0.4, work.video, fixed_cost=work.fixed_cost(4.8, 15.7)),
        Stage("quality", 0.25, work.quality, fixed_cost=work.fixed_cost(6.3, 15.9)),
        Stage("export", 0.0, work.export, fixed_cost=work.fixed_cost(6.4)),
    ]


def extractor() -> CLIPImageProcessor:
    return CLIPImageProcessor(
        size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}, image_mean=MEAN, image_std=STD
    )


def scheduler() -> Any:
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        beta_start=SCHEDULE.beta_start, beta_end=SCHEDULE.beta_end, beta_schedule=SCHEDULE.kind,
        prediction_type="v_prediction", timestep_type="continuous", timestep_spacing="leading", use_karras_sigmas=True,
        sigma_min=SIGMAS[0], sigma_max=SIGMAS[1], interpolation_type="linear", steps_offset=1,
    )  # fmt: skip


class Svd(OnImage):
    """start: the folder of a finished model to continue training."""

    options = ("start",)

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self.start = Path(settings.options["start"]) if "start" in settings.options else None
        if self.start is not None and not (self.start / "unet" / "config.json").is_file():
            raise ValueError(f"start must be the folder of a finished model; {self.start} has no unet/config.json.")

    def clips(self, minutes: float) -> dict[str, Any]:
        return {} if self.borrowed else self.render_all(full=4096, big=16_384, rehearsal=32)

    def cache(self, minutes: float) -> dict[str, Any]:
        return {} if self.borrowed else self.encode_all(self.vae())

    def vision(self, minutes: float) -> dict[str, Any]:
        torch.manual_seed(0)
        encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION))
        text = self.text()
        task = ImageTextTask(
            encoder,
            Captioner(text["tokenizer"], text["text_encoder"], toyland_captions(WORLD), device=self.device, drop=0.0),
            self.open_clips(), self.open_clips("held_out"), clip_mean=MEAN, clip_std=STD, device=self.device,
            batch=64 if self.full else 8,
        )  # fmt: skip
        found = train(task, self.config("vision_run", minutes, ema=0.99, lr_muon=2e-3), self.settings.show)
        if processes.first():
            encoder.to("cpu").save_pretrained(self.out / "image_encoder")
        processes.wait()
        return found

    def image_encoder(self) -> Any:
        found = CLIPVisionModelWithProjection.from_pretrained(
            self.out / "image_encoder", dtype=torch.float32, trust_remote_code=False
        )
        return found.eval().requires_grad_(False).to(self.device)

    def decoder(self, minutes: float) -> dict[str, Any]:
        image, vae = self.vae(), inflate_decoder(self.vae())
        held_out, clips = self.latents("latents_held_out"), self.open_clips("held_out")

        def by_frame(latents_BTChw: torch.Tensor) -> torch.Tensor:
            z = latents_BTChw.flatten(0, 1).float() / image.config.scaling_factor
            return image.decode(z.to(self.device)).sample.unflatten(0, latents_BTChw.shape[:2])

        before = temporal_decoder.measure(by_frame, held_out, clips)
        task = TemporalDecoderTask(vae, self.latents(), self.open_clips(), held_out, clips, device=self.device)
        config = self.config("decoder_run", minutes, ema=0.99, lr_muon=1e-3, lr_adam=5e-4)
        found = train(task, config, self.settings.show)
        if processes.first():
            vae.to("cpu").save_pretrained(self.out / "vae")
        processes.wait()
        return found | {"image_decoder": before}

    def temporal_vae(self) -> Any:
        from diffusers import AutoencoderKLTemporalDecoder

        found = AutoencoderKLTemporalDecoder.from_pretrained(
            self.out / "vae", torch_dtype=torch.float32, trust_remote_code=False
        )
        return found.eval().requires_grad_(False).to(self.device)

    def fresh(self) -> Any:
        """The initial network: that of `start`, or the inflated image model."""
        if self.start is not None:
            from diffusers import UNetSpatioTemporalConditionModel

            return UNetSpatioTemporalConditionModel.from_pretrained(
                self.start / "unet", torch_dtype=torch.float32, trust_remote_code=False
            )
        torch.manual_seed(0)
        image = self.unet()
        found = inflate(image, num_frames=FRAMES, picture=PICTURE * self.vae().config.scaling_factor)
        align_times(found, image, SCHEDULE.alphas_bar)
        return found

    def task(self, network: Any, levels: NoiseLevels, without: float, least: float) -> ImageToVideoTask:
        task = ImageToVideoTask(
            network, self.temporal_vae(), self.image_encoder(), self.latents(), self.latents("latents_held_out"),
            self.open_clips().pictures, self.open_clips("held_out").pictures, clip_mean=MEAN, clip_std=STD,
            levels=levels, num_frames=FRAMES, fps=FPS, without=without, device=self.device,
            batch=64 if self.big else max(1, 4 // processes.count()), buckets=self.buckets(), lengths=LENGTHS,
        )  # fmt: skip
        task.use = (task.motion >= task.motion.quantile(least)).nonzero()[:, 0]
        task.judge = partial(self.judge, network)
        return task

    def buckets(self) -> Buckets | None:
        """The buckets of the first video stage, or of `start`."""
        own = self.out / "buckets.json"
        if own.is_file():
            return Buckets(json.loads(own.read_text(encoding="utf-8")))
        if self.start is not None:
            return Buckets(json.loads((self.start / "card.json").read_text(encoding="utf-8"))["motion_buckets"])
        return None

    def video(self, minutes: float) -> dict[str, Any]:
        """Stage two: all clips, 80 % of them with the image."""
        task = self.task(self.optimize(self.fresh()), VIDEO, without=0.2, least=0.0)
        self.keep(task)
        config = self.config("video_run", minutes, ema=0.995, lr_muon=2e-3, lr_adam=1e-3, decay_from=0.8, final_lr=0.4)
        return train(task, config, self.settings.show) | {"samples": task.samples, "clips": len(task.use)}

    def quality(self, minutes: float) -> dict[str, Any]:
        """Stage three: clips with much motion, 90 % of them with the image."""
        network = self.fresh()
        if (self.out / "video_run" / "checkpoint.pt").is_file():
            load_averaged(self.out / "video_run" / "checkpoint.pt", {"video": network})
        task = self.task(self.optimize(network), QUALITY, without=0.1, least=MOVES_MORE_THAN)
        self.keep(task)
        config = self.config("quality_run", minutes, ema=0.995, lr_muon=1e-3, lr_adam=5e-4, decay_from=0.2)
        return train(task, config, self.settings.show) | {"samples": task.samples, "clips": len(task.use)}

    def keep(self, task: ImageToVideoTask) -> None:
        if processes.first():
            (self.out / "buckets.json").write_text(json.dumps(task.buckets.bounds.tolist()), encoding="utf-8")
        processes.wait()

    def pipeline(self, network: Any) -> Any:
        from diffusers import StableVideoDiffusionPipeline

        found = StableVideoDiffusionPipeline(
            vae=self.temporal_vae(), image_encoder=self.image_encoder(), unet=network, scheduler=scheduler(),
            feature_extractor=extractor(),
        )  # fmt: skip
        found.set_progress_bar_config(disable=True)
        return found.to(self.device)

    @torch.no_grad()
    def judge(self, network: Any, step: int) -> dict[str, Any]:
        """Animate held-out first frames; returns the PSNR of the first frame and of the VAE's reconstruction. Writes
        OUT/sheets/picture_STEP.png, with true clips above generated ones."""
        from PIL import Image

        held_out, vae, rows, near, best = self.open_clips("held_out"), self.temporal_vae(), [], [], []
        pipe = self.pipeline(network)
        for index in range(LOOKED_AT if self.full else 1):
            frames, _ = held_out.take([index])
            true = frames[0].numpy()
            made = as_bytes(
                pipe(
                    Image.fromarray(true[0]), height=SIDE, width=SIDE, num_frames=FRAMES, fps=int(FPS),
                    motion_bucket_id=MOTION, noise_aug_strength=0.02,
                    num_inference_steps=LOOK_STEPS if self.full else REHEARSAL_STEPS,
                    min_guidance_scale=GUIDANCE[0], max_guidance_scale=GUIDANCE[1],
                    generator=torch.Generator().manual_seed(0), output_type="np",
                ).frames[0]
            )  # fmt: skip
            z = vae.encode(to_network(torch.from_numpy(true[:1])).to(self.device)).latent_dist.mode()
            again = vae.decode(z, num_frames=1).sample[0].clamp(-1, 1).permute(1, 2, 0).cpu().numpy() * 127.5 + 127.5
            near.append(_db(made[0], true[0]))
            best.append(_db(again, true[0]))
            picks = (0, 4, 9, 13)
            rows.append((f"clip {index}", [np.concatenate([strip(true, picks), strip(made, picks)])]))
        sheet(rows, self.out / "sheets" / f"picture_{step:06d}.png", columns=2)
        return {"first_frame_db": round(float(np.mean(near)), 2), "autoencoder_db": round(float(np.mean(best)), 2)}

    def export(self, minutes: float) -> dict[str, Any]:
        """Write OUT/export: a diffusers folder in float16, with card.json."""
        if not processes.first():
            return {}
        folder, network = self.out / "export", self.fresh()
        load_averaged(self.out / "quality_run" / "checkpoint.pt", {"video": network})
        shutil.rmtree(folder, ignore_errors=True)
        self.pipeline(network).to(torch.float16).save_pretrained(folder)
        for part in ("vae", "unet", "image_encoder"):
            edit_json(folder / part / "config.json", _name_or_path=None)
        edit_json(folder / "image_encoder" / "config.json", dtype="float32")
        bounds = json.loads((self.out / "buckets.json").read_text(encoding="utf-8"))
        self.card(
            "kinema-mini-svd", folder, native={"frames": FRAMES, "height": SIDE, "width": SIDE, "fps": FPS},
            recommended={"num_inference_steps": STEPS, "guidance_scale": GUIDANCE}, motion_buckets=bounds,
        )  # fmt: skip
        return {"folder": str(folder)}


def _db(made: np.ndarray, true: np.ndarray) -> float:
    error = np.square(made.astype(np.float64) - true).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))
