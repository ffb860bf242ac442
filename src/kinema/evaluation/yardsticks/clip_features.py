"""What measures of sets keep of a clip: the features of its frames under a protocol. Legend: F frames, D features."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import MediaError, RequestError
from .contract import MOST_FRAMES, ClipFile, Row, SetClip, YardstickSettings
from .fvd_protocols import FvdProtocol, fvd_protocol

if TYPE_CHECKING:
    from ...features.video_encoder import VideoEncoder

LEAST_CLIPS = 2


class ClipFeatures:
    """Features of clips, by an encoder that is loaded when it is needed. Several yardsticks of the same encoder and
    protocol in one process encode each clip once."""

    def __init__(self, settings: YardstickSettings) -> None:
        from ...features.video_encoder import MINI

        self.chosen: FvdProtocol = fvd_protocol(settings.protocol)
        self.name, self.device = settings.features or MINI, settings.device or "cpu"

    @property
    def encoder(self) -> VideoEncoder:
        """Raises RequestError, WeightsMissing, ModelError."""
        return _encoder(self.name, self.device)

    def protocol(self) -> dict[str, Any]:
        encoder = self.encoder
        return {
            **self.chosen.facts(),
            "frames_read": MOST_FRAMES,
            "features": self.name,
            "weights": encoder.digest,
            "size_px": encoder.size_px,
            "frames_of_network": encoder.num_frames,
            "resize_of_network": encoder.resize,
        }

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        """RequestError for too few clips, and for a protocol with fewer frames than the network needs."""
        for field, files in (("clips", clips), ("against", against)):
            if len(files) < LEAST_CLIPS:
                raise RequestError(
                    f"A distance of two sets needs {LEAST_CLIPS} clips in each; {field} has {len(files)}.",
                    field=field, value=len(files), legal=f"at least {LEAST_CLIPS} clips",
                )  # fmt: skip
        frames, least = self.chosen.frames, self.encoder.least_frames
        if frames is not None and frames < least:
            raise RequestError(
                f"The protocol {self.chosen.name} has {frames} frames; {self.name} needs {least}.",
                field="features", value=self.name, legal=f"an encoder of at most {frames} frames",
            )  # fmt: skip

    def measure(self, clip: SetClip) -> Row:
        """{"features": (D,) float64, "fps", "frames"}. MediaError for a clip with too few frames."""
        encoder = self.encoder
        frames_FHWC = self.chosen.chosen(clip.frames_FHWC, clip.file.name)
        if len(frames_FHWC) < encoder.least_frames:
            raise MediaError(f"{clip.file.name}: {len(frames_FHWC)} frames; {self.name} needs {encoder.least_frames}.")
        wanted = encoder.num_frames
        if wanted is not None and len(frames_FHWC) != wanted:
            frames_FHWC = frames_FHWC[np.linspace(0, len(frames_FHWC) - 1, wanted).round().astype(int)]
        return {
            "features": _remembered(encoder, self.chosen.prepare(frames_FHWC, encoder.size_px)),
            "fps": np.array(float(clip.fps)),
            "frames": np.array(len(clip.frames_FHWC)),
        }

    def facts(self, rows: Sequence[Row], against: Sequence[Row]) -> dict[str, Any]:
        """What differs from the source's protocol: other numbers of clips, other rates."""
        wanted = self.chosen.clips
        found: dict[str, Any] = {"clips": len(rows), "against": len(against)}
        if wanted is not None and (len(rows) != wanted or len(against) != wanted):
            found["clips_in_source"] = wanted
        rates = sorted({round(float(row["fps"]), 3) for row in (*rows, *against) if "fps" in row})
        if len(rates) > 1 or (self.chosen.fps is not None and rates != [self.chosen.fps]):
            found["fps"] = rates
        if self.chosen.unknown:
            found["unknown"] = list(self.chosen.unknown)
        return found


def stacked(rows: Sequence[Row]) -> np.ndarray:
    """The features of rows (N, D), float64."""
    return np.stack([row["features"] for row in rows]).astype(np.float64)


@functools.lru_cache(maxsize=2)
def _encoder(name: str, device: str) -> VideoEncoder:
    from ...features.video_encoder import video_encoder

    return video_encoder(name, device)


_LAST: dict[tuple[str, bytes], np.ndarray] = {}
"""The features of the last clips, by weights and pixels: yardsticks take turns at each clip."""
_KEPT = 4


def _remembered(encoder: VideoEncoder, frames_FHWC: np.ndarray) -> np.ndarray:
    frames_FHWC = np.ascontiguousarray(frames_FHWC)
    digest = hashlib.sha256(str((frames_FHWC.shape, frames_FHWC.dtype)).encode())
    digest.update(frames_FHWC.data)
    key = (encoder.digest, digest.digest())
    if key not in _LAST:
        found = np.asarray(encoder(frames_FHWC[None])[0], dtype=np.float64)
        if len(_LAST) >= _KEPT:
            del _LAST[next(iter(_LAST))]
        _LAST[key] = found
    return _LAST[key].copy()
