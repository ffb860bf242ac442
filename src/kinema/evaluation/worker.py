"""Generate and judge one clip of the scorecard, in the calling process or in worker processes.

Columns: "renders" are the true clips, "autoencoder" their reconstructions by the model's VAE; every other column is a
profile of the model.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.card import Card
from ..core.errors import ModelError
from ..core.leftovers import temporary_folder
from ..core.outside import read_json
from ..core.whole import whole
from ..weights import store
from .autoencoder import reconstructed
from .cases import Case, ClipShape, world_from
from .judge import Judge
from .probes import load_probes
from .tasks import BY_NAME

if TYPE_CHECKING:
    from ..engine.load import Engine

SHOWN = 6  # frames of a clip on a contact sheet
TRUTHS = ("renders", "autoencoder")
ON_SHEET = {"text": 16, "words": 16}
ON_TASK_SHEET = 4


@dataclass(frozen=True)
class Subject:
    """The evaluated model: a model name, or a checkpoint folder. device: None selects the best available one."""

    model: str
    device: str | None = None

    @cached_property
    def card(self) -> Card:
        """The model's card. A folder whose card.json has the name of a built-in model is evaluated as that model."""
        card = store.find(self.model)
        if card.path is None:
            return card
        known = [each for each in store.built_in_cards() if each.id == self.facts.get("name")]
        if not known or known[0].variant != card.variant:
            return card
        return known[0].model_copy(update={"path": card.path, "builtin": None, "hub": None})

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The contents of card.json. Raises ModelError if the file is missing or has no world of Toyland."""
        folder = store.locate(store.find(self.model))
        path = folder / "card.json"
        if not path.is_file():
            raise ModelError(f"No such file: {path}. It specifies the world of Toyland that the model was trained on.")
        try:
            facts = read_json(path, dict, error=ModelError)
            world_from(facts)
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{path}: not usable for evaluation: {error}.") from None
        return facts

    @property
    def shape(self) -> ClipShape:
        width, height = self.card.size.trained[0]
        return ClipShape(self.card.frames.trained, height, width, self.card.defaults.fps)


@dataclass(frozen=True)
class ScorecardCase:
    column: str
    task: str
    case: Case


class ScorecardWorker:
    """Generates and judges clips; loads the model on first use. clips: folder for strips of frames."""

    def __init__(self, subject: Subject, clips: Path, settings: dict[str, Any] | None = None):
        self.subject, self.clips, self.settings = subject, clips, settings or {}
        self.judge = Judge(load_probes(), world_from(subject.facts))

    @cached_property
    def engine(self) -> Engine:
        from ..core.registry import family_module
        from ..engine.load import Engine

        card = self.subject.card
        location = store.locate(card)
        family = family_module(card.family).load(card, location, self.subject.device, None)
        return Engine(card.id, family, location, str(family.device))

    def run(self, job: ScorecardCase) -> dict[str, Any]:
        """Run a case; returns the entry for Results."""
        task, case, started = BY_NAME[job.task], job.case, time.perf_counter()
        with temporary_folder("judge") as folder:
            frames = self._truth(job) if job.column in TRUTHS else self._generate(job, folder)
            made_s = time.perf_counter() - started
            measures = task.judge(self.judge, case, frames)
        if job.column not in TRUTHS or job.task == "text":
            self._save_strip(job, frames)
        return {
            "column": job.column, "task": job.task, "index": case.index, "scene_seed": case.scene_seed,
            "prompt": case.caption, "measures": measures, "seconds": round(made_s, 3),
        }  # fmt: skip

    def _generate(self, job: ScorecardCase, folder: Path) -> np.ndarray:
        fields = {**BY_NAME[job.task].ask(job.case, folder), **self.settings}
        return self.engine.generate(profile=job.column, seed=job.case.index, request="", **fields).frames()

    def _truth(self, job: ScorecardCase) -> np.ndarray:
        truth = BY_NAME[job.task].truth
        assert truth is not None
        frames = truth(job.case)
        return frames if job.column == "renders" else reconstructed(self.engine.family, frames)

    def has_autoencoder(self) -> bool:
        return hasattr(getattr(self.engine.family, "parts", None), "vae")

    def _save_strip(self, job: ScorecardCase, frames_FHWC: np.ndarray) -> None:
        """Save a strip of frames for the contact sheets, for the first cases only."""
        if job.case.index >= ON_SHEET.get(job.task, ON_TASK_SHEET):
            return
        from PIL import Image

        from ..media.sheet import chosen

        self.clips.mkdir(parents=True, exist_ok=True)
        for column, shown in ((job.column, frames_FHWC), ("given", job.case.frames_FHWC)):
            path = strip_path(self.clips, column, job.task, job.case.index)
            strip = np.concatenate(list(shown[chosen(len(shown), SHOWN)]), 1)
            with whole(path) as beside:
                Image.fromarray(strip).save(beside)


def strip_path(clips: Path, column: str, task: str, index: int) -> Path:
    return clips / f"{column}-{task}-{index:02d}.png"


_worker: ScorecardWorker | None = None


def start(subject: Subject, clips: Path, settings: dict[str, Any]) -> None:
    """Initialize this process as a worker with one thread. The parent process handles Ctrl-C."""
    import torch

    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    _worker = ScorecardWorker(subject, clips, settings)


def run(job: ScorecardCase) -> dict[str, Any]:
    """Run a case in a process initialized by `start`."""
    assert _worker is not None
    return _worker.run(job)
