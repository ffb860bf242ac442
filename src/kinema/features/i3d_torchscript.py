"""I3D as the TorchScript file that published Frechet video distances use.

The file holds code. It runs in TorchScript's interpreter, not in Python: it cannot import modules, but it is more than
weights. So no file is opened that the user has not named or pulled. Legend: B clips, F frames, H W pixels.

Sources: Carreira and Zisserman, "Quo vadis, action recognition?", 2017, arXiv 1705.07750; its 400 logits as features:
Unterthiner and others, 2018, arXiv 1812.01717.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ModelError, WeightsMissing
from ..weights import published_files
from .clip_input import checked

CLASSES = 400
ARGUMENTS = ("rescale", "resize", "return_features")
PUBLISHED_CHECK = 151.256
"""The distance of 8 black clips from 8 white ones that common_metrics_on_video_quality states, 30 frames of 64x64. It
varies by 1 between versions of torch. No digest of the file is published: this identifies it."""
CHECK_WITHIN = 1.5


class TorchScriptI3d:
    """A function of (B, 3, F, H, W) with the arguments rescale, resize and return_features that returns 400 logits.
    Frames of 224x224 go in as [-1, 1]; others as [0, 255], and the file's own code rescales and resizes them."""

    size_px, least_frames, resize = 224, 10, "whole frame, by the file's own code"
    num_frames: int | None = None

    def __init__(self, name: str, model: str, device: str = "cpu") -> None:
        """model: the file; "": where `kinema models pull i3d` puts it. Raises WeightsMissing, ModelError."""
        import torch

        file = Path(model).expanduser() if model else published_files.located("i3d")
        if not file.is_file():
            raise WeightsMissing(f"{file}: no such file. I3D is i3d:FILE; `kinema models pull i3d` fetches the file.")
        self.name, self.place = name, torch.device(device)
        with file.open("rb") as stream:
            self.digest = hashlib.file_digest(stream, "sha256").hexdigest()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the published file has no other form
                self.network: Any = torch.jit.load(str(file), map_location=self.place).eval()
            named = {each.name for each in self.network.forward.schema.arguments}
        except (RuntimeError, ValueError, OSError, AttributeError) as error:
            why = (str(error).strip().splitlines() or [""])[0][:200]
            raise ModelError(f"{file}: not a TorchScript file ({why}).") from None
        if missing := [each for each in ARGUMENTS if each not in named]:
            raise ModelError(f"{file}: not the I3D of video distances: it takes no {', '.join(missing)}.")

    def __call__(self, frames_BFHWC: np.ndarray) -> np.ndarray:
        """Logits (B, 400), float64. frames: RGB, uint8 or float32 in [0, 255]."""
        import torch

        x = torch.from_numpy(np.ascontiguousarray(checked(frames_BFHWC, self.least_frames))).to(self.place)
        x_BCFHW = x.permute(0, 4, 1, 2, 3)
        ready = x.shape[2:4] == (self.size_px, self.size_px)
        if ready:
            x_BCFHW = x_BCFHW.float() / 127.5 - 1
        with torch.inference_mode():
            found = self.network(x_BCFHW, rescale=not ready, resize=not ready, return_features=True)
        if found.shape != (len(x), CLASSES):
            raise ModelError(f"{self.name}: returned {tuple(found.shape)}, not the {CLASSES} logits of I3D.")
        features: np.ndarray = found.double().cpu().numpy()
        return features

    def check_value(self) -> float:
        """The distance of black clips from white ones, to compare with PUBLISHED_CHECK. Equal clips have no covariance:
        it is that of the means."""
        black, white = (self(np.full((1, 30, self.size_px, self.size_px, 3), value, np.uint8))[0] for value in (0, 255))
        return float(((black - white) ** 2).sum())


def check_words(file: Path) -> str:
    """Whether a file is the I3D of published figures, by how it answers. Raises ModelError for one that is no I3D."""
    found = TorchScriptI3d("i3d", str(file)).check_value()
    kind = "as" if abs(found - PUBLISHED_CHECK) <= CHECK_WITHIN else "NOT as"
    return f"black against white clips: {found:.3f}, {kind} published ({PUBLISHED_CHECK})"
