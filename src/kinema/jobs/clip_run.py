"""Run the kind `clip`: a request to a file in the store, as `kinema generate` does, resumable between two steps."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.by_hash import hashes_found_by
from ..core.chunk import Chunk
from ..core.conditions import FILE_FIELDS
from ..core.errors import KinemaError
from ..core.events import Event, OnEvent, collecting, ignore, planned
from ..core.plan import Plan
from ..core.request import Request
from ..engine.clip_file import ClipGenerator, write_clip
from ..engine.estimate import device_name, parts
from ..engine.opener import read_state, stand_in
from ..engine.plan import plan as make_plan
from ..media.manifest import sidecar_of
from ..weights import store
from .clip_body import ClipBody
from .context import Context

FILL_FRAMES = 8
"""Frames between two states of a fill without a model, which copy all that it carries from frame to frame."""


def run_clip(context: Context, body: ClipBody) -> dict[str, Any]:
    """Generate and store the clip; return the facts that `kinema generate --json` prints, with "media" in place of a
    path. Raises what planning, loading, generating and writing raise."""
    started, request = time.perf_counter(), body.request
    if request.seed is None:  # the same in every attempt
        request = request.changed(seed=int(hashlib.sha256(context.job.id.encode()).hexdigest()[:7], 16))
    made = write_request(
        context, request, lambda plan: body.file_of(plan.frames)[0], quality=body.quality,
        as_written=lambda engine, _: _Shown(engine, body.shown_as),
    )  # fmt: skip
    result = context.store_file(made.file, body.file_of(made.plan.frames)[1])
    sidecar = sidecar_of(made.file)
    if sidecar.is_file():
        result["sidecar"] = context.store_file(sidecar, "application/json")["media"]
    seconds = time.perf_counter() - started
    return {**result, **made.plan.result(made.manifest["plan"], seconds=seconds, device=made.device, found=made.facts)}


@dataclass(frozen=True)
class WrittenClip:
    """A clip written to a file of the job's folder, with its plan and manifest. facts: what the run found out. device:
    its name."""

    file: Path
    plan: Plan
    manifest: dict[str, Any]
    facts: dict[str, Any]
    device: str


def write_request(
    context: Context, request: Request, name_of: Callable[[Plan], str], *, quality: str | None = None,
    as_written: Callable[[ClipGenerator, Plan], ClipGenerator] = lambda engine, _plan: engine,
    on_event: OnEvent = ignore,
) -> WrittenClip:  # fmt: skip
    """Generate a request into a file of the job's folder, with an engine of the worker, continuing from the state that
    an earlier attempt kept. Media in the request are those of the store.

    name_of: the name of the file. quality: None is the plan's. as_written: what is written of the clip and its
    manifest. on_event: called before the events are reported, which stops the work by an exception. Raises what
    planning, loading, generating and writing raise."""

    def report(event: Event) -> None:
        on_event(event)
        context.report(event)

    with hashes_found_by(context.media.path), ExitStack() as stack:
        state = _kept_state(context, stack)
        found = make_plan(request, None, context.engines.device, surveyed=None if state is None else state.plan)
        engine = _engine(context, stack, found, request.model)
        generator = as_written(engine, found)
        facts: dict[str, Any] = {}
        target, manifest = context.folder / name_of(found), generator.manifest(found)
        write_clip(
            generator, found, target, manifest=manifest, quality=quality, on_event=collecting(facts, report),
            state=_fitting(context, state, found), keep=_keeper(context),
            keep_every=1 if found.uses_model else FILL_FRAMES,
        )  # fmt: skip
        return WrittenClip(target, found, manifest, facts, engine.device_name)


def _engine(context: Context, stack: ExitStack, found: Plan, model: str) -> Any:
    """What generates the clip, held until the stack closes: an engine of the pool, or its stand-in."""

    def leased(on_event: OnEvent) -> Any:
        return stack.enter_context(context.engines.lease(model, on_event))

    if (other := stand_in(found, leased, model, context.engines.device)) is not None:
        return other
    start = not context.engines.has(model)
    device = device_name(context.engines.device)
    context.report(planned(*parts(found, store.find(model), device, start=start)))
    return leased(context.report)


def _keeper(context: Context) -> Callable[[Any], None]:
    def keep(state: Any) -> None:
        if context.due_to_keep():
            context.keep(state.save, {"threads": _threads()})
        else:
            context.check()

    return keep


def _kept_state(context: Context, stack: ExitStack) -> Any:
    """The state that an earlier attempt kept; until the stack closes, torch has the number of threads of that attempt.
    A state that cannot be read is ignored, with a note."""
    try:
        if (kept := context.kept()) is None:
            return None
        path, facts = kept
        state = read_state(path)
    except KinemaError as error:
        context.note(f"The kept state cannot be used; the job begins again: {error}")
        return None
    if isinstance(threads := facts.get("threads"), int) and threads > 0:
        import torch

        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)  # sums of another number of threads differ in their last bits
    return state


def _fitting(context: Context, state: Any, found: Plan) -> Any:
    """The state if it belongs to this plan."""
    if state is not None and state.plan.deciding() != found.deciding():
        context.note("The kept state belongs to another plan; the job begins again.")
        return None
    if state is not None:
        context.outbox.event("resumed", {"step": getattr(state, "step", getattr(state, "done", 0))})
    return state


def _threads() -> int:
    import torch

    return int(torch.get_num_threads())


@dataclass(frozen=True)
class _Shown:
    """A generator whose manifests list media under the names of `shown_as`."""

    generator: ClipGenerator
    shown_as: dict[str, str]

    def plan(self, request: Request, /) -> Plan:
        return self.generator.plan(request)

    def digests(self, plan: Plan, /) -> dict[str, str]:
        return self.generator.digests(plan)

    def stream(self, plan: Plan, /, *, on_event: OnEvent, **keeping: Any) -> Iterator[Chunk]:
        chunks: Iterator[Chunk] = self.generator.stream(plan, on_event=on_event, **keeping)
        return chunks

    def manifest(self, plan: Plan, /) -> dict[str, Any]:
        found = self.generator.manifest(plan)
        if self.shown_as:
            found["inputs"] = {self.shown_as.get(name, name): digest for name, digest in found["inputs"].items()}
            _rename(found["plan"], self.shown_as)
        return found


def _rename(plan: dict[str, Any], names: dict[str, str]) -> None:
    """Replace the media of a plan's conditions, and of the plans of its upscale steps, in place."""
    for condition in plan.get("conditions", ()):
        for name in FILE_FIELDS:
            value = condition.get(name)
            if isinstance(value, str):
                condition[name] = names.get(value, value)
            elif isinstance(value, list):
                condition[name] = [names.get(each, each) if isinstance(each, str) else each for each in value]
    for step in plan.get("upscale", ()):
        if isinstance(step.get("plan"), dict):
            _rename(step["plan"], names)
