"""A planned clip into a file: the one step that single clips, batches, the shots of a film and jobs share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from ..core.chunk import Chunk
from ..core.events import OnEvent, collecting, ignore
from ..core.plan import Plan
from ..core.request import Request


class ClipGenerator(Protocol):
    """What generates clips: an Engine, or its stand-in in a test."""

    def plan(self, request: Request, /) -> Plan: ...
    def digests(self, plan: Plan, /) -> dict[str, str]: ...
    def manifest(self, plan: Plan, /) -> dict[str, Any]: ...
    def stream(self, plan: Plan, /, *, on_event: OnEvent) -> Any: ...


def write_clip(
    generator: ClipGenerator,
    plan: Plan,
    target: str | os.PathLike[str],
    *,
    manifest: dict[str, Any] | None = None,
    quality: str | None = None,
    through: Callable[[Iterator[Chunk]], Iterator[Chunk]] = iter,
    on_event: OnEvent = ignore,
    **keeping: Any,
) -> Path:
    """Generate the clip of a plan and write it, encoding while decoding. Returns the path.

    manifest: of the clip, if it is known already; what the run finds out (core/events.Outcome) is added at its end.
    quality: None is the plan's. through: passed the chunks before they are written. keeping: `state`, `keep` and
    `keep_every` of `Engine.stream`. Raises what generating and writing raise.
    """
    from ..media.write import write
    from .manifest import has_outcome

    manifest = generator.manifest(plan) if manifest is None else manifest
    facts: dict[str, Any] = {}
    chunks = through(generator.stream(plan, on_event=collecting(facts, on_event), **keeping))
    amended = (lambda: generator.manifest(plan) | facts) if has_outcome(plan) else None
    return write(chunks, target, manifest=manifest, quality=quality or plan.quality, on_frame=on_event, amended=amended)
