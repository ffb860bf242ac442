"""Evaluation during the training of kinema-mini-wan: scores and sheets of reconstructions (the gate) and samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from mini_wan_editions import Edition

from kinema.evaluation.probes import load_probes
from kinema.evaluation.track import track_object
from kinema.toyland.caption import describe
from kinema.toyland.scene import Scene, World, sample_scene
from kinema.training.core.sheets import sheet, strip
from kinema.training.data import parallel_vae
from kinema.training.data.parallel_vae import denormalize, to_network
from kinema.training.data.store import ClipStore
from kinema.training.tasks.flow import guided, sample
from kinema.training.tasks.tiny_decoder import to_bytes
from kinema.training.tasks.video import VideoTask

GATE_DB, GATE_OBJECTS_DB, GATE_PROBE = 30.0, 25.0, 85.0
PICKS = (0, 5, 10, 16)
CLIPS, STEPS = 16, 12
REHEARSAL = 2, 2
"""Clips and steps in a rehearsal of a few minutes."""


def right(frames_FHWC: np.ndarray, scene: Scene, world: World) -> dict[str, bool]:
    """Which attributes of a clip with one object do the probes read correctly?"""
    reading = load_probes().read(frames_FHWC)
    track, actor = track_object(reading), scene.actors[0]
    return {
        "object": track.word("kind", world.kinds) == actor.kind,
        "color": track.word("color", world.colors) == actor.color,
        "background": reading.word("background") == scene.background,
        "light": reading.word("light") == scene.light,
    }


def percent(answers: list[dict[str, bool]]) -> dict[str, float]:
    return {name: round(100 * float(np.mean([one[name] for one in answers])), 1) for name in answers[0]}


def singles(store: ClipStore, world: World, count: int) -> list[int]:
    """Indices of the first held-out clips with one object."""
    return [i for i in range(len(store)) if len(sample_scene(store.seed(i), world).actors) == 1][:count]


def as_frames(pixels_BCFHW: torch.Tensor) -> np.ndarray:
    """Convert to uint8 frames (B, F, H, W, 3)."""
    return to_bytes(pixels_BCFHW).permute(0, 2, 3, 4, 1).numpy()


@torch.no_grad()
def gate(
    vae: AutoencoderKLWan, held_out: ClipStore, edition: Edition, device: str, out: Path, count: int = 96,
    before: AutoencoderKLWan | None = None, name: str = "reconstructions",
) -> dict[str, Any]:  # fmt: skip
    """Score the probes on VAE reconstructions of `count` held-out clips and on the clips themselves. Writes
    OUT/sheets/NAME.png: the first clips above their reconstructions, with those of an earlier VAE (`before`) in
    between."""
    chosen = singles(held_out, edition.world, count)
    made, true, rows = [], [], []
    for first in range(0, len(chosen), 8):
        part = chosen[first : first + 8]
        frames, _ = held_out.take(part)
        shown = [frames.numpy()]
        for each in [vae] if before is None or len(rows) >= 16 else [before, vae]:
            mean, _ = parallel_vae.encode(each, to_network(frames).to(device))
            shown.append(as_frames(parallel_vae.decode(each, mean)))
        for index, clips in zip(part, zip(*shown, strict=True), strict=True):
            scene = sample_scene(held_out.seed(index), edition.world)
            made.append(right(clips[-1], scene, edition.world))
            true.append(right(clips[0], scene, edition.world))
            if len(rows) < 16:
                rows.append((describe(scene, 0), [np.concatenate([strip(clip, PICKS) for clip in clips])]))
    sheet(rows, out / "sheets" / f"{name}.png", columns=2)
    return {"probes_on_reconstructions": percent(made), "probes_on_clips": percent(true)}


def passes(scores: dict[str, Any]) -> bool:
    return (
        scores["psnr_db"] >= GATE_DB
        and scores["psnr_objects_db"] >= GATE_OBJECTS_DB
        and scores["probes_on_reconstructions"]["object"] >= GATE_PROBE
    )


@torch.no_grad()
def judge(
    task: VideoTask, out: Path, vae_folder: Path, held_out: ClipStore, shift: float, guidance: float, full: bool,
    step: int,
) -> dict[str, Any]:  # fmt: skip
    """Score samples of sixteen held-out captions with the probes; writes OUT/sheets/video_STEP.png."""
    clips, steps = (CLIPS, STEPS) if full else REHEARSAL
    chosen = singles(held_out, task.world, clips)
    scenes = [sample_scene(held_out.seed(index), task.world) for index in chosen]
    captions = [describe(scene, 0) for scene in scenes]
    store = task.held_out
    none = torch.zeros(len(chosen), device=task.device)
    control = task.conditions(store, none.long(), none.bool())
    noise = torch.randn((len(chosen), *store.gray.shape[1:]), generator=torch.Generator().manual_seed(0)).to(
        task.device
    )

    def velocity(x: torch.Tensor, sigma_B: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        return task.predict(x, sigma_B.float(), states, control).float()

    states = (task.embed(captions), task.embed([""] * len(captions)))
    latents = sample(guided(velocity, guidance), noise, states, steps, shift)
    vae = AutoencoderKLWan.from_pretrained(vae_folder, trust_remote_code=False).eval().to(task.device)
    made = [as_frames(parallel_vae.decode(vae, denormalize(vae, z[None])))[0] for z in latents]
    rows = [(caption, [strip(clip, PICKS)]) for caption, clip in zip(captions, made, strict=True)]
    sheet(rows, out / "sheets" / f"video_{step:06d}.png", columns=2)
    return {"probes": percent([right(clip, scene, task.world) for clip, scene in zip(made, scenes, strict=True)])}
