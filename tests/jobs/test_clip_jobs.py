"""Clips as jobs, with the miniature: the bytes of a local run, media by hash, continuing from a kept state."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from PIL import Image
from test_attempts import Running, until

from kinema.core.chunk import Chunk
from kinema.core.errors import RequestError
from kinema.core.events import Preview
from kinema.core.request import Request
from kinema.engine.clip_file import write_clip
from kinema.engine.opener import stand_in
from kinema.engine.plan import plan
from kinema.jobs import context
from kinema.jobs.job import NoSuchMedia
from kinema.jobs.store import JobStore
from kinema.media.write import write

SHORT = {"prompt": "a red ball rolls left", "seed": 3, "profile": "fast", "frames": 5}


@pytest.fixture
def store(tmp_path):
    with JobStore.open(f"sqlite:///{tmp_path / 'jobs.sqlite'}") as found:
        yield found


def local(mini, body: dict, target) -> bytes:
    """The file of a request that runs without jobs."""
    found = plan(Request.from_dict(body))
    write_clip(stand_in(found) or mini, found, target)
    return target.read_bytes()


def moving_square(target) -> None:
    frames_FHWC = np.full((10, 48, 64, 3), 90, np.uint8)
    frames_FHWC += np.arange(64, dtype=np.uint8)[:, None]
    for number, frame_HWC in enumerate(frames_FHWC):
        frame_HWC[16:28, 4 * number : 4 * number + 12] = (200, 30, 30)
    write([Chunk(frames_FHWC, 0, 8.0)], target)


def content(store: JobStore, id: str) -> bytes:
    job = until(store, id, "succeeded", "failed", limit_s=60)
    assert job.state == "succeeded", job.reason
    return store.media.path(job.result["media"]).read_bytes()


def test_a_job_writes_the_bytes_of_a_local_run(store, mini, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64), (30, 90, 200)).save("sky.png")
    media = str(store.media.put(tmp_path / "sky.png", "image/png"))
    with Running(store):
        plain = store.submit("clip", {**SHORT, "file": "ball.webm"})[0].id
        shown = store.submit("clip", {**SHORT, "image": media, "shown_as": {media: "sky.png"}})[0].id
        assert content(store, plain) == local(mini, SHORT, tmp_path / "ball.webm")
        assert content(store, shown) == local(mini, {**SHORT, "image": "sky.png"}, tmp_path / "clip.mp4")
    job = store.get(shown)
    assert job.result["name"] == "clip.mp4" and (job.result["frames"], job.result["width"]) == (5, 64)
    sidecar = store.media.path(job.result["sidecar"]).read_bytes()
    assert sidecar == (tmp_path / "clip.mp4.json").read_bytes()
    progress = [event.data for event in store.events(shown) if event.kind == "progress"]
    fractions = [each["fraction"] for each in progress if each["fraction"] is not None]
    assert fractions == sorted(fractions) and any(each["stage"] == "sample" for each in progress)


@pytest.mark.parametrize("body", [
    {"prompt": "a yellow star at night", "seed": 1, "profile": "exact", "steps": 12, "frames": 5},
    {"seed": 4, "fill": "propagate", "canvas": "source", "conditions": [
        {"kind": "source", "video": "road"}, {"kind": "mask", "boxes": [[0.4, 0.3, 0.7, 0.8]]}]},
], ids=["sampling", "fill"])  # fmt: skip
def test_a_paused_clip_goes_on_from_its_kept_state(store, mini, tmp_path, monkeypatch, body):
    """The pause is asked for at the first preview, and known before the work goes on."""
    monkeypatch.setattr(context, "PREVIEW_AFTER_S", 0.0)
    preview, asked = context.Context.preview, threading.Event()

    def pausing(self: context.Context, event: Preview) -> None:
        preview(self, event)
        if not asked.is_set():
            asked.set()
            store.pause(self.job.id)
            end = time.monotonic() + 20
            while self.stopping() != "pause" and time.monotonic() < end:
                time.sleep(0.01)

    monkeypatch.setattr(context.Context, "preview", pausing)
    at_home = dict(body)
    if "conditions" in body:
        road = tmp_path / "road.mp4"
        moving_square(road)
        media = str(store.media.put(road, "video/mp4"))
        at_home["conditions"] = [{"kind": "source", "video": str(road)}, body["conditions"][1]]
        body = {**body, "conditions": [{"kind": "source", "video": media}, body["conditions"][1]],
                "shown_as": {media: str(road)}}  # fmt: skip
    id = store.submit("clip", body)[0].id
    with Running(store):
        assert asked.wait(60)
        assert until(store, id, "queued").paused
        store.resume(id)
        found = content(store, id)
    kinds = [event.kind for event in store.events(id)]
    assert "resumed" in kinds and kinds.count("preview") >= 1
    assert store.get(id).failures == []
    assert found == local(mini, at_home, tmp_path / "clip.mp4")
    assert store.media.collect(1e11, 0) > 0  # previews and the kept state
    for media in (store.get(id).result["media"], store.get(id).result["sidecar"]):
        assert store.media.has(media)


def test_bodies_are_checked_before_they_are_stored(store, tmp_path):
    for body, field in (
        ({"prompt": "a", "size": "large"}, "size"), ({"prompt": "a", "file": "../a.mp4"}, "file"),
        ({"prompt": "a", "file": "a.exe"}, "file"), ({"prompt": "a", "style": "/x"}, "style"),
        ({"prompt": "a", "conditions": [{"kind": "style", "adapter": "../x.safetensors"}]}, "conditions"),
    ):  # fmt: skip
        with pytest.raises(RequestError) as refused:
            store.submit("clip", body)
        assert refused.value.field == field
    with pytest.raises(NoSuchMedia):
        store.submit("clip", {"image": f"sha256:{'a' * 64}"})
    assert store.list() == []


def test_a_request_that_cannot_be_planned_fails_with_its_error(store):
    picture = str(store.media.put(b"not a picture"))
    with Running(store):
        for body, kind in (({"prompt": "a", "size": "65x64"}, "RequestError"), ({"image": picture}, "MediaError")):
            id = store.submit("clip", body)[0].id
            job = until(store, id, "failed")
            error = store.events(id)[-1].data["error"]
            assert error["error"] == kind and error["message"] == job.reason and job.attempts == 1
            assert kind != "RequestError" or error["nearest"] == "64x64", error
