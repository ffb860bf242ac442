"""The kind `workflow` of jobs: a ComfyUI prompt that runs in a worker.

Its body:
    prompt      the API prompt: the nodes that run
    outputs     the ids of the nodes that it runs to
    files       {name of an input file in the prompt: "sha256:<hex>"}
    models      {name of a model file in the prompt: the model to use for it}
    client_id   of the client that submitted it, or ""
    workflow    "sha256:<hex>": the saved page as JSON, apart from the body since it is large; or null
    extra       what else the client sent along

Its result: {"outputs": {node: its output for ComfyUI's clients}, "files": [of Context.store_file]}, and the first clip
or picture as "media", "bytes", "media_type", "name", as for other kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core.by_hash import is_media
from ...core.errors import RequestError
from ...jobs.built_in import BUILT_IN
from ...jobs.kinds import JobKind
from ...workflow.formats.api import is_api
from .prompts import KIND

FIELDS = {"prompt": dict, "outputs": list, "files": dict, "models": dict, "client_id": str, "extra": dict}


def media(body: Any) -> set[str]:
    """The hashes that a body names. RequestError: it is no body."""
    check(body)
    page = body.get("workflow")
    return {*body["files"].values(), *([] if page is None else [page])}


def check(body: Any, _store: Any = None) -> None:
    """RequestError for a body that is none. What its nodes say is checked before (validation.py)."""
    if not isinstance(body, dict):
        raise RequestError("The body of a workflow is an object.", field="body", legal=", ".join(FIELDS))
    for name, kind in FIELDS.items():
        if not isinstance(body.get(name), kind):
            raise RequestError(f"{name} is not legal.", field=name, legal=f"a {kind.__name__}")
    if not is_api(body["prompt"]):
        raise RequestError("prompt is no API prompt.", field="prompt", legal='nodes with a "class_type" by id')
    if not all(is_media(each) for each in body["files"].values()):
        raise RequestError("files are not legal.", field="files", legal='{name: "sha256:<hex>"}')
    if not all(isinstance(each, str) for each in body["models"].values()):
        raise RequestError("models are not legal.", field="models", legal="{name of a file: model}")
    if body.get("workflow") is not None and not is_media(body["workflow"]):
        raise RequestError("workflow is not legal.", field="workflow", legal='"sha256:<hex>" or null')


def workflow_kind(runner: Callable[..., Any] | None = None) -> JobKind:
    """The kind. runner: a stand-in for `run_workflow`."""

    def run(context: Any, body: Any) -> dict[str, Any]:
        from .run import run_prompt

        return run_prompt(context, body, runner)

    return JobKind(KIND, check, media, run)


WORKFLOW = workflow_kind()
KINDS = (*BUILT_IN, WORKFLOW)
"""What the workers of `kinema serve` run."""
