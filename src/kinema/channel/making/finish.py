"""Post-processing between the model and the channel's encoding: upscaling, interpolation, fitting to the picture.

Functions of frames map Iterator[Chunk] to Iterator[Chunk].
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.chunk import Chunk
from ...core.errors import RequestError
from ...core.renamed import upscale_of
from ...core.upscale import FRAME_METHODS, NETWORK, NETWORK_SCALE
from .job import ShotOrder
from .makers import deadline

if TYPE_CHECKING:
    import numpy as np

INTERPOLATION = "kinema.post.interpolate"
BACKDROP_LIGHT, BACKDROP_BLUR = 0.5, 0.075  # brightness; sigma of the blur as a fraction of the picture's height


def check_interpolate(how: str) -> None:
    """Check that interpolation is available. RequestError: not part of this Kinema; ModelError, WeightsMissing: its
    package or weights are missing."""
    if how == "none":
        return
    if importlib.util.find_spec(INTERPOLATION) is None:
        raise RequestError(
            f"making.interpolate = {how!r} requires {INTERPOLATION}, which is missing.", field="making.interpolate",
            value=how, legal="none",
        )  # fmt: skip
    importlib.import_module(INTERPOLATION).interpolate((), fps=24, by=how).close()  # raises before the first frame


def upscale(job: ShotOrder, clip: str) -> Path:
    """Upscale a clip by a pixel method or the network, or by a model that adds noise and denoises again; return the
    file, in the folder of the job. clip: its hash."""
    from ...engine.upscale import upscale as request_for
    from ...engine.upscale import upscaled_frames
    from ...jobs.clip_run import write_request
    from ...media.read import probe, read_chunks
    from ...media.write import write

    assert job.context is not None
    how, source, name = upscale_of(job.making), job.context.media.path(clip), "upscaled.mp4"
    info = probe(source)
    scale = max(1, min(job.height // info.height, job.width // info.width))  # that fits the channel's picture
    if how in FRAME_METHODS:
        scale = min(scale, NETWORK_SCALE) if how == NETWORK else scale
        chunks = upscaled_frames(read_chunks(source, audio=False), scale, how)
        return write(chunks, job.context.folder / name, quality="best")
    request = request_for(
        source, job.prompt, scale=scale, strength=job.making["strength"], model=how, seed=job.seed,
        negative_prompt=job.negative_prompt or None, profile=job.profile,
    )  # fmt: skip
    request = request.changed(conditions=({"kind": "source", "video": clip},))  # the same on every machine
    limit = deadline(job.making["slowest_s"])
    return write_request(job.context, request, lambda _: name, quality="best", on_event=limit).file


def interpolate(how: str, fps: int, device: str | None, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Interpolate a clip to the channel's frame rate."""
    module = importlib.import_module(INTERPOLATION)
    return module.interpolate(chunks, fps=fps, by=how, device=device)  # type: ignore[no-any-return]


def fitted(chunks: Iterable[Chunk], width: int, height: int, fit: str) -> Iterator[Chunk]:
    """Fit a clip to the channel's picture. "backdrop": the whole clip on an upscaled, blurred and darkened copy."""
    from ...media.resize import resize_frames

    for chunk in chunks:
        frames_FHWC = chunk.frames
        old_height, old_width = frames_FHWC.shape[1:3]
        if fit == "backdrop" and abs(old_width / old_height - width / height) > 0.01:
            frames_FHWC = _on_backdrop(frames_FHWC, width, height)
        else:
            frames_FHWC = resize_frames(frames_FHWC, height, width, "contain" if fit == "contain" else "cover")
        yield dataclasses.replace(chunk, frames=frames_FHWC)


def _on_backdrop(frames_FHWC: np.ndarray, width: int, height: int) -> np.ndarray:
    import cv2
    import numpy as np

    from ...media.resize import resize_frames

    old_height, old_width = frames_FHWC.shape[1:3]
    scale = min(height / old_height, width / old_width)
    inner = (min(height, round(old_height * scale)), min(width, round(old_width * scale)))
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    out_FHWC = resize_frames(frames_FHWC, height, width, "cover", "bicubic")
    for number, frame_HWC in enumerate(out_FHWC):
        blurred = cv2.GaussianBlur(frame_HWC, (0, 0), BACKDROP_BLUR * height)
        out_FHWC[number] = (blurred.astype(np.float32) * BACKDROP_LIGHT).round().astype(np.uint8)
    sharp = resize_frames(frames_FHWC, *inner, "stretch")
    out_FHWC[:, top : top + inner[0], left : left + inner[1]] = sharp
    return out_FHWC
