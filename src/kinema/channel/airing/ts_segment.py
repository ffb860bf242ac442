"""Mux packets into MPEG-TS segments for HLS. Each begins with tables and a keyframe; together they form one stream.

Each segment has its own muxer, whose continuity counters begin at 0. They are renumbered here, because players that
demultiplex consecutive segments as one stream (such as ffmpeg) treat a counter jump as lost data.
"""

from __future__ import annotations

import io

import numpy as np

from .stream import MediaPacket, Muxer, StreamFormat, interleaved

TS_PACKET = 188
NOTHING = b"\x47\x1f\xff\x10" + b"\xff" * 184
"""A null packet, which receivers skip."""


class Segmenter:
    """Muxes segments. counters: the last continuity counter of each PID, to be preserved between runs."""

    def __init__(self, shape: StreamFormat, counters: dict[int, int] | None = None) -> None:
        self.shape, self.counters = shape, dict(counters or {})

    def segment(self, video: list[MediaPacket], audio: list[MediaPacket]) -> bytes:
        """Mux whole GOPs with the audio that starts in them. Timestamps follow the channel's counters."""
        buffer = io.BytesIO()
        muxer = Muxer(buffer, "mpegts", self.shape)
        try:
            for media in interleaved(video, audio, self.shape):
                muxer.send(media)
        finally:
            muxer.close()
        return self._renumbered(buffer.getvalue())

    def _renumbered(self, data: bytes) -> bytes:
        packets_NB = np.frombuffer(data, np.uint8).reshape(-1, TS_PACKET).copy()
        pids_N = (packets_NB[:, 1].astype(np.int32) & 31) << 8 | packets_NB[:, 2]
        payload_N = (packets_NB[:, 3] >> 4) & 1  # a packet without payload repeats the counter
        for pid in np.unique(pids_N).tolist():
            of_pid = pids_N == pid
            counts = self.counters.get(pid, 15) + np.cumsum(payload_N[of_pid], dtype=np.int64)
            packets_NB[of_pid, 3] = packets_NB[of_pid, 3] & 0xF0 | (counts & 15).astype(np.uint8)
            self.counters[pid] = int(counts[-1] & 15)
        return packets_NB.tobytes()
