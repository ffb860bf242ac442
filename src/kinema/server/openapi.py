"""The OpenAPI description of the server, written from the values that its routes take and return."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..core.plan import Plan
from ..core.request import Request
from ..jobs.clip_body import BESIDE, MAX_NAME_CHARS, QUALITIES
from ..jobs.job import STATES, Job, JobEvent
from .comfy.described import comfy_paths
from .comfy.v2_described import v2_paths

TEMPLATE = "#/components/schemas/{model}"
ID: dict[str, Any] = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{8,40}$"},
}
SHA = {"name": "sha256", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}
NUMBER = {"type": "integer", "minimum": 0}
PRIORITY = {"type": "integer", "minimum": -1_000_000, "maximum": 1_000_000, "default": 0}
ANY_FILE = {"*/*": {"schema": {"type": "string", "format": "binary"}}}


class OpenApi:
    """version: of Kinema. needs_token: whether clients must send one."""

    def __init__(self, version: str, needs_token: bool) -> None:
        self.version, self.needs_token = version, needs_token
        self._text = b""

    def routes(self) -> list[BaseRoute]:
        return [Route("/openapi.json", self.show)]

    async def show(self, _request: HttpRequest) -> Response:
        self._text = self._text or json.dumps(self.document()).encode()
        return Response(self._text, media_type="application/json", headers={"cache-control": "no-cache"})

    def document(self) -> dict[str, Any]:
        schemas: dict[str, Any] = {}
        for name, schema in (
            ("Request", Request.json_schema()),
            ("Plan", TypeAdapter(Plan).json_schema(ref_template=TEMPLATE, mode="serialization")),
            ("Job", TypeAdapter(Job).json_schema(ref_template=TEMPLATE)),
            ("JobEvent", TypeAdapter(JobEvent).json_schema(ref_template=TEMPLATE)),
        ):
            schema = _in_components(schema)
            schemas |= schema.pop("$defs", {})
            schemas[name] = schema
        schemas["Job"]["properties"]["state"] = {"enum": list(STATES)}
        schemas |= _own_schemas()
        request = schemas["Request"]
        schemas["ClipBody"] = request | {"title": "ClipBody", "properties": request["properties"] | _beside()}
        document: dict[str, Any] = {
            "openapi": "3.1.0",
            "info": {
                "title": "Kinema", "version": self.version, "license": {"name": "Apache-2.0"},
                "description": "Jobs that generate and edit video. Media are named by SHA-256.",
            },
            "paths": _paths(),
            "components": {"schemas": schemas},
        }  # fmt: skip
        if self.needs_token:
            document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
        return document


def _beside() -> dict[str, Any]:
    """Fields of a job beside those of its request (jobs/clip_body.py)."""
    names = {"type": "object", "additionalProperties": {"type": "string"}}
    found: dict[str, Any] = {
        "file": {"type": "string", "maxLength": MAX_NAME_CHARS, "description": "name of the file, with its suffix"},
        "quality": {"enum": list(QUALITIES)},
        "shown_as": names | {"description": "sha256:<hex> -> name in the manifest"},
    }
    assert set(found) == set(BESIDE)
    return found


def _own_schemas() -> dict[str, Any]:
    text, media = {"type": "string"}, {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
    return {
        "Error": {
            "type": "object", "required": ["error"],
            "properties": {"error": text, "field": text, "value": {}, "legal": text, "nearest": {},
                           "models": {"type": "array", "items": text}, "here": {"type": "array", "items": text}},
        },
        "Submitted": {
            "type": "object", "required": ["kind", "body"], "additionalProperties": False,
            "properties": {
                "kind": {"const": "clip"},
                "body": _ref("ClipBody"),
                "priority": PRIORITY, "name": {"type": "string", "maxLength": 200},
                "expires_s": {"type": "number", "exclusiveMinimum": 0, "description": "start within, else expire"},
            },
        },
        "Media": {"type": "object", "properties": {"media": media, "bytes": NUMBER, "media_type": text}},
        "Jobs": {"type": "object", "properties": {"jobs": {"type": "array", "items": _ref("Job")},
                                                  "next": {"type": ["string", "null"]}}},
        "Events": {"type": "object", "properties": {"events": {"type": "array", "items": _ref("JobEvent")}}},
        "Models": {"type": "object", "properties": {"models": {"type": "array", "items": {"type": "object"}}}},
        "Video": {"type": "object", "required": ["id", "object"], "properties": {"id": text, "object": text}},
        "Videos": {"type": "object", "properties": {"data": {"type": "array", "items": _ref("Video")}}},
        "CreateVideo": {
            "type": "object", "required": ["prompt"], "additionalProperties": False,
            "properties": {
                "prompt": text, "model": text, "size": {"type": "string", "pattern": "^[0-9]{1,5}x[0-9]{1,5}$"},
                "seconds": {"type": ["string", "number"]}, "input_reference": {}, "num_frames": NUMBER,
                "fps": {"type": "number"}, "seed": NUMBER, "negative_prompt": text, "num_inference_steps": NUMBER,
                "guidance_scale": {"type": "number"}, "profile": {"enum": ["exact", "balanced", "fast"]},
            },
        },
        "Move": {"oneOf": [
            {"type": "object", "required": ["before"], "additionalProperties": False,
             "properties": {"before": ID["schema"]}},
            {"type": "object", "required": ["to"], "additionalProperties": False,
             "properties": {"to": {"enum": ["front", "back"]}}},
        ]},
    }  # fmt: skip


def _paths() -> dict[str, Any]:
    key = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 200}}
    query = [_query("state", {"enum": list(STATES)}), _query("kind", {"type": "string"}),
             _query("limit", {"type": "integer", "minimum": 1, "maximum": 500}),
             _query("before", ID["schema"])]  # fmt: skip
    after = [_query("after", NUMBER), {"name": "Last-Event-ID", "in": "header", "schema": NUMBER}]
    stream = {"text/event-stream": {"schema": {"type": "string"}}, **_json("Events")}
    one = {200: _json("Job")}
    verbs = {name: {"parameters": [ID], "post": _does(f"{name.capitalize()} a job", one, 404, 409)}
             for name in ("cancel", "retry", "pause", "resume")}  # fmt: skip
    return {
        "/jobs": {
            "post": _does("Submit a job", {201: _json("Job"), 200: _json("Job")}, 400, 409, 413, 415, 422,
                          body="Submitted", parameters=[key]),
            "get": _does("List jobs, the newest first", {200: _json("Jobs")}, 422, parameters=query),
        },
        "/jobs/{id}": {
            "parameters": [ID], "get": _does("Show a job", one, 404),
            "delete": _does("Delete an ended job", {204: None}, 404, 409),
        },
        **{f"/jobs/{{id}}/{name}": verb for name, verb in verbs.items()},
        "/jobs/{id}/move": {
            "parameters": [ID],
            "post": _does("Move a queued job", one, 400, 404, 409, 413, 415, 422, body="Move"),
        },
        "/jobs/{id}/events": {
            "parameters": [ID],
            "get": _does("Events of a job, as a stream or (Accept: application/json) a list", {200: stream, 204: None},
                         404, 422, parameters=after),
        },
        "/jobs/{id}/result": {
            "parameters": [ID],
            "get": _does("The file of a job that succeeded", {200: ANY_FILE, 206: ANY_FILE, 416: None}, 400, 404, 409),
        },
        "/media": {"post": _does("Upload a file", {201: _json("Media")}, 400, 413, 415, 507, body=ANY_FILE)},
        "/media/{sha256}": {
            "parameters": [SHA],
            "get": _does("Media", {200: ANY_FILE, 206: ANY_FILE, 416: None}, 400, 404),
            "head": _does("Whether the store has media", {200: None, 206: None, 416: None}, 400, 404),
        },
        "/plan": {"post": _does("Plan a request, with its cost", {200: _json("Plan")}, 400, 413, 415, 422,
                                body="Request")},
        "/models": {"get": _does("The models of this machine", {200: _json("Models")})},
        **_videos(key),
        **comfy_paths(_does),
        **v2_paths(_does, key),
        "/healthz": {"get": _does("Alive", {200: {"application/json": {"schema": {"type": "object"}}}})},
        "/readyz": {"get": _does("Ready for jobs", {200: {"application/json": {"schema": {"type": "object"}}}}, 503)},
        "/metrics": {"get": _does("Numbers for Prometheus", {200: {"text/plain": {"schema": {"type": "string"}}}})},
    }  # fmt: skip


def _videos(key: dict[str, Any]) -> dict[str, Any]:
    """The videos API (video_routes.py)."""
    id: dict[str, Any] = {
        "name": "id", "in": "path", "required": True,
          "schema": {"type": "string", "pattern": "^video_[0-9a-f]{8,40}$"}}  # fmt: skip
    query = [_query("limit", {"type": "integer", "minimum": 1, "maximum": 100}), _query("after", id["schema"]),
             _query("order", {"const": "desc"})]  # fmt: skip
    video = {200: _json("Video")}
    return {
        "/v1/videos": {
            "post": _does("Create a video", video, 400, 409, 413, 415, parameters=[key],
                          body={**_json("CreateVideo"), "multipart/form-data": {"schema": _ref("CreateVideo")}}),
            "get": _does("List videos, the newest first", {200: _json("Videos")}, 400, 404, parameters=query),
        },
        "/v1/videos/{id}": {
            "parameters": [id], "get": _does("Show a video", video, 404),
            "delete": _does("Delete a video, or cancel it", {200: _json("Video")}, 404, 409),
        },
        "/v1/videos/{id}/content": {
            "parameters": [id, _query("variant", {"const": "video"})],
            "get": _does("The file of a video", {200: ANY_FILE, 206: ANY_FILE, 416: None}, 400, 404, 409),
        },
        "/v1/models": {"get": _does("The models of this machine, as OpenAI lists them", {200: _json("Models")})},
    }  # fmt: skip


def _does(
    summary: str, answers: dict[int, Any], *errors: int, body: Any = None, parameters: list[Any] | None = None
) -> dict[str, Any]:  # fmt: skip
    """One operation. answers: status -> content, or None; errors: the statuses with an Error."""
    found: dict[str, Any] = {"summary": summary, "responses": {}}
    for status, content in answers.items():
        found["responses"][str(status)] = {"description": summary} | ({"content": content} if content else {})
    for status in (*errors, 401, 403, 421, 429):
        found["responses"][str(status)] = {"description": "PlanRefused", "content": _json("Error")}
    if body is not None:
        found["requestBody"] = {"required": True, "content": _json(body) if isinstance(body, str) else body}
    if parameters:
        found["parameters"] = parameters
    return found


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": TEMPLATE.format(model=name)}


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": _ref(name)}}


def _in_components(schema: Any) -> Any:
    """A schema whose references point into the components of the document."""
    return json.loads(json.dumps(schema).replace("#/$defs/", TEMPLATE.format(model="")))
