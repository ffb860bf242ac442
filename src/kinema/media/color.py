"""RGB to the YUV of a file and back, with the matrix and range said aloud on both sides.

Legend: F pixel frames, H W height and width, C channels.
Written files are BT.709 limited range, converted and tagged. Read files follow their tags; a file that has
none is taken as players take it: BT.709 from 1280 columns or 577 rows up, BT.601 below. Transfer curves are
not converted: HDR (PQ, HLG) material is read as it is coded, without tone mapping.
"""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from kinema.media.alpha import over_white

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


def tag_bt709(context: av.VideoCodecContext) -> None:
    """Mark an encoder's output as BT.709, limited range."""
    context.color_range, context.colorspace = LIMITED, BT709
    context.color_primaries, context.color_trc = BT709, BT709


def to_yuv(frame_HWC: np.ndarray, pixel_format: str) -> av.VideoFrame:
    """A uint8 RGB picture as a BT.709 limited-range frame of `pixel_format` (yuv420p, yuv444p)."""
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
    """A decoded frame of any pixel format as uint8 RGB, shape (H, W, 3); transparency is laid over white."""
    if any(part.is_alpha for part in frame.format.components) or frame.format.name == "pal8":
        return over_white(_converted(frame, "rgba"))
    return _converted(frame, "rgb24")


def _converted(frame: av.VideoFrame, name: str) -> np.ndarray:
    if frame.format.is_rgb or frame.format.name == "pal8":
        return frame.reformat(format=name, threads=1).to_ndarray()
    full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    guess = Colorspace.ITU709 if frame.width >= 1280 or frame.height > 576 else Colorspace.ITU601
    return frame.reformat(
        format=name,
        src_colorspace=_MATRIX_OF_TAG.get(int(frame.colorspace), guess),
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACT,
        threads=1,
    ).to_ndarray()
