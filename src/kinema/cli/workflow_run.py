"""`kinema workflow run`: the results of a ComfyUI workflow, generated and written."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.apart import keep_apart
from ..core.errors import OutsideDomain, RequestError
from ..core.events import OnEvent, Part, Progress, ignore, planned
from ..core.leftovers import temporary_folder
from . import output
from .clip_work import readable, record
from .progress import reporter
from .say import answer, note

if TYPE_CHECKING:
    from ..workflow.findings import Examined
    from ..workflow.run.planning import PlannedWorkflow
    from ..workflow.run.values import NodeEvent, Written


SHOWN = ("PreviewImage", "MaskPreview")
"""Nodes whose files are temporary."""


def chosen_models(entries: list[str]) -> dict[str, str]:
    """The models of `--model FILE=MODEL`. RequestError."""
    found = {}
    for entry in entries:
        name, sign, model = entry.partition("=")
        if not (name and sign and model):
            raise RequestError(f"--model {entry}.", field="model", value=entry,
                               legal="FILE=MODEL, as svd.safetensors=kinema-mini-svd")  # fmt: skip
        found[name] = model
    return found


def run_to_files(
    work: Examined, models: dict[str, str], inputs: Path, given: str | None, source: str, device: str | None,
    *, anyway: bool, use_cache: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run a workflow and print its results. given: the file or folder of `--output`."""
    from ..jobs.pool import EnginePool
    from ..workflow.run.cache import NodeCache
    from ..workflow.run.execute import run_workflow
    from ..workflow.run.folders import FolderInputs, FolderOutputs

    single, folder = _places(given)
    began = time.perf_counter()
    seen: list[PlannedWorkflow] = []
    shown = _Shown(device)

    def before(found: PlannedWorkflow) -> None:
        seen.append(found)
        _check(found, single, source, inputs, anyway=anyway)
        if not as_json:
            for line in found.remarks():
                note(line)
        shown.begin(found)

    with (
        temporary_folder("previews") as temp,
        FolderOutputs(folder, temp, single) as outputs,
        reporter(as_json) as on_event,
    ):
        shown.on_event = on_event
        written = run_workflow(
            work, models=models, inputs=FolderInputs(inputs), outputs=outputs,
            cache=NodeCache() if use_cache else None, engines=_Engines(EnginePool(device or ""), on_event),
            report=shown.report, before=before,
        )  # fmt: skip
        results = [_result(each, seen[0], shown) for each in written if each.kind == "output"]
        for each in results:
            record_result(on_event, each)
    seconds = round(time.perf_counter() - began, 3)
    answer({"clips": results, "seconds": seconds}, as_json, "\n".join(_text(each, seconds) for each in results))


def _places(given: str | None) -> tuple[Path | None, Path]:
    """The only file, or None, and the folder of results. A name with a suffix is a file, unless it is a folder or ends
    with a slash. RequestError and MediaError if it cannot be written."""
    target = Path(given) if given is not None else Path()
    if target.suffix and not (target.is_dir() or str(given).endswith("/")):
        output.check_clip(str(target))
        return target, Path()
    there = next(folder for folder in (target.absolute(), *target.absolute().parents) if folder.exists())
    output.check_parent(there / "result")
    return None, target


def _check(found: PlannedWorkflow, single: Path | None, source: str, inputs: Path, *, anyway: bool) -> None:
    """What has to be right before anything runs. RequestError, OutsideDomain."""
    from ..workflow.run.saving_nodes import suffix_of

    results = [found.nodes[node] for node in found.results]
    suffixes = [suffix_of(each.kind, each.given) for each in results if each.kind not in SHOWN]
    if single is not None and len(suffixes) != 1:
        raise RequestError(f"The workflow writes {len(suffixes)} results.", field="output", value=str(single),
                           legal="a folder, as clips/")  # fmt: skip
    if single is not None:
        if single.suffix.lower() != suffixes[0]:
            raise RequestError(
                f"{single}: the workflow writes {suffixes[0]}.",
                field="output",
                value=str(single),
                legal="a folder, or a name with that suffix",
                nearest=single.with_suffix(suffixes[0]).name,
            )
        keep_apart({"output": str(single)}, [source, *(str(inputs / name) for name in found.files())])
    if not anyway and (sentences := found.outside()):
        raise OutsideDomain(f"{' '.join(sentences)} Use --anyway to run it.", field="model")


class _Engines:
    """The engines of a pool; loading is reported to the display."""

    def __init__(self, pool: Any, on_event: OnEvent) -> None:
        self.pool, self.on_event = pool, on_event

    def lease(self, model: str, _on_event: OnEvent, /) -> AbstractContextManager[Any]:
        found: AbstractContextManager[Any] = self.pool.lease(model, self.on_event)
        return found


class _Shown:
    """Events of nodes as those of a display: each sampler and decoder is a part of the work."""

    def __init__(self, device: str | None) -> None:
        self.on_event: OnEvent = ignore
        self.device = device
        self.cached: set[str] = set()
        self.places: dict[str, int] = {}
        self.began = 0.0

    def begin(self, found: PlannedWorkflow) -> None:
        from ..engine.estimate import device_name, parts
        from ..weights import store

        self.places = {node: index for index, node in enumerate((*found.samplers, *found.decodes))}
        expected = []
        steps = {**found.samplers, **{node: each.sampler for node, each in found.decodes.items()}}
        for node, step in steps.items():
            stage = "sample" if node in found.samplers else "decode"
            all_of = parts(step.plan, store.find(step.model), device_name(self.device))
            seconds = sum(part.seconds for part in all_of if part.stage == stage)
            expected.append(Part(stage, seconds, self.places[node]))
        self.on_event(planned(*expected))

    def report(self, event: NodeEvent) -> None:
        if event.kind == "cached":
            self.cached.add(event.node)
        elif event.kind == "executing":
            self.began = time.perf_counter()
        elif event.kind == "progress":
            data, seconds = event.data, time.perf_counter() - self.began
            self.on_event(
                Progress(data["stage"], data["value"], data["max"], seconds, self.places.get(event.node, 0))
            )  # fmt: skip


def _result(written: Written, found: PlannedWorkflow, shown: _Shown) -> dict[str, Any]:
    """What is printed about a file."""
    steps = [found.samplers[node] for node in found.ancestors(written.node) if node in found.samplers]
    made = {"plan": steps[-1].plan.model_dump(mode="json"), "model": steps[-1].plan.model} if steps else {}
    return {
        "node": written.node, "path": str(_near(written.path)), "bytes": output.size_of(written.path),
        "cached": written.node in shown.cached, **written.facts, **made,
    }  # fmt: skip


def _near(path: Path) -> Path:
    """The path as seen from this folder, if it is inside."""
    return path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path


def record_result(on_event: OnEvent, result: dict[str, Any]) -> None:
    """Add a clip to the history."""
    plan = result.get("plan")
    if plan is not None and "fps" in result and not result["cached"]:
        record(
            on_event, result["path"], "generated", prompt=plan["prompt"], model=plan["model"], seed=plan["seed"],
            size=(plan["width"], plan["height"]), frames=result.get("frames", plan["frames"]), fps=result["fps"],
        )  # fmt: skip


def _text(result: dict[str, Any], seconds: float) -> str:
    took = "from the cache" if result["cached"] else f"in {seconds:.1f} s"
    return f"{result['path']}  ({readable(result['bytes'])}) {took}"
