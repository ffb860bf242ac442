"""Nodes that read pictures and clips, and take clips apart and together.

Legend: F frames, H W height and width, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...core.chunk import AUDIO_RATE_HZ
from ...core.errors import MediaError, RequestError
from ...media.layers import StoredPictures, stored_pictures
from ...media.read import probe, read_audio, read_chunks
from .streams import check_count, check_size, constant, num_of_block
from .values import Inputs, Masks, Pictures, Sound, Video

EMPTY_MASK_PX = 64
"""The mask of a picture without alpha is of this size, in ComfyUI, whatever the picture's."""
MAX_FPS = 1000.0


def load_image(inputs: Mapping[str, Any], files: Inputs) -> tuple[Pictures, Masks]:
    """LoadImage: all frames of a picture file, and 1 - alpha. Colours under transparent pixels are as stored."""
    stored = stored_pictures(files.path(str(inputs["image"])))
    count, height, width = len(stored.indices), stored.height, stored.width
    check_size(width, height)
    check_count(count)

    def colors(start: int, stop: int) -> Iterator[np.ndarray]:
        for block_FHWC in _decoded(stored, start, stop):
            yield as_float(block_FHWC[..., :3])

    def masks(start: int, stop: int) -> Iterator[np.ndarray]:
        for block_FHWC in _decoded(stored, start, stop):
            yield 1 - as_float(block_FHWC[..., 3])

    pictures = Pictures(count, height, width, 3, colors)
    if not stored.has_alpha:
        return pictures, constant(np.zeros((EMPTY_MASK_PX, EMPTY_MASK_PX)))
    return pictures, Masks(count, height, width, masks)


def _decoded(stored: StoredPictures, start: int, stop: int) -> Iterator[np.ndarray]:
    num = num_of_block(stored.height, stored.width)
    waiting: list[np.ndarray] = []
    for frame_HWC in stored.frames(start, stop):
        waiting.append(frame_HWC)
        if len(waiting) == num:
            yield np.stack(waiting)
            waiting.clear()
    if waiting:
        yield np.stack(waiting)


def load_video(inputs: Mapping[str, Any], files: Inputs) -> tuple[Video]:
    """LoadVideo: the clip's frames at its frame rate (variable rates become their average), and its sound."""
    edits = {name: value for name, value in inputs.items() if name.split(".")[0] == "edit" and value}
    if edits:
        name, value = next(iter(edits.items()))
        raise RequestError(f"LoadVideo: {name} = {value!r:.80}.", field=name, value=value,
                           legal="no edit: cut and crop the file before")  # fmt: skip
    path = files.path(str(inputs["file"]))
    found = probe(path)
    check_size(found.width, found.height)
    check_count(found.num_frames)
    pictures = Pictures(
        found.num_frames, found.height, found.width, 3,
        lambda start, stop: _frames(path, start, stop, num_of_block(found.height, found.width)),
    )  # fmt: skip
    sound = Sound(AUDIO_RATE_HZ, lambda: _sound(path)) if found.has_audio else None
    return (Video(pictures, found.fps, sound, "10" if found.bit_depth > 8 else "8"),)


def _frames(path: Path, start: int, stop: int, num: int) -> Iterator[np.ndarray]:
    at = start
    if start < stop:
        for chunk in read_chunks(path, start=start, stop=stop, chunk_frames=num, audio=False):
            at = chunk.stop
            yield as_float(chunk.frames)
    if at < stop:
        raise MediaError(f"{path}: frame {at} of {stop} cannot be decoded.")


def _sound(path: Path) -> np.ndarray:
    found = read_audio(path)
    return np.zeros((0, 1), np.float32) if found is None else found


def as_float(frames: np.ndarray) -> np.ndarray:
    """uint8 as float32 in [0, 1]."""
    return frames.astype(np.float32) / np.float32(255)


def get_video_components(inputs: Mapping[str, Any], files: Inputs) -> tuple[Pictures, Sound | None, float, str, str]:
    """GetVideoComponents."""
    video: Video = inputs["video"]
    return video.pictures, video.sound, video.fps, video.bit_depth, video.color_space


def create_video(inputs: Mapping[str, Any], files: Inputs) -> tuple[Video]:
    """CreateVideo."""
    fps = float(inputs.get("fps", 30.0))
    if not 0 < fps <= MAX_FPS:
        raise RequestError(f"CreateVideo: fps = {fps:g}.", field="fps", value=fps, legal=f"above 0, up to {MAX_FPS:g}")
    return (
        Video(
            inputs["images"], fps, inputs.get("audio"), str(inputs.get("bit_depth", "auto")),
            str(inputs.get("color_space", "sRGB")), str(inputs.get("codec", "none")),
        ),
    )  # fmt: skip
