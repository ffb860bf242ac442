"""Run a workflow in a worker: its nodes' events become events of the job, its files media with names of their own.

An attempt that follows a killed one takes the results of finished nodes from the cache of nodes, and a sampler goes on
from the state that was kept of it. An attempt counts as going on, for the limit of attempts, if it keeps a newer state,
or finishes a node that takes long (one that reports progress) and that no earlier attempt has finished.
"""

from __future__ import annotations

import contextlib
import io
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.by_hash import hashes_found_by
from ...core.errors import Cancelled, KinemaError, MediaError, RequestError
from ...core.events import Preview
from ...core.media_types import BY_SUFFIX
from ...core.outside import for_terminal, read_json
from ...core.overall import ProgressState
from ...jobs.attempts import is_broken
from ...jobs.context import PREVIEW_PX, Context, GivenUp, Returned
from ...jobs.pool import is_out_of_memory
from ...workflow.findings import examine
from ...workflow.formats.api import parse_api
from ...workflow.run.values import NodeEvent, Written
from .outputs import JobOutputs, ResultName, ResultNames, shown_output
from .validation import SOURCE

if TYPE_CHECKING:
    import numpy as np

PROGRESS_S = 0.1
"""Progress of a node is stored at most so often, and at its end."""
MAX_TRACEBACK_LINES = 30
Runner = Callable[..., Any]
"""run_workflow of workflow/run/execute.py, or its stand-in."""


def run_prompt(context: Context, body: dict[str, Any], runner: Runner | None = None) -> dict[str, Any]:
    """Run the prompt of a job's body. Raises what its nodes raise."""
    work = examine(parse_api(body["prompt"], SOURCE))
    outputs = JobOutputs(ResultNames(context.claim.store.database), context.job.id, context.folder / "results")
    with hashes_found_by(context.media.path), contextlib.ExitStack() as stack:
        report = NodeReports(context, outputs, {node.id for node in work.nodes}, stack)
        run, cache = (runner, None) if runner is not None else _real(context, stack)
        try:
            written = run(
                work, models=body["models"], inputs=JobInputs(context, body["files"]), outputs=outputs, cache=cache,
                engines=context.engines, report=report, carry=_carried(context, body), states=report,
            )  # fmt: skip
        except (Cancelled, Returned):
            raise
        except Exception as error:
            report.fail(error)
            if _is_lasting(error):
                raise GivenUp(f"{type(error).__name__}: {error}") from error
            raise
        for each in written:
            report.store(each)
    return report.result()


def _carried(context: Context, body: dict[str, Any]) -> dict[str, Any]:
    """The graph that files of results carry: the prompt, and the page that it was submitted from."""
    page = body.get("workflow")
    if page is None:
        return {"prompt": body["prompt"]}
    return {"prompt": body["prompt"], "workflow": read_json(context.media.path(page), dict)}


def _real(context: Context, stack: contextlib.ExitStack) -> tuple[Runner, Any]:
    """`run_workflow`, whose notes become those of the job, and this user's cache of nodes, open until the stack
    closes."""
    from ...workflow.run.cache import NodeCache
    from ...workflow.run.execute import run_workflow

    def noted(planned: Any) -> None:
        for text in planned.notes:
            context.note(text)

    return partial(run_workflow, before=noted), stack.enter_context(NodeCache())


@dataclass(frozen=True)
class JobInputs:
    """The input files of a job: media under the names that the prompt has for them."""

    context: Context
    files: dict[str, str]

    def path(self, name: str, /) -> Path:
        """The file of a name. RequestError: the job has none."""
        if (media := self.files.get(name)) is None:
            raise RequestError(f"The job has no file {for_terminal(name, 100)!r}.", field="inputs", value=name[:100],
                               legal=", ".join(self.files) or "none")  # fmt: skip
        content = self.context.media.path(media)
        plain = name.replace("\\", "/").rpartition("/")[2].partition(" [")[0]
        link = self.context.folder / "inputs" / media.rpartition(":")[2][:16] / plain
        link.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            link.symlink_to(content)
        return link


@dataclass
class NodeReports:
    """The events of nodes as those of a job, and the states of its samplers. nodes: the ids of those that run. until:
    closes after the run."""

    context: Context
    outputs: JobOutputs
    nodes: set[str]
    until: contextlib.ExitStack
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: list[dict[str, Any]] = field(default_factory=list)
    _stored: dict[Path, tuple[Written, ResultName]] = field(default_factory=dict)
    _cached: list[str] | None = field(default_factory=list)
    _running: str = ""
    _kept_node: str = ""
    _counted: tuple[str, float, float] = ("", 0.0, 0.0)
    _told_s: float = 0.0
    _finished: list[str] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        kept = self.context.claim.kept
        self._finished = [*kept.facts.get("nodes", ())] if kept is not None else []

    def __call__(self, event: NodeEvent) -> None:
        """Take an event of a run. Raises Cancelled or Returned if the work should stop."""
        tell, node = self.context.outbox.event, event.node
        if event.kind == "cached":
            if self._cached is not None:
                self._cached.append(node)
        else:
            self._begin()
        if event.kind == "executing":
            self._running = node
            tell("node", {"event": "executing", "node": node})
        elif event.kind == "progress":
            self._progress(node, event.data["value"], event.data["max"])
        elif event.kind == "preview":
            step, steps = int(self._counted[1]), int(self._counted[2])
            frames = event.data["frames"]
            self.context.preview(Preview("preview", step, steps, frames=frames), jpeg_of, node=node)
        elif event.kind == "executed":
            self._kept_node = ""
            for each in event.data.get("written", ()):
                self.store(each)
            tell("node", {"event": "executed", "node": node, "output": self.shown.get(node, {})})
            self._went_on(node)
        if self._kept_node != node or self.context.stopping() != "pause":  # which is left to `keep`
            self.context.check()

    def kept(self, key: str) -> Any:
        """The state that an earlier attempt kept of a sampler (workflow/run/running.py: SamplerStates). torch gets the
        number of threads of that attempt: sums of another number differ in their last bits."""
        kept = self.context.claim.kept
        if kept is None or kept.facts.get("sampler") != key:
            return None
        import torch

        from ...engine.resume import SamplingState

        try:
            path, facts = self.context.kept() or (Path(), {})
            state = SamplingState.read(path)
        except KinemaError as error:
            self.context.note(f"The kept state cannot be used; the sampler begins again: {error}")
            return None
        self.until.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(facts["threads"])
        self.context.outbox.event("resumed", {"step": state.step})
        return state

    def keep(self, key: str, node: str, state: Any) -> None:
        """Keep the state of a sampler if it is time; raise if the work should stop."""
        import torch

        self._kept_node = node
        if self.context.due_to_keep():
            facts = {"nodes": self._finished, "sampler": key, "threads": torch.get_num_threads()}
            self.context.keep(state.save, facts)
        else:
            self.context.check()

    def _begin(self) -> None:
        """Tell once which results were at hand."""
        if self._cached is not None:
            self.context.outbox.event("node", {"event": "cached", "nodes": self._cached})
            self._count, self._cached = len(self._cached), None

    def _progress(self, node: str, value: float, most: float) -> None:
        now, (last, counted, _) = time.monotonic(), self._counted
        if last == node and (value == counted or (value < most and now - self._told_s < PROGRESS_S)):
            return
        self._told_s, self._counted = now, (node, value, most)
        self.context.outbox.event("node_progress", {"node": node, "value": value, "max": most})
        part = min(1.0, value / most) if most else 0.0
        fraction = min(1.0, (self._count + part) / max(1, len(self.nodes)))
        self.context.outbox.progress(ProgressState("sample", fraction, done=int(value), total=int(most)).to_dict())

    def _went_on(self, node: str) -> None:
        """Count a node that has finished."""
        self._count += 1
        self._running = ""
        if self._counted[0] == node and node not in self._finished:
            self._finished.append(node)
            self.context.keep(lambda path: path.write_text(" ".join(self._finished)), {"nodes": self._finished})

    def store(self, written: Written) -> None:
        """Store a file that a node wrote, with its name, once."""
        if written.path in self._stored:
            return
        suffix = written.path.suffix.lower()
        facts = self.context.store_file(written.path, BY_SUFFIX.get(suffix, "application/octet-stream"))
        name = self.outputs.name_of(written.path, written.kind, facts["media"])
        self._stored[written.path] = (written, name)
        self.files.append({**facts, "node": written.node, **name.to_dict()})
        mine = [(name, each.facts) for each, name in self._stored.values() if each.node == written.node]
        self.shown[written.node] = shown_output(mine)

    def fail(self, error: Exception) -> None:
        """Report the node that failed."""
        self._begin()
        lines = traceback.format_exception(error)[-MAX_TRACEBACK_LINES:] if _is_fault(error) else []
        self.context.outbox.event("node", {
            "event": "failed", "node": self._running, "type": type(error).__name__,
            "traceback": [line.rstrip()[:500] for line in lines],
        })  # fmt: skip

    def result(self) -> dict[str, Any]:
        """The job's result."""
        self._begin()
        results = [each for each in self.files if each["type"] == "output"] or self.files
        facts: dict[str, Any] = {}
        for name in ("media", "bytes", "media_type", "name") if results else ():
            facts[name] = results[0][name]
        return {**facts, "outputs": self.shown, "files": self.files}


def _is_lasting(error: Exception) -> bool:
    """Whether another attempt would meet the error again: a fault of the program, not of the machine. Somebody waits
    for the answer."""
    of_machine = isinstance(error, KinemaError | OSError) or is_out_of_memory(error) or is_broken(error)
    return not of_machine


def _is_fault(error: Exception) -> bool:
    """Whether the error is one of the program, whose place helps, and not of the request."""
    return not isinstance(error, RequestError | MediaError)


def jpeg_of(frames_FHWC: np.ndarray) -> tuple[bytes, str]:
    """A preview as the page shows it: the middle frame as JPEG, at most PREVIEW_PX wide and high."""
    from PIL import Image

    picture = Image.fromarray(frames_FHWC[len(frames_FHWC) // 2])
    picture.thumbnail((PREVIEW_PX, PREVIEW_PX))
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=80)
    return content.getvalue(), "image/jpeg"
