"""A clip of more range, colours or depth than what is written: each command that makes a clip of it says so, once."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from cli_tools import answer, run

PQ, HLG, BT709, BT2020 = 16, 18, 1, 9


def clip(transfer: int, primaries: int, pixels: str) -> str:
    with av.open("in.mkv", "w") as container:
        stream = container.add_stream("ffv1", rate=12)
        stream.height, stream.width, stream.pix_fmt = 32, 32, pixels
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = primaries, primaries, transfer
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(32, 32, pixels)))
        container.mux(stream.encode())
    return "in.mkv"


KINDS = [
    (PQ, BT2020, "yuv420p10le",
     "The clip is HDR (PQ, 10 bits per channel); it is tone-mapped and written as SDR with 8 bits."),
    (HLG, BT2020, "yuv420p10le",
     "The clip is HDR (HLG, 10 bits per channel); it is tone-mapped and written as SDR with 8 bits."),
    (BT709, BT2020, "yuv420p10le", "The clip has BT.2020 colours and 10 bits per channel; it is converted to "
     "BT.709 and 8 bits."),
    (BT709, BT709, "yuv420p10le", "The clip has 10 bits per channel; it is converted to 8."),
    (BT709, BT709, "yuv420p", ""),
]  # fmt: skip
COMMANDS = (
    ("upscale", "--by", "lanczos"),
    ("interpolate", "--by", "blend"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(("transfer", "primaries", "pixels", "told"), KINDS)
def test_it_is_said_in_one_note(
    command: tuple[str, ...], transfer: int, primaries: int, pixels: str, told: str, tmp_path: Path
) -> None:
    name = clip(transfer, primaries, pixels)
    result = run(command[0], name, *command[1:], "-o", "out.mp4")
    assert result.exit_code == 0, result.output
    assert [line for line in result.stderr.splitlines() if line.startswith("The clip")] == ([told] if told else [])
    found = run(command[0], name, *command[1:], "-o", "again.mp4", "--json")
    assert answer(found)["notes"] == ([told] if told else []) and "The clip" not in found.stderr
