"""Dense optical flow of a clip: OpenCV's DIS, or RAFT with a person's own weights.

Legend: F frames, H W pixels, 2 (x, y) in px, x to the right, y down. flow[f] is the displacement of every pixel of
frame f to frame f + 1, so a clip of F frames has F - 1 flows.

Sources: Kroeger and others, "Fast optical flow using dense inverse search", 2016 (OpenCV's implementation); Teed and
Deng, "RAFT", 2020, arXiv 2003.12039 (torchvision's implementation). Tora trains with RAFT (arXiv 2407.21705).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ModelError, RequestError
from ..media.displacement import displacement

Estimate = Callable[[np.ndarray], np.ndarray]
"""uint8 frames (F, H, W, 3) to their flow, float32 (F - 1, H, W, 2). F >= 2."""
METHODS = ("dis", "raft")
RAFT_MULTIPLE, RAFT_LEAST_PX = 8, 128
"""RAFT takes sides that are multiples of 8 and at least 128 px; other frames are resized for it."""


def why_not(method: str, weights: str) -> str | None:
    """Why a method cannot be used, or None. weights: RAFT's file, or ""."""
    if method not in METHODS:
        return f"flow must be one of {', '.join(METHODS)}, got {method!r}."
    if method == "dis":
        return "raft_weights requires flow=raft." if weights else None
    if not weights:
        return "flow=raft requires raft_weights=FILE: a state dict of torchvision's raft_large. Kinema ships none."
    if not Path(weights).is_file():
        return f"raft_weights: no such file: {weights}."
    if importlib.util.find_spec("torchvision") is None:
        return "flow=raft requires torchvision, which is not installed: pip install torchvision."
    return None


def estimator(method: str = "dis", weights: str = "", device: str = "cpu") -> Estimate:
    """Return the function that estimates the flow of a clip. Raises RequestError if the method cannot be used,
    ModelError for a file that does not hold RAFT's weights."""
    if why := why_not(method, weights):
        raise RequestError(why, field="flow", value=method, legal=", ".join(METHODS))
    return dis if method == "dis" else _raft(Path(weights), device)


def dis(frames_FHWC: np.ndarray) -> np.ndarray:
    """Flow by dense inverse search, on the CPU; the same on every run."""
    import cv2

    check(frames_FHWC)
    grays = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames_FHWC]
    return np.stack([displacement(now, after) for now, after in pairwise(grays)]).astype(np.float32)


def magnitudes(flow_FHW2: np.ndarray) -> np.ndarray:
    """The length of every pixel's motion, px per frame: float32 (F, H, W)."""
    return np.hypot(flow_FHW2[..., 0], flow_FHW2[..., 1])


def largest(flow_FHW2: np.ndarray, share: float) -> np.ndarray:
    """The mean length of the `share` longest motions of each flow, px per frame, (F,): at least one pixel counts."""
    lengths_FP = np.sort(magnitudes(flow_FHW2).reshape(len(flow_FHW2), -1), 1)
    return lengths_FP[:, -max(1, int(lengths_FP.shape[1] * share)) :].mean(1, dtype=np.float64)


def check(frames_FHWC: np.ndarray) -> None:
    """Raises ValueError for anything but two or more uint8 RGB frames."""
    if frames_FHWC.ndim != 4 or frames_FHWC.shape[-1] != 3 or frames_FHWC.dtype != np.uint8:
        raise ValueError(f"expected uint8 frames (F, H, W, 3), got {frames_FHWC.dtype} {frames_FHWC.shape}")
    if len(frames_FHWC) < 2:
        raise ValueError("flow needs two or more frames, got one")


def _raft(file: Path, device: str) -> Estimate:
    """torchvision's raft_large with the weights of a file (a state dict; no code is executed)."""
    import torch
    import torch.nn.functional as F
    from torchvision.models.optical_flow import raft_large

    from ..weights import state_dict
    from ..weights.residency import Residency

    network: Any = raft_large(weights=None, progress=False)
    try:
        network.load_state_dict(state_dict.read(file))
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{file}: not the weights of torchvision's raft_large ({reason}).") from None
    network.eval().requires_grad_(False)
    Residency(torch.device(device), [network])

    @torch.no_grad()
    def estimate(frames_FHWC: np.ndarray) -> np.ndarray:
        check(frames_FHWC)
        height, width = frames_FHWC.shape[1:3]
        size = tuple(max(RAFT_LEAST_PX, -(-side // RAFT_MULTIPLE) * RAFT_MULTIPLE) for side in (height, width))
        scale = torch.tensor([width / size[1], height / size[0]])[:, None, None]
        found = []
        for now, after in pairwise(frames_FHWC):
            pair = torch.from_numpy(np.stack([now, after])).permute(0, 3, 1, 2).float() / 127.5 - 1
            pair = F.interpolate(pair, size=size, mode="bilinear", antialias=True).to(device)
            flow_2HW = network(pair[:1], pair[1:])[-1][:1].float().cpu()
            flow_2HW = F.interpolate(flow_2HW, size=(height, width), mode="bilinear", antialias=True)[0] * scale
            found.append(flow_2HW.permute(1, 2, 0).numpy())
        return np.stack(found)

    return estimate
