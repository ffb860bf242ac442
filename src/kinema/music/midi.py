"""Write a score as a standard MIDI file: a tempo track, and one track per part."""

from __future__ import annotations

import struct

from .score import Part, Score

TICKS_A_BEAT = 480
PROGRAMS = {
    "piano": 0, "electric-piano": 4, "marimba": 12, "bells": 14, "organ": 19, "guitar": 24, "bass": 33, "violin": 40,
    "harp": 46, "strings": 48, "choir": 52, "flute": 73, "synth": 80, "warm-pad": 89,
}  # fmt: skip
"""General MIDI program numbers, from 0."""
_DRUM_CHANNEL = 9


# mido is not used: it would save ten lines, take eight times as long, and add a dependency.
def to_midi(score: Score) -> bytes:
    """The bytes of the file. Notes end with the piece at the latest."""
    end = round(score.seconds * score.bpm / 60 * TICKS_A_BEAT)
    tempo = struct.pack(">I", round(60e6 / score.bpm))[1:]
    tracks = [b"\x00\xff\x51\x03" + tempo + _number(end) + b"\xff\x2f\x00"]
    channels = iter([channel for channel in range(16) if channel != _DRUM_CHANNEL])
    tracks += [_track(part, _DRUM_CHANNEL if part.role == "drums" else next(channels), end) for part in score.parts]
    head = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), TICKS_A_BEAT)
    return head + b"".join(b"MTrk" + struct.pack(">I", len(each)) + each for each in tracks)


def _track(part: Part, channel: int, end: int) -> bytes:
    volume = max(1, min(127, round(127 * 10 ** ((part.gain_db + 3) / 40))))
    events: list[tuple[int, int, bytes]] = [
        (0, 0, bytes((0xB0 | channel, number, value)))
        for number, value in ((7, volume), (10, round(64 + 63 * part.pan)), (91, round(127 * part.wet)))
    ]
    if part.role != "drums":
        events.append((0, 0, bytes((0xC0 | channel, PROGRAMS[part.instrument]))))
    for note in part.notes:
        start = round(note.start * TICKS_A_BEAT)
        stop = min(end, max(start + 1, round((note.start + note.beats) * TICKS_A_BEAT)))
        if start < end:
            events.append((start, 2, bytes((0x90 | channel, note.pitch, max(1, min(127, round(127 * note.loud)))))))
            events.append((stop, 1, bytes((0x80 | channel, note.pitch, 0))))
    out, now = b"", 0
    for tick, _, event in sorted(events):
        out += _number(tick - now) + event
        now = tick
    return out + _number(max(0, end - now)) + b"\xff\x2f\x00"


def _number(value: int) -> bytes:
    """MIDI's variable-length quantity: seven bits per byte; the high bit marks that more bytes follow."""
    out = bytes((value & 0x7F,))
    while value := value >> 7:
        out = bytes((0x80 | value & 0x7F,)) + out
    return out
