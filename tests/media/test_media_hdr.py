"""HDR to SDR, against a second implementation of the standards' formulas, through files of every depth and range."""

from __future__ import annotations

import math
from fractions import Fraction

import av
import numpy as np
import pytest

from kinema.conditions import inputs
from kinema.media import hdr
from kinema.media.read import probe, read_video

GRAYS_NITS = (0.0, 1.0, 5.0, 20.0, 50.0, 100.0, 162.0, 203.0, 400.0, 1000.0)
TRANSFER = {"PQ": 16, "HLG": 18, "SDR": 1}


def pq_code(nits: float) -> float:
    """ST 2084, the inverse EOTF."""
    y = (nits / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def hlg_code(nits: float) -> float:
    """BT.2100: the OETF after the inverse OOTF of a 1000 cd/m2 display, for a gray."""
    scene = (nits / 1000) ** (1 / 1.2)
    if scene <= 1 / 12:
        return math.sqrt(3 * scene)
    return 0.17883277 * math.log(12 * scene - 0.28466892) + 0.55991073


def sdr(light: float) -> float:
    """The code, 0 to 255, of light in reference whites: a second implementation of the tone mapping."""
    light = light if light <= 0.8 else 1 - 0.2 * math.exp(-(light - 0.8) / 0.2)
    return 255 * min(1.0, light) ** (1 / 2.4)


def encoded(path, codes, *, transfer, primaries=9, pixels="yuv420p10le", span="limited"):
    """Two frames of flat fields, each with the RGB codes (0 to 1) of one entry, quantised here, with these tags."""
    bits = {"10": 10, "12": 12, "16": 16}[pixels.removesuffix("le")[-2:]]
    r, g, b = np.clip(np.asarray(codes, np.float64), 0, 1).T
    y = 0.2627 * r + 0.6780 * g + 0.0593 * b
    planes = [y, (b - y) / 1.8814, (r - y) / 1.4746]
    most = 2**bits - 1
    if span == "full":
        levels = [planes[0] * most] + [part * most + 2 ** (bits - 1) for part in planes[1:]]
    else:
        unit = 2 ** (bits - 8)
        levels = [(16 + 219 * planes[0]) * unit] + [(128 + 224 * part) * unit for part in planes[1:]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=12)
        stream.height, stream.width, stream.pix_fmt = 32, 16 * len(codes), pixels
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = 9, primaries, transfer
        context.color_range = 1 if span == "limited" else 2
        for k in range(2):
            frame = av.VideoFrame(16 * len(codes), 32, pixels)
            for plane, level in zip(frame.planes, levels):
                wide = plane.width // len(codes)
                row = np.repeat(np.rint(level).clip(0, most).astype("<u2"), wide)
                rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
                rows[:, : len(row)] = row
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = k, Fraction(1, 12)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def seen(path, count):
    """The middle of every field."""
    frame_HWC = read_video(path)[0][1]
    return [frame_HWC[16, 16 * k + 8].astype(int) for k in range(count)]


def test_the_formulas_are_the_standards():
    for nits in GRAYS_NITS:
        assert float(hdr.pq_nits(np.array(pq_code(nits)))) == pytest.approx(nits, rel=1e-6, abs=1e-6)
        assert 1000 * float(hdr.hlg_scene(np.array(hlg_code(nits)))) ** 1.2 == pytest.approx(nits, rel=1e-5, abs=1e-4)
    assert pq_code(203) == pytest.approx(0.5807, abs=1e-4)  # BT.2408: 58 % of PQ,
    assert hlg_code(203) == pytest.approx(0.75, abs=1e-3)  # 75 % of HLG
    light = np.linspace(0, 50, 10_001)
    bent = hdr.shoulder(light)
    assert (np.diff(bent) >= 0).all()
    assert bent.max() <= 1
    assert np.array_equal(bent[light <= 0.8], light[light <= 0.8])
    np.testing.assert_allclose(hdr._TO_BT709.sum(1), 1, atol=1e-4)  # white stays white


@pytest.mark.parametrize("name", ["PQ", "HLG"])
@pytest.mark.parametrize("span", ["limited", "full"])
@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv422p12le", "yuv444p16le"])
def test_grays_are_as_bright_as_they_should_be(tmp_path, name, span, pixels):
    code = pq_code if name == "PQ" else hlg_code
    grays = [(code(nits),) * 3 for nits in GRAYS_NITS]
    path = encoded(tmp_path / "a.mkv", grays, transfer=TRANSFER[name], pixels=pixels, span=span)
    info = probe(path)
    assert (info.transfer, info.primaries) == (name, "BT.2020")
    bits = f"{info.bit_depth} bits per channel"
    told = f"The clip is HDR ({name}, {bits}); it is tone-mapped and written as SDR with 8 bits."
    assert inputs.remarks(info) == [told]
    most_off = 2 if "10" in pixels else 1
    for nits, found in zip(GRAYS_NITS, seen(path, len(grays))):
        assert np.abs(found - sdr(nits / 203)).max() <= most_off, (nits, found)


def test_white_of_hdr_is_white(tmp_path):
    for name, code in (("PQ", pq_code), ("HLG", hlg_code)):
        path = encoded(tmp_path / "a.mkv", [(code(203),) * 3], transfer=TRANSFER[name])
        assert seen(path, 1)[0].min() >= 244


def test_colours_of_bt709_come_back(tmp_path):
    """BT.709 colours at 80 % of reference white, in BT.2020's primaries (BT.2087's matrix), coded as PQ."""
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    colors = np.array([(0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.1, 0.8), (0.7, 0.5, 0.1), (0.2, 0.3, 0.4)])
    codes = [[pq_code(203 * part) for part in to_2020 @ color] for color in colors]
    path = encoded(tmp_path / "a.mkv", codes, transfer=16, pixels="yuv444p12le")
    for color, found in zip(colors, seen(path, len(colors))):
        assert np.abs(found - [sdr(part) for part in color]).max() <= 2, (color, found)


def test_bt2020_without_hdr_has_its_colours_too(tmp_path):
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    colors = np.array([(0.8, 0.1, 0.1), (0.1, 0.8, 0.1), (0.2, 0.3, 0.4), (1.0, 1.0, 1.0)])
    codes = [(to_2020 @ color) ** (1 / 2.4) for color in colors]
    path = encoded(tmp_path / "a.mkv", np.clip(codes, 0, 1), transfer=1, pixels="yuv444p10le")
    assert probe(path).transfer == "SDR"
    assert any("BT.2020" in note for note in inputs.remarks(probe(path)))
    for color, found in zip(colors, seen(path, len(colors))):
        assert np.abs(found - 255 * color ** (1 / 2.4)).max() <= 2, (color, found)


@pytest.mark.parametrize("span", ["limited", "full"])
@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p12le"])
def test_sdr_of_many_bits_is_left_as_it_is(tmp_path, span, pixels):
    codes = [(level,) * 3 for level in np.linspace(0, 1, 9)]
    path = encoded(tmp_path / "a.mkv", codes, transfer=1, primaries=1, pixels=pixels, span=span)
    assert probe(path).bit_depth == (10 if "10" in pixels else 12)
    for (level, *_), found in zip(codes, seen(path, 9)):
        assert np.abs(found - 255 * level).max() <= 1
