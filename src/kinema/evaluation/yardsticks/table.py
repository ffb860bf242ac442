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
from .vbench_semantic import refuse

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


ALL = "all"
"""In the place of names: every metric that the given sets and the weights on this machine allow."""


def named(metrics: str | Sequence[str]) -> list[str]:
    """The names of metrics, which may be separated by commas, each once. Raises RequestError for others, which also
    says what a dimension of VBench would require that is not computed."""
    words = [metrics] if isinstance(metrics, str) else metrics
    given = [part.strip() for name in words for part in name.split(",") if part.strip()]
    legal = ", ".join((*YARDSTICKS, ALL))
    for name in given:
        refuse(name, legal)
        if name not in YARDSTICKS and name != ALL:
            raise RequestError(
                f"No metric {name!r}.", field="metrics", value=name, legal=legal, nearest=nearest(name, [*YARDSTICKS]),
            )  # fmt: skip
    return list(dict.fromkeys(given))


def chosen(metrics: Sequence[str], settings: YardstickSettings) -> list[Yardstick]:
    """The yardsticks of these names, without `all`. Raises RequestError."""
    return [YARDSTICKS[name](settings) for name in named(metrics) if name != ALL]
