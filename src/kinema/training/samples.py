"""What a miniature makes of held-out scenes: the sheets and the numbers of its card, by the published pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from kinema.toyland.caption import describe
from kinema.toyland.palette import OBJECT_COLORS
from kinema.toyland.scene import World, sample_scene

from .latents import draw_dots, known_mask
from .sheets import sheet, strip
from .store import ClipStore
from .vace import letterbox, object_crop

PICKS = (0, 5, 10, 16)


class Sampler:
    """Calls a WanVACEPipeline with frames as arrays."""

    def __init__(
        self, pipeline: Any, steps: int = 20, guidance: float = 4.0, size: tuple[int, int, int] = (17, 64, 64)
    ):
        self.pipeline, self.steps, self.guidance, self.size = pipeline, steps, guidance, size
        pipeline.set_progress_bar_config(disable=True)

    def __call__(
        self, prompt: str, seed: int, frames_FHWC: np.ndarray | None = None, mask_FHW: np.ndarray | None = None,
        reference_HWC: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """uint8 frames (F, H, W, 3)."""
        num_frames, height, width = self.size
        video = None if frames_FHWC is None else [Image.fromarray(frame) for frame in frames_FHWC]
        mask = None if mask_FHW is None else [Image.fromarray(frame.astype(np.uint8) * 255) for frame in mask_FHW]
        out = self.pipeline(
            prompt, video=video, mask=mask, height=height, width=width, num_frames=num_frames,
            reference_images=None if reference_HWC is None else [Image.fromarray(reference_HWC)],
            num_inference_steps=self.steps, guidance_scale=self.guidance, max_sequence_length=64,
            generator=torch.Generator().manual_seed(seed), output_type="np",
        ).frames[0]  # fmt: skip
        return (np.asarray(out) * 255).round().clip(0, 255).astype(np.uint8)


def caption_of(store: ClipStore, index: int, world: World) -> str:
    return describe(sample_scene(store.seed(index), world), 0)


def text_sheet(sampler: Sampler, store: ClipStore, world: World, path: Path, count: int = 16) -> None:
    """The first `count` held-out captions with seeds 0, 1, ...; nothing is picked."""
    rows = []
    for index in range(count):
        caption = caption_of(store, index, world)
        rows.append((f"{index}: {caption}", [strip(sampler(caption, index), PICKS)]))
    sheet(rows, path, columns=2)


def gray_out(frames_FHWC: np.ndarray, mask_FHW: np.ndarray) -> np.ndarray:
    """Frames with mid gray where the mask asks for something new."""
    return np.where(mask_FHW[..., None], np.uint8(128), frames_FHWC)


def task_inputs(store: ClipStore, index: int, world: World, task: str) -> dict[str, Any]:
    """Arguments for a Sampler: prompt and conditions of one task made from held-out clip `index`."""
    frames, masks, tracks = store.frames_of(index), store.masks_of(index), store.track(index)
    inputs: dict[str, Any] = {"prompt": caption_of(store, index, world)}
    if task == "trajectory":
        colors = [OBJECT_COLORS[actor.color] for actor in sample_scene(store.seed(index), world).actors]
        inputs["frames_FHWC"] = draw_dots(tracks[: len(colors)], colors, *frames.shape[1:3])
        inputs["mask_FHW"] = np.ones(frames.shape[:3], bool)
    elif task == "reference":
        crop = object_crop(frames[0], masks[0, 0])
        canvas = letterbox(crop if crop is not None else frames[0], *frames.shape[1:3])
        inputs["reference_HWC"] = ((canvas.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    else:
        mask = known_mask(task, masks, np.random.default_rng(index))
        inputs |= {"frames_FHWC": gray_out(frames, mask), "mask_FHW": mask}
    return inputs


def task_sheet(sampler: Sampler, store: ClipStore, world: World, path: Path, rows_each: int = 2) -> None:
    """Input beside output for each task, on the first held-out clips."""
    rows = []
    for task in ("first", "box", "trajectory", "reference", "extension"):
        for index in range(rows_each):
            inputs = task_inputs(store, index, world, task)
            shown = inputs.get("frames_FHWC")
            if shown is None:
                shown = np.stack([inputs["reference_HWC"]] * sampler.size[0])
            made = sampler(seed=index, **inputs)
            rows.append((f"{task}: {inputs['prompt']}", [strip(shown, PICKS), strip(made, PICKS)]))
    sheet(rows, path)


def centre_of_color(frame_HWC: np.ndarray, rgb: tuple[int, int, int], near: float = 75.0) -> tuple[float, float] | None:
    """(x, y) in px where a colour is densest (mean shift from the median, window 14 px); None below 12 near pixels."""
    y, x = np.nonzero(np.linalg.norm(frame_HWC.astype(np.float32) - np.asarray(rgb, np.float32), axis=-1) < near)
    if len(x) < 12:
        return None
    points = np.stack([x, y], axis=1).astype(np.float64)
    centre = np.median(points, axis=0)
    for _ in range(8):
        close = np.abs(points - centre).max(axis=1) < 14
        if not close.any():
            return None
        centre = points[close].mean(axis=0)
    return float(centre[0]), float(centre[1])


def track_error(frames_FHWC: np.ndarray, track_F2: np.ndarray, rgb: tuple[int, int, int]) -> tuple[list[float], int]:
    """(distances in px in the frames where the colour is found, number of frames where it is not)."""
    distances, missing = [], 0
    for frame, point in zip(frames_FHWC, track_F2, strict=True):
        if np.isnan(point).any():
            continue
        found = centre_of_color(frame, rgb)
        if found is None:
            missing += 1
        else:
            distances.append(float(np.hypot(found[0] - point[0], found[1] - point[1])))
    return distances, missing


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """dB for uint8 pictures."""
    error = float(np.mean((a.astype(np.float32) - b.astype(np.float32)) ** 2))
    return float(10 * np.log10(255**2 / max(error, 1e-6)))


def measure_samples(sampler: Sampler, store: ClipStore, world: World, count: int = 24) -> dict[str, Any]:
    """Trajectory error (and the same measure on the true clips), PSNR of the first frame and of kept pixels.

    The first held-out clips with one object, seeds 0, 1, ...; nothing is picked.
    """
    single = [i for i in range(len(store)) if len(sample_scene(store.seed(i), world).actors) == 1][:count]
    made: list[float] = []
    true: list[float] = []
    missing, missing_true, total = 0, 0, 0
    first, kept = [], []
    for seed, index in enumerate(single):
        rgb = OBJECT_COLORS[sample_scene(store.seed(index), world).actors[0].color]
        frames, track = store.frames_of(index), store.track(index)[0]
        total += int((~np.isnan(track).any(-1)).sum())
        for clip, distances in (
            (sampler(seed=seed, **task_inputs(store, index, world, "trajectory")), made),
            (frames, true),
        ):
            found, lost = track_error(clip, track, rgb)
            distances.extend(found)
            if distances is made:
                missing += lost
            else:
                missing_true += lost
        out = sampler(seed=seed, **task_inputs(store, index, world, "first"))
        first.append(psnr(out[0], frames[0]))
        inputs = task_inputs(store, index, world, "box")
        out = sampler(seed=seed, **inputs)
        keep = ~inputs["mask_FHW"]
        if keep.any():
            kept.append(psnr(out[keep], frames[keep]))
    return {
        "clips_measured": len(single),
        "trajectory_error_median_px": round(float(np.median(made)), 2) if made else None,
        "trajectory_error_mean_px": round(float(np.mean(made)), 2) if made else None,
        "trajectory_frames_without_object": round(missing / max(total, 1), 3),
        "same_measure_on_true_clips_median_px": round(float(np.median(true)), 2),
        "same_measure_on_true_clips_without_object": round(missing_true / max(total, 1), 3),
        "first_frame_psnr_db": round(float(np.mean(first)), 2),
        "box_kept_pixels_psnr_db": round(float(np.mean(kept)), 2) if kept else None,
    }
