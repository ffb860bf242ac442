"""The OpenAPI description of Comfy API v2."""

from __future__ import annotations

from typing import Any

from .assets import HASH
from .described import PROMPT, TEXTS, Does, json_of, object_of, query_of
from .labels import MOST_LABELS
from .v2_jobs import API
from .v2_routes import MOST_LISTED

UUID: dict[str, Any] = {"type": "string", "format": "uuid"}
ID = {"name": "id", "in": "path", "required": True, "schema": UUID}
BLAKE3 = {"type": "string", "pattern": f"^{HASH.pattern}$"}
TEXT = {"type": "string"}
FILE = {"type": "string", "format": "binary"}
ANY_FILE = {"*/*": {"schema": FILE}}
ERROR = json_of(object_of(["error"], error=object_of(["code", "message"], code=TEXT, message=TEXT)))
STREAM = {"text/event-stream": {"schema": TEXT}}


def v2_paths(described: Does, key: dict[str, Any]) -> dict[str, Any]:
    """The paths. described: describes one operation (server/openapi.py). key: the parameter Idempotency-Key."""

    def does(summary: str, answers: dict[int, Any], *errors: int, **more: Any) -> dict[str, Any]:
        found = described(summary, answers, *errors, **more)
        for status in errors:
            found["responses"][str(status)]["content"] = ERROR
        return found

    labels = {"type": "object", "maxProperties": MOST_LABELS, "propertyNames": {"pattern": "^[A-Za-z0-9_.-]{1,40}$"},
              "additionalProperties": {"type": "string", "maxLength": 64}}  # fmt: skip
    submitted = object_of(["workflow"], workflow=PROMPT, extra_data={"type": "object"}, metadata=labels)
    listed = [query_of("limit", {"type": "integer", "minimum": 1, "maximum": MOST_LISTED}),
              query_of("cursor", {"type": "string", "pattern": "^[0-9a-f]{8,40}$"}),
              {**query_of("metadata", labels), "style": "deepObject", "explode": True}]  # fmt: skip
    resumed = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer", "minimum": 0}}
    form = object_of(["file"], file=FILE, content_type=TEXT, file_path=TEXT, expected_hash=BLAKE3, tags=TEXTS)
    job, asset = json_of(object_of(id=UUID)), json_of(object_of(id=UUID))
    one, by_hash = f"{API}/jobs/{{id}}", {"name": "hash", "in": "path", "required": True, "schema": BLAKE3}
    return {
        f"{API}/jobs": {
            "post": does("Comfy API v2: submit a workflow", {201: job}, 400, 413, 415, 422, body=json_of(submitted),
                         parameters=[key]),
            "get": does("Comfy API v2: list workflows, the newest first", {200: json_of({"type": "object"})}, 400,
                        parameters=listed),
        },
        one: {"parameters": [ID], "get": does("Comfy API v2: show a workflow", {200: job}, 404)},
        f"{one}/events": {
            "parameters": [ID],
            "get": does("Comfy API v2: status, progress, output, preview and log of a workflow, until its end",
                        {200: STREAM, 204: None}, 404, parameters=[resumed]),
        },
        f"{one}/workflow": {
            "parameters": [ID],
            "get": does("Comfy API v2: the nodes of a workflow", {200: json_of({"type": "object"})}, 404),
        },
        f"{one}/cancel": {"parameters": [ID], "post": does("Comfy API v2: cancel a workflow", {200: job}, 404)},
        f"{API}/assets": {
            "post": does("Comfy API v2: upload an asset", {201: asset}, 400, 409, 413,
                         body={"multipart/form-data": {"schema": form}}),
        },
        f"{API}/assets/from-hash": {
            "post": does("Comfy API v2: another asset with content that is here", {201: asset}, 400, 404, 413, 415,
                         body=json_of(object_of(["hash"], hash=BLAKE3, file_path=TEXT, tags=TEXTS))),
        },
        f"{API}/assets/by-hash/{{hash}}": {
            "parameters": [by_hash],
            "get": does("Comfy API v2: whether content is here", {200: json_of({"type": "object"})}, 404),
            "head": does("Comfy API v2: whether content is here", {200: None}, 404),
        },
        f"{API}/assets/{{id}}": {
            "parameters": [ID], "get": does("Comfy API v2: show an asset", {200: asset}, 404),
            "delete": does("Comfy API v2: delete an asset", {204: None}, 404, 409),
        },
        f"{API}/assets/{{id}}/content": {
            "parameters": [ID],
            "get": does("Comfy API v2: the file of an asset", {200: ANY_FILE, 206: ANY_FILE, 416: None}, 400, 404),
        },
    }  # fmt: skip
