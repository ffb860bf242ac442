"""Contact sheets of held-out scenes, sampled with the published pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...toyland.caption import describe, describe_place
from ...toyland.scene import World, sample_scene
from ..core.sheets import sheet, strip
from ..data import condition_kinds
from ..data.latents import read_clip
from ..data.store import ClipStore
from ..data.vace import letterbox, object_crop

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


def held_out_caption(store: ClipStore, index: int, world: World) -> str:
    return describe(sample_scene(store.seed(index), world), 0)


def text_sheet(sampler: Sampler, store: ClipStore, world: World, path: Path, count: int = 16) -> None:
    """Write a sheet of the first `count` held-out captions with seeds 0, 1, ..., without selection."""
    rows = []
    for index in range(count):
        caption = held_out_caption(store, index, world)
        rows.append((f"{index}: {caption}", [strip(sampler(caption, index), PICKS)]))
    sheet(rows, path, columns=2)


def task_inputs(store: ClipStore, index: int, world: World, task: str) -> dict[str, Any]:
    """Arguments for a Sampler: prompt and conditions of one task (a kind of condition_kinds.KINDS, or "reference") from
    held-out clip `index`."""
    clip = read_clip(store, index, world)
    inputs: dict[str, Any] = {"prompt": held_out_caption(store, index, world)}
    if task == "reference":
        crop = object_crop(clip.frames_FHWC[0], clip.masks_NFHW[0, 0])
        canvas = letterbox(crop if crop is not None else clip.frames_FHWC[0], *clip.frames_FHWC.shape[1:3])
        inputs["reference_HWC"] = ((canvas.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
        return inputs
    source, mask = condition_kinds.KINDS[task][1](clip, np.random.default_rng(index))
    if task in ("empty_place", *condition_kinds.WITHOUT_OBJECTS):
        inputs["prompt"] = describe_place(clip.scene)
    return inputs | {"frames_FHWC": ((source + 1) * 127.5).round().astype(np.uint8), "mask_FHW": mask}


def task_sheet(
    sampler: Sampler, store: ClipStore, world: World, path: Path, tasks: Sequence[str] = (), rows_each: int = 2
) -> None:
    """Write a sheet of inputs next to outputs for each task (default: all), on the first held-out clips."""
    rows = []
    for task in tasks or (*condition_kinds.NAMES, "reference"):
        for index in range(rows_each):
            inputs = task_inputs(store, index, world, task)
            shown = inputs.get("frames_FHWC")
            if shown is None:
                shown = np.stack([inputs["reference_HWC"]] * sampler.size[0])
            made = sampler(seed=index, **inputs)
            rows.append((f"{task}: {inputs['prompt']}", [strip(shown, PICKS), strip(made, PICKS)]))
    sheet(rows, path, columns=2)
