"""Inpainting: cost of a removal compared with the plain pipeline, and visibility of window borders.

    python benchmarks/edit.py                 # Toyland clips of 65 frames: five windows each
    python benchmarks/edit.py --video cat.mp4 --box 0,0.28,0.72,0.86

Cost: seconds of a removal (every profile) relative to diffusers' WanVACEPipeline, run window by window on the same
canvas with the model's default steps and guidance, both warm. Drift: distance in CIE Lab between the mean colours of
the edited region in the first and last window, minus the change of the ground truth (the place without the object);
also for the kept region. Seam: change between frames at window borders relative to other frames (mean over the edited
region; 1.0: not visible).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

import kinema
from kinema.conditions import region
from kinema.core.chunk import Chunk
from kinema.core.plan import Span
from kinema.engine.timeline import open_timeline
from kinema.media.read import read_video
from kinema.media.write import write


def lab(pixels_PC: np.ndarray) -> np.ndarray:
    """Mean CIE Lab of uint8 RGB pixels."""
    unit = pixels_PC.reshape(-1, 1, 3).astype(np.float32) / 255
    return cv2.cvtColor(unit, cv2.COLOR_RGB2LAB).mean((0, 1))


def change(frames: np.ndarray, mask_FHW: np.ndarray) -> np.ndarray:
    """Mean absolute change from each frame to the next inside the edited region, (F - 1,)."""
    both = (mask_FHW[1:] > 0) & (mask_FHW[:-1] > 0)
    step = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean(-1)
    return np.array([each[seen].mean() if seen.any() else np.nan for each, seen in zip(step, both)])


def drift(frames: np.ndarray, seen: np.ndarray, spans: tuple[Span, ...]) -> np.ndarray:
    """Change of the mean Lab colour from the first to the last window."""
    parts = [slice(max(0, span.start), span.stop) for span in (spans[0], spans[-1])]
    first, last = (lab(frames[part][seen[part]]) for part in parts)
    return last - first


def seams_and_drift(
    frames: np.ndarray, masks: np.ndarray, plan: kinema.Plan, true: np.ndarray, empty: np.ndarray | None
) -> dict[str, float]:
    starts = [span.start for span in plan.spans[1:]]
    shared = {span.start: before.stop - span.start for before, span in zip(plan.spans, plan.spans[1:])}
    steps = change(frames, masks)
    fades = {start + k - 1 for start in starts for k in range(shared[start] + 1)}
    at_seam = [steps[at] for at in fades if at < len(steps)]
    ordinary = [step for at, step in enumerate(steps) if at not in fades]
    seen, kept = masks > 0, np.broadcast_to(cv2.dilate(masks.max(0), np.ones((25, 25))) == 0, masks.shape)
    made = drift(frames, seen, plan.spans) - (drift(empty, seen, plan.spans) if empty is not None else 0)
    of_kept = drift(frames, kept, plan.spans) - drift(true, kept, plan.spans)
    return {
        "seam": float(np.nanmax(at_seam) / np.nanmean(ordinary)) if at_seam else float("nan"),
        "seam_mean": float(np.nanmean(at_seam) / np.nanmean(ordinary)) if at_seam else float("nan"),
        "drift_lab": float(np.linalg.norm(made)),
        "drift_kept_lab": float(np.linalg.norm(of_kept)),
    }


def plain(pipeline, plan: kinema.Plan, steps: int, guidance: float) -> float:
    """Seconds of the plain pipeline for the same windows on the same canvas, resizing included."""
    started = time.perf_counter()
    line = open_timeline(plan)
    for span in plan.spans:
        inside = range(max(0, span.start), min(span.stop, plan.frames))
        masks = np.stack([line.mask(index) for index in inside])
        place = region.fit(region.bounds(masks), line.size, (plan.width, plan.height))
        at = [min(index, inside.stop - 1) for index in range(span.start, span.stop)]
        cut = [region.to_canvas(place.cut(line.frame(index)[0]), plan.width, plan.height) for index in at]
        hidden = np.stack([region.mask_to_canvas(place.cut(line.mask(i)), plan.width, plan.height) for i in at])
        video = torch.from_numpy(np.stack(cut)).movedim(-1, 1).float().div(127.5).sub(1)[None]
        mask = torch.from_numpy(hidden)[None, :, None].expand(-1, -1, 3, -1, -1)
        pipeline(
            prompt=plan.prompt, negative_prompt="", video=video * (mask < 0.5), mask=mask, height=plan.height,
            width=plan.width, num_frames=span.num_frames, num_inference_steps=steps, guidance_scale=guidance,
            max_sequence_length=plan.options["text_length"], output_type="np",
        )  # fmt: skip
    return time.perf_counter() - started


def toyland(count: int, folder: Path, frames: int = 65) -> list[tuple[str, kinema.Mask, str, np.ndarray]]:
    """Return long clips with a still camera: video, a box around the object's path, a prompt for the place, and the
    place without the object."""
    from kinema.evaluation.cases import ClipShape, cases, one_object_still_camera, world_from
    from kinema.toyland.caption import describe_place
    from kinema.weights import store

    card = json.loads((store.locate(store.find("kinema-mini-wan")) / "card.json").read_text())
    found = []
    for case in cases(world_from(card), count, ClipShape(frames, 96, 128, 8.0), one_object_still_camera):
        video = str(write([Chunk(case.frames_FHWC, 0, 8.0)], f"{folder}/{case.index}/"))
        boxes = case.boxes_F4(4)
        box = tuple(round(float(v), 4) for v in (*boxes[:, :2].min(0), *boxes[:, 2:].max(0)))
        found.append((video, kinema.Mask(boxes=(box,)), describe_place(case.scene, 0), case.empty_FHWC))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video")
    parser.add_argument("--box", help="x,y,w,h in fractions")
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--profile", action="append", choices=("exact", "balanced", "fast"))
    parser.add_argument("--no-plain", action="store_true")
    parser.add_argument("--decoder", choices=("full", "tiny"), help="default: the profile's")
    args = parser.parse_args()
    engine = kinema.load("kinema-mini-wan", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        if args.video:
            x, y, w, h = (float(part) for part in args.box.split(","))
            clips = [(args.video, kinema.Mask(boxes=((x, y, x + w, y + h),)), " ", None)]
        else:
            clips = toyland(args.count, Path(folder))
        base = None
        if not args.no_plain:
            from diffusers import WanVACEPipeline

            pipeline = WanVACEPipeline.from_pretrained(engine.location, trust_remote_code=False)
            pipeline.set_progress_bar_config(disable=True)
            plan = engine.plan(request(*clips[0][:3], "exact"))
            base = min(plain(pipeline, plan, plan.steps, plan.guidance) for _ in range(2))
            print(f"plain pipeline: {base:.2f} s for {len(plan.spans)} windows of {plan.width}x{plan.height}")
        for profile in args.profile or ("exact", "balanced", "fast"):
            rows, seconds = [], []
            for video, mask, words, empty in clips:
                plan = engine.plan(request(video, mask, words, profile, args.decoder))
                engine.generate(plan).frames() if not seconds else None
                started = time.perf_counter()
                frames = engine.generate(plan).frames()
                seconds.append(time.perf_counter() - started)
                line = open_timeline(plan)
                masks = np.stack([line.mask(index) for index in range(plan.frames)])
                true, _ = read_video(video)
                outside = cv2.dilate(masks.max(0), np.ones((25, 25))) == 0
                assert np.array_equal(frames[:, outside], true[:, outside]), "pixels outside the mask must not change"
                rows.append(seams_and_drift(frames, masks, plan, true, empty))
            found = {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}
            ratio = f", {min(seconds) / base:.3f} of the plain pipeline" if base else ""
            print(
                f"{profile:<9}{min(seconds):6.2f} s{ratio}; drift {found['drift_lab']:.2f} Lab "
                f"(kept: {found['drift_kept_lab']:.2f}), seam at most "
                f"{found['seam']:.2f}, on average {found['seam_mean']:.2f} of a normal change"
            )


def request(video: str, mask: kinema.Mask, words: str, profile: str, decoder: str | None = None) -> kinema.Request:
    options = {} if decoder is None else {"decoder": decoder}
    return kinema.Request(
        prompt=words, seed=1, profile=profile, canvas="source", conditions=(kinema.Source(video=video), mask),
        options=options,
    )  # fmt: skip


if __name__ == "__main__":
    main()
