"""ffmpeg's own measure of loudness, as a second opinion."""

from __future__ import annotations

import av
import numpy as np


def ffmpeg_level(samples_SC: np.ndarray) -> tuple[float, float]:
    """(integrated LUFS, true peak in dBTP) of a sound at 48 kHz by the filter ebur128."""
    layout = "mono" if samples_SC.shape[1] == 1 else "stereo"
    graph = av.filter.Graph()
    given = graph.add("abuffer", f"sample_rate=48000:sample_fmt=flt:channel_layout={layout}:time_base=1/48000")
    measure, end = graph.add("ebur128", "peak=true:metadata=1"), graph.add("abuffersink")
    given.link_to(measure)
    measure.link_to(end)
    graph.configure()
    last: dict[str, str] = {}
    for start in range(0, len(samples_SC), 4800):
        part = np.ascontiguousarray(samples_SC[start : start + 4800], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts = 48000, start
        graph.push(frame)
        while True:
            try:
                last = dict(graph.pull().metadata) or last
            except (av.error.BlockingIOError, av.error.EOFError):
                break
    peak = max(float(value) for name, value in last.items() if name.startswith("lavfi.r128.true_peaks_ch"))
    return float(last["lavfi.r128.I"]), 20 * np.log10(peak)
