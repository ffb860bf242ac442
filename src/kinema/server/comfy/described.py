"""The OpenAPI description of ComfyUI's API for running work. All of it exists without /api too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .prompts import SORTS, STATUSES

Does = Callable[..., dict[str, Any]]
UUID: dict[str, Any] = {"type": "string", "format": "uuid"}
ID = {"name": "id", "in": "path", "required": True, "schema": UUID}
COUNT = {"type": "integer", "minimum": 0}
TEXTS = {"type": "array", "items": {"type": "string"}}
PROMPT: dict[str, Any] = {
    "type": "object", "minProperties": 1,
    "additionalProperties": {
        "type": "object", "required": ["class_type", "inputs"],
        "properties": {"class_type": {"type": "string"}, "inputs": {"type": "object"}, "_meta": {"type": "object"}},
    },
}  # fmt: skip


def comfy_paths(does: Does) -> dict[str, Any]:
    """The paths. does: describes one operation (server/openapi.py)."""
    submitted = object_of(
        prompt=PROMPT, client_id={"type": "string"}, prompt_id=UUID, number={"type": "number"},
        front={"type": "boolean"}, partial_execution_targets=TEXTS, extra_data={"type": "object"}, required=["prompt"],
    )  # fmt: skip
    said = json_of(object_of(prompt_id=UUID, number={"type": "number"}, node_errors={"type": "object"}))
    listed = [
        query_of("status", {"type": "string", "description": f"comma-separated: {', '.join(STATUSES)}"}),
        query_of("workflow_id", {"type": "string"}), query_of("sort_by", {"enum": [*SORTS]}),
        query_of("sort_order", {"enum": ["asc", "desc"]}),
        query_of("limit", {"type": "integer", "minimum": 1, "maximum": 1000}),
        query_of("offset", {"type": "integer", "minimum": 0, "maximum": 10**9}),
    ]  # fmt: skip
    cancelled = {200: json_of(object_of(cancelled={"type": "boolean"}))}
    some, nothing = {200: json_of({"type": "object"})}, {200: None}
    change: dict[str, Any] = {"clear": {"type": "boolean"}, "delete": TEXTS}
    return {
        "/api/prompt": {
            "post": does("ComfyUI: submit a prompt", {200: said}, 400, 413, body=json_of(submitted)),
            "get": does("ComfyUI: how many prompts wait or run", some),
        },
        "/api/queue": {
            "get": does("ComfyUI: the queue", some),
            "post": does("ComfyUI: clear the queue, delete from it, pause it", nothing, 400, 413,
                         body=json_of(object_of(**change, paused={"type": "boolean"}))),
        },
        "/api/interrupt": {
            "post": does("ComfyUI: cancel one prompt, or the running one", nothing, 400, 413,
                         body=json_of(object_of(prompt_id=UUID))),
        },
        "/api/free": {"post": does("ComfyUI: accepted without effect", nothing, 400, 413, body=json_of(object_of()))},
        "/api/history": {
            "get": does("ComfyUI: prompts that have ended", some, 400,
                        parameters=[query_of("max_items", COUNT), query_of("offset", COUNT)]),
            "post": does("ComfyUI: delete from the history", nothing, 400, 413, body=json_of(object_of(**change))),
        },
        "/api/history/{id}": {
            "parameters": [ID],
            "get": does("ComfyUI: one prompt that has ended", some,
                        parameters=[query_of("unfinished", {"type": "boolean"})]),
        },
        "/api/jobs": {"get": does("ComfyUI: workflows in pages", some, 400, parameters=listed)},
        "/api/jobs/cancel": {
            "post": does("ComfyUI: cancel workflows", cancelled, 400, 413,
                         body=json_of(object_of(job_ids={"type": "array", "items": UUID}, required=["job_ids"]))),
        },
        "/api/jobs/{id}": {"parameters": [ID], "get": does("ComfyUI: one workflow", some, 404)},
        "/api/jobs/{id}/cancel": {"parameters": [ID], "post": does("ComfyUI: cancel a workflow", cancelled, 400)},
    }  # fmt: skip


def object_of(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def query_of(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


def json_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
