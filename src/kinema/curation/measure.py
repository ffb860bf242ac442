"""Measure a clip by several stages, which share one decoding pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..core.errors import KinemaError, MediaError
from ..media.captions import reason
from . import reading
from .stage import WRITTEN, AcrossClips, ClipStage, CurationSettings, CutClip
from .state import MeasuredClip
from .table_of_stages import make_stages

Item = tuple[CutClip, tuple[str, ...]]


@dataclass(frozen=True)
class MeasureWork:
    """Measure clips by stages of these names. opened: stages that are open in this process; other processes open their
    own."""

    stages: tuple[str, ...]
    settings: CurationSettings
    opened: dict[str, ClipStage] = field(default_factory=dict, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"stages": self.stages, "settings": self.settings, "opened": {}}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)

    def open(self) -> None:
        for stage in make_stages(self.stages, self.settings):
            if stage.name not in self.opened:
                stage.open()
                self.opened[stage.name] = stage

    def __call__(self, item: Item) -> MeasuredClip:
        clip, names = item
        self.open()
        stages = [self.opened[name] for name in names]
        wanted = tuple(request for stage in stages for request in getattr(stage, "reads", ()))
        try:
            reading.read_ahead(
                clip.span, wanted, vectors=any(getattr(stage, "reads_vectors", False) for stage in stages)
            )
            found = {}
            for stage in stages:
                found[stage.name] = self._measured(stage, clip)
                if not clip.caption and (written := found[stage.name][0].get(WRITTEN)):
                    clip = replace(clip, caption=written)
        except MediaError as error:
            return self.failed(item, reason(error, clip.source))
        finally:
            reading.forget()
        return MeasuredClip(clip.id.rpartition("#")[0], clip.start, found)

    def failed(self, item: Item, why: str) -> MeasuredClip:
        clip, names = item
        return MeasuredClip(clip.id.rpartition("#")[0], clip.start, {name: ({}, why) for name in names})

    def _measured(self, stage: ClipStage, clip: CutClip) -> tuple[dict[str, Any], str]:
        filled = stage.fills if isinstance(stage, AcrossClips) else ()
        try:
            figures = stage.measure(clip)
        except KinemaError as error:
            return {}, f"{stage.name}: {reason(error, clip.source)}"
        return {
            column.name: _plain(figures.get(column.name)) for column in stage.columns if column.name not in filled
        }, ""


def stage_keys(stages: tuple[str, ...], settings: CurationSettings) -> dict[str, str]:
    """By stage, a text that changes with whatever changes its figures: version and options."""
    found = {}
    for stage in make_stages(stages, settings):
        options = sorted((name, value) for name, value in settings.options.items() if name.startswith(f"{stage.name}."))
        found[stage.name] = " ".join([str(stage.version), *(f"{name}={value}" for name, value in options)])
    return found


def _plain(value: Any) -> Any:
    """numpy's scalars and arrays as Python's numbers and lists."""
    return value.tolist() if hasattr(value, "tolist") else value
