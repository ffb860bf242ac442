"""HLS output: MPEG-TS segments and a live playlist (RFC 8216) in FOLDER/on_air, for any web server.

Segment numbers only increase, even after kill -9: state/hls.json records a segment before the playlist lists it. A
discontinuity is marked only where timestamps jump or the encoding changes; a restart continues the frame counter and
needs none. Files are written atomically. On a full disk, segments overwrite old ones and spare files (reserve.py); if
that fails, they wait in memory and are written in order once there is space.

index.m3u8 lists codecs and size and refers to live.m3u8; segments are named sNNNNNNNNN.ts.
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
"""Spare files per reserve: on a full disk, this many segments may be larger than all old ones."""
TEXT = 16_384


@dataclass(frozen=True)
class HlsSettings:
    """segment_s: target duration, rounded up to whole GOPs. listed: segments in the playlist; twice as many stay on
    disk. waiting: maximum number of segments held in memory while the disk is full."""

    segment_s: float = 2.0
    listed: int = 10
    waiting: int = 60


@dataclass(frozen=True)
class HlsSegment:
    number: int
    frame: int
    frames: int
    at: float
    """Program date-time of the first frame, seconds since 1970."""
    jump: bool
    """A discontinuity: its timestamps do not follow the previous segment's, or its encoding differs."""
    bytes: int

    @property
    def name(self) -> str:
        return f"s{self.number:09d}.ts"


class HlsOutput:
    """The HLS output of a channel. Not thread-safe. Call `resume` before the first packet."""

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
        self.segments: list[HlsSegment] = []
        self.left_discontinuities = self.lost = 0
        self.next_number, self.next_frame = 0, 0
        self.jump, self.trouble, self.at = False, "", 0.0
        self.pending: deque[tuple[HlsSegment, bytes, dict[int, int]]] = deque()
        self.video: list[MediaPacket] = []
        self.audio: list[MediaPacket] = []
        self.timeline: PlayoutTimeline | None = None
        self.segmenter = Segmenter(shape)

    @property
    def full(self) -> bool:
        """Whether the disk is full and segments overwrite spare files."""
        return self.reserve.full or self.reserve_state.full

    @property
    def disk(self) -> str:
        """The state of the disk: "full", "low" (no space for spare files) or "ok"."""
        if self.full:
            return "full"
        return "low" if self.segments and len(self.reserve) < SPARES else "ok"

    @property
    def hidden_s(self) -> float:
        """The longest gap that viewers do not notice if it is filled at once: the playlist ahead of a player that plays
        three segments behind its end."""
        return float((self.settings.listed - 4) * self.frames / self.shape.fps)

    def resume(self) -> PlayoutTimeline | None:
        """Continue the output of an earlier run and return its timeline, or None if there is none. Sets `next_frame` to
        the frame after it."""
        numbers = [int(match[1]) for path in self.on_air.iterdir() if (match := _NAME.fullmatch(path.name))]
        self.next_number = max(numbers, default=-1) + 1
        for leftover in self.on_air.glob(".*.partial"):
            leftover.unlink(missing_ok=True)
        kept = read_state(self.state) or {}
        try:
            segments = [HlsSegment(**item) for item in kept["segments"]]
            number, frame, timeline = kept["next_number"], kept["next_frame"], PlayoutTimeline(**kept["timeline"])
            counters = {int(pid): count for pid, count in kept["counters"].items()}
            left = kept["left_discontinuities"]
        except (TypeError, KeyError, ValueError, AttributeError):
            self.jump = self.next_number > 0
            return None
        self.next_number, self.next_frame = max(number, self.next_number), frame
        complete = all((self.on_air / one.name).is_file() for one in segments)
        self.segments = segments if complete else []
        self.left_discontinuities = left + sum(one.jump for one in segments if not self.segments)
        self.segmenter.counters = counters
        if number == self.next_number - 1 and number in numbers:  # written, but never listed
            self.next_number = number
        self.jump = number != self.next_number or kept.get("fingerprint") != self.fingerprint
        return timeline

    def begin(self, timeline: PlayoutTimeline) -> None:
        """Date the following segments by `timeline`. Their timestamps continue the frame counter."""
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
        """Publish complete segments. The next run repeats an incomplete one."""
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
        log.warning("HLS: %s; a segment is dropped", why)
        self.video, self.audio, self.jump = [], [], True
        self.lost += 1

    def _finish(self, next_frame: int) -> None:
        first, video = self.video[0].at, self.video
        since, until = self.shape.sample_of(first), self.shape.sample_of(next_frame)
        own = [media for media in self.audio if since <= media.at < until]
        self.video, self.audio = [], [media for media in self.audio if media.at >= until]
        data = self.segmenter.segment(video, own)
        segment = HlsSegment(-1, first, len(video), self.at, self.jump, len(data))
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
            except OSError:  # free the space of unlisted segments
                self._remove_old(spare=0)
                self._put_pending()
            if self.trouble:
                log.warning("HLS: writing resumed")
            self.trouble = ""
        except OSError as error:
            if not self.trouble:
                log.error("HLS: write failed (%s); segments are held in memory", error.strerror or error)
            self.trouble = error.strerror or str(error)
        if self.full != was_full:
            log.error("HLS: the disk %s", "is full; overwriting old segments" if self.full else "has space again")

    def _put_pending(self) -> None:
        while self.pending:
            segment, data, counters = self.pending[0]
            self._put(replace(segment, number=self.next_number), data, counters)
            self.pending.popleft()

    def _put(self, segment: HlsSegment, data: bytes, counters: dict[int, int]) -> None:
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
        """Delete segments older than the playlist by more than `spare`; return the number kept."""
        first, num_kept = (self.segments[0].number if self.segments else self.next_number) - spare, 0
        with contextlib.suppress(OSError):
            for path in sorted(self.on_air.iterdir()):
                match = _NAME.fullmatch(path.name)
                if match and int(match[1]) < first:
                    self.reserve.retire(path)
                else:
                    num_kept += match is not None
        return num_kept

    def playlist(self) -> str:
        """The media playlist."""
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
        """The multivariant playlist."""
        rates = [one.bytes * 8 * float(self.shape.fps) / one.frames for one in self.segments] or [1_000_000.0]
        return (
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n"
            f"#EXT-X-STREAM-INF:BANDWIDTH={max(200_000, round(1.5 * max(rates)))},"
            f"AVERAGE-BANDWIDTH={round(sum(rates) / len(rates))},"
            f"RESOLUTION={self.shape.width}x{self.shape.height},FRAME-RATE={float(self.shape.fps):.3f},"
            f'CODECS="{self.shape.codec},mp4a.40.2"\nlive.m3u8\n'
        )
