"""Tora's stages for kinema-mini-tora: motion maps of Toyland's clips, the training of the motion guidance on their
latents, and trajectory errors.

Dense maps draw the exact optical flow. Sparse maps draw the exact tracks of the objects' centres, because a drawn path
is meant for the centre of an object; key points anywhere on it would leave open by how far. Shapes: B batch, T latent
frames, C channels, h w latent cells, F frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mini_tora_networks import FPS, FRAMES, SIDE, SIGMA_PX
from torch import Tensor

from kinema.evaluation.motion import trajectory_error
from kinema.evaluation.probes import load_probes
from kinema.evaluation.track import track_object
from kinema.families.cogvideox.tora.guide import MotionFeatures, guided
from kinema.families.cogvideox.tora.motion_map import draw, draw_dense
from kinema.toyland.render import render
from kinema.toyland.scene import Scene, World, sample_scene
from kinema.training.data.captioner import Captioner, CaptionOf
from kinema.training.data.clip_latents import Take, encode_clips
from kinema.training.data.frame_latents import FrameLatents
from kinema.training.data.motion_clips import MotionClips
from kinema.training.data.store import ClipStore
from kinema.training.tasks.cogvideox import fast_backward
from kinema.training.tasks.ddpm import weighted_error
from kinema.training.tasks.tora import ToraTask

ALONE = 0.3
"""Share of the clips of two objects whose sparse map shows only one of them."""
OBJECT_WEIGHT = 2.0


def dense_maps(store: ClipStore, world: World) -> Take:
    """Draw the optical flow of clips, from their scenes."""

    def take(indices: list[int]) -> tuple[Tensor, Tensor]:
        scenes = [sample_scene(store.seed(index), world) for index in indices]
        out = render(scenes, num_frames=FRAMES, height=SIDE, width=SIDE, fps=FPS, truth=True)
        assert out.flow_BFHW2 is not None
        return _drawn([draw_dense(flow[:-1].numpy()) for flow in out.flow_BFHW2])

    return take


def sparse_maps(store: ClipStore) -> Take:
    """Draw the tracks of the objects of clips."""

    def take(indices: list[int]) -> tuple[Tensor, Tensor]:
        return _drawn([map_of(paths_px(store, index)) for index in indices])

    return take


def paths_px(store: ClipStore, index: int) -> list[np.ndarray]:
    """The paths (F, 2) of a clip's objects in px, as paths are given; without those that are hidden at times. Of two
    objects, only one in ALONE of the clips."""
    tracks = [track + 0.5 for track in store.track(index) if np.isfinite(track).all()]
    chance = np.random.default_rng(store.seed(index))
    if len(tracks) > 1 and chance.random() < ALONE:
        tracks = [tracks[int(chance.integers(2))]]
    return tracks


def map_of(paths: Sequence[np.ndarray]) -> np.ndarray:
    """The motion map (F, H, W, 3) of paths in px; white without any."""
    if not paths:
        return np.full((FRAMES, SIDE, SIDE, 3), 255, np.uint8)
    return draw(paths, SIDE, SIDE, SIGMA_PX)


def _drawn(maps: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    frames = torch.from_numpy(np.stack(maps))
    return frames, (frames < 255).any(-1)


class MotionTask(ToraTask):
    """ToraTask on latents and motion maps of Toyland clips, with more weight inside objects.

    latents: of the clips; maps: of the first of them, of the task's stage. settings: as ToraTask.
    """

    def __init__(
        self, parts: dict[str, Any], guidance: Any, words: Captioner, caption_of: CaptionOf,
        training: tuple[FrameLatents, FrameLatents], held_out: tuple[FrameLatents, FrameLatents], **settings: Any,
    ):  # fmt: skip
        self.cells = training[0].weight
        super().__init__(
            parts["transformer"], guidance, words.embed, caption_of, motion_clips(*training), motion_clips(*held_out),
            frozen={"text_encoder": parts["text_encoder"]}, names_for_adam=("conv_in", "bn", "norm", "temporal"),
            **settings,
        )  # fmt: skip

    def predict(self, *given: Any) -> Tensor:
        with fast_backward(self.device):
            return super().predict(*given)

    def error(self, predicted: Tensor, target: Tensor, store: MotionClips, index: Tensor) -> Tensor:
        weight = 1 + OBJECT_WEIGHT * self.cells[index.to(self.cells.device)].float()
        return weighted_error(predicted.transpose(1, 2), target.transpose(1, 2), weight)


def motion_clips(latents: FrameLatents, maps: FrameLatents) -> MotionClips:
    """Clips with one motion map each, which serves as the dense and as the only sparse one."""
    count = len(maps)
    assert torch.equal(latents.seed[:count], maps.seed), "maps are of the same clips, in their order"
    return MotionClips(latents.latents[:count], maps.latents, maps.latents[:, None], None, maps.seed, torch.ones(count))


@contextmanager
def following(pipeline: Any, guidance: Any, paths_BN: Sequence[Sequence[np.ndarray]]) -> Iterator[None]:
    """Context in which a CogVideoXPipeline's clips follow paths (F, 2) in px, several for each clip of the batch."""
    frames = torch.from_numpy(np.stack([map_of(paths) for paths in paths_BN]))
    guidance.eval()
    with torch.no_grad():
        latents = encode_clips(pipeline.vae, frames, str(pipeline.device))
        motion = MotionFeatures(guidance.fuser, guidance(latents.transpose(1, 2)))
    with guided(pipeline.transformer, motion):
        yield


def errors(frames_BFHWC: np.ndarray, scenes: Sequence[Scene], paths: Sequence[np.ndarray]) -> list[float]:
    """Trajectory errors in per cent of the side, of the first object of each scene; 100 where it is not seen."""
    found = []
    for clip, scene, path in zip(frames_BFHWC, scenes, paths, strict=True):
        actor = scene.actors[0]
        track = track_object(load_probes().read(clip), actor.kind, actor.color)
        error = trajectory_error(track, np.asarray(path) / SIDE)
        found.append(100.0 if error is None else error)
    return found


def mean_and_median(values: Sequence[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(values)), 2), "median": round(float(np.median(values)), 2)}


def with_path(clip_FHWC: np.ndarray, path_F2: np.ndarray) -> np.ndarray:
    """Draw a path in px over a clip: its way in black, its place in each frame in red."""
    shown = clip_FHWC.copy()
    for x, y in path_F2:
        shown[:, min(int(y), SIDE - 1), min(int(x), SIDE - 1)] = 0
    for frame, (x, y) in zip(shown, path_F2, strict=True):
        row, column = min(int(y), SIDE - 1), min(int(x), SIDE - 1)
        frame[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = (255, 0, 0)
    return shown
