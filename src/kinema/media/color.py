"""Convert between RGB and the YUV of files, with explicit matrix and range on both sides.

Legend: F pixel frames, H W height and width, C channels.
Written files are converted to BT.709 limited range and tagged. Read files follow their tags; files without tags are
treated as in players: BT.709 from 1280 columns or 577 rows up, BT.601 below. PQ and HLG (HDR) and BT.2020 primaries are
converted to BT.709 SDR (hdr.py); other transfer curves and primaries differ little and are read as coded.
"""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from . import hdr
from .alpha import over_white

LIMITED, FULL, BT709 = 1, 2, 1
# Without these flags swscale drops chroma to the nearest sample and loses 10 dB on smooth content.
_EXACT = (
    Interpolation.BILINEAR
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
_MATRIX_OF_TAG = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}

_LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Coefficients of red and blue in luma, by matrix tag."""


def tag_bt709(context: av.VideoCodecContext) -> None:
    """Tag an encoder's output as BT.709, limited range."""
    context.color_range, context.colorspace = LIMITED, BT709
    context.color_primaries, context.color_trc = BT709, BT709


def to_yuv(frame_HWC: np.ndarray, pixel_format: str) -> av.VideoFrame:
    """Convert a uint8 RGB picture to a BT.709 limited-range frame of `pixel_format` (yuv420p, yuv444p)."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
    return frame.reformat(
        format=pixel_format,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=_EXACT,
        threads=1,
    )


def to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Convert a decoded frame of any pixel format to BT.709 uint8 RGB (H, W, 3), composited over white."""
    wide = int(frame.color_trc) in (hdr.PQ, hdr.HLG) or int(frame.color_primaries) == hdr.BT2020
    if any(part.is_alpha for part in frame.format.components) or frame.format.name == "pal8":
        if not wide:
            return over_white(_converted(frame, "rgba"))
        sdr_HWC = hdr.to_sdr(_deep(frame), int(frame.color_trc), int(frame.color_primaries))
        return over_white(np.dstack([sdr_HWC, _converted(frame, "rgba")[..., 3]]))
    if wide:
        return hdr.to_sdr(_deep(frame), int(frame.color_trc), int(frame.color_primaries))
    return _converted(frame, "rgb24")


def _deep(frame: av.VideoFrame) -> np.ndarray:
    """The frame as 16-bit full-range RGB, (3, H, W), in the file's own transfer curve. swscale only upsamples the
    chroma: its matrices have an error of 0.2 %, which PQ multiplies by ten."""
    bits = frame.format.components[0].bits
    if frame.format.is_rgb or bits > 16:
        return np.moveaxis(_converted(frame, "rgb48le"), -1, 0)
    yuv = frame.reformat(format="yuv444p16le", interpolation=_EXACT, threads=1).to_ndarray()
    yuv_CHW = yuv if len(yuv) == 3 else np.moveaxis(yuv, -1, 0)
    red, blue = _LUMA.get(int(frame.colorspace), _LUMA[9])
    green = 1 - red - blue
    to_rgb_33 = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    if _is_full(frame):
        unit = (2**bits - 1) << (16 - bits)
        low, spread = np.array([0, 2**15, 2**15]), np.array([unit, unit, unit])
    else:
        low, spread = np.array([16, 128, 128]) * 256, np.array([219, 224, 224]) * 256
    matrix_33 = (to_rgb_33 / spread * 65_535).astype(np.float32)
    rgb_CP = matrix_33 @ yuv_CHW.reshape(3, -1).astype(np.float32)
    rgb_CP += (0.5 - to_rgb_33 @ (low / spread) * 65_535).astype(np.float32)[:, None]
    return np.clip(rgb_CP, 0, 65_535, out=rgb_CP).astype(np.uint16).reshape(yuv_CHW.shape)


def _is_full(frame: av.VideoFrame) -> bool:
    return frame.color_range == FULL or frame.format.name.startswith("yuvj")


def _converted(frame: av.VideoFrame, name: str) -> np.ndarray:
    if frame.format.is_rgb or frame.format.name == "pal8":
        return frame.reformat(format=name, threads=1).to_ndarray()
    guess = Colorspace.ITU709 if frame.width >= 1280 or frame.height > 576 else Colorspace.ITU601
    return frame.reformat(
        format=name,
        src_colorspace=_MATRIX_OF_TAG.get(int(frame.colorspace), guess),
        src_color_range=ColorRange.JPEG if _is_full(frame) else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACT,
        threads=1,
    ).to_ndarray()
