"""Clips for the tests of curation's stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np

from kinema.curation.stage import CutClip
from kinema.toyland.render import render
from kinema.toyland.scene import WORLD, sample_scene

FLAT_WORLD = replace(WORLD, styles=("flat",), weathers=("none",), some_weather=0.0, other_style=0.0)


def encoded(file: Path, frames_FHWC: np.ndarray, fps: int = 8, codec: str = "libx264", **options: str) -> CutClip:
    """Write frames to a file; the whole of it as a clip."""
    height, width = frames_FHWC.shape[1:3]
    with av.open(str(file), "w") as container:
        stream: Any = container.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for frame_HWC in frames_FHWC:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return CutClip(file, 0, len(frames_FHWC), float(fps), width, height, None, f"{file.name}#0-{len(frames_FHWC)}")


def toyland_clips(count: int, side_px: int, num_frames: int, fps: int = 8) -> list[tuple[np.ndarray, float]]:
    """Toyland clips whose speed spans two orders of magnitude, and their true mean flow in shorter sides a
    second."""
    generator = np.random.default_rng(5)
    found = []
    for seed in range(count):
        slower = 2 ** generator.uniform(-0.5, 4)
        rendered = render(
            [sample_scene(seed, FLAT_WORLD)], num_frames=num_frames, height=side_px, width=side_px, fps=fps * slower,
            truth=True,
        )  # fmt: skip
        assert rendered.flow_BFHW2 is not None
        flow_FHW2 = rendered.flow_BFHW2[0, :-1].numpy()
        speed = float(np.hypot(flow_FHW2[..., 0], flow_FHW2[..., 1]).mean()) / side_px * fps
        found.append((rendered.frames_BFHWC[0].numpy(), speed))
    return found
