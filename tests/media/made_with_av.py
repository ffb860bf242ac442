"""Files of every container, written with PyAV, so that the reader is not tested with Kinema's own writer."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 25
CLICK_S = 0.6
BLOCK = 24


@dataclass(frozen=True)
class Kind:
    """A container with a codec that it is known for. sound: the codec of its sound, "" where it carries none. b:
    frames between references. vfr: it can hold frames of any time. late: it can begin at another time than 0."""

    suffix: str
    form: str
    codec: str
    sound: str = ""
    b: int = 0
    vfr: bool = False
    late: bool = False
    gops: bool = True
    size: tuple[int, int] = (64, 48)
    pixels: str = "yuv420p"

    @property
    def name(self) -> str:
        return f"{self.suffix}-{self.codec}" + (f"-b{self.b}" if self.b else "")


def _both(suffix: str, form: str, codec: str, sound: str, b: int = 2, **more: object) -> list[Kind]:
    return [Kind(suffix, form, codec, sound, b=each, **more) for each in (0, b)]  # type: ignore[arg-type]


KINDS = [
    *_both("mp4", "mp4", "libx264", "aac", vfr=True, late=True),
    *_both("mov", "mov", "libx264", "pcm_s16le", vfr=True, late=True),
    *_both("3gp", "3gp", "libx264", "aac", vfr=True, late=True),
    *_both("mkv", "matroska", "libx264", "pcm_s16le", vfr=True, late=True),
    *_both("mkv", "matroska", "libx265", "flac", vfr=True, late=True),
    *_both("avi", "avi", "mpeg4", "pcm_s16le"),
    *_both("avi", "avi", "libx264", "pcm_s16le"),
    *_both("ts", "mpegts", "libx264", "aac", vfr=True, late=True),
    *_both("m2ts", "mpegts", "mpeg2video", "mp2", late=True),
    *_both("mpg", "mpeg", "mpeg1video", "mp2", late=True),
    *_both("vob", "vob", "mpeg2video", "mp2", late=True),
    *_both("flv", "flv", "libx264", "aac", vfr=True, late=True),
    Kind("asf", "asf", "libx264", "pcm_s16le", vfr=True, late=True),
    Kind("asf", "asf", "libx264", b=2),  # FFmpeg writes times of decoding here, Microsoft's tools those of showing
    *_both("mxf", "mxf", "mpeg2video", "pcm_s16le"),
    *_both("nut", "nut", "libx264", "pcm_s16le", vfr=True, late=True),
    *_both("h264", "h264", "libx264", ""),
    *_both("hevc", "hevc", "libx265", ""),
    *_both("m2v", "mpeg2video", "mpeg2video", ""),
    *_both("m1v", "mpeg1video", "mpeg1video", ""),
    *_both("m4v", "m4v", "mpeg4", ""),
    Kind("webm", "webm", "libvpx-vp9", "libopus", vfr=True, late=True),
    Kind("webm", "webm", "libvpx", "libopus", vfr=True, late=True),
    Kind("ogv", "ogg", "libvpx", "flac"),
    Kind("wmv", "asf", "wmv2", "pcm_s16le", vfr=True, late=True),
    Kind("flv", "flv", "flv", "", vfr=True, late=True),
    Kind("rm", "rm", "rv20", ""),
    Kind("ivf", "ivf", "libvpx-vp9", "", vfr=True),
    Kind("gxf", "gxf", "mpeg2video", "", size=(720, 576)),
    Kind("dv", "dv", "dvvideo", "", size=(720, 576), gops=False),
    Kind("y4m", "yuv4mpegpipe", "wrapped_avframe", "", gops=False),
    Kind("avi", "avi", "mjpeg", "pcm_s16le", gops=False, pixels="yuvj420p", vfr=True),
]


def numbered(num_frames: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """Frames that encode their number: a moving ramp, and a block of 8 gray levels per frame, uint8 (F, H, W, 3)."""
    width, height = size
    ramp = np.indices((height, width)).sum(0)
    frames = np.stack([(ramp + 5 * k) % 128 + 60 for k in range(num_frames)]).astype(np.uint8)
    for k in range(num_frames):
        frames[k, :BLOCK, :BLOCK] = 16 + 7 * (k % 34)
    return np.repeat(frames[..., None], 3, -1)


def numbers(frames_FHWC: np.ndarray) -> list[int]:
    """Read the frames' numbers."""
    level = frames_FHWC[:, 4 : BLOCK - 4, 4 : BLOCK - 4].astype(float).mean((1, 2, 3))
    return [round((each - 16) / 7) for each in level]


def make(path: Path, kind: Kind, num_frames: int = 30, gop: int = 100, pts: list[int] | None = None) -> Path:
    """A file of `numbered` frames at RATE, at `pts` (in frames), with a click CLICK_S after the first of them."""
    pts = pts or list(range(num_frames))
    width, height = kind.size
    with av.open(str(path), "w", format=kind.form) as container:
        options = {"x265-params": "log-level=none:open-gop=0"} if kind.codec == "libx265" else {}
        stream = container.add_stream(kind.codec, rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, kind.pixels
        context = stream.codec_context
        context.time_base, context.bit_rate = Fraction(1, RATE), 60_000 * width * height // 3072 * 10
        if kind.gops:
            context.gop_size, context.max_b_frames = gop, kind.b
        sound = container.add_stream(kind.sound, rate=48_000, layout="mono") if kind.sound else None
        for at, picture in zip(pts, numbered(num_frames, kind.size)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=kind.pixels)
            frame.pts, frame.time_base = at, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            samples = np.zeros((1, 48_000 * (pts[-1] - pts[0] + 1) // RATE), np.float32)
            samples[0, round(CLICK_S * 48_000) :][:48] = 0.9
            heard = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            heard.sample_rate, heard.time_base = 48_000, Fraction(1, 48_000)
            heard.pts = 48_000 * pts[0] // RATE
            for part in av.AudioResampler(format=sound.format.name, layout="mono", rate=48_000).resample(heard):
                container.mux(sound.encode(part))
            container.mux(sound.encode(None))
    return path
