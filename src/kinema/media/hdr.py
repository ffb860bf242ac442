"""Tone-map HDR and wide-gamut video (PQ, HLG, BT.2020) to BT.709 SDR.

Light is measured in reference whites: 1.0 is the diffuse white of HDR, 203 cd/m2 (ITU-R BT.2408), which an SDR picture
codes as 255. A shoulder compresses highlights into the last fifth below white: light up to 0.8 is unchanged, and
reference white becomes 247.
Sources: SMPTE ST 2084 (PQ), ITU-R BT.2100 (HLG), BT.2087 (BT.2020 to BT.709), BT.1886 (gamma 2.4).
"""

from __future__ import annotations

import functools

import numpy as np

PQ, HLG, BT2020 = 16, 18, 9  # code points of ITU-T H.273
WHITE_NITS = 203.0
HLG_PEAK_NITS, HLG_GAMMA = 1000.0, 1.2
SDR_GAMMA = 2.4
KNEE = 0.8
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)


def pq_nits(signal: np.ndarray) -> np.ndarray:
    """Convert PQ code values in [0, 1] to light, 0 to 10000 cd/m2 (ST 2084, equation 4.1)."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = np.power(np.clip(signal, 0, 1), 1 / m2)
    return 10_000 * np.power(np.maximum(root - c1, 0) / (c2 - c3 * root), 1 / m1)


def hlg_scene(signal: np.ndarray) -> np.ndarray:
    """Convert HLG code values in [0, 1] to scene light in [0, 1] (BT.2100, table 5, inverse OETF)."""
    a, b = 0.17883277, 0.28466892
    c = 0.5 - a * np.log(4 * a)
    code = np.clip(signal, 0, 1)
    return np.where(code <= 0.5, code * code / 3, (np.exp((code - c) / a) + b) / 12)


def shoulder(light: np.ndarray) -> np.ndarray:
    """Compress light in reference whites to [0, 1]: unchanged up to KNEE, then approaching 1."""
    over = np.maximum(light - KNEE, 0) / (1 - KNEE)
    return np.where(light <= KNEE, light, 1 - (1 - KNEE) * np.exp(-over))


def to_sdr(code_CHW: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Convert 16-bit full-range RGB coded with `transfer`, (3, H, W), to BT.709 uint8 RGB, (H, W, 3).

    Colours outside BT.709 are clipped per channel; tone mapping uses the brightest channel, which preserves hues."""
    shape = code_CHW.shape[1:]
    light_CP = np.take(_linear_table(transfer), code_CHW.reshape(3, -1))
    if transfer == HLG:  # the system gamma applies to the pixel's luma, not to each channel
        bright_P = np.maximum(_LUMA_2020 @ light_CP, 1e-6)
        light_CP *= np.power(bright_P, HLG_GAMMA - 1) * np.float32(HLG_PEAK_NITS / WHITE_NITS)
    if primaries == BT2020:
        light_CP = _TO_BT709 @ light_CP
    np.maximum(light_CP, 0, out=light_CP)
    if transfer in (PQ, HLG):
        brightest_P = light_CP.max(0)
        over_P = np.flatnonzero(brightest_P > KNEE)
        light_CP[:, over_P] *= shoulder(brightest_P[over_P]) / brightest_P[over_P]
    np.sqrt(np.minimum(light_CP, 1, out=light_CP), out=light_CP)
    light_CP *= 65_535
    light_CP += 0.5
    sdr_CP = np.take(_code_table(), light_CP.astype(np.uint16))
    return np.ascontiguousarray(sdr_CP.T).reshape(*shape, 3)


@functools.cache
def _linear_table(transfer: int) -> np.ndarray:
    """float32 light of all 65536 code values: in reference whites, or scene light for HLG."""
    code = np.arange(65_536) / 65_535
    if transfer == PQ:
        return (pq_nits(code) / WHITE_NITS).astype(np.float32)
    return (hlg_scene(code) if transfer == HLG else code**SDR_GAMMA).astype(np.float32)


@functools.cache
def _code_table() -> np.ndarray:
    """uint8 code values of light, indexed by its square root in steps of 1/65535 (finer in the shadows)."""
    light = (np.arange(65_536) / 65_535) ** 2
    return np.rint(255 * light ** (1 / SDR_GAMMA)).astype(np.uint8)
