"""Uploads: streamed, hashed, limited, and gone if they end early."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from kinema.http import uploads
from kinema.http.uploads import receive

MOST = 1000
DATA = b"some bytes"
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def client(tmp_path):
    async def upload(request: Request) -> Response:
        async with receive(request, tmp_path, MOST) as found:
            if isinstance(found, Response):
                return found
            assert found.path.read_bytes() and found.path.stat().st_size == found.bytes
            return JSONResponse({"sha256": found.sha256, "bytes": found.bytes, "type": found.media_type})

    yield TestClient(Starlette(routes=[Route("/", upload, methods=["POST"])]))
    assert list(tmp_path.iterdir()) == []


def test_an_upload(client):
    answer = client.post("/", content=DATA, headers={"content-type": "Video/MP4; x=y", "x-kinema-sha256": SHA})
    assert answer.json() == {"sha256": SHA, "bytes": len(DATA), "type": "video/mp4"}
    assert client.post("/", content=DATA).json()["type"] == "application/octet-stream"
    assert client.post("/", content=iter([b"a"] * MOST)).json()["bytes"] == MOST


@pytest.mark.parametrize(
    ("status", "content", "headers"),
    [
        (413, b"x" * (MOST + 1), {}), (413, iter([b"x" * 600] * 2), {}), (413, b"", {"content-length": "9" * 19}),
        (413, b"", {"content-length": str(MOST + 1)}), (400, b"", {}), (400, DATA, {"x-kinema-sha256": "0" * 64}),
        (400, DATA, {"x-kinema-sha256": "../x"}), (415, DATA, {"content-type": "multipart/form-data; boundary=x"}),
        (415, DATA, {"content-type": "text"}), (415, DATA, {"content-type": "a/b\x01"}),
    ],
)  # fmt: skip
def test_an_upload_that_is_refused_leaves_nothing(client, status, content, headers):
    answer = client.post("/", content=content, headers=headers)
    assert answer.status_code == status and answer.json()["error"]


def test_a_full_disk_is_said(client, monkeypatch):
    monkeypatch.setattr(uploads, "SPARE_BYTES", 2**80)
    answer = client.post("/", content=DATA)
    assert answer.status_code == 507 and "disk is almost full" in answer.json()["error"]


def test_memory_does_not_grow_with_the_upload_and_a_client_that_leaves_leaves_nothing(tmp_path):
    import asyncio

    part, count = bytes(65536), 1024  # 64 MiB

    async def run(parts: int, leaves: bool) -> None:
        sent = 0

        async def incoming():
            nonlocal sent
            sent += 1
            if sent > parts and leaves:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": part, "more_body": sent < parts or leaves}

        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
        async with receive(Request(scope, incoming), tmp_path, 2**30) as found:
            assert found.bytes == parts * len(part)

    tracemalloc.start()
    asyncio.run(run(count, False))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20, peak
    with pytest.raises(ClientDisconnect):
        asyncio.run(run(3, True))
    assert list(tmp_path.iterdir()) == []
