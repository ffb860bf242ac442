"""A planned graph executed: only what a result needs and no earlier run has left in the cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from ...conditions import arrays
from ...core.errors import MediaError
from ...core.events import Event, OnEvent, Preview, Progress
from .cache import NodeCache
from .descriptions import LatentClip, MediaUse
from .kept_sampling import KeptSampling
from .keys import Keys
from .media_files import SUFFIX, Canvas, write_media
from .planning import DecodeStep, PlannedWorkflow
from .sampler_steps import SamplerStep, renamed
from .values import NodeEvent, Outputs, Written

Kind = Literal["output", "temp"]


class Engines(Protocol):
    """What loads models."""

    def lease(self, model: str, on_event: OnEvent, /) -> AbstractContextManager[Any]:
        """The engine of a model for a block; see engine/load.py."""
        ...


class SamplerStates(Protocol):
    """Where the state of a sampler is kept while it runs, by the key of its result."""

    def kept(self, key: str, /) -> Any:
        """The state that an interrupted run left (engine/resume.py: SamplingState); None if there is none."""
        ...

    def keep(self, key: str, node: str, state: Any, /) -> None:
        """Called after each step of a node, outside its events; may raise to stop."""
        ...


class WorkflowRun:
    """One run. saved: the nodes that write files, by class. carry: the graph as it is written into them."""

    def __init__(
        self, planned: PlannedWorkflow, keys: Keys, cache: NodeCache, engines: Engines, outputs: Outputs,
        saved: Mapping[str, Callable[..., list[Written]]], carry: Mapping[str, Any],
        report: Callable[[NodeEvent], None], states: SamplerStates | None = None,
    ) -> None:  # fmt: skip
        self.planned, self.keys, self.cache, self.engines = planned, keys, cache, engines
        self.outputs, self.saved, self.carry, self.report = outputs, saved, carry, report
        self.states = states

    def run(self) -> list[Written]:
        """Execute; returns what the results are, in their order. Raises what nodes raise, and what `report` raises."""
        stored = {node: found for node in self.planned.results if (found := self._stored(node)) is not None}
        needed = self._needed([node for node in self.planned.results if node not in stored])
        for node in self.planned.nodes:
            if node not in needed:
                self.report(NodeEvent("cached", node))
        written: dict[str, list[Written]] = {}
        for node in self.planned.nodes:
            if node in stored:
                written[node] = self._restored(node, stored[node])
            elif node in needed:
                self.report(NodeEvent("executing", node))
                written[node] = self._execute(node)
            if node in stored or node in needed:
                self.report(NodeEvent("executed", node, {"written": written[node]}))
        return [each for node in self.planned.results for each in written[node]]

    def _needed(self, results: list[str]) -> set[str]:
        """The nodes that run: behind the results, up to those whose latents or frames are at hand."""
        found, waiting = set(results), list(results)
        while waiting:
            node = waiting.pop()
            for origin, _ in self.planned.nodes[node].links.values():
                if origin not in found and not self._at_hand(origin):
                    found.add(origin)
                    waiting.append(origin)
        return found

    def _at_hand(self, node: str) -> bool:
        if (decode := self.planned.decodes.get(node)) is not None:
            decode.path = self.cache.find(self.keys.node(node), SUFFIX)
            return decode.path is not None
        return node in self.planned.samplers and self.cache.find(self.keys.node(node), SUFFIX) is not None

    def _execute(self, node: str) -> list[Written]:
        if (step := self.planned.samplers.get(node)) is not None:
            self.cache.get(self.keys.node(node), SUFFIX, partial(self._sample, step))
        elif (decode := self.planned.decodes.get(node)) is not None:
            decode.path = self.cache.get(self.keys.node(node), SUFFIX, partial(self._decode, decode))
        elif node in self.planned.results:
            return self._save(node)
        return []

    # -- samplers and decoders -------------------------------------------------------------------------------------

    def _sample(self, step: SamplerStep, target: Path) -> None:
        from ...engine.segment import Segment

        on_event = self._events(step.node)
        written = {path: self._media(step.media[path], step.canvas) for path in step.stand_ins}
        part = step.part
        with self.engines.lease(step.model, on_event) as engine:
            plan = engine.plan(renamed(step.request, written))
            sigmas = () if part.penultimate else plain_sigmas(engine, plan, part.denoise)
            segment = Segment(
                part.start, part.stop, 1.0 if sigmas else part.denoise, part.add_noise, part.leftover, sigmas
            )  # fmt: skip
            latents = self._latents(step.latent, step, engine, plan)
            found = self._sampled(step.node, engine, plan, segment, latents, on_event)
        _save_array(found.numpy(), target)

    def _sampled(self, node: str, engine: Any, plan: Any, segment: Any, latents: Any, on_event: Any) -> Any:
        """The latents of a sampler, which goes on from the state that an interrupted run left."""
        key = self.keys.node(node)
        run = partial(engine.sample_latents, plan, segment, latents, on_event=on_event, keep_every=1)
        if self.states is not None:
            return run(state=self.states.kept(key), keep=partial(self.states.keep, key, node))
        draft = KeptSampling(self.cache.draft(key))
        found = run(state=draft.read(plan), keep=draft.keep)
        draft.remove()
        return found

    def _media(self, media: MediaUse, canvas: Canvas) -> str:
        """The file of pictures for a condition, written now."""
        make = partial(write_media, media, canvas)
        return str(self.cache.get(self.keys.media(media, canvas), SUFFIX, make))

    def _latents(self, latent: LatentClip, step: SamplerStep, engine: Any, plan: Any) -> Any:
        """The latents that a node is given, (1, C, T, H, W); None for empty ones."""
        import torch

        if latent.node:
            path = self.cache.find(self.keys.node(latent.node), SUFFIX)
            if path is None:
                raise MediaError(f"{self.cache.folder}: a result that was there is missing.")
            found = torch.from_numpy(np.load(path, allow_pickle=False))
        elif latent.encoded is not None:
            frames_FHWC = np.load(self._media(latent.encoded, step.canvas), mmap_mode="r", allow_pickle=False)
            found = engine.encode_pictures(plan, frames_FHWC)
        else:
            return None
        return found[:, :, latent.trimmed :]

    def _decode(self, decode: DecodeStep, target: Path) -> None:
        on_event, step = self._events(decode.node), decode.sampler
        with self.engines.lease(step.model, on_event) as engine:
            latents = self._latents(decode.latent, step, engine, step.plan)
            shape = (decode.frames, step.plan.height, step.plan.width, 3)
            arrays.write(target, engine.decode_pictures(step.plan, latents, on_event=on_event), shape)

    def _events(self, node: str) -> OnEvent:
        def on_event(event: Event) -> None:
            if isinstance(event, Progress) and event.total:
                self.report(
                    NodeEvent("progress", node, {"value": event.done, "max": event.total, "stage": event.stage})
                )  # fmt: skip
            elif isinstance(event, Preview):
                self.report(NodeEvent("preview", node, {"frames": event.frames}))

        return on_event

    # -- files -----------------------------------------------------------------------------------------------------

    def _save(self, node: str) -> list[Written]:
        """Write the files of a node, and keep copies of them."""
        found = self.planned.nodes[node]
        outputs = _Reserving(self.outputs)
        written = self.saved[found.kind](
            node, found.given, outputs, carry=self.carry, on_event=self._events(node)
        )  # fmt: skip
        key, records = self.keys.node(node), []
        for number, each in enumerate(written):
            prefix, suffix, kind = outputs.given.get(each.path, ("ComfyUI", each.path.suffix, each.kind))
            self.cache.get(key, f".{number}{suffix}", partial(shutil.copyfile, each.path), hold=False)
            records.append({"prefix": prefix, "suffix": suffix, "kind": kind, "facts": each.facts, **_place(each.path)})
        self.cache.put(key, ".json", json.dumps(records))
        return written

    def _stored(self, node: str) -> list[dict[str, Any]] | None:
        """The records of the files of an earlier run, each with its copy."""
        key = self.keys.node(node)
        if (path := self.cache.find(key, ".json")) is None:
            return None
        try:
            records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
            for number, each in enumerate(records):
                copy = self.cache.find(key, f".{number}{each['suffix']}", hold=False)
                if copy is None or copy.stat().st_size != each["bytes"]:
                    return None
                each["copy"] = copy
        except (ValueError, KeyError, TypeError, OSError):
            return None
        return records

    def _restored(self, node: str, records: list[dict[str, Any]]) -> list[Written]:
        """The files of an earlier run: those still in place, else copies under new names."""
        from ...core.whole import whole

        holds = getattr(self.outputs, "holds", lambda _path: False)
        found, is_moved = [], False
        for each in records:
            copy, path, kind = each.pop("copy"), Path(each["path"]), each["kind"]
            if not (holds(path) and _is_in_place(path, each)):
                path, is_moved = self.outputs.reserve(each["prefix"], each["suffix"], kind), True
                with whole(path) as partial_path:
                    shutil.copyfile(copy, partial_path)
                each |= _place(path)
            found.append(Written(node, path, kind, each["facts"]))
        if is_moved:
            self.cache.put(self.keys.node(node), ".json", json.dumps(records))
        return found


class _Reserving:
    """Outputs that remember under which prefix each file was reserved."""

    def __init__(self, outputs: Outputs) -> None:
        self.outputs = outputs
        self.given: dict[Path, tuple[str, str, Kind]] = {}

    def reserve(self, prefix: str, suffix: str, kind: Kind, /) -> Path:
        path = self.outputs.reserve(prefix, suffix, kind)
        self.given[path] = (prefix, suffix, kind)
        return path


def plain_sigmas(engine: Any, plan: Any, denoise: float) -> tuple[float, ...]:
    """The noise levels of a plan's schedule, whatever its sampler."""
    from ...core.options import Sampling
    from ...diffusion.sigma_schedules import of_the_end

    levels = engine.family.sigma_model(plan).levels
    return tuple(of_the_end(Sampling.of(plan).schedule, levels, plan.steps, denoise))


def _save_array(array: np.ndarray, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _place(path: Path) -> dict[str, Any]:
    """Where a file is, and how it is recognised."""
    stat = path.stat()
    return {"path": str(path.absolute()), "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _is_in_place(path: Path, record: Mapping[str, Any]) -> bool:
    try:
        return _place(path) == {name: record[name] for name in ("path", "bytes", "mtime_ns")}
    except (OSError, KeyError):
        return False
