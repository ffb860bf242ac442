"""write: Chunks to a file, encoded on a second thread while the next chunk is being computed.

The caller's thread pulls the chunks (so a model keeps its own thread and Ctrl-C arrives where the work is), a
short queue hands them to one encoder thread. At most three chunks are alive: one in the making, one queued,
one encoded. Everything is written beside the target under a hidden name and renamed at the end, so the target
is either the old file or the whole new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..core.apart import check_name
from ..core.chunk import Chunk
from ..core.errors import KinemaError, MediaError, RequestError
from ..core.events import OnEvent, Progress, ignore
from ..core.whole import hidden, put
from .endings import check_rate
from .manifest import check_sidecar, own_folder, own_sidecar, sidecar_of

SUFFIXES = (".mp4", ".webm", ".gif", ".webp", ".png", ".jpg", ".jpeg")
QUALITIES = ("draft", "good", "best")


def write(
    chunks: Iterable[Chunk],
    path: str | os.PathLike[str],
    *,
    manifest: dict[str, Any] | None = None,
    quality: str = "good",
    on_frame: OnEvent = ignore,
) -> Path:
    """Write a clip; the format follows the suffix. Returns the path.

    .mp4   H.264, BT.709 limited range, faststart; AAC sound. 4:2:0, except that an odd width or height, which
           4:2:0 H.264 cannot hold, is written as 4:4:4: the size stays exact, but some browsers refuse to
           play it.
    .webm  VP9 (4:2:0 at any size); Opus sound.
    .gif   looping, at most 50 fps, 256 colours a scene.       .webp  looping; quality "best" is lossless.
    .png .jpg   a picture: the clip must have one frame.
    a folder (no suffix, or a trailing slash)   frames 00000.png, 00001.png ... and a note kinema.json with
                                                the fps.
    Only .mp4 and .webm carry sound; the other formats leave it out.

    quality: "draft" (small), "good" (visually clean), "best" (45 dB PSNR and more on ordinary content).
    manifest: a JSON-able dict, saved inside the file and in the sidecar `<name>.json`. Without one, a sidecar
    left by an earlier write to the same path is removed with the file it described. A file of that name that is
    no manifest of this clip is nobody's to replace: it is refused before any frame is made.
    on_frame: told `Progress("write", done=frames handed to the encoder)` on the caller's thread; may raise to
    stop.

    Frames of a clip have one size and one fps and follow each other; sound is in all chunks or in none. The
    same frames give the same bytes. Missing parent folders are made. Whatever fails (the chunks, the encoder,
    Ctrl-C), nothing half-written stays, an older file stays as it was, and `chunks` is closed.

    Raises RequestError (suffix, quality, fps, too many frames for a picture) and MediaError (unwritable, no
    frames).
    """
    target = Path(path) if Path(path).name not in ("", "..") else Path(path).resolve()  # "." has no name
    suffix = "" if os.fspath(path).endswith(("/", os.sep)) else target.suffix.lower()
    source = iter(chunks)
    try:
        text = _checked(target, suffix, quality, manifest)
        temp = _temp_beside(target, suffix)
        try:
            _run(source, lambda first: _encoder(suffix, temp, first, quality, text), on_frame)
            _put_in_place(temp, target, text)
        except OSError as error:
            raise MediaError(f"{target}: cannot be written ({error.strerror or error}).") from error
        finally:
            _remove(temp)
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
    return target


def _checked(target: Path, suffix: str, quality: str, manifest: dict[str, Any] | None) -> str | None:
    """Refuse what cannot be written before any frame is computed; gives the manifest as JSON text."""
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
        raise MediaError(f"{target}: is a folder; end the name with a slash to write frames into it.")
    if not suffix and target.exists() and not own_folder(target):
        raise MediaError(f"{target}: exists and is not a folder of frames that Kinema wrote; nothing was replaced.")
    if manifest is None:
        return None
    check_sidecar(target)
    try:
        return json.dumps(manifest, ensure_ascii=True, allow_nan=False, separators=(", ", ": "))
    except (TypeError, ValueError) as error:
        raise RequestError(f"The manifest is not plain JSON ({error}).", field="manifest") from error


def _encoder(suffix: str, temp: Path, first: Chunk, quality: str, text: str | None) -> Any:
    if suffix in (".mp4", ".webm"):
        from .encode_video import VideoEncoder

        return VideoEncoder(temp, suffix, first, quality, text)
    if suffix == ".gif":
        from .encode_gif import GifEncoder

        return GifEncoder(temp, first, quality, text)
    from . import encode_pictures

    if suffix == ".webp":
        return encode_pictures.WebpEncoder(temp, first, quality, text)
    if suffix:
        return encode_pictures.PictureEncoder(temp, suffix, quality, text)
    return encode_pictures.FolderEncoder(temp, first, text)


def _run(source: Iterator[Chunk], make_encoder: Callable[[Chunk], Any], on_frame: OnEvent) -> None:
    """Pull, check and hand over all chunks; returns when the encoder has finished the file."""
    waiting: queue.Queue[Chunk | None] = queue.Queue(maxsize=1)
    failed, dropped = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def encode() -> None:
        encoder = None
        try:
            while (chunk := waiting.get()) is not None:
                if encoder is None:
                    encoder = make_encoder(chunk)
                encoder.add(chunk)
                del chunk  # else it would live on while this thread waits for the next
            if encoder is not None and not dropped.is_set():
                encoder.finish()
        except BaseException as error:
            failures.append(error)
            failed.set()
        finally:
            if encoder is not None:
                with contextlib.suppress(Exception):  # after a failure, closing may fail once more
                    encoder.close()

    def hand_over(item: Chunk | None) -> None:
        while not failed.is_set():
            try:
                waiting.put(item, timeout=0.05)
                return
            except queue.Full:
                continue

    thread = threading.Thread(target=encode, name="kinema-write", daemon=True)
    thread.start()
    try:
        rule, done = _Rule(), 0
        while not failed.is_set() and (chunk := next(source, None)) is not None:
            rule.check(chunk)
            hand_over(chunk)
            for _ in range(len(chunk.frames)):
                done += 1
                on_frame(Progress("write", done=done))
            del chunk
        if done == 0 and not failed.is_set():
            raise MediaError("There are no frames to write.")
        hand_over(None)
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
    """What every chunk of one clip has in common with the first, and where the next must start."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] | None = None

    def check(self, chunk: Chunk) -> None:
        frames = chunk.frames
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype.name != "uint8" or 0 in frames.shape:
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
                f"{wanted} was due, {found} came."
            )
        self.next = chunk.start + len(frames)


def _temp_beside(target: Path, suffix: str) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{target.parent}: cannot be made ({error.strerror}).") from error
    return hidden(target, suffix)


def _put_in_place(temp: Path, target: Path, text: str | None) -> None:
    sidecar, note = sidecar_of(target), temp.with_name(temp.name + ".json")
    own = own_sidecar(target)  # one that a stranger wrote meanwhile stays; the manifest is in the clip too
    try:
        if text is not None and own:
            note.write_text(json.dumps(json.loads(text), indent=2) + "\n", encoding="utf-8")
        put(temp, target)
        if own:
            if text is not None:
                put(note, sidecar)
            else:
                sidecar.unlink(missing_ok=True)
    finally:
        note.unlink(missing_ok=True)


def _remove(temp: Path) -> None:
    if temp.is_dir():
        shutil.rmtree(temp, ignore_errors=True)
    else:
        temp.unlink(missing_ok=True)
