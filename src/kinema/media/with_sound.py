"""Replace the sound track of a clip. Picture packets are copied, never decoded."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..core.apart import keep_apart
from ..core.chunk import AUDIO_RATE_HZ
from ..core.errors import MediaError, RequestError
from ..core.events import OnEvent, Progress, ignore
from ..core.whole import whole
from .decoder import begin_seconds
from .manifest import check_sidecar, write_sidecar
from .open import open_container, reading, writing
from .write_audio import frames

SOUND_CODECS = {".mp4": "aac", ".mov": "aac", ".m4v": "aac", ".mkv": "aac", ".webm": "libopus"}


def check_video_name(path: str | os.PathLike[str]) -> None:
    """RequestError for a suffix without support for video with sound."""
    target = Path(path)
    if target.suffix.lower() not in SOUND_CODECS:
        raise RequestError(
            f"{target.name}: not a format for clips with sound.", field="output", value=str(path),
            legal=", ".join(SOUND_CODECS), nearest=target.with_suffix(".mp4").name,
        )  # fmt: skip


def with_sound(
    clip: str | os.PathLike[str],
    samples_SC: np.ndarray,
    path: str | os.PathLike[str],
    *,
    notes: Mapping[str, str] | None = None,
    manifest: dict[str, Any] | None = None,
    on_event: OnEvent = ignore,
) -> Path:
    """Write the clip with its sound replaced by `samples_SC` (48 kHz, float32, (S, 1 or 2)), which starts at the first
    frame. Picture packets, times, subtitles and metadata are copied; `notes` are added to the metadata. manifest:
    replaces the clip's own, also in the sidecar. RequestError (suffix, output equals input), MediaError (unreadable, no
    pictures, pictures that the format cannot hold, a sidecar that Kinema did not write).
    """
    check_video_name(path)
    source, target = Path(clip), Path(path)
    keep_apart({"output": target}, [source])
    notes = dict(notes or {})
    if manifest is not None:
        check_sidecar(target)
        notes["kinema"] = json.dumps(manifest)
    first_s = begin_seconds(source)
    with open_container(source) as container:
        if not container.streams.video:
            raise MediaError(f"{source}: contains no pictures.")
        # `writing` reports the target's failures, which open_container would report as the source's
        with writing(target), whole(target) as temporary:
            _write(container, source, temporary, target, samples_SC, notes, first_s, on_event)
    if manifest is not None:
        write_sidecar(target, manifest)
    return target


def _write(
    container: Any,
    source: Path,
    temporary: Path,
    target: Path,
    samples_SC: np.ndarray,
    notes: dict[str, str],
    first_s: float,
    on_event: OnEvent,
) -> None:
    import av

    suffix = target.suffix.lower()
    # bitexact omits dates and version strings
    flags = {"fflags": "+bitexact"}
    if suffix in (".mp4", ".m4v", ".mov"):
        flags["movflags"] = "+faststart+use_metadata_tags"
    output = av.open(str(temporary), "w", options=flags)
    try:
        names = {name.lower() for name in notes}
        copied = {name: text for name, text in container.metadata.items() if name.lower() not in names}
        output.metadata.update(copied | notes)
        streams = [stream for stream in container.streams if stream.type in ("video", "subtitle")]
        try:
            copies = {stream.index: output.add_stream_from_template(stream) for stream in streams}
        except ValueError as error:
            raise MediaError(
                f"{target.name}: this format cannot hold the clip's packets ({error}). Use the clip's own suffix."
            ) from None
        layout = "mono" if samples_SC.shape[1] == 1 else "stereo"
        sound = output.add_stream(SOUND_CODECS[suffix], rate=AUDIO_RATE_HZ, layout=layout)
        sound.codec_context.flags |= av.codec.context.Flags.bitexact
        sound.codec_context.bit_rate = 192_000
        _interleave(_packets(container, source, streams), copies, output, sound, samples_SC, first_s, on_event)
    finally:
        output.close()


def _packets(container: Any, source: Path, streams: list[Any]) -> Iterator[Any]:
    """Yield the packets that have a time. Errors name the source."""
    with reading(source):
        yield from (packet for packet in container.demux(streams) if packet.dts is not None)


def _interleave(
    packets: Iterator[Any],
    copies: Mapping[int, Any],
    output: Any,
    sound: Any,
    samples_SC: np.ndarray,
    first_s: float,
    on_event: OnEvent,
) -> None:
    """Mux packets of pictures and sound in the order of their times."""
    total = max(1, len(samples_SC) // AUDIO_RATE_HZ)
    started = time.perf_counter()
    waiting = frames(samples_SC, sound.format.name)
    encoded_s, done = first_s, False

    def encode_until(second: float) -> None:
        nonlocal encoded_s, done
        while not done and encoded_s <= second:
            frame = next(waiting, None)
            if frame is None:
                output.mux(sound.encode(None))
                done = True
                return
            frame.pts = round(encoded_s * AUDIO_RATE_HZ)
            frame.time_base = Fraction(1, AUDIO_RATE_HZ)
            encoded_s += frame.samples / AUDIO_RATE_HZ
            output.mux(sound.encode(frame))
            on_event(Progress("write", min(total, int(encoded_s - first_s)), total, time.perf_counter() - started))

    for packet in packets:
        encode_until(float(packet.dts * packet.time_base))
        packet.stream = copies[packet.stream.index]
        output.mux(packet)
    encode_until(float("inf"))
