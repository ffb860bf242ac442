"""Encoders for single pictures, folders of pictures, and animated WebP."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..core.chunk import Chunk
from ..core.errors import RequestError
from .encoding import WebpEncoding, exif
from .manifest import COMMENT_MARK, FOLDER_NOTE, add_to_webp, make_note
from .write_picture import write_picture

_JPEG = {"draft": (80, 2), "good": (93, 0), "best": (98, 0)}  # quality, chroma subsampling
_WEBP = {
    "draft": {"quality": "60"},
    "good": {"quality": "88"},
    "best": {"lossless": "1", "quality": "60"},  # for lossless, quality means effort
}


class PictureEncoder:
    """Writes one frame to .png or .jpg."""

    def __init__(self, path: Path, suffix: str, quality: str, manifest: str | None) -> None:
        self.path, self.suffix, self.quality, self.manifest, self.num_frames = (
            path,
            suffix,
            quality,
            manifest,
            0,
        )

    def add(self, chunk: Chunk) -> None:
        self.num_frames += len(chunk.frames)
        if self.num_frames > 1:
            raise RequestError(
                f"A {self.suffix} file holds one picture, but the clip has more frames.",
                field="path",
                legal=".mp4, .webm, .gif, .webp or a folder for clips",
                nearest=".mp4",
            )
        self.image = Image.fromarray(np.ascontiguousarray(chunk.frames[0]))

    def finish(self) -> None:
        if self.suffix == ".png":
            save_png(self.image, self.path, self.manifest)
            return
        comment = COMMENT_MARK + (self.manifest or "").encode()
        notes = {"comment": comment} if self.manifest is not None and len(comment) < 65_000 else {}
        number, subsampling = _JPEG[self.quality]
        write_picture(self.image, self.path, quality=number, subsampling=subsampling, optimize=True, **notes)

    def close(self) -> None:
        pass


class FolderEncoder:
    """Writes frames to 00000.png, 00001.png ... in a new folder, with the fps and the manifest in kinema.json."""

    def __init__(self, path: Path, first: Chunk, manifest: str | None) -> None:
        self.path, self.fps, self.manifest, self.num_frames = path, first.fps, manifest, 0
        path.mkdir()

    def add(self, chunk: Chunk) -> None:
        for frame_HWC in chunk.frames:
            save_png(
                Image.fromarray(np.ascontiguousarray(frame_HWC)),
                self.path / f"{self.num_frames:05d}.png",
                None,
            )
            self.num_frames += 1

    def finish(self) -> None:
        note = make_note(self.fps, self.num_frames, self.manifest)
        (self.path / FOLDER_NOTE).write_text(note + "\n", encoding="utf-8")

    def close(self) -> None:
        pass


class WebpEncoder:
    """Writes animated WebP. The encoder buffers compressed frames until the end, because the format's header comes
    first."""

    def __init__(
        self, path: Path, first: Chunk, made: str | WebpEncoding, manifest: str | None,
        tags: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """made: a quality or an encoding."""
        self.path, self.fps, self.manifest, self.num_frames, self.tags = path, first.fps, manifest, 0, tags or {}
        self.frame_ms = 1000 / first.fps if isinstance(made, str) else made.frame_ms
        self.container = av.open(str(path), "w", format="webp", options={"loop": "0", "fflags": "+bitexact"})
        options = _WEBP[made] if isinstance(made, str) else made.options
        self.stream = self.container.add_stream("libwebp_anim", rate=1000, options=options)
        self.stream.height, self.stream.width = first.frames.shape[1:3]
        self.stream.pix_fmt = "bgra"
        self.stream.codec_context.time_base = Fraction(1, 1000)

    def add(self, chunk: Chunk) -> None:
        for frame_HWC in chunk.frames:
            kind = "rgba" if frame_HWC.shape[-1] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format=kind).reformat(format="bgra")
            frame.pts = round(self.num_frames * self.frame_ms)
            frame.duration = round((self.num_frames + 1) * self.frame_ms) - frame.pts
            frame.time_base = Fraction(1, 1000)
            self.num_frames += 1
            self.container.mux(self.stream.encode(frame))

    def finish(self) -> None:
        self.container.mux(self.stream.encode(None))
        self.container.close()
        note = make_note(self.fps, self.num_frames, self.manifest)
        height, width = self.stream.height, self.stream.width
        lasts_ms = round(self.num_frames * self.frame_ms) if self.num_frames > 1 else 0
        about = exif(self.tags) if self.tags else b""
        self.path.write_bytes(add_to_webp(self.path.read_bytes(), note, height, width, lasts_ms, about))

    def close(self) -> None:
        self.container.close()


def save_png(image: Image.Image, path: Path, manifest: str | None) -> None:
    notes = PngInfo()
    if manifest is not None:
        notes.add_text("kinema", manifest)
    write_picture(image, path, pnginfo=notes, compress_level=4)
