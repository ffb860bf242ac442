"""The options of Tora's training (tora.py), checked before any library is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import RequestError
from ...features import flow as optical_flow
from ..core.settings import NumberRule, Settings, number, why_no_optimizer
from ..data import own_clips

if TYPE_CHECKING:
    from ..data.curate import Curated

NUMBERS: dict[str, NumberRule] = {
    "steps": (int, 500, 1, 1_000_000), "batch": (int, 2, 1, 1024), "accumulate": (int, 1, 1, 1024),
    "lr": (float, 0.0, 1e-7, 1.0), "frames": (int, 0, 0, 256), "fps": (float, 0.0, 0.0, 240.0),
    "area": (int, 0, 0, 4096 * 4096), "crops": (int, 1, 1, 64), "drop": (float, 0.1, 0.0, 1.0),
    "draws": (int, 4, 1, 64), "points": (int, 16, 1, 256), "sigma": (float, 0.0, 0.3, 200.0),
    "channels": (int, 0, 8, 4096), "least_flow": (float, 0.1, 0.0, 100.0), "clips": (int, 256, 1, 1_000_000),
    "samples": (int, 2, 0, 64), "every": (float, 0.0, 0.0, 1e6), "seed": (int, 0, 0, 2**31 - 1),
}  # fmt: skip
"""(type, default, minimum, maximum). A default of 0 for lr, frames, fps, area, sigma and channels depends on the
model."""
CHOICES = {
    "stages": ("dense+sparse", "dense", "sparse"), "fuser": ("adaptive_norm", "extra_channels", "cross_attention"),
    "compression": ("vae", "sample", "pool"), "flow": ("dis", "raft"), "camera": ("drop", "keep"),
    "checkpointing": ("off", "on"), "optimizer": ("adamw", "adamw8bit", "muon"), "start": ("model", "new"),
    "world": ("mini", "small", "full"),
}  # fmt: skip
"""Legal values; the first is the default."""
WORDS = ("data", "model", "raft_weights", "trigger")
MODEL = "kinema-mini-tora"
LR, SMALL_LR, SMALL = 1e-4, 2e-3, 50_000_000
"""Learning rates of the dense stage for published networks (Tora's) and for those with fewer than SMALL parameters. The
sparse stage has half of it, as published."""


class ToraOptions:
    """The options of a training. Raises ValueError for illegal ones, before any library is loaded."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.out = settings, settings.out
        options = settings.options
        if unknown := [name for name in options if name not in (*NUMBERS, *WORDS, *CHOICES)]:
            raise ValueError(f"No such setting: {unknown[0]}. Legal: {', '.join((*WORDS, *CHOICES, *NUMBERS))}.")
        self.number = {name: number(name, options.get(name), rule) for name, rule in NUMBERS.items()}
        self.choice = {name: _choice(name, options.get(name)) for name in CHOICES}
        kind = self.choice["optimizer"]
        if kind != "muon" and (why := why_no_optimizer(kind)):
            raise ValueError(why)
        if why := optical_flow.why_not(self.choice["flow"], options.get("raft_weights", "")):
            raise ValueError(why)
        self.card = self._card(options.get("model", MODEL))
        self.frames = int(self.number["frames"] or self.card.frames.trained)
        if not self.card.frames.legal(self.frames):
            nearest = self.card.frames.nearest(self.frames)
            raise ValueError(
                f"frames = {self.frames}: {self.card.id} takes {self.card.frames.words()}; nearest is {nearest}."
            )
        self.fps = self.number["fps"] or self.card.defaults.fps
        if self.data is not None and not self.data.is_dir():
            raise ValueError(f"No such folder: {self.data}.")
        if self.data is None and self.choice["flow"] != "dis":
            raise ValueError("Toyland's flow is exact: flow is for your own clips (--data FOLDER).")
        self.found: own_clips.FoundClips | None = None
        self.curated: Curated | None = None

    def _card(self, name: str) -> Any:
        from ...weights import store

        try:
            card = store.find(name)
        except RequestError as error:
            raise ValueError(str(error)) from None
        if card.family != "cogvideox":
            raise ValueError(f"Tora's parts belong to CogVideoX models; {card.id} is of the family {card.family}.")
        return card

    @property
    def data(self) -> Path | None:
        given = self.settings.options.get("data")
        return None if given is None else Path(given)

    @property
    def stages(self) -> list[str]:
        return self.choice["stages"].split("+")

    @property
    def follows(self) -> bool:
        """Does the model have Tora's parts?"""
        return "trajectory" in self.card.accepts

    @property
    def published(self) -> bool:
        """Can the trained parts be loaded for generating? The other compressions exist for the ablation."""
        return self.choice["compression"] == "vae"

    @property
    def seed(self) -> int:
        return int(self.number["seed"])

    @property
    def sigma_px(self) -> float:
        """Standard deviation of the Gaussian of key points; by default the model's, 10 px without."""
        own = self.card.options.get("trajectory_sigma")
        return self.number["sigma"] or (float(own.default) if own is not None else 10.0)

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of all clips, if the model takes no other."""
        width, height = self.card.size.trained[0]
        return (height, width) if self.card.size.only_trained else None

    @property
    def area(self) -> int:
        width, height = self.card.size.trained[0]
        return int(self.number["area"] or width * height)

    def find_clips(self, minutes: float) -> dict[str, Any]:
        """Find the clips of the folder; writes OUT/data.txt. Nothing to do for Toyland."""
        if self.data is None:
            return {"clips": int(self.number["clips"])}
        self.found = own_clips.find(self.data, self.out / "unpacked", frames=self.frames, fps=self.fps)
        return self.found.report(self.data, self.out, self.settings.show)

    def curate_clips(self, minutes: float) -> dict[str, Any]:
        """Measure the motion of the folder's clips and drop some; writes OUT/motion.txt."""
        if self.data is None:
            return {}
        if self.found is None:
            self.find_clips(0)
        assert self.found is not None
        from ..data import curate

        before = len(self.found.refused)
        self.curated = curate.curate(
            self.found.items, self.estimate(), self.out, frames=self.frames, fps=self.fps,
            method=self.choice["flow"], camera=self.choice["camera"] == "drop", least=self.number["least_flow"],
            on_clip=self.settings.budget.counting("measuring motion"), on_unreadable=self.found.mark_unreadable,
        )  # fmt: skip
        self.found.report_unreadable(before, self.out, self.settings.show)
        return self.curated.report(self.out, self.settings.show)

    def estimate(self) -> optical_flow.Estimate:
        """Load the flow estimator."""
        return optical_flow.estimator(
            self.choice["flow"], self.settings.options.get("raft_weights", ""), self.settings.device
        )


def _choice(name: str, given: str | None) -> str:
    legal = CHOICES[name]
    if given is not None and given not in legal:
        raise ValueError(f"{name} must be one of {', '.join(legal)}, got {given!r}.")
    return given or legal[0]
