"""Image to video: fidelity of the first frame, and measured against requested motion.

    python benchmarks/animate.py --count 8 [--model kinema-mini-svd] [--motions 20,127,235] [--out DIR]

First frame: PSNR of frame 0 to the input image, and of the VAE's reconstruction. Motion: mean length of the optical
flow (OpenCV's DIS) from frame to frame in pixels, for each setting. Writes DIR/sheet.png.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

import kinema
from kinema.diffusion.pixels import from_unit, to_unit
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD_MINI, sample_scene
from kinema.training.core.sheets import sheet, strip

FIRST = 9_000_000


def db(made: np.ndarray, true: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.square(made.astype(float) - true).mean())))


def flow(frames_FHWC: np.ndarray) -> float:
    """Mean length of the optical flow in px, computed on frames upscaled by 2."""
    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grays = [cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), None, fx=2, fy=2) for frame in frames_FHWC]
    lengths = [np.linalg.norm(engine.calc(a, b, None), axis=-1).mean() / 2 for a, b in pairwise(grays)]
    return float(np.mean(lengths))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--model", default="kinema-mini-svd")
    parser.add_argument("--motions", default="20,127,235")
    parser.add_argument("--profile", default="exact")
    parser.add_argument("--out", type=Path, default=Path("runs/animate"))
    args = parser.parse_args()
    engine = kinema.load(args.model)
    vae = engine.family.parts.vae
    args.out.mkdir(parents=True, exist_ok=True)
    near, alone, rows = [], [], []
    moved: dict[int, list[float]] = {int(value): [] for value in args.motions.split(",")}
    for number in range(args.count):
        drawn = render([sample_scene(FIRST + number, WORLD_MINI)], num_frames=1, height=64, width=64)
        picture = drawn.frames_BFHWC[0, 0].numpy()
        file = args.out / f"{number}.png"
        Image.fromarray(picture).save(file)
        with torch.no_grad():
            z = vae.encode(to_unit(picture)[None]).latent_dist.mode()
            alone.append(db(from_unit(vae.decode(z, num_frames=1).sample)[0], picture))
        strips = []
        for motion, lengths in moved.items():
            clip = engine.generate("", image=str(file), seed=number, profile=args.profile, options={"motion": motion})
            frames = clip.frames()
            lengths.append(flow(frames))
            if motion == sorted(moved)[len(moved) // 2]:
                near.append(db(frames[0], picture))
            strips.append(strip(frames, (0, 4, 9, 13)))
        rows.append((f"{number}: motion {args.motions}", [np.concatenate(strips)]))
    print(json.dumps({"first_frame_db": np.mean(near), "autoencoder_db": np.mean(alone)}))
    print(json.dumps({"flow_px": {motion: float(np.mean(lengths)) for motion, lengths in moved.items()}}))
    sheet(rows, args.out / "sheet.png", columns=2)


if __name__ == "__main__":
    main()
