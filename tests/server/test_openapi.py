"""The API as its OpenAPI document describes it: generated requests, legal and not, never end in a fault."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from typing import Any
from unittest import SkipTest

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from starlette.routing import Route
from starlette.testclient import TestClient

from kinema.core.request import Request
from kinema.server.comfy.history_routes import HistoryRoutes
from kinema.server.comfy.jobs_routes import ComfyJobRoutes
from kinema.server.comfy.prompt_routes import PromptRoutes
from kinema.server.comfy.queue_routes import QueueRoutes
from kinema.server.openapi import OpenApi

LARGE = ("/jobs", "/plan")
"""Their bodies are whole requests, which take most of the time to generate."""


@pytest.mark.parametrize(
    ("examples", "of_large"), [(2, 0), pytest.param(25, 25, marks=pytest.mark.slow, id="long")]
)  # fmt: skip
def test_no_generated_request_is_a_fault(site, examples, of_large):
    """Legal and illegal requests of each operation."""
    client = site().client
    described = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    called: Counter[int] = Counter()
    for found in described.get_all_operations():
        operation = found.ok()
        num = of_large if operation.path in LARGE and operation.method == "post" else examples
        if not num:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                strategy = operation.as_strategy(generation_mode=mode)
            except Unsatisfiable:  # nothing about the operation can be illegal
                continue

            @seed(1)
            @settings(
                max_examples=num,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy)
            def check(case) -> None:
                answer = sent(client, case)
                called[answer.status_code] += 1
                no_worker = answer.status_code == 503 and case.path == "/readyz"
                assert answer.status_code < 500 or no_worker, (case.as_curl_command(), answer.text)
                if answer.status_code >= 400 and case.method.upper() != "HEAD" and answer.status_code != 416:
                    assert answer.json()["error"], case.as_curl_command()

            with contextlib.suppress(Unsatisfiable, SkipTest):
                check()
    assert {200, 404, 422} <= set(called), called


def sent(client: TestClient, case: Any) -> Any:
    """Send a request as generated, by the client of the test: one that starts the application each time is slow."""
    how = case.as_transport_kwargs(base_url=str(client.base_url))
    body = how.pop("data", None)
    content = body if isinstance(body, bytes | str | None) else json.dumps(body)
    return client.request(**{name: how[name] for name in ("method", "url", "params", "headers") if name in how},
                          **({"json": how["json"]} if "json" in how else {"content": content}))  # fmt: skip


def test_the_document_is_made_of_the_values(site):
    found = site()
    document = found.client.get("/openapi.json").json()
    properties = document["components"]["schemas"]["Request"]["properties"]
    assert properties.keys() == Request.json_schema()["properties"].keys()
    assert "#/$defs/" not in json.dumps(document)
    inside = found.app
    while not hasattr(inside, "routes"):
        inside = inside.app
    routes = {(route.path, method) for route in inside.routes if isinstance(route, Route) for method in route.methods}
    page = ("/", "/favicon.ico", "/robots.txt", "/openapi.json", "/page/{name}")
    described = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    comfy = {each for each in described if re.match("/api/(?!v2/)", each[0]) and each[1] != "PARAMETERS"}
    running = (PromptRoutes, QueueRoutes, HistoryRoutes, ComfyJobRoutes)
    assert comfy == {(f"/api{route.path}", method) for part in running for route in part(found.store).routes()
                     for method in route.methods if method != "HEAD"}  # fmt: skip
    described -= comfy
    wanted = {(path, method) for path, method in routes if path not in page and method != "HEAD"}
    assert wanted == {each for each in described if each[1] not in ("PARAMETERS", "HEAD")}
    assert OpenApi("1", True).document()["security"] == [{"token": []}]
