"""Workflows as ComfyUI's API shows them: in lists of jobs, in detail, in the history and in the queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .messages import OF_STATUS, PreviewMessage, PromptMessages
from .prompts import PromptRecord, Prompts

VISUAL = ("images", "video", "gifs")
OF_NODES = ("state", "node")
"""Kinds of events that history is made of; progress and previews are not."""
MOST_EVENTS = 50_000


def job_of(record: PromptRecord) -> dict[str, Any]:
    """A line of the list of jobs. Times are milliseconds since the epoch."""
    outputs = record.result.get("outputs", {})
    files = [(node, key, each) for node, output in outputs.items() for key, each in _files(output)]
    visual = [each for each in files if each[1] in VISUAL]
    shown: dict[str, Any] = {
        "id": record.id, "status": record.status, "priority": record.number, "create_time": _ms(record.created_at),
        "outputs_count": len(files), "previewable_outputs_count": len(visual),
    }  # fmt: skip
    if record.workflow:
        shown["workflow_id"] = record.workflow
    if record.started_at is not None:
        shown["execution_start_time"] = _ms(record.started_at)
    if record.ended_at is not None:
        shown["execution_end_time"] = _ms(record.ended_at)
    best = next((each for each in visual if each[2].get("type") == "output"), visual[0] if visual else None)
    if best is not None:
        shown["preview_output"] = {**best[2], "nodeId": best[0], "mediaType": best[1]}
    if record.status == "failed":
        shown["execution_error"] = {
            "exception_message": record.reason, "exception_type": "", "node_id": "", "node_type": "", "traceback": [],
            "executed": [], "timestamp": _ms(record.ended_at),
        }  # fmt: skip
    return shown


def told_of(prompts: Prompts, record: PromptRecord, body: Mapping[str, Any]) -> tuple[PromptMessages, list[Any]]:
    """What a workflow's nodes have given so far, and its messages for the history."""
    found, kept = PromptMessages(record.id, classes_of(body)), list[Any]()
    for event in prompts.events(record.job, kinds=OF_NODES, limit=MOST_EVENTS):
        if event.kind == "state" and event.data["state"] == "running":
            kept = []
        kept += [
            [each["type"], each["data"]]
            for each in found.take(event)
            if not isinstance(each, PreviewMessage) and each["type"] in OF_STATUS
        ]
    return found, kept


def detail_of(prompts: Prompts, record: PromptRecord, body: Mapping[str, Any]) -> dict[str, Any]:
    """One job with its outputs so far and its prompt."""
    told, messages = told_of(prompts, record, body)
    outputs = record.result.get("outputs") or {node: output for node, output in told.outputs.items() if output}
    shown = job_of(record) | {
        "outputs": outputs, "outputs_count": sum(len(_files(output)) for output in outputs.values()),
        "execution_status": _status(record, messages),
        "workflow": {"prompt": body.get("prompt", {}), "extra_data": body.get("extra", {})},
    }  # fmt: skip
    if (error := next((data for type_, data in messages if type_ == "execution_error"), None)) is not None:
        shown["execution_error"] = error
    return shown


def history_of(prompts: Prompts, record: PromptRecord, body: Mapping[str, Any]) -> dict[str, Any]:
    """The record of the history."""
    told, messages = told_of(prompts, record, body)
    outputs = record.result.get("outputs") or {node: output for node, output in told.outputs.items() if output}
    meta = {node: {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}
            for node in outputs}  # fmt: skip
    return {"prompt": queue_item(record, body), "outputs": outputs, "status": _status(record, messages), "meta": meta}


def queue_item(record: PromptRecord, body: Mapping[str, Any]) -> list[Any]:
    """A line of the queue: number, id, prompt, what else the client sent, nodes that it runs to."""
    extra = {**body.get("extra", {}), "create_time": _ms(record.created_at)}
    if body.get("client_id"):
        extra["client_id"] = body["client_id"]
    return [record.number, record.id, body.get("prompt", {}), extra, body.get("outputs", [])]


def classes_of(body: Mapping[str, Any]) -> dict[str, str]:
    """The class of each node."""
    return {key: node["class_type"] for key, node in body.get("prompt", {}).items()}


def _status(record: PromptRecord, messages: list[Any]) -> dict[str, Any]:
    word = {"completed": "success", "failed": "error", "cancelled": "error"}.get(record.status, record.status)
    return {"status_str": word, "completed": record.status == "completed", "messages": messages}


def _files(output: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (key, each) for key, found in output.items() if isinstance(found, list) for each in found
        if isinstance(each, dict)
    ]  # fmt: skip


def _ms(at: float | None) -> int | None:
    return None if at is None else int(at * 1000)
