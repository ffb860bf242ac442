"""A clip with another sound track: its pictures are copied packet by packet, untouched, never decoded."""

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
    """RequestError for a suffix of a file that holds no video with sound."""
    target = Path(path)
    if target.suffix.lower() not in SOUND_CODECS:
        raise RequestError(
            f"{target.name}: no such format of clips with sound.", field="output", value=str(path),
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
    """Write the clip with this sound (48 kHz, float32, (S, 1 or 2)) in place of its own; the sound begins with the
    first frame. Picture packets, times, subtitles and notes are copied as they are; `notes` are added to them.
    manifest: in the place of the clip's own, also beside it. RequestError (suffix, the clip itself), MediaError
    (unreadable, no pictures, pictures that the format cannot hold, a sidecar of somebody else's).
    """
    check_video_name(path)
    source, target = Path(clip), Path(path)
    keep_apart({"output": target}, [source])
    notes = dict(notes or {})
    if manifest is not None:
        check_sidecar(target)
        notes["kinema"] = json.dumps(manifest)
    first_s = begin_seconds(source)
    with open_container(source) as given:
        if not given.streams.video:
            raise MediaError(f"{source}: has no pictures.")
        # the target's failures are told here, or the block around would take them for the source's
        with writing(target), whole(target) as beside:
            _write(given, source, beside, target, samples_SC, notes, first_s, on_event)
    if manifest is not None:
        write_sidecar(target, manifest)
    return target


def _write(
    given: Any,
    source: Path,
    beside: Path,
    target: Path,
    samples_SC: np.ndarray,
    notes: dict[str, str],
    first_s: float,
    on_event: OnEvent,
) -> None:
    import av

    suffix = target.suffix.lower()
    # bitexact leaves out dates and version strings
    flags = {"fflags": "+bitexact"}
    if suffix in (".mp4", ".m4v", ".mov"):
        flags["movflags"] = "+faststart+use_metadata_tags"
    made = av.open(str(beside), "w", options=flags)
    try:
        names = {name.lower() for name in notes}
        made.metadata.update({name: text for name, text in given.metadata.items() if name.lower() not in names} | notes)
        kept = [stream for stream in given.streams if stream.type in ("video", "subtitle")]
        try:
            copies = {stream.index: made.add_stream_from_template(stream) for stream in kept}
        except ValueError as error:
            raise MediaError(
                f"{target.name}: cannot hold the clip's own packets ({error}); use its own suffix."
            ) from None
        layout = "mono" if samples_SC.shape[1] == 1 else "stereo"
        sound = made.add_stream(SOUND_CODECS[suffix], rate=AUDIO_RATE_HZ, layout=layout)
        sound.codec_context.flags |= av.codec.context.Flags.bitexact
        sound.codec_context.bit_rate = 192_000
        _interleave(_packets(given, source, kept), copies, made, sound, samples_SC, first_s, on_event)
    finally:
        made.close()


def _packets(given: Any, source: Path, kept: list[Any]) -> Iterator[Any]:
    """Packets with a time; a damaged source is told by its own name."""
    with reading(source):
        yield from (packet for packet in given.demux(kept) if packet.dts is not None)


def _interleave(
    packets: Iterator[Any],
    copies: Mapping[int, Any],
    made: Any,
    sound: Any,
    samples_SC: np.ndarray,
    first_s: float,
    on_event: OnEvent,
) -> None:
    """Packets of pictures and of sound in the order of their times."""
    total = max(1, len(samples_SC) // AUDIO_RATE_HZ)
    started = time.perf_counter()
    waiting = frames(samples_SC, sound.format.name)
    encoded_s, done = first_s, False

    def encode_until(second: float) -> None:
        nonlocal encoded_s, done
        while not done and encoded_s <= second:
            frame = next(waiting, None)
            if frame is None:
                made.mux(sound.encode(None))
                done = True
                return
            frame.pts = round(encoded_s * AUDIO_RATE_HZ)
            frame.time_base = Fraction(1, AUDIO_RATE_HZ)
            encoded_s += frame.samples / AUDIO_RATE_HZ
            made.mux(sound.encode(frame))
            on_event(Progress("write", min(total, int(encoded_s - first_s)), total, time.perf_counter() - started))

    for packet in packets:
        encode_until(float(packet.dts * packet.time_base))
        packet.stream = copies[packet.stream.index]
        made.mux(packet)
    encode_until(float("inf"))
