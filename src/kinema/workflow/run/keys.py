"""Keys of the results of a graph's nodes: from their class, values, links, and the content of files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ...core.errors import MediaError
from ...weights import store, styles
from .cache import key_of
from .descriptions import LatentClip, Link, MediaUse
from .media_files import Canvas, num_frames
from .planning import Evaluated, PlannedWorkflow, input_files
from .sampler_steps import SamplerStep, with_paths
from .values import Inputs


class Keys:
    """The keys of a planned graph. Files are hashed when a key is first asked for."""

    def __init__(self, planned: PlannedWorkflow, inputs: Inputs) -> None:
        self.planned, self.inputs = planned, inputs
        self._nodes: dict[str, str] = {}
        self._digests: dict[str, dict[str, str]] = {}

    def node(self, node: str) -> str:
        """The key of a node's outputs. Raises MediaError or ModelError for files that cannot be read."""
        for each in self.planned.ancestors(node) if node not in self._nodes else ():
            if each not in self._nodes:
                self._nodes[each] = self._of(each)
        return self._nodes[node]

    def link(self, link: Link) -> str:
        return f"{self.node(link[0])}/{link[1]}"

    def media(self, media: MediaUse, canvas: Canvas) -> str:
        """The key of pictures written for a condition."""
        facts = (num_frames(media, canvas), media.pad, media.empty, media.method, media.crop, media.seen)
        link = media.link if not media.empty else None
        return key_of("media", self.link(link) if link else "", canvas.width, canvas.height, *facts)

    def _of(self, node: str) -> str:
        if (step := self.planned.samplers.get(node)) is not None:
            return self._sampler(step)
        if (decode := self.planned.decodes.get(node)) is not None:
            return key_of("decode", self._latent(decode.latent, decode.sampler), self._weights(decode.sampler))
        found = self.planned.nodes[node]
        return key_of("node", found.kind, self._values(found))

    def _values(self, node: Evaluated) -> dict[str, Any]:
        files = {name: _sha256(self.inputs, name_of) for name, name_of in input_files(node).items()}
        found: dict[str, Any] = {}
        for name, value in node.given.items():
            is_plain = isinstance(value, str | int | float | bool | list | dict | None)
            if name in files or is_plain:
                found[name] = files.get(name, value)
            else:
                found[name] = self.link(node.links[name])
        return found

    def _sampler(self, step: SamplerStep) -> str:
        paths = {path: self.media(media, step.canvas) for path, media in step.media.items()}
        plan = with_paths(step.plan.deciding(), paths)
        return key_of("sample", plan, asdict(step.part), self._latent(step.latent, step), self._weights(step))

    def _latent(self, latent: LatentClip, step: SamplerStep) -> list[Any]:
        if latent.node:
            return [self.node(latent.node), latent.trimmed]
        if latent.encoded is not None:
            return ["encoded", self.media(latent.encoded, step.canvas), latent.trimmed]
        return ["empty"]

    def _weights(self, step: SamplerStep) -> Mapping[str, str]:
        """SHA-256 of the model's files and of its adapters."""
        adapters = sorted(each.adapter for each in step.plan.conditions if each.kind == "style")
        name = "|".join([step.plan.model, step.model, *adapters])
        if name not in self._digests:
            card = store.find(step.model)
            self._digests[name] = store.digests(store.locate(card), [styles.find(each) for each in adapters])
        return self._digests[name]


def _sha256(inputs: Inputs, name: str) -> str:
    path = inputs.path(name)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error}).") from error
