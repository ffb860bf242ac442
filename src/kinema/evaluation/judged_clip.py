"""A clip to be measured, with what its manifest says about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..conditions import inputs
from ..conditions.path_file import read_paths
from ..core.conditions import Trajectory
from ..core.errors import MediaError, ModelError, RequestError
from ..core.plan import Manifest
from ..media.manifest import carried
from ..media.read import VideoInfo, read_chunks
from ..weights import store

CHUNK_FRAMES = 32


@dataclass(frozen=True)
class JudgedClip:
    """A clip with what its manifest says about it. paths: requested paths of objects. domain: the narrow domain of the
    model that generated it (`Card.domain`), or "". tracker: of objects; auto is for the metric to resolve."""

    path: Path
    info: VideoInfo
    paths: tuple[Trajectory, ...] = ()
    domain: str = ""
    tracker: str = "auto"
    device: str | None = None

    def chunks(self) -> Iterator[np.ndarray]:
        """The frames, uint8 RGB (F, H, W, 3), CHUNK_FRAMES at a time."""
        for chunk in read_chunks(self.path, chunk_frames=CHUNK_FRAMES, audio=False):
            yield chunk.frames

    def frames(self) -> Iterator[np.ndarray]:
        """The frames, one by one."""
        for frames_FHWC in self.chunks():
            yield from frames_FHWC


def judged(
    path: Path, trajectories: Sequence[str] = (), tracker: str = "auto", device: str | None = None
) -> JudgedClip:  # fmt: skip
    """Open a clip. trajectories: files whose paths replace those of its manifest. Raises MediaError."""
    info = inputs.info(str(path))
    plan, domain = None, ""
    if found := carried(path):
        try:
            plan = Manifest.from_dict(found).plan
            domain = store.find(plan.model).domain
        except (RequestError, ModelError):  # of another version, or a model that is not known here
            pass
    paths = tuple(each for file in trajectories for each in read_paths(file))
    if not trajectories and plan is not None:
        paths = tuple(each for each in plan.conditions if each.kind == "trajectory")
    if info.num_frames < 1:
        raise MediaError(f"{path}: contains no frames.")
    return JudgedClip(path, info, paths, domain, tracker, device)
