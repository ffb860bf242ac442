"""Execute a ComfyUI graph: plan all of it, then run what its results need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...core.leftovers import temporary_folder
from ..findings import Examined
from .cache import NodeCache
from .keys import Keys
from .planning import PlannedWorkflow, plan_workflow
from .planning_files import PlanningFiles
from .running import Engines, SamplerStates, WorkflowRun
from .values import Inputs, NodeEvent, Outputs, Written

__all__ = ["Engines", "NodeCache", "planned_workflow", "run_workflow"]


def run_workflow(
    work: Examined, *, models: Mapping[str, str], inputs: Inputs, outputs: Outputs, cache: NodeCache | None,
    engines: Engines, report: Callable[[NodeEvent], None] = lambda _event: None, carry: Mapping[str, Any] | None = None,
    before: Callable[[PlannedWorkflow], None] = lambda _planned: None, states: SamplerStates | None = None,
) -> list[Written]:  # fmt: skip
    """Run the graph of a workflow; returns the files of its results.

    models: by the name of a file in the graph, the model or LoRA file to use for it; "none" leaves a LoRA out. cache:
    of results; None: nothing is kept. report: called with what happens to each node; may raise to stop, and no partial
    file remains. carry: the graph as it is written into the files, {"prompt", "workflow"}; None: the prompt alone.
    before: called with the plan before anything runs. states: where the states of samplers are kept, so that an
    interrupted one goes on with the same result.

    A result that an earlier run left in the cache is not computed: its files are those still in place, if
    `outputs.holds(path)` says so, else copies under new names. RequestError: everything that is missing or wrong, at
    once, before anything runs. Later: what nodes raise.
    """
    from .saving_nodes import SAVED

    with _opened(cache) as used, temporary_folder("workflow") as folder:
        planned = PlannedWorkflow(work)
        keys = Keys(planned, inputs)
        plan_workflow(planned, models, inputs, PlanningFiles(folder, used, keys), SAVED)
        before(planned)
        carried = {"prompt": work.prompt} if carry is None else carry
        return WorkflowRun(planned, keys, used, engines, outputs, SAVED, carried, report, states).run()


def planned_workflow(work: Examined, *, models: Mapping[str, str], inputs: Inputs) -> PlannedWorkflow:
    """The plan alone: the request of each sampler, notes. RequestError as `run_workflow`."""
    from .saving_nodes import SAVED

    with _opened(None) as cache, temporary_folder("workflow") as folder:
        planned = PlannedWorkflow(work)
        plan_workflow(planned, models, inputs, PlanningFiles(folder, cache, Keys(planned, inputs)), SAVED)
    return planned


@contextmanager
def _opened(cache: NodeCache | None) -> Iterator[NodeCache]:
    """The cache, released at the end; a temporary one in place of None."""
    if cache is not None:
        with cache:
            yield cache
        return
    with temporary_folder("cache") as folder, NodeCache(folder, max_bytes=2**62) as temporary:
        yield temporary
