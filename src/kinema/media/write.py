"""write: encode Chunks to a file on a second thread, while the next chunk is computed.

The caller's thread pulls the chunks (so the model stays on its thread and Ctrl-C reaches it), and a short queue passes
them to one encoder thread. At most three chunks are in memory: one being computed, one queued, one being encoded. The
output is a hidden temporary file next to the target, renamed at the end, so the target is either the old file or the
complete new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.apart import check_name
from ..core.chunk import Chunk
from ..core.closing import closed_after
from ..core.errors import KinemaError, MediaError, RequestError
from ..core.events import OnEvent, Progress, ignore
from ..core.whole import hidden
from .encoding import VideoEncoding, WebpEncoding
from .formats import SUFFIXES, check_rate
from .manifest import check_sidecar, own_folder, put_clip

QUALITIES = ("draft", "good", "best")
RESERVED_BYTES = 8192
"""Room for an amended manifest in a video."""


def write(
    chunks: Iterable[Chunk],
    path: str | os.PathLike[str],
    *,
    manifest: dict[str, Any] | None = None,
    quality: str = "good",
    on_frame: OnEvent = ignore,
    amended: Callable[[], dict[str, Any]] | None = None,
    encoding: VideoEncoding | WebpEncoding | None = None,
    tags: Mapping[str, str] | None = None,
) -> Path:
    """Write a clip in the format of the path's suffix, and return the path.

    .mp4   H.264, BT.709 limited range, faststart; AAC sound. 4:2:0; but 4:4:4 for an odd width or height, which 4:2:0
           H.264 cannot hold. The size stays exact, but some browsers do not play 4:4:4.
    .webm  VP9 (4:2:0 at any size); Opus sound.
    .gif   looping, at most 50 fps, 256 colours per scene.       .webp  looping; quality "best" is lossless.
    .png .jpg   a picture: the clip must have one frame.
    a folder (no suffix, or a trailing slash)   frames 00000.png, 00001.png ... and a note kinema.json with the fps.
    Only .mp4 and .webm have sound; the other formats drop it.

    quality: "draft" (small), "good" (visually clean), "best" (45 dB PSNR and more on ordinary content).
    manifest: a JSON-serializable dict, saved inside the file and in the sidecar `<name>.json`. Without one, the sidecar
    of an earlier clip at the same path is removed. A file of that name that is not a manifest of this clip raises an
    error before any frame is computed.
    amended: called after the last chunk; returns the manifest that is saved in place of `manifest`. In a video, where
    the manifest comes first, room is left for `RESERVED_BYTES` more; a longer one is saved in the sidecar alone.
    encoding: for .mp4, .webm and .webp, the settings of the encoder in place of a quality.
    tags: texts by name, saved inside .mp4, .webm (container tags) and .webp (EXIF, see encoding.py).
    on_frame: receives `Progress("write", done=number of frames passed to the encoder)` on the caller's thread; may
    raise to stop.

    All frames have the same size and fps; chunks are consecutive, and all or none have sound. The same frames give the
    same bytes. Missing parent folders are created. After any failure (of the chunks, the encoder, or Ctrl-C), no
    partial file remains, an older file is unchanged, and `chunks` is closed.

    Raises RequestError (suffix, quality, fps, too many frames for a picture) and MediaError (cannot be written, no
    frames).
    """
    target = Path(path) if Path(path).name not in ("", "..") else Path(path).resolve()  # "." has no name
    suffix = "" if os.fspath(path).endswith(("/", os.sep)) else target.suffix.lower()
    source = iter(chunks)
    with closed_after(source):
        text = _checked(target, suffix, quality, manifest)
        _check_encoding(suffix, encoding)
        temp = _temp_beside(target, suffix)
        try:
            room = " " * RESERVED_BYTES if text is not None and amended is not None else ""
            final: list[str | None] = [text]

            def finish() -> str | None:
                if text is not None and amended is not None:
                    final[0] = _as_text(amended())
                return final[0]

            begun = None if text is None else text + room
            made = encoding or quality
            with_alpha = isinstance(encoding, WebpEncoding)
            _run(
                source, lambda first: _encoder(suffix, temp, first, made, begun, tags or {}), on_frame, finish,
                _Rule(with_alpha),
            )  # fmt: skip
            text = final[0]
            put_clip(temp, target, text)
        except OSError as error:
            raise MediaError(f"{target}: cannot be written ({error.strerror or error}).") from error
        finally:
            _remove(temp)
    return target


def _checked(target: Path, suffix: str, quality: str, manifest: dict[str, Any] | None) -> str | None:
    """Check the arguments before any frame is computed; return the manifest as JSON text."""
    check_name(target, "path")
    if suffix and suffix not in SUFFIXES:
        raise RequestError(
            f"{target.name}: no such output format.",
            field="path",
            value=str(target),
            legal=", ".join(SUFFIXES) + ", or a folder name without suffix",
            nearest=target.with_suffix(".mp4").name,
        )
    if quality not in QUALITIES:
        raise RequestError(
            f"Unknown quality {quality!r}.",
            field="quality",
            value=quality,
            legal=", ".join(QUALITIES),
            nearest="good",
        )
    if suffix and target.is_dir():
        raise MediaError(f"{target}: is a folder. To write a folder of frames, end the name with a slash.")
    if not suffix and target.exists() and not own_folder(target):
        raise MediaError(f"{target}: already exists and is not a folder of frames that Kinema wrote.")
    if manifest is None:
        return None
    check_sidecar(target)
    return _as_text(manifest)


def _as_text(manifest: dict[str, Any]) -> str:
    try:
        return json.dumps(manifest, ensure_ascii=True, allow_nan=False, separators=(", ", ": "))
    except (TypeError, ValueError) as error:
        raise RequestError(f"The manifest is not JSON-serializable ({error}).", field="manifest") from error


def _check_encoding(suffix: str, encoding: VideoEncoding | WebpEncoding | None) -> None:
    """RequestError if files of this suffix cannot have the encoding."""
    if encoding is not None and suffix not in encoding.suffixes:
        legal = ", ".join(encoding.suffixes)
        raise RequestError(f"{encoding.name} in a {suffix or 'folder'}.", field="path", value=suffix, legal=legal)


def _encoder(
    suffix: str, temp: Path, first: Chunk, made: Any, text: str | None, tags: Mapping[str, str]
) -> Any:  # fmt: skip
    """The encoder of a file. made: a quality, or an encoding that the suffix can have."""
    if suffix in (".mp4", ".webm"):
        from .encode_video import VideoEncoder

        return VideoEncoder(temp, suffix, first, made, text, tags)
    if suffix == ".gif":
        from .encode_gif import GifEncoder

        return GifEncoder(temp, first, made, text)
    from . import encode_pictures

    if suffix == ".webp":
        return encode_pictures.WebpEncoder(temp, first, made, text, tags)
    if suffix:
        return encode_pictures.PictureEncoder(temp, suffix, made, text)
    return encode_pictures.FolderEncoder(temp, first, text)


def _run(
    source: Iterator[Chunk],
    make_encoder: Callable[[Chunk], Any],
    on_frame: OnEvent,
    final: Callable[[], str | None],
    rule: _Rule,
) -> None:
    """Pull and check all chunks and pass them to the encoder; return when the file is finished. final: returns the
    manifest after the last chunk."""
    waiting: queue.Queue[Chunk | None] = queue.Queue(maxsize=1)
    failed, dropped = threading.Event(), threading.Event()
    failures: list[BaseException] = []
    manifest: str | None = None

    def encode() -> None:
        encoder = None
        try:
            while (chunk := waiting.get()) is not None:
                if encoder is None:
                    encoder = make_encoder(chunk)
                encoder.add(chunk)
                del chunk  # frees it while this thread waits for the next
            if encoder is not None and not dropped.is_set():
                encoder.manifest = manifest
                encoder.finish()
        except BaseException as error:
            failures.append(error)
            failed.set()
        finally:
            if encoder is not None:
                with contextlib.suppress(Exception):  # after a failure, closing may fail once more
                    encoder.close()

    def enqueue(item: Chunk | None) -> None:
        while not failed.is_set():
            try:
                waiting.put(item, timeout=0.05)
                return
            except queue.Full:
                continue

    thread = threading.Thread(target=encode, name="kinema-write", daemon=True)
    thread.start()
    try:
        done = 0
        while not failed.is_set() and (chunk := next(source, None)) is not None:
            rule.check(chunk)
            enqueue(chunk)
            for _ in range(len(chunk.frames)):
                done += 1
                on_frame(Progress("write", done=done))
            del chunk
        if done == 0 and not failed.is_set():
            raise MediaError("No frames to write.")
        if not failed.is_set():
            manifest = final()
        enqueue(None)
        thread.join()
    except BaseException:
        dropped.set()
        _stop(waiting, thread)
        raise
    if failures:
        raise _as_media_error(failures[0])


def _stop(waiting: queue.Queue[Chunk | None], thread: threading.Thread) -> None:
    while thread.is_alive():
        try:
            waiting.put_nowait(None)
        except queue.Full:
            try:
                waiting.get_nowait()
            except queue.Empty:
                continue
        thread.join(timeout=0.05)


def _as_media_error(error: BaseException) -> BaseException:
    if isinstance(error, KinemaError | OSError | MemoryError) or not isinstance(error, Exception):
        return error
    found = MediaError(f"The encoder failed: {error}.")
    found.__cause__ = error
    return found


class _Rule:
    """Checks that every chunk of a clip matches the first and starts where the previous one ends."""

    def __init__(self, with_alpha: bool) -> None:
        self.shape: tuple[int, ...] | None = None
        self.channels_legal = (3, 4) if with_alpha else (3,)

    def check(self, chunk: Chunk) -> None:
        frames = chunk.frames
        if (
            frames.ndim != 4
            or frames.shape[-1] not in self.channels_legal
            or frames.dtype.name != "uint8"
            or 0 in frames.shape
        ):
            raise MediaError(
                f"Frames must be uint8 RGB of shape (F, H, W, 3), not {frames.dtype} {tuple(frames.shape)}."
            )
        check_rate("", chunk.fps)
        channels = None if chunk.audio is None else chunk.audio.shape[-1]
        if chunk.audio is not None and (chunk.audio.ndim != 2 or channels not in (1, 2)):
            raise MediaError(f"Sound must have shape (samples, 1 or 2), not {tuple(chunk.audio.shape)}.")
        if self.shape is None:
            self.shape, self.fps, self.next, self.channels = (
                frames.shape[1:],
                chunk.fps,
                chunk.start,
                channels,
            )
        wanted = (self.shape, self.fps, self.next, self.channels)
        found = (frames.shape[1:], chunk.fps, chunk.start, channels)
        if found != wanted:
            raise MediaError(
                "Chunks of one clip must match in (size, fps, first frame, sound channels): "
                f"expected {wanted}, got {found}."
            )
        self.next = chunk.start + len(frames)


def _temp_beside(target: Path, suffix: str) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{target.parent}: cannot be created ({error.strerror}).") from error
    return hidden(target, suffix)


def _remove(temp: Path) -> None:
    if temp.is_dir():
        shutil.rmtree(temp, ignore_errors=True)
    else:
        temp.unlink(missing_ok=True)
