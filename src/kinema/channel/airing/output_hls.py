"""HLS for any web server: MPEG-TS segments and a live playlist in FOLDER/on_air, in step with the rules of RFC 8216.

Segment numbers never repeat and never go back, also after kill -9: what was published is written down (state/hls.json)
before the playlist shows it. A discontinuity is marked only where times jump or the
encoding changes; a restart is none, since the frame counter goes on. Files appear whole (temporary name, then
rename). A full disk stops nothing: segments are written over old ones and spares (reserve.py); where that fails they
wait in memory and are written, in order, when there is room again.

index.m3u8 names codecs and size and points to live.m3u8; sNNNNNNNNN.ts are the segments.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
from collections import deque
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..state_file import encoded, read_state
from .reserve import Reserve
from .stream import MediaPacket, StreamFormat
from .timeline import PlayoutTimeline
from .ts_segment import NOTHING, Segmenter

log = logging.getLogger("kinema.channel")
_NAME = re.compile(r"s(\d{9})\.ts")
SPARES = 4
"""So many segments may be larger than all old ones while the disk is full."""
TEXT = 16_384


@dataclass(frozen=True)
class HlsSettings:
    """segment_s: wished length; segments hold whole GOPs. listed: segments in the playlist; twice as many stay on disk.
    waiting: segments that are kept in memory while the disk refuses them."""

    segment_s: float = 2.0
    listed: int = 10
    waiting: int = 60


@dataclass(frozen=True)
class Segment:
    number: int
    frame: int
    frames: int
    at: float
    """Program date-time of the first frame, seconds since 1970."""
    jump: bool
    """Its times do not follow those of the segment before, or its encoding is another."""
    bytes: int

    @property
    def name(self) -> str:
        return f"s{self.number:09d}.ts"


class HlsOutput:
    """All calls come from one thread. `resume` before the first packet."""

    name = "hls"

    def __init__(
        self, folder: Path, shape: StreamFormat, fingerprint: str, settings: HlsSettings | None = None
    ) -> None:
        self.on_air, self.state = folder / "on_air", folder / "state" / "hls.json"
        for place in (self.on_air, self.state.parent):
            place.mkdir(parents=True, exist_ok=True)
        self.reserve, self.reserve_state = Reserve(self.on_air, "hls"), Reserve(self.state.parent, "hls")
        self.spare_size = 1 << 16
        self.shape, self.fingerprint, self.settings = shape, fingerprint, settings or HlsSettings()
        self.gops = math.ceil(self.settings.segment_s * shape.fps / shape.gop)
        self.frames = self.gops * shape.gop
        self.target_s = math.ceil(self.frames / shape.fps)
        self.segments: list[Segment] = []
        self.left_discontinuities = self.lost = 0
        self.next_number, self.next_frame = 0, 0
        self.jump, self.trouble, self.at = False, "", 0.0
        self.pending: deque[tuple[Segment, bytes, dict[int, int]]] = deque()
        self.video: list[MediaPacket] = []
        self.audio: list[MediaPacket] = []
        self.timeline: PlayoutTimeline | None = None
        self.segmenter = Segmenter(shape)

    @property
    def full(self) -> bool:
        """The disk is full: what is on air is written over spares."""
        return self.reserve.full or self.reserve_state.full

    @property
    def disk(self) -> str:
        """full; low: there is no room for a reserve; ok."""
        if self.full:
            return "full"
        return "low" if self.segments and len(self.reserve) < SPARES else "ok"

    @property
    def hidden_s(self) -> float:
        """How long a hole can be that a viewer does not notice when it is filled at once: what the playlist still holds
        for one who plays three segments behind its end."""
        return float((self.settings.listed - 4) * self.frames / self.shape.fps)

    def resume(self) -> PlayoutTimeline | None:
        """Take up what an earlier run published; gives its timeline, None where there is none. Afterwards `next_frame`
        is the frame that follows it."""
        numbers = [int(found[1]) for path in self.on_air.iterdir() if (found := _NAME.fullmatch(path.name))]
        self.next_number = max(numbers, default=-1) + 1
        for leftover in self.on_air.glob(".*.partial"):
            leftover.unlink(missing_ok=True)
        kept = read_state(self.state) or {}
        try:
            segments = [Segment(**item) for item in kept["segments"]]
            number, frame, timeline = kept["next_number"], kept["next_frame"], PlayoutTimeline(**kept["timeline"])
            counters = {int(pid): count for pid, count in kept["counters"].items()}
            left = kept["left_discontinuities"]
        except (TypeError, KeyError, ValueError, AttributeError):
            self.jump = self.next_number > 0
            return None
        self.next_number, self.next_frame = max(number, self.next_number), frame
        there = [one for one in segments if (self.on_air / one.name).is_file()]
        self.segments = there if len(there) == len(segments) else []
        self.left_discontinuities = left + sum(one.jump for one in segments if not self.segments)
        self.segmenter.counters = counters
        if number == self.next_number - 1 and number in numbers:  # written, but never shown to anybody
            self.next_number = number
        self.jump = number != self.next_number or kept.get("fingerprint") != self.fingerprint
        return timeline

    def begin(self, timeline: PlayoutTimeline) -> None:
        """Segments that start from now on are dated by it. Their times follow those before: the counter goes on."""
        self.timeline = timeline

    def send(self, media: MediaPacket) -> None:
        if media.kind == "audio":
            self.audio.append(media)
            return
        if media.key and len(self.video) >= self.frames:
            self._finish(media.at)
        elif self.video and media.at != self.video[-1].at + 1:
            self._drop("packets were lost")
        if not self.video:
            if not media.key or self.timeline is None:
                return
            self.at = self.timeline.wall_of(media.at)
        self.video.append(media)

    def close(self) -> None:
        """Publish what is whole; a part of a segment is left for the next run to make again."""
        if len(self.video) >= self.frames:
            self._finish(self.video[-1].at + 1)
        self._publish()

    def status(self) -> dict[str, Any]:
        return {
            "output": "hls", "state": "retrying" if self.pending else "on air", "trouble": self.trouble,
            "disk": self.disk, "spares": len(self.reserve),
            "sequence": self.segments[-1].number if self.segments else None, "waiting": len(self.pending),
            "lost_segments": self.lost, "discontinuities": self.left_discontinuities
            + sum(one.jump for one in self.segments),
        }  # fmt: skip

    def _drop(self, why: str) -> None:
        log.warning("HLS: %s; a segment is left out", why)
        self.video, self.audio, self.jump = [], [], True
        self.lost += 1

    def _finish(self, next_frame: int) -> None:
        first, video = self.video[0].at, self.video
        since, until = self.shape.sample_of(first), self.shape.sample_of(next_frame)
        own = [media for media in self.audio if since <= media.at < until]
        self.video, self.audio = [], [media for media in self.audio if media.at >= until]
        data = self.segmenter.segment(video, own)
        segment = Segment(-1, first, len(video), self.at, self.jump, len(data))
        self.jump = False
        self.pending.append((segment, data, dict(self.segmenter.counters)))
        self._publish()
        if len(self.pending) > self.settings.waiting:
            self.pending.popleft()
            self.lost += 1
            oldest, kept, counters = self.pending[0]
            self.pending[0] = (replace(oldest, jump=True), kept, counters)

    def _publish(self) -> None:
        was_full = self.full
        try:
            try:
                self._put_pending()
            except OSError:  # what the playlist shows no more is needed now
                self._remove_old(spare=0)
                self._put_pending()
            if self.trouble:
                log.warning("HLS: writing again")
            self.trouble = ""
        except OSError as error:
            if not self.trouble:
                log.error("HLS: cannot write (%s); segments wait in memory", error.strerror or error)
            self.trouble = error.strerror or str(error)
        if self.full != was_full:
            log.error("HLS: the disk %s", "is full; old segments are written over" if self.full else "has room again")

    def _put_pending(self) -> None:
        while self.pending:
            segment, data, counters = self.pending[0]
            self._put(replace(segment, number=self.next_number), data, counters)
            self.pending.popleft()

    def _put(self, segment: Segment, data: bytes, counters: dict[int, int]) -> None:
        self.reserve.put(self.on_air / segment.name, data, NOTHING)
        segments = [*self.segments, segment][-self.settings.listed :]
        left = self.left_discontinuities + sum(one.jump for one in self.segments if one not in segments)
        follow = segment.frame + segment.frames
        assert self.timeline is not None
        kept = {
            "segments": [asdict(one) for one in segments], "next_number": segment.number + 1, "next_frame": follow,
            "left_discontinuities": left, "timeline": asdict(self.timeline), "counters": counters,
            "fingerprint": self.fingerprint,
        }  # fmt: skip
        self.reserve_state.put(self.state, encoded(self.state, kept))
        self.segments, self.left_discontinuities = segments, left
        self.next_number, self.next_frame = segment.number + 1, follow
        if segment.number % 30 == 0 or not (self.on_air / "index.m3u8").is_file():
            self.reserve.put(self.on_air / "index.m3u8", self.index().encode())
        self.reserve.put(self.on_air / "live.m3u8", self.playlist().encode())
        kept_on_disk = self._remove_old(spare=self.settings.listed)
        while self.spare_size < 1.5 * segment.bytes:
            self.spare_size *= 2
        num_spares = SPARES + max(0, 2 * self.settings.listed - kept_on_disk)
        self.reserve.provide([TEXT] * 2 + [self.spare_size] * num_spares)
        self.reserve_state.provide([TEXT])

    def _remove_old(self, spare: int) -> int:
        """Segments older than the playlist by so many are not kept; gives how many are."""
        first, num_kept = (self.segments[0].number if self.segments else self.next_number) - spare, 0
        with contextlib.suppress(OSError):
            for path in sorted(self.on_air.iterdir()):
                found = _NAME.fullmatch(path.name)
                if found and int(found[1]) < first:
                    self.reserve.retire(path)
                else:
                    num_kept += found is not None
        return num_kept

    def playlist(self) -> str:
        lines = [
            "#EXTM3U", "#EXT-X-VERSION:6", f"#EXT-X-TARGETDURATION:{self.target_s}",
            f"#EXT-X-MEDIA-SEQUENCE:{self.segments[0].number if self.segments else self.next_number}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self.left_discontinuities}", "#EXT-X-INDEPENDENT-SEGMENTS",
        ]  # fmt: skip
        for one in self.segments:
            if one.jump:
                lines.append("#EXT-X-DISCONTINUITY")
            date = datetime.fromtimestamp(one.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            lines += [
                f"#EXT-X-PROGRAM-DATE-TIME:{date}",
                f"#EXTINF:{float(one.frames / self.shape.fps):.6f},",
                one.name,
            ]
        return "\n".join(lines) + "\n"

    def index(self) -> str:
        rates = [one.bytes * 8 * float(self.shape.fps) / one.frames for one in self.segments] or [1_000_000.0]
        return (
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n"
            f"#EXT-X-STREAM-INF:BANDWIDTH={max(200_000, round(1.5 * max(rates)))},"
            f"AVERAGE-BANDWIDTH={round(sum(rates) / len(rates))},"
            f"RESOLUTION={self.shape.width}x{self.shape.height},FRAME-RATE={float(self.shape.fps):.3f},"
            f'CODECS="{self.shape.codec},mp4a.40.2"\nlive.m3u8\n'
        )
