"""Where the tracker of an edit lost its object or was unsure of it, for notes and the manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..core.plan import Span

MAX_RUNS, NAMED_RUNS = 50, 4
"""Maximum runs of frames in a manifest, and in a note."""


@dataclass
class Sightings:
    """Runs of frames in which a tracked object is out of sight (its mask is empty), and in which the tracker is unsure
    of it."""

    lost: list[Span] = field(default_factory=list)
    unsure: list[Span] = field(default_factory=list)

    def add_lost(self, index: int) -> None:
        self.lost = _longer(self.lost, index)

    def add_unsure(self, index: int) -> None:
        self.unsure = _longer(self.unsure, index)

    def facts(self) -> dict[str, Any]:
        """Return the fields of the clip's manifest."""
        return {name: [run.model_dump() for run in getattr(self, name)[:MAX_RUNS]] for name in ("lost", "unsure")}

    def notes(self) -> list[str]:
        """Return a sentence for each kind of run."""
        found = []
        if self.lost:
            found.append(f"The tracked object is out of sight in {_frames_text(self.lost)}: nothing is masked there.")
        if self.unsure:
            found.append(
                f"The tracker is unsure of the object in {_frames_text(self.unsure)}: check the mask there (`kinema "
                "mask --preview`)."
            )
        return found


def _longer(runs: list[Span], index: int) -> list[Span]:
    """Return runs with one more frame."""
    if runs and runs[-1].stop == index:
        return [*runs[:-1], Span(start=runs[-1].start, stop=index + 1)]
    return [*runs, Span(start=index, stop=index + 1)]


def _frames_text(runs: list[Span]) -> str:
    """Return "frames 3 to 7, 12 and 20 to 31"; of many runs the first ones."""
    texts = [f"{run.start} to {run.stop - 1}" if run.num_frames > 1 else f"{run.start}" for run in runs[:NAMED_RUNS]]
    if (more := len(runs) - NAMED_RUNS) > 0:
        texts.append(f"{more} more runs")
    one = len(runs) == 1 and runs[0].num_frames == 1
    return ("frame " if one else "frames ") + " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
