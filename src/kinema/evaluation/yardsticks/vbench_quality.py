"""VBench's figures of single frames, where their weights are on this machine: aesthetic and imaging quality.

- Aesthetic quality: a linear layer on the unit image vectors of CLIP ViT-L/14, over 10 (the LAION aesthetic predictor,
  sa_0_4_vit_l_14_linear.pth).
- Imaging quality: MUSIQ trained on SPAQ (Ke and others, 2021, arXiv 2108.05997) on frames of at most 512 px, over 100;
  by the package pyiqa and the file musiq_spaq_ckpt-358bb6af.pth.

Kinema ships neither. The files are looked for where VBench keeps them: VBENCH_CACHE_DIR, else ~/.cache/vbench. Source:
arXiv 2311.17982.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...core.errors import WeightsMissing
from ...features.aesthetic import CLIP, Head, aesthetic_head
from . import picture_features
from .clip_means import mean_score
from .contract import MOST_FRAMES, ClipFile, Row, Score, SetClip, YardstickSettings

AESTHETIC_HEAD, MUSIQ = "sa_0_4_vit_l_14_linear.pth", "musiq_spaq_ckpt-358bb6af.pth"
LONGEST_PX = 512


def vbench_file(name: str) -> Path | None:
    """A file of VBench's cache, by its name."""
    cache = Path(os.environ.get("VBENCH_CACHE_DIR") or Path.home() / ".cache" / "vbench")
    return next(iter(sorted(cache.rglob(name))), None) if cache.is_dir() else None


def _found(name: str, what: str) -> Path:
    file = vbench_file(name)
    if file is None:
        raise WeightsMissing(
            f"{what} requires {name} in VBENCH_CACHE_DIR (default ~/.cache/vbench). Kinema ships none."
        )
    return file


class _OfFrames:
    """The mean over frames, then clips."""

    name = title = ""
    unit = ""
    better: Literal["lower", "higher", "neither"] = "higher"
    against: Literal["no", "set", "pairs"] = "no"

    def __init__(self, settings: YardstickSettings) -> None:
        self.device = settings.device or "cpu"

    def score(self, rows: Sequence[Row], against: Sequence[Row]) -> Score:
        return mean_score([float(row["value"]) for row in rows], self.unit, {"clips": len(rows)})


class AestheticQuality(_OfFrames):
    name, title = "aesthetic_quality", "aesthetic quality of frames"

    def __init__(self, settings: YardstickSettings, clip: str = CLIP) -> None:
        super().__init__(settings)
        self.clip = clip

    def protocol(self) -> dict[str, Any]:
        from ...weights.store import digests

        file = _found(AESTHETIC_HEAD, self.name)
        encoder = picture_features.text_and_pictures_of(self.clip, self.device)
        return {
            "backbone": encoder.name, "weights": encoder.digest, "head": next(iter(digests(file).values())),
            "frames_read": MOST_FRAMES, "scale": "score / 10",
        }  # fmt: skip

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        """WeightsMissing if a part is not on this machine."""
        from ...features.text_and_pictures import folder_of

        _found(AESTHETIC_HEAD, self.name)
        folder_of(self.clip)

    def measure(self, clip: SetClip) -> Row:
        encoder = picture_features.text_and_pictures_of(self.clip, self.device)
        score = _head(str(_found(AESTHETIC_HEAD, self.name)))
        scores_F = score(picture_features.vectors_of(encoder, clip.frames_FHWC))
        return {"value": np.array(scores_F.mean() / 10)}


class ImagingQuality(_OfFrames):
    name, title = "imaging_quality", "technical quality of frames"

    def protocol(self) -> dict[str, Any]:
        from ...weights.store import digests

        return {
            "backbone": "musiq-spaq (pyiqa)", "weights": next(iter(digests(_found(MUSIQ, self.name)).values())),
            "longest_px": LONGEST_PX, "frames_read": MOST_FRAMES, "scale": "score / 100",
        }  # fmt: skip

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        """WeightsMissing if a part is not on this machine."""
        if importlib.util.find_spec("pyiqa") is None:
            raise WeightsMissing(f"{self.name} requires the package pyiqa, which is not installed: pip install pyiqa.")
        _found(MUSIQ, self.name)

    def measure(self, clip: SetClip) -> Row:
        import torch
        from torch.nn import functional as F

        network = _musiq(str(_found(MUSIQ, self.name)), self.device)
        height, width = clip.frames_FHWC.shape[1:3]
        scale = min(1.0, LONGEST_PX / max(height, width))
        size = (round(height * scale), round(width * scale))
        scores = []
        with torch.inference_mode():
            for frame_HWC in clip.frames_FHWC:
                x = torch.from_numpy(np.ascontiguousarray(frame_HWC)).permute(2, 0, 1)[None].float() / 255
                x = F.interpolate(x, size, mode="bilinear", antialias=False, align_corners=False) if scale < 1 else x
                scores.append(float(network(x.to(self.device))))
        return {"value": np.array(np.mean(scores) / 100)}


@functools.lru_cache(maxsize=1)
def _head(file: str) -> Head:
    return aesthetic_head(Path(file))


@functools.lru_cache(maxsize=1)
def _musiq(file: str, device: str) -> Any:
    pyiqa = importlib.import_module("pyiqa")
    return pyiqa.create_metric("musiq-spaq", pretrained_model_path=file, device=device)
