"""VideoEncoder: write mp4 (H.264, AAC) and webm (VP9, Opus) with PyAV, reproducible to the byte; AV1 on request."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np

from ..core.chunk import AUDIO_RATE_HZ, Chunk
from .color import tag_bt709, to_yuv
from .encoding import VideoEncoding
from .manifest import replace_text
from .timeline import exact_rate

# mbtree is off: x264's vector code for it reads past the last macroblocks of a row, so for most sizes the bytes would
# depend on uninitialized memory.
_H264 = {
    "draft": {"crf": "27", "preset": "veryfast", "mbtree": "0"},
    "good": {"crf": "16", "preset": "medium", "mbtree": "0"},
    "best": {"crf": "3", "preset": "medium", "mbtree": "0"},
}
_VP9 = {
    "draft": {"crf": "36", "cpu-used": "6"},
    "good": {"crf": "18", "cpu-used": "4"},
    "best": {"crf": "2", "cpu-used": "3"},
}
_NUM_THREADS = 4  # fixed: the bytes that x264 writes depend on the number of threads


class VideoEncoder:
    """Writes one file. All calls must come from one thread."""

    def __init__(
        self, path: Path, suffix: str, first: Chunk, made: str | VideoEncoding, manifest: str | None,
        tags: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """made: a quality or an encoding."""
        height, width = first.frames.shape[1:3]
        mp4 = suffix == ".mp4"
        quality = made if isinstance(made, str) else "good"
        self.rate, self.num_frames, self.num_samples = exact_rate(first.fps), 0, 0
        # bitexact omits dates, random identifiers and version strings
        flags = {"fflags": "+bitexact"} | ({"movflags": "+faststart+use_metadata_tags"} if mp4 else {})
        self.container = av.open(str(path), "w", format=suffix[1:], options=flags)
        self.path, self.begun, self.manifest = path, manifest, manifest
        for name, text in (tags or {}).items():
            self.container.metadata[name] = text
        if manifest is not None:
            self.container.metadata["kinema"] = manifest
        codec = "libx264" if mp4 else "libvpx-vp9"
        options = _H264[quality] if mp4 else {"b": "0", "deadline": "good", "row-mt": "1", **_VP9[quality]}
        depth = ""
        if isinstance(made, VideoEncoding):
            codec, options, depth = made.library, made.options, "10le" if made.bit_depth > 8 else ""
            self.rate = made.rate or self.rate
        if codec == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # else it prints its settings
        self.video = cast(av.VideoStream, self.container.add_stream(codec, rate=self.rate, options=options))
        self.pixel_format = ("yuv444p" if codec == "libx264" and (width % 2 or height % 2) else "yuv420p") + depth
        self.video.width, self.video.height, self.video.pix_fmt = width, height, self.pixel_format
        self.video.codec_context.thread_count = _NUM_THREADS
        tag_bt709(self.video.codec_context)
        self.audio = None
        if first.audio is not None:
            self.layout = "mono" if first.audio.shape[1] == 1 else "stereo"
            self.audio = self.container.add_stream("aac" if mp4 else "libopus", rate=AUDIO_RATE_HZ, layout=self.layout)
            self.audio.codec_context.bit_rate = 192_000

    def add(self, chunk: Chunk) -> None:
        for frame_HWC in chunk.frames:
            frame = to_yuv(frame_HWC, self.pixel_format)
            frame.pts, frame.time_base, frame.duration = self.num_frames, 1 / self.rate, 1
            self.num_frames += 1
            self.container.mux(self.video.encode(frame))
        if self.audio is not None and chunk.audio is not None and len(chunk.audio):
            self._add_audio(self.audio, chunk.audio)

    def _add_audio(self, stream: av.AudioStream, audio_SC: np.ndarray) -> None:
        planes = np.ascontiguousarray(np.clip(audio_SC, -1, 1).T, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=self.layout)
        frame.sample_rate, frame.pts, frame.time_base = (
            AUDIO_RATE_HZ,
            self.num_samples,
            Fraction(1, AUDIO_RATE_HZ),
        )
        self.num_samples += len(audio_SC)
        self.container.mux(stream.encode(frame))

    def finish(self) -> None:
        self.container.mux(self.video.encode(None))
        if self.audio is not None:
            self.container.mux(self.audio.encode(None))
        self.container.close()
        if self.begun is not None and self.manifest is not None and self.manifest != self.begun:
            replace_text(self.path, self.begun, self.manifest)

    def close(self) -> None:
        """Close the file, finished or not."""
        self.container.close()
