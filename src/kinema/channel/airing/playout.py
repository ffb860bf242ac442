"""The playout: one process per channel that airs its clips continuously, without gaps.

Packets of conformed clips are copied; integer frame and sample counters give their timestamps; one AAC encoder encodes
the music bed; a monotonic clock sets the pace, one second ahead. The main loop never blocks: clips are read ahead
(feed.py), the library is a snapshot (library_view.py), the bed is read ahead (bed.py), and outputs run in threads or
processes.

    python -m kinema.channel.airing.playout_process FOLDER --name "Sea TV" --rtmp @keys.txt
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import MediaError
from ..conform import Encoding
from ..library import Aired, Library, LibraryBusy
from ..lock import ChannelLock
from ..packets import ClipPackets
from .bed import AheadBed, Bed, BedSound, music_in
from .clock import Clock, SystemClock
from .feed import Feed, Filler, Ready
from .health import Health
from .ident import ident_file
from .library_view import LibraryView
from .output_hls import HlsOutput, HlsSettings
from .output_rtmp import RtmpOutput
from .outputs import InThread, Output
from .programme import Policy, Programme
from .sound import SoundEncoder, sound_template
from .stream import AAC_SAMPLES, MediaPacket, StreamFormat
from .timeline import PlayoutTimeline

log = logging.getLogger("kinema.channel")
DISK = {
    "full": "the disk is full; overwriting old segments",
    "low": "the disk has too little space for spare files",
}
LEAD_S = 1.0
LATE_S = 0.2
BEATS = 5
"""Heartbeats per second to the supervisor."""
STUCK_S = 10.0
"""An HLS output that takes this long for one packet hangs; heartbeats stop."""
BLOCK = 8 * AAC_SAMPLES


@dataclass(frozen=True)
class PlayoutSettings:
    """name: the channel's, drawn into its ident. rtmp: addresses with stream keys. theme_at: the schedule, from seconds
    since 1970 to a theme or None. music: lists the audio files of the bed; None lists FOLDER/music."""

    name: str = "Kinema"
    encoding: Encoding = field(default_factory=Encoding)
    hls: HlsSettings | None = field(default_factory=HlsSettings)
    rtmp: Sequence[str] = ()
    policy: Policy = field(default_factory=Policy)
    theme_at: Callable[[float], str | None] | None = None
    music: Callable[[], Sequence[Path]] | None = None
    rtmp_stall_s: float = 10.0


class Playout:
    """An opened channel: `run` airs it until `stop`. With a clock other than SystemClock, everything runs in one thread
    (soak tests). ChannelBusy if it is already on air."""

    def __init__(self, folder: Path, settings: PlayoutSettings, clock: Clock | None = None) -> None:
        self.folder, self.settings = folder, settings
        self.clock: Clock = clock or SystemClock()
        threaded = isinstance(self.clock, SystemClock)
        self.lock = ChannelLock(folder)
        with contextlib.suppress(LibraryBusy):  # then filler airs until the library can be opened
            Library(folder, patience_s=0.5).close()
        self.filler = _filler(folder, settings)
        first = self.filler.clips[0]
        self.shape = shape_of(first, self.filler.ident)
        self.gop = first.gop
        self.view = LibraryView(folder, self.filler.fingerprint, threaded=threaded)
        self.programme = Programme(self.view, settings.policy, settings.theme_at)
        bed = Bed(settings.music or music_in(folder / "music"), settings.policy.seed)
        self.bed: BedSound = AheadBed(bed) if threaded else bed
        self.hls = HlsOutput(folder, self.shape, self.filler.fingerprint, settings.hls) if settings.hls else None
        self.frame, self.timeline = 0, PlayoutTimeline.starting(0, float(self.shape.fps), self.clock)
        self._resume()
        self.feed = Feed(self.programme, self.view, self.filler, self._on_at, threaded=threaded)
        self.sound = SoundEncoder(self.shape.sample_of(self.frame))
        self.outputs: list[Output] = []
        if self.hls is not None:
            self.outputs.append(InThread(self.hls) if threaded else self.hls)
        self.outputs += [RtmpOutput(url, self.shape, stall_s=settings.rtmp_stall_s) for url in settings.rtmp]
        self._begin(self.timeline)
        self.health, self.beat_every = Health(folder), max(1, round(self.shape.fps / BEATS))
        self.since, self.late, self.jumps, self.broadcast = self.clock.wall(), 0, 0, 0
        self.caught_up = False  # frames sent to catch up after a restart are not late
        self.on_air: Aired | None = None
        self._stop = threading.Event()
        self._threaded = threaded

    def stop(self) -> None:
        """End at the next keyframe."""
        self._stop.set()

    def run(self, until_frame: int | None = None) -> None:
        """Air clips until `stop`, or until the channel's frame counter reaches `until_frame`."""
        self.feed.wait(2.0)
        try:
            while not self._stop.is_set() and (until_frame is None or self.frame < until_frame):
                self._air(self.feed.take())
                if not self._threaded:
                    self.view.refresh()
        finally:
            self.close()

    def close(self) -> None:
        self.feed.close()
        for output in self.outputs:
            output.close()
        if isinstance(self.bed, AheadBed):
            self.bed.close()
        self.view.close()
        self.health.clear()
        self.lock.close()

    def _resume(self) -> None:
        """Continue where the last run stopped: fill the gap at once if viewers have not noticed it yet, else restart
        the timeline at the next frame, now."""
        if self.hls is None:
            return
        earlier = self.hls.resume()
        self.frame = self.hls.next_frame
        behind = earlier.behind(self.frame, self.clock) if earlier is not None else None
        if earlier is not None and behind is not None and -30 < behind < self.hls.hidden_s:
            self.timeline = earlier.dated(self.clock)
        else:
            self.timeline = PlayoutTimeline.starting(self.frame, float(self.shape.fps), self.clock)

    def _begin(self, timeline: PlayoutTimeline) -> None:
        self.timeline = timeline
        for output in self.outputs:
            output.begin(timeline)

    def _on_at(self) -> float:
        return self.timeline.wall_of(self.frame)

    def _air(self, ready: Ready) -> None:
        packets = ready.packets.packets
        self._follow_wall()
        line = Aired(
            self._on_at(), ready.id or "filler", ready.kind, ready.title, ready.theme, self.frame, len(packets),
            float(self.shape.fps),
        )  # fmt: skip
        self.on_air = line
        self.view.aired(line)
        self.view.upcoming([one.id for one in (ready, *self.feed.upcoming()) if one.id])
        for number, data in enumerate(packets):
            key = number % self.gop == 0
            if key and number and (self._stop.is_set() or self.view.take_skip()):
                return
            self._pace(key)
            self._sound_until(self.shape.sample_of(self.frame))
            self._send(MediaPacket("video", self.frame, data, key, number == 0))
            self.frame += 1
            self.broadcast += 1
            if self.frame % self.beat_every == 0 and self._hls_moves():
                self.health.beat(self.frame)
            if self.frame % self.gop == 0:
                self.health.report(self.status())
                if self.health.alone:
                    log.error("the supervisor has exited; the channel goes off air")
                    self._stop.set()

    def _follow_wall(self) -> None:
        """Adjust dates to a changed wall clock, at the first frame of a clip, since the log dates whole clips."""
        dated = self.timeline.dated(self.clock)
        if dated is not self.timeline:
            log.warning("the wall clock changed by %+.1f s; the pace is unchanged", dated.wall - self.timeline.wall)
            self._begin(dated)

    def _pace(self, key: bool) -> None:
        """Wait until one second before the frame is due. After a gap too long to fill, restart the timeline now."""
        early = self.timeline.due(self.frame) - LEAD_S - self.clock.steady()
        if early > 0:
            self.caught_up = True
            self.clock.sleep(early)
        elif -early > LEAD_S + LATE_S:
            self.late += self.caught_up
            most = self.hls.hidden_s if self.hls is not None else 10.0
            if key and -early - LEAD_S > most + 4:
                log.error("%.1f s were lost; the programme continues from now", -early)
                self.jumps += 1
                self._begin(PlayoutTimeline.starting(self.frame, self.timeline.fps, self.clock))

    def _sound_until(self, sample: int) -> None:
        while self.sound.next_at <= sample:
            for media in self.sound.take(self.bed.take(BLOCK)):
                self._send(media)

    def _hls_moves(self) -> bool:
        return not any(isinstance(output, InThread) and output.busy_s > STUCK_S for output in self.outputs)

    def _send(self, media: MediaPacket) -> None:
        for output in self.outputs:
            output.send(media)

    def status(self) -> dict[str, Any]:
        """The contents of status.json. Times are seconds since 1970; frame is the output clock."""
        snapshot, line = self.view.snapshot, self.on_air
        outputs = [output.status() for output in self.outputs]
        now = line and {
            "id": line.id, "title": line.title, "theme": line.theme, "kind": line.kind, "at": line.at,
            "until": line.until, "position_s": (self.frame - line.frame) / line.fps,
        }  # fmt: skip
        return {
            "name": self.settings.name, "on_air_since": self.since, "written_at": self.clock.wall(),
            "steady": self.clock.steady(), "frame": self.frame, "frames_sent": self.broadcast,
            "shown_at": self._on_at(), "clip": now,
            "next": [{"id": one.id, "title": one.title, "theme": one.theme} for one in self.feed.upcoming()],
            "stock": len(snapshot.ready), "queued": len(snapshot.queue), "late_frames": self.late, "jumps": self.jumps,
            "fallbacks": self.feed.fallbacks, "music": self.bed.playing, "library": self.view.trouble or "ok",
            "notes_waiting": len(self.view.writes), "outputs": outputs,
            "alarms": alarms(self.view.trouble, outputs),
        }  # fmt: skip


def alarms(library: str, outputs: Sequence[dict[str, Any]]) -> list[str]:
    """Problems that need attention, as text; empty if there are none."""
    disk = [f"{one['output']}: {DISK[one['disk']]}" for one in outputs if one.get("disk") in DISK]
    broken = [f"{one['output']}: {one['trouble']}" for one in outputs if one["trouble"]]
    return disk + broken + ([f"library: {library}"] if library else [])


def _filler(folder: Path, settings: PlayoutSettings) -> Filler:
    ident = ident_file(folder, settings.name, settings.encoding)
    try:
        return Filler(ident, settings.name)
    except MediaError as error:
        log.error("redrawing the ident: %s", error)
        ident.unlink(missing_ok=True)
        return Filler(ident_file(folder, settings.name, settings.encoding), settings.name)


def shape_of(clip: ClipPackets, file: bytes) -> StreamFormat:
    """The stream format for muxers, from a conformed clip and its file."""
    profile, compatible, level = clip.header[1:4]
    codec = f"avc1.{profile:02x}{compatible:02x}{level:02x}"
    return StreamFormat(clip.fps, clip.gop, clip.width, clip.height, codec, file, sound_template())


def run(folder: str | Path, settings: PlayoutSettings | None = None) -> None:
    """Run the playout of a channel in this process until SIGTERM or SIGINT. ChannelBusy, MediaError, RequestError."""
    import signal

    playout = Playout(Path(folder), settings or PlayoutSettings())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: playout.stop())
    playout.run()
