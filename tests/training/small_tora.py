"""A tiny CogVideoX, Toyland clips with motion maps, and Tora's training task on them."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from kinema.toyland.scene import WORLD_MINI
from kinema.training.data import motion_clips
from kinema.training.tasks.ddpm import Schedule
from kinema.training.tasks.tora import ToraTask, new_guidance

sys.path.append(str(Path(__file__).parents[1] / "families"))
import tiny_cogvideox as tiny

FRAMES, SIDE, CHANNELS = tiny.FRAMES, tiny.SIDE, 8


def encode_with(vae, patch_t: int | None = None):
    """The mean latents, scaled, with the first repeated in front where the transformer's patches need it."""

    @torch.no_grad()
    def encode(pixels_BCFHW):
        z = vae.encode(pixels_BCFHW).latent_dist.mean * vae.config.scaling_factor
        return torch.cat([z[:, :, :1]] * (-z.shape[2] % (patch_t or 1)) + [z], 2)

    return encode


def encoder(parts, **changes) -> motion_clips.MotionEncoder:
    config = parts["transformer"].config
    settings = {
        "sigma_px": 2.0, "draws": 2,
        "picture_factor": 1.0 if config.in_channels != config.out_channels else None, **changes,
    }  # fmt: skip
    return motion_clips.MotionEncoder(encode_with(parts["vae"], config.patch_size_t), config.out_channels, **settings)


def clips(folder, parts, count: int = 4, **changes):
    made = encoder(parts, **changes)
    found, _ = motion_clips.toyland(
        folder, WORLD_MINI, range(count), made, num_frames=FRAMES, height=SIDE, width=SIDE, fps=8.0,
        encoder_id=str(sorted(changes.items())),
    )  # fmt: skip
    return found


def states_of(parts):
    """Text states by the model's own encoder."""

    @torch.no_grad()
    def states(captions):
        words = parts["tokenizer"](
            captions, padding="max_length", max_length=tiny.LENGTH, truncation=True, return_tensors="pt"
        )
        return parts["text_encoder"](words.input_ids)[0]

    return states


def task(parts, store, stage="dense", fuser="adaptive_norm", seed=0, **changes) -> ToraTask:
    guidance = new_guidance(
        parts["transformer"].config, fuser=fuser, channels=CHANNELS, motion_channels=store.dense.shape[2], seed=seed
    )
    frozen = {"vae": parts["vae"], "text_encoder": parts["text_encoder"]}
    return ToraTask(
        parts["transformer"], guidance, states_of(parts), lambda item, number, place: tiny.PROMPT, store, store,
        schedule=Schedule.of(parts["scheduler"]), stage=stage, frozen=frozen, **changes,
    )  # fmt: skip
