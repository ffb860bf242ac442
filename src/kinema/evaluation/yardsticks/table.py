"""The table of yardsticks. A new one is a file beside this one, and a line in YARDSTICKS."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...core.errors import RequestError
from ...core.near import nearest
from .clipsim import ClipSim
from .contract import Yardstick, YardstickSettings
from .fvd import FrechetVideoDistance
from .kernel_distance import KernelDistance
from .pairs import make_lpips, make_psnr, make_ssim
from .trajectory import TrajectoryError
from .vbench import DIMENSIONS, VBenchQuality
from .vbench_camera import AskedCameraMotion

YARDSTICKS: dict[str, Callable[[YardstickSettings], Yardstick]] = {
    "fvd": FrechetVideoDistance,
    "kernel_distance": KernelDistance,
    "psnr": make_psnr,
    "ssim": make_ssim,
    "lpips": make_lpips,
    "clipsim": ClipSim,
    "trajectory_error": TrajectoryError,
    **DIMENSIONS,
    "camera_motion": AskedCameraMotion,
    "vbench": VBenchQuality,
}
"""Makers by name. A maker checks the settings (RequestError) and loads no weights: `measure` does."""


def chosen(names: Sequence[str], settings: YardstickSettings) -> list[Yardstick]:
    """The yardsticks of these names, which may be separated by commas, each once. Raises RequestError."""
    given = [part.strip() for name in names for part in name.split(",") if part.strip()]
    for name in given:
        if name not in YARDSTICKS:
            raise RequestError(
                f"No metric {name!r}.", field="metrics", value=name, legal=", ".join(YARDSTICKS),
                nearest=nearest(name, list(YARDSTICKS)),
            )  # fmt: skip
    return [YARDSTICKS[name](settings) for name in dict.fromkeys(given)]
