"""Nodes that write pictures and clips, by class.

Frames become bytes as in ComfyUI: clamped and truncated. `carry` holds the graph, {"prompt": ..., "workflow": ...},
which is written into the file so that the file opens it again.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from ...core.chunk import AUDIO_RATE_HZ, Chunk
from ...core.errors import RequestError
from ...core.events import OnEvent, Progress, ignore
from ...media.encoding import VideoEncoding, WebpEncoding
from ...media.write import write
from ...media.write_picture import write_png
from .batch_nodes import with_channels
from .mask_nodes import mask_to_image
from .prefix import filled
from .resize import to_uint8
from .values import Outputs, Pictures, Sound, Video, Written

Carry = Mapping[str, Any]
METHODS = {"default": 4, "fastest": 0, "slowest": 6}
AV1_CRF, H264_CRF = 30.0, 23.0
_CARRIED = ("prompt", "workflow")


class SavedNode(Protocol):
    """Writes the input of a node. node: its id. on_event: receives the progress of each file; may raise to stop.
    RequestError: values that are not legal. MediaError: a file that cannot be written."""

    def __call__(
        self, node: str, inputs: Mapping[str, Any], outputs: Outputs, *, carry: Carry | None = None,
        on_event: OnEvent = ignore,
    ) -> list[Written]: ...  # fmt: skip


def save_video(
    node: str, inputs: Mapping[str, Any], outputs: Outputs, *, carry: Carry | None = None, on_event: OnEvent = ignore
) -> list[Written]:
    """SaveVideo: H.264 in .mp4, or AV1 in .webm, with the clip's sound, cut to its length."""
    video: Video = inputs["video"]
    suffix, codec = container(inputs, video.codec)
    rate = _rate(video.fps)
    depth: Literal[8, 10] = 10 if video.bit_depth == "10" else 8
    encoding = VideoEncoding(codec, H264_CRF if codec == "h264" else AV1_CRF, depth, rate)
    prefix = str(inputs.get("filename_prefix", "video/ComfyUI"))
    return [_clip(node, video.pictures, rate, video.sound, prefix, suffix, encoding, outputs, carry, on_event)]


def container(inputs: Mapping[str, Any], made_for: str) -> tuple[str, Literal["h264", "av1"]]:
    """The suffix and codec of SaveVideo. made_for: the codec that the clip names, used if the node leaves it open."""
    form = str(inputs.get("format", "auto"))
    codec = str(inputs.get("format.codec", inputs.get("codec", "auto")))
    if codec == "auto":
        codec = made_for if made_for in ("h264", "av1") else "av1" if form == "webm" else "h264"
    if form == "auto":
        form = "webm" if codec == "av1" else "mp4"
    if form not in ("mp4", "webm") or codec not in ("h264", "av1") or (form, codec) == ("webm", "h264"):
        raise RequestError(f"SaveVideo: {codec} in {form}.", field="format", value=form,
                           legal="mp4 with h264 or av1, webm with av1")  # fmt: skip
    return f".{form}", "av1" if codec == "av1" else "h264"


def save_webm(
    node: str, inputs: Mapping[str, Any], outputs: Outputs, *, carry: Carry | None = None, on_event: OnEvent = ignore
) -> list[Written]:
    """SaveWEBM: VP9 with 8 bits or AV1 with 10, without sound."""
    codec = str(inputs.get("codec", "vp9"))
    if codec not in ("vp9", "av1"):
        raise RequestError(f"SaveWEBM: codec = {codec!r}.", field="codec", value=codec, legal="vp9, av1")
    rate, crf = _rate(float(inputs.get("fps", 24.0))), float(inputs.get("crf", 32.0))
    encoding = VideoEncoding("av1", crf, 10, rate) if codec == "av1" else VideoEncoding("vp9", crf, 8, rate)
    prefix = str(inputs.get("filename_prefix", "ComfyUI"))
    return [_clip(node, inputs["images"], rate, None, prefix, ".webm", encoding, outputs, carry, on_event)]


def save_animated_webp(
    node: str, inputs: Mapping[str, Any], outputs: Outputs, *, carry: Carry | None = None, on_event: OnEvent = ignore
) -> list[Written]:
    """SaveAnimatedWEBP: all frames, with their alpha, int(1000 / fps) milliseconds each."""
    fps, method = float(inputs.get("fps", 6.0)), str(inputs.get("method", "default"))
    if method not in METHODS:
        raise RequestError(f"SaveAnimatedWEBP: method = {method!r}.", field="method", value=method,
                           legal=", ".join(METHODS))  # fmt: skip
    if not 0 < fps <= 1000:
        raise RequestError(f"SaveAnimatedWEBP: fps = {fps:g}.", field="fps", value=fps, legal="above 0, up to 1000")
    quality, lossless = int(inputs.get("quality", 80)), bool(inputs.get("lossless", True))
    if not 0 <= quality <= 100:
        raise RequestError(f"quality = {quality}.", field="quality", value=quality, legal="0 to 100")
    frame_ms = int(1000 / fps)
    encoding = WebpEncoding(lossless, quality, METHODS[method], frame_ms)
    prefix = str(inputs.get("filename_prefix", "ComfyUI"))
    rate = Fraction(1000, frame_ms)
    return [_clip(node, inputs["images"], rate, None, prefix, ".webp", encoding, outputs, carry, on_event)]


def _rate(fps: float) -> Fraction:
    if not 0.1 <= fps <= 1000:
        raise RequestError(f"{fps:g} frames per second.", field="fps", value=fps, legal="0.1 to 1000")
    return Fraction(round(fps * 1000), 1000)


def _clip(
    node: str, pictures: Pictures, rate: Fraction, sound: Sound | None, prefix: str, suffix: str,
    encoding: VideoEncoding | WebpEncoding, outputs: Outputs, carry: Carry | None, on_event: OnEvent,
) -> Written:  # fmt: skip
    pictures = pictures if suffix == ".webp" else with_channels(pictures, 3)
    name = filled(prefix, pictures.width, pictures.height)

    def count(event: Any) -> None:
        on_event(Progress("write", event.done, pictures.count))

    with _reserved(outputs, name, suffix, "output") as path:
        write(_chunks(pictures, rate, sound), path, encoding=encoding, tags=carried_texts(carry), on_frame=count)
    return Written(node, path, "output", _facts(pictures) | {"fps": float(rate)})


@contextlib.contextmanager
def _reserved(outputs: Outputs, name: str, suffix: str, kind: Literal["output", "temp"]) -> Iterator[Path]:
    """A name for a result; nothing remains of it if writing fails."""
    path = outputs.reserve(name, suffix, kind)
    try:
        yield path
    except BaseException:
        if path.is_file() and path.stat().st_size == 0:  # not an older result, which is kept
            path.unlink(missing_ok=True)
        raise


def _chunks(pictures: Pictures, rate: Fraction, sound: Sound | None) -> Iterator[Chunk]:
    samples_SC = None if sound is None else _at_48_khz(sound)
    start = 0
    for block_FHWC in pictures.blocks(0, pictures.count):
        stop = start + len(block_FHWC)
        piece = None
        if samples_SC is not None:
            piece = samples_SC[round(start * AUDIO_RATE_HZ / rate) : round(stop * AUDIO_RATE_HZ / rate)]
        yield Chunk(to_uint8(block_FHWC), start, float(rate), piece)
        start = stop


def _at_48_khz(sound: Sound) -> np.ndarray:
    """The samples; more than two channels are reduced to the first two."""
    from ...media.audio import resample

    return resample(sound.read()[:, :2], sound.rate_hz)


def _facts(pictures: Pictures) -> dict[str, Any]:
    return {"frames": pictures.count, "width": pictures.width, "height": pictures.height}


def carried_texts(carry: Carry | None) -> dict[str, str]:
    """The graph as texts for a file: ASCII JSON, the prompt first."""
    return {key: json.dumps(carry[key]) for key in _CARRIED if carry and carry.get(key) is not None}


def save_image(
    node: str, inputs: Mapping[str, Any], outputs: Outputs, *, carry: Carry | None = None, on_event: OnEvent = ignore
) -> list[Written]:
    """SaveImage: a .png for each picture; %batch_num% is its number."""
    prefix = str(inputs.get("filename_prefix", "ComfyUI"))
    return _pictures(node, inputs["images"], prefix, "output", outputs, carry, on_event)


def preview_image(
    node: str, inputs: Mapping[str, Any], outputs: Outputs, *, carry: Carry | None = None, on_event: OnEvent = ignore
) -> list[Written]:
    """PreviewImage: as SaveImage, to temporary files."""
    prefix = f"ComfyUI_temp_{secrets.token_hex(3)}"
    return _pictures(node, inputs["images"], prefix, "temp", outputs, carry, on_event)


def mask_preview(
    node: str, inputs: Mapping[str, Any], outputs: Outputs, *, carry: Carry | None = None, on_event: OnEvent = ignore
) -> list[Written]:
    """MaskPreview: a mask as gray pictures, to temporary files."""
    (images,) = mask_to_image(inputs, _NoFiles())
    return preview_image(node, {"images": images}, outputs, carry=carry, on_event=on_event)


class _NoFiles:
    def path(self, name: str, /) -> Path:
        raise RequestError(f"No file {name}.", field="file", value=name)


def _pictures(
    node: str, pictures: Pictures, prefix: str, kind: Literal["output", "temp"], outputs: Outputs,
    carry: Carry | None, on_event: OnEvent,
) -> list[Written]:  # fmt: skip
    texts, written = carried_texts(carry), list[Written]()
    name = filled(prefix, pictures.width, pictures.height)
    for block_FHWC in pictures.blocks(0, pictures.count):
        for frame_HWC in to_uint8(block_FHWC):
            is_kept = kind == "output"
            with _reserved(outputs, name.replace("%batch_num%", str(len(written))), ".png", kind) as path:
                write_png(frame_HWC, path, texts=texts, compression=4 if is_kept else 1, durable=is_kept)
            facts = _facts(pictures) | {"frames": 1}
            written.append(Written(node, path, kind, facts))
            on_event(Progress("write", len(written), pictures.count))
    return written


SAVED: Mapping[str, SavedNode] = {
    "SaveVideo": save_video,
    "SaveWEBM": save_webm,
    "SaveAnimatedWEBP": save_animated_webp,
    "SaveImage": save_image,
    "PreviewImage": preview_image,
    "MaskPreview": mask_preview,
}
"""The nodes that write results."""


def suffix_of(kind: str, inputs: Mapping[str, Any]) -> str:
    """The suffix of what a saving node writes. RequestError as for writing it."""
    if kind == "SaveVideo":
        return container(inputs, inputs["video"].codec)[0]
    return {"SaveWEBM": ".webm", "SaveAnimatedWEBP": ".webp"}.get(kind, ".png")
