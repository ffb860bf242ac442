"""The probes: classify the contents of a clip with the shipped network (see recipes/probes.py).

Legend: F frames, H W pixels, K classes, R S the 16 x 16 cells of a frame. Frames of any size are resized to 64 x 64
without keeping the aspect ratio; the probes were trained on square frames.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import ModelError
from ..core.outside import read_json
from ..core.whole import whole
from ..toyland.scene import BACKGROUNDS, LIGHTS, STYLES

if TYPE_CHECKING:
    import torch

WORDS: dict[str, tuple[str, ...]] = {"background": BACKGROUNDS, "light": LIGHTS, "style": STYLES}
FILES = ("probes.safetensors", "probes.json")
_BATCH = 256


@dataclass(frozen=True)
class Reading:
    """Outputs of the probes for each frame. Probabilities: picture[name] (F, K); heat (F, R, S); kind and color
    (F, K, R, S). offset (F, 2, R, S) and box (F, 4, R, S) are in cells (see network.OBJECT_HEADS). size: the clip's
    (height, width) in px."""

    picture: dict[str, np.ndarray]
    heat_FRS: np.ndarray
    kind_FKRS: np.ndarray
    color_FKRS: np.ndarray
    offset_F2RS: np.ndarray
    box_F4RS: np.ndarray
    size: tuple[int, int]

    def word(self, name: str) -> str:
        """The background, light or style of the clip: the most likely one on average over the frames."""
        return WORDS[name][int(self.picture[name].mean(0).argmax())]

    def count(self) -> int:
        """The number of objects in the clip (0, 1 or 2): the most likely one on average over the frames."""
        return int(self.picture["count"].mean(0).argmax())

    def most_heat_F(self) -> np.ndarray:
        """The confidence in each frame that there is any object, 0 to 1."""
        return self.heat_FRS.max((1, 2))


class Probes:
    """The loaded network. info: its training and scores (probes.json)."""

    def __init__(self, network: Any, info: dict[str, Any]):
        self.network, self.info = network.eval().requires_grad_(False), info

    def read(self, frames_FHWC: np.ndarray) -> Reading:
        """Read uint8 RGB frames (F, H, W, 3). Raises ValueError for other arrays or no frames."""
        import torch

        if frames_FHWC.ndim != 4 or frames_FHWC.shape[-1] != 3 or frames_FHWC.dtype != np.uint8 or not len(frames_FHWC):
            raise ValueError(f"frames must be uint8 (F, H, W, 3), got {frames_FHWC.dtype} {frames_FHWC.shape}")
        with torch.inference_mode():
            parts = [
                self.network(as_input(part)) for part in np.array_split(frames_FHWC, -(-len(frames_FHWC) // _BATCH))
            ]
            picture = {
                name: torch.cat([part.picture[name] for part in parts]).softmax(1).numpy() for name in parts[0].picture
            }
            cells = {name: torch.cat([part.cells[name] for part in parts]) for name in parts[0].cells}
        return Reading(
            picture,
            cells["heat"][:, 0].sigmoid().numpy(),
            cells["kind"].softmax(1).numpy(),
            cells["color"].softmax(1).numpy(),
            cells["offset"].numpy(),
            cells["box"].clamp_min(0).numpy(),
            (frames_FHWC.shape[1], frames_FHWC.shape[2]),
        )


def as_input(frames_FHWC: np.ndarray) -> torch.Tensor:
    """Convert uint8 frames to network inputs: float32 in [0, 1], (F, 3, 64, 64), with antialiasing."""
    import torch

    from .network import SIDE

    x = torch.from_numpy(np.ascontiguousarray(frames_FHWC)).permute(0, 3, 1, 2).float() / 255.0
    if x.shape[-2:] == (SIDE, SIDE):
        return x
    return torch.nn.functional.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)


def load_probes(folder: Path | None = None) -> Probes:
    """Load the shipped probes (cached), or those of a folder. Raises ModelError if the files are missing."""
    return _shipped() if folder is None else _load(folder)


@cache
def _shipped() -> Probes:
    return _load(Path(str(files("kinema"))) / "evaluation")


def _load(folder: Path) -> Probes:
    from safetensors.torch import load_file

    from .network import ProbeNet

    for name in FILES:
        if not (folder / name).exists():
            raise ModelError(f"{folder / name} is missing. Create it with recipes/probes.py.")
    info = read_json(folder / FILES[1], dict, error=ModelError)
    network = ProbeNet(**info["config"])
    network.load_state_dict({name: value.float() for name, value in load_file(folder / FILES[0]).items()})
    return Probes(network, info)


def save_probes(network: Any, folder: Path, info: dict[str, Any]) -> None:
    """Write weights (float16) and info, each atomically."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    state |= {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    with whole(folder / FILES[0]) as weights, whole(folder / FILES[1]) as about:
        save_file(state, weights)
        about.write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


def likeliest(p_K: np.ndarray, words: Sequence[str], among: Sequence[str] = ()) -> str:
    """The most probable word of those in `among` (empty: all)."""
    allowed = [index for index, word in enumerate(words) if not among or word in among]
    return words[allowed[int(np.argmax(p_K[allowed]))]]
