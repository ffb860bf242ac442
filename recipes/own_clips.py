"""The user's own clips instead of Toyland (`--data FOLDER`), for recipes that train on one size: only the largest
bucket is used."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from kinema.sd import frames
from kinema.training.core.stages import Settings
from kinema.training.data import buckets, own_clips
from kinema.training.families.clips import by_frame


class OwnClips:
    """size: (num_frames, side of a square of the clips' area in px, fps)."""

    def __init__(self, settings: Settings, size: tuple[int, int, float]) -> None:
        self.settings, self.folder = settings, Path(settings.options["data"])
        self.num_frames, self.side, self.fps = size
        if not self.folder.is_dir():
            raise ValueError(f"No such folder: {self.folder}.")

    @cached_property
    def found(self) -> own_clips.FoundClips:
        return own_clips.find(self.folder, self.settings.out / "unpacked", frames=self.num_frames, fps=self.fps)

    def find_clips(self) -> dict[str, Any]:
        """Show the report and write OUT/data.txt. Raises ValueError if no clip is usable."""
        return self.found.report(self.folder, self.settings.out, self.settings.show)

    def bucket(self, vae: Callable[[], Any], of: str, device: str) -> buckets.Bucket:
        """Encode the clips, with the cache in OUT/cache; returns the largest bucket. vae: loads the VAE."""
        autoencoder = vae().eval().to(device)

        @torch.no_grad()
        def encode(frames_FHWC: Any) -> torch.Tensor:
            return by_frame(autoencoder, frames_FHWC)

        multiple = 8 * frames.space_factor(autoencoder)
        before = len(self.found.refused)
        found = buckets.fill(
            self.found.items, encode, self.settings.out / "cache", frames=self.num_frames, fps=self.fps,
            area=self.side**2, multiple=min(multiple, self.side), encoder_id=of,
            on_unreadable=self.found.mark_unreadable,
        )  # fmt: skip
        self.found.report_unreadable(before, self.settings.out, self.settings.show)
        for other in found[1:]:
            line = f"not used: {len(other)} of {other.width}x{other.height}; only the most common size is trained"
            self.settings.show({"event": "data", "": line})
        return found[0]

    def caption_of(self, number: int, wording: int, place: bool) -> str:
        return self.found.items[number].caption
