"""A graph planned: every node evaluated as far as that needs no model, every sampler a planned request.

Pictures stay lazy streams, so planning reads headers of files only; everything that is missing or wrong is named at
once. Of a switch, only the chosen side is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import KinemaError, RequestError
from ...core.outside import for_terminal
from ...weights import store
from ..findings import Examined
from ..formats.api import is_link
from ..nodes.check import wrong_inputs
from ..nodes.fold import runtime_outputs
from ..nodes.model_files import INPUT, plain_name
from ..nodes.table import DECLARED
from .described import DESCRIBED
from .descriptions import (
    LatentClip,
    Link,
)
from .given import checked
from .guides import GUIDES
from .picture_nodes import EVALUATED
from .prefix import filled
from .sampler_steps import SAMPLERS, MediaFiles, SamplerStep, sampled, sampler_step, shown_frames
from .values import BLOCK, Inputs, Pictures

MAX_SIDE = 16_384
_OPTION = re.compile(r"; --[a-z]+ [^.]*\.$")


class _Unknown(Exception):
    """A value that an earlier error leaves unknown."""


@dataclass
class DecodeStep:
    """A VAEDecode. frames: their number; path: the array file of them, float32 (F, H, W, 3), once they are computed."""

    node: str
    latent: LatentClip
    sampler: SamplerStep
    frames: int
    path: Path | None = None

    def blocks(self, start: int, stop: int) -> Iterator[np.ndarray]:
        assert self.path is not None, "read before it was decoded"
        array_FHWC = np.load(self.path, mmap_mode="r", allow_pickle=False)
        for at in range(start, stop, BLOCK):
            yield np.asarray(array_FHWC[at : min(stop, at + BLOCK)])


LONGEST_CHAIN = 200
"""Of nodes on pictures: each reads the one before it, which Python limits to about a thousand calls."""


@dataclass(frozen=True)
class Evaluated:
    """A node that was evaluated. given: its inputs, links evaluated."""

    node: str
    kind: str
    given: Mapping[str, Any]
    links: Mapping[str, Link]
    outputs: tuple[Any, ...] = ()


@dataclass
class PlannedWorkflow:
    """nodes: those that run, each after the nodes that it is linked to. results: those that write or show."""

    work: Examined
    nodes: dict[str, Evaluated] = field(default_factory=dict)
    samplers: dict[str, SamplerStep] = field(default_factory=dict)
    decodes: dict[str, DecodeStep] = field(default_factory=dict)
    results: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def ancestors(self, node: str) -> list[str]:
        """The nodes that a node needs, itself last, in an order of execution."""
        found, waiting = {node}, [node]
        while waiting:
            for origin, _ in self.nodes[waiting.pop()].links.values():
                if origin not in found:
                    found.add(origin)
                    waiting.append(origin)
        return [each for each in self.nodes if each in found]

    def files(self) -> list[str]:
        """The files of the input folder that are read."""
        return sorted({name for node in self.nodes.values() for name in input_files(node).values()})

    def remarks(self) -> list[str]:
        """How the results differ from ComfyUI's, and the notes of the plans, without options of `kinema generate`."""
        plans = [step.plan for step in self.samplers.values()]
        found = (*self.notes, *(note for plan in plans for note in (*plan.changes, *plan.notes)))
        return list(dict.fromkeys(_OPTION.sub(".", note) for note in found))

    def outside(self) -> list[str]:
        """What is outside the domains of the models; of pictures only those that are known before the run."""
        found = []
        for step in self.samplers.values():
            for sentence in step.plan.outside:
                if not any(path in sentence for path in step.stand_ins):
                    for path, media in step.media.items():
                        sentence = sentence.replace(path, f"The picture of node {media.link[0]}")
                    found.append(sentence)
        return list(dict.fromkeys(found))

    def needs_sampler(self, node: str) -> bool:
        return any(each in self.samplers for each in self.ancestors(node))


def plan_workflow(
    found: PlannedWorkflow, models: Mapping[str, str], inputs: Inputs, files: MediaFiles, saved: Collection[str]
) -> None:  # fmt: skip
    """Plan a graph, and fill in `found`. saved: the classes of nodes that write or show. models: by the name of a file
    in the graph, the model or LoRA file to use for it; "none" leaves a LoRA out.

    RequestError: everything that is missing or wrong, at once."""
    work = found.work
    chosen = chosen_by_name(work, models)
    planner = _Planner(found, chosen, inputs, files)
    planner.trouble += [*work.missing(chosen), *work.wrong]
    found.results = tuple(key for key, node in work.running.items() if node["class_type"] in saved)
    if not found.results and not planner.trouble:
        raise RequestError(f"{work.source} writes no clip.", field="workflow", legal=", ".join(saved))
    planner.evaluate_before_failed()
    for key in found.results:
        planner.evaluate(key)
    planner.trouble += [] if planner.trouble else [
        f"node {for_terminal(key, 60)}: it needs an output that a node before it does not have."
        for key in found.results if key not in found.nodes
    ]  # fmt: skip
    if planner.trouble:
        lines = "\n  ".join(dict.fromkeys(planner.trouble))
        raise RequestError(f"{work.source} cannot run here:\n  {lines}", field="workflow")
    for step in found.samplers.values():
        found.notes += step.notes
    found.notes = list(dict.fromkeys(found.notes))


def chosen_by_name(work: Examined, models: Mapping[str, str]) -> dict[str, str]:
    """The models that a user names, by the plain name of the file. RequestError for a file that the graph does not
    name."""
    chosen = {plain_name(name): model for name, model in models.items()}
    named = {plain_name(each.name) for each in work.models}
    for name in chosen:
        if name not in named:
            raise RequestError(f"The workflow names no model file {name}.", field="model", value=name,
                               legal=", ".join(sorted(named)) or "no file: it names none")  # fmt: skip
    return chosen


class _Planner:
    """Evaluates nodes on demand."""

    def __init__(
        self, found: PlannedWorkflow, models: Mapping[str, str], inputs: Inputs, files: MediaFiles
    ) -> None:  # fmt: skip
        self.found, self.work, self.models, self.inputs, self.files = found, found.work, models, inputs, files
        self.trouble: list[str] = []
        self.chains: dict[str, int] = {}
        """The number of nodes on pictures that follow each other, to each one."""
        self.failed: set[str] = {
            node.id for node in found.work.nodes if node.state in ("unknown", "lacks")
        } | {key for key, _ in wrong_inputs(found.work.running)}  # fmt: skip

    def evaluate(self, key: str) -> None:
        """Evaluate a node, after those that it needs."""
        waiting = [key]
        while waiting:
            key = waiting[-1]
            if self._is_done(key):
                waiting.pop()
            elif needed := [each for each in self._needs(key) if not self._is_done(each)]:
                waiting += needed
            else:
                self._evaluate_one(key)

    def evaluate_before_failed(self) -> None:
        """Evaluate what nodes that cannot run are linked to, so that what is missing there is named too."""
        running = self.work.running
        for key in sorted(self.failed):
            for value in running[key]["inputs"].values():
                if is_link(value) and value[0] in running:
                    self.evaluate(value[0])

    def _is_done(self, key: str) -> bool:
        return key in self.found.nodes or key in self.failed

    def _needs(self, key: str) -> list[str]:
        """The nodes to evaluate next for a node: of a switch first its condition, then the chosen side."""
        inputs = self.work.running[key]["inputs"]
        links = {name: value[0] for name, value in inputs.items() if is_link(value)}
        if self._kind(key) == "ComfySwitchNode" and "switch" in links:
            if (selector := links["switch"]) not in self.found.nodes:
                return [selector]  # also one that failed, which fails this node
            outputs = self.found.nodes[selector].outputs
            slot = inputs["switch"][1]
            side = "on_true" if slot < len(outputs) and outputs[slot] else "on_false"
            return [links[side]] if side in links else []
        return list(links.values())

    def _value(self, link: Any) -> Any:
        node = self.found.nodes.get(link[0])
        if node is None or link[1] >= len(node.outputs):
            raise _Unknown
        return node.outputs[link[1]]

    def _kind(self, key: str) -> str:
        return str(self.work.running[key]["class_type"])

    def _evaluate_one(self, key: str) -> None:
        node, kind = self.work.running[key], self._kind(key)
        try:
            needed = set(self._needs(key))
            links = {
                name: (value[0], value[1])
                for name, value in node["inputs"].items()
                if is_link(value) and (value[0] in needed or name == "switch")
            }
            given = {
                name: self._value(links[name]) if name in links else _plain(value)
                for name, value in node["inputs"].items()
                if name in links or not is_link(value)
            }
            given = checked(kind, given, {name: self._kind(link[0]) for name, link in links.items()})
            found = Evaluated(key, kind, given, links)
            outputs = self._outputs(key, kind, given, found)
        except _Unknown:
            self.failed.add(key)
        except KinemaError as error:
            self.failed.add(key)
            self.trouble.append(f"node {for_terminal(key, 60)} ({for_terminal(kind, 60)}): {error}")
        else:
            self.found.nodes[key] = Evaluated(key, kind, given, links, outputs)

    def _outputs(self, key: str, kind: str, given: Mapping[str, Any], node: Evaluated) -> tuple[Any, ...]:
        if kind in DESCRIBED or kind in GUIDES:
            describing = _Asked(self, node)
            return (DESCRIBED.get(kind) or GUIDES[kind])(describing, key, given)
        if kind in SAMPLERS:
            # The sampler's own node is not evaluated yet: its media ask for the nodes before it only.
            step = sampler_step(key, sampled(kind, given), self.files)
            self.found.samplers[key] = step
            return step.result, step.result
        if "filename_prefix" in given:
            filled(str(given["filename_prefix"]), MAX_SIDE, MAX_SIDE)
        if kind == "VAEDecode":
            return (self._decoded(key, given["samples"]),)
        if kind in EVALUATED:
            self._check_chain(key, node)
            return EVALUATED[kind](given, self.inputs)
        declared = DECLARED.get(kind)
        if declared is not None and declared.value:
            return tuple(runtime_outputs(kind, given))
        return ()

    def _check_chain(self, key: str, node: Evaluated) -> None:
        """RequestError if too many lazy streams would read each other."""
        self.chains[key] = 1 + max((self.chains.get(origin, 0) for origin, _ in node.links.values()), default=0)
        if self.chains[key] > LONGEST_CHAIN:
            raise RequestError("too many nodes on pictures follow each other.", field="workflow",
                               legal=f"chains of up to {LONGEST_CHAIN} such nodes")  # fmt: skip

    def _decoded(self, key: str, latent: LatentClip) -> Pictures:
        step = self.found.samplers.get(latent.node)
        if step is None:
            raise RequestError("its samples come from no sampler.", field="workflow", legal="latents of a sampler")
        frames = shown_frames(latent, store.find(step.model).frames.step)
        decode = DecodeStep(key, latent, step, frames)
        self.found.decodes[key] = decode
        return Pictures(frames, latent.height, latent.width, 3, decode.blocks)


@dataclass(frozen=True)
class _Asked:
    """What a describing node asks."""

    planner: _Planner
    node: Evaluated

    @property
    def models(self) -> Mapping[str, str]:
        return self.planner.models

    def model_of(self, file: str) -> str:
        each = next((each for each in self.planner.work.models if each.name == file), None)
        if each is None or not each.model or not each.here:
            raise _Unknown  # named among what is missing
        return each.model

    def link(self, _node: str, name: str) -> Link:
        return self.node.links[name]


def _plain(value: Any) -> Any:
    """A list in a prompt is wrapped, so that it is not taken for a link."""
    return value["__value__"] if isinstance(value, dict) and "__value__" in value else value


def input_files(node: Evaluated) -> dict[str, str]:
    """The files of the input folder that a node names, by input."""
    declared = DECLARED.get(node.kind)
    return {
        each.name: str(node.given[each.name])
        for each in (declared.inputs if declared else ())
        if each.folder == INPUT and each.name in node.given
    }
