"""/v1/videos: the `openai` client, unchanged, and what it never sends."""

from __future__ import annotations

import io

import openai
import pytest
from PIL import Image

from kinema.jobs.claims import Claims

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")


@pytest.fixture
def client(site):
    """site, and OpenAI's client on it."""
    found = site(max_queued=8)
    return found, openai.OpenAI(
        api_key="any", base_url="http://localhost:8188/v1", http_client=found.client, max_retries=0
    )


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 40, 40)).save(file, "PNG")
    return file.getvalue()


def finish(store, content: bytes = b"0123456789") -> None:
    claim = Claims(store, "w").take()
    media = store.media.put(content, "video/mp4")
    result = {"media": str(media), "media_type": "video/mp4", "name": "clip.mp4", "width": 64, "height": 64,
              "frames": 17, "fps": 8.0}  # fmt: skip
    claim.succeed(result, [str(media)])


def test_a_video_from_its_creation_to_its_end(client):
    found, api = client
    video = api.videos.create(prompt="a red ball rolls left", model="kinema-mini-wan", seconds="4", size="1280x720",
                              extra_body={"num_inference_steps": 7, "seed": 3})  # fmt: skip
    job = found.store.get(video.id.removeprefix("video_"))
    assert job.body == {
        "fit": "nearest", "prompt": "a red ball rolls left", "model": "kinema-mini-wan", "seconds": 4.0,
        "size": "1280x720", "steps": 7, "seed": 3,
    }  # fmt: skip
    assert (video.status, video.progress, video.seconds, video.size) == ("queued", 0, "4", "1280x720")
    with pytest.raises(openai.ConflictError, match="queued and has no result"):
        api.videos.download_content(video.id)
    finish(found.store)
    video = api.videos.retrieve(video.id)
    assert (video.status, video.progress, video.seconds, video.size) == ("completed", 100, "2.125", "64x64")
    assert video.completed_at >= video.created_at and video.error is None
    assert api.videos.download_content(video.id).read() == b"0123456789"
    part = found.client.get(f"/v1/videos/{video.id}/content", headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")
    assert api.videos.delete(video.id).id == video.id
    with pytest.raises(openai.NotFoundError, match="No job"):
        api.videos.retrieve(video.id)


def test_a_picture_comes_as_a_file_of_the_form_or_as_text(client):
    found, api = client
    video = api.videos.create(prompt="it moves", model="kinema-mini-wan", input_reference=("first.png", png()))
    body = found.store.get(video.id.removeprefix("video_")).body
    assert found.store.media.path(body["image"]).read_bytes() == png()
    assert found.store.media.find(body["image"]).media_type == "image/png"
    for given in (body["image"], {"file_id": body["image"]}, {"image_url": {"url": body["image"]}}):
        sent = found.client.post("/v1/videos", json={"prompt": "it moves", "input_reference": given})
        assert found.store.get(sent.json()["id"].removeprefix("video_")).body["image"] == body["image"]


def test_videos_are_listed_in_pages_and_canceled(client):
    found, api = client
    ids = [api.videos.create(prompt=f"ball {number}").id for number in range(3)]
    assert [video.id for video in api.videos.list(limit=2)] == ids[::-1]  # the client turns the pages
    assert found.client.delete(f"/v1/videos/{ids[0]}").json() == {
        "id": ids[0], "object": "video.deleted", "deleted": True
    }  # fmt: skip
    claim = Claims(found.store, "w").take()
    assert found.client.delete(f"/v1/videos/{ids[1]}").json()["deleted"] is False
    claim.cancel()
    video = api.videos.retrieve(ids[1])
    assert (video.status, video.error.code) == ("failed", "canceled")


def test_models_and_a_full_queue(client):
    _, api = client
    assert "kinema-mini-wan" in [model.id for model in api.models.list()]
    for number in range(8):
        api.videos.create(prompt=f"ball {number}")
    with pytest.raises(openai.RateLimitError, match="queue is full"):
        api.videos.create(prompt="one more")


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"json": {"prompt": "x", "webhook": "https://example.com"}}, "webhook"),
        ({"json": {"prompt": "x", "model": "/etc/passwd"}}, "model"),
        ({"json": {"prompt": "x", "seconds": "long"}}, "seconds"),
        ({"json": {"prompt": "x", "size": "big"}}, "size"),
        ({"json": {"prompt": "x", "input_reference": {"image_url": "https://a.org/a.png"}}}, "conditions.0.image"),
        ({"json": {"prompt": "x", "input_reference": [1]}}, "input_reference"),
        ({"json": {"prompt": "x", "input_reference": {"file_id": 7}}}, "image"),
        ({"json": {"prompt": ["x"]}}, "prompt"),
        ({"json": [1]}, None), ({"content": b"x", "headers": {"content-type": "text/plain"}}, None),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, None),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=a"}}, None),
        ({"files": {"a": b"1", "b": b"2"}}, None), ({"files": {"prompt": png()}}, None),
    ],
)  # fmt: skip
def test_what_is_refused_has_the_form_of_this_api(client, sent, param):
    found, _ = client
    answer = found.client.post("/v1/videos", **sent)
    error = answer.json()["error"]
    assert 400 <= answer.status_code < 500 and error["message"] and error["type"] == "invalid_request_error"
    assert param is None or error["param"] == param, error
    assert found.store.list() == []


def test_a_form_is_bounded(site):
    found = site(max_body_bytes=1000)
    answer = found.client.post("/v1/videos", data={"prompt": "x"}, files={"input_reference": b"0" * 2000})
    assert answer.status_code == 413 and "1,000 bytes" in answer.json()["error"]["message"]
    assert not list(found.store.media.folder.rglob("*upload*"))


@pytest.mark.parametrize("path", ["/v1/videos/x", "/v1/videos/video_x", "/v1/videos/video_" + "0" * 20])
def test_no_such_video(client, path):
    found, _ = client
    for answer in (found.client.get(path), found.client.delete(path), found.client.get(f"{path}/content")):
        assert answer.status_code == 404 and answer.json()["error"]["message"]
    assert found.client.get("/v1/videos?after=x").status_code == 404
    for query in ("limit=0", "limit=x", "order=asc"):
        assert found.client.get(f"/v1/videos?{query}").json()["error"]["param"] == query.partition("=")[0]
