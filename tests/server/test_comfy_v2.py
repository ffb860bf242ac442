"""Clients of ComfyUI, unchanged, over real sockets with a stand-in for the nodes: `comfy-sdk`, which speaks Comfy API
v2, and the program `comfy-cli`, which speaks ComfyUI's own."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import urllib.request
from importlib.resources import files

import comfy_stand_in
import numpy as np
import pytest
from comfy_low.transport import ComfyLow
from comfy_sdk import (
    AsyncComfy,
    Comfy,
    ComfyError,
    HashMismatch,
    IdempotencyKeyReuse,
    InvalidWorkflow,
    JobFailed,
    MissingAsset,
    NotFound,
)  # fmt: skip
from comfy_sdk.events import Log, OutputReady, Preview, Progress, StatusChange
from comfy_site import ComfyClient, serving, working
from comfy_stand_in import pixels, prompt
from installed import installed
from PIL import Image

from kinema.jobs.store import JobStore
from kinema.server.plan_pool import PlanPool

COMFY_CLI = ("comfy-cli==1.23.0", "semver==3.0.4", "websocket-client==1.9.2")
"""A program of its own (GPL), and those of its packages that its command `run` needs beside Kinema's."""
SAVE = {"filename_prefix": "copies/A", "fps": 8.0, "lossless": True, "quality": 80, "method": "default"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """(store, address): the tests of this file share a store, a server and a worker."""

    async def warm(_self: PlanPool) -> None:
        pass

    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("v2")
        patch.setenv("KINEMA_HOME", str(folder / "home"))
        patch.setattr(PlanPool, "warm", warm)
        with (
            JobStore.open(f"sqlite:///{folder / 'jobs.sqlite'}", kinds=comfy_stand_in.KINDS) as store,
            serving(store, planners=1) as address, working(store),
        ):  # fmt: skip
            patch.setenv("COMFY_BASE_URL", f"http://{address}")
            yield store, address


@pytest.fixture
def api(site):
    with Comfy() as client:
        yield client


@pytest.fixture
def low(site):
    with ComfyLow(f"http://{site[1]}") as client:
        yield client


@pytest.fixture
def client(site):
    return ComfyClient(site[1])


def png(colour: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (colour, 40, 40)).save(file, "PNG")
    return file.getvalue()


def copying(image: object) -> dict:
    """A graph that writes the stand-in's picture of an input file."""
    load = {"class_type": "LoadImage", "inputs": {"image": image}}
    return {"1": load, "2": {"class_type": "SaveAnimatedWEBP", "inputs": {"images": ["1", 0], **SAVE}}}


def expected(content: bytes) -> np.ndarray:
    """What the stand-in makes of `copying` a file, computed apart."""

    def digest(inputs: dict) -> str:
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    loaded = digest({"image": hashlib.sha256(content).hexdigest()})
    return pixels(digest({"images": loaded, **SAVE}))


def shown(output) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(output.to_bytes())).convert("L"))


def test_a_picture_goes_in_and_its_result_comes_out(api, client):
    workflow = api.workflows.from_json(copying(None))
    asset = api.assets.from_bytes(png(1), filename="my photo.png")
    workflow.set_input("1", "image", asset)
    job = api.run(workflow)
    assert asset.created_new is True and asset.expires_at is not None and asset.job_id is None
    [output] = job.get_outputs("2")
    assert (output.type, output.content_type, output.name) == ("image", "image/webp", "A_00001_.webp")
    assert output.job_id == job.id and output.size_bytes == len(output.to_bytes())
    np.testing.assert_array_equal(shown(output), expected(png(1)))
    assert output.to_bytes(range=(8, 11)) == b"WEBP"
    assert urllib.request.urlopen(output.get_download_url().url).read() == output.to_bytes()
    # The same content under another name is not sent again, and makes the same picture.
    again = api.assets.from_bytes(png(1), filename="other.png")
    other = api.run(api.workflows.from_json(copying(again)))
    assert again.created_new is False and again.id != asset.id
    np.testing.assert_array_equal(shown(other.outputs[0]), expected(png(1)))
    # The graph comes back with the reference, so it can be sent again as it is.
    graph = api.jobs.get(job.id).get_workflow()
    assert graph.format == "api" and graph.graph == copying(asset.as_reference())
    asset.delete()
    with pytest.raises(NotFound):
        api.assets.get(again.id and api.jobs.get(job.id).get_workflow().graph["1"]["inputs"]["image"]["info"]["id"])
    # The other faces of the same queue show the same job.
    assert client.wait(job.id)["outputs"]["2"]["images"][0]["filename"] == "A_00001_.webp"


def test_a_result_is_an_input_of_the_next(api):
    first = api.run(api.workflows.from_json(copying(api.assets.from_bytes(png(2), filename="a.png"))))
    made = first.outputs[0]
    reference = {"__type": "core/ASSET", "info": {"id": made.id}}
    second = api.run(api.workflows.from_json(copying(reference)))
    np.testing.assert_array_equal(shown(second.outputs[0]), expected(made.to_bytes()))
    asset = api.assets.get(made.id)
    assert asset.job_id == first.id and asset.file_path == f"copies/{made.name}"
    with pytest.raises(ComfyError) as refused:
        asset.delete()
    assert (refused.value.http_status, refused.value.code) == (409, "asset_in_use")


def test_events_tell_a_run_from_its_beginning_to_its_end(api):
    job = api.submit(api.workflows.from_json(prompt(seed=41, steps=12, step_s=0.1)))
    told = list(job.events())
    statuses = [each.status for each in told if isinstance(each, StatusChange)]
    assert statuses[-2:] == ["running", "succeeded"] and isinstance(told[-1], StatusChange)
    progress = [each for each in told if isinstance(each, Progress)]
    values = [each.value for each in progress]
    assert values == sorted(values) and values[-1] == 1.0
    assert progress[-1].nodes_done == progress[-1].nodes_total == len(prompt())
    total = len(prompt()) + 12
    of_sampler = [each for each in progress if each.step]
    assert len(of_sampler) > 4 and {each.current_node for each in of_sampler} == {"3"}
    for each in of_sampler:
        assert each.value == pytest.approx((each.nodes_done + 13 * each.step / 12) / total, abs=1e-4)
        assert each.message == f"KSampler {each.step}/12"
    [preview] = [each for each in told if isinstance(each, Preview)][:1]
    assert (preview.node_id, preview.to_pil().format, preview.to_pil().size) == ("3", "JPEG", (16, 16))
    [output] = [each.output for each in told if isinstance(each, OutputReady)]
    assert (output.node_id, output.id) == ("28", api.jobs.get(job.id).outputs[0].id)
    assert output.type == "image" and Image.open(io.BytesIO(output.to_bytes())).format == "WEBP"
    # One who comes late sees the present.
    late = [(type(each), getattr(each, "status", None)) for each in api.jobs.get(job.id).events()]
    assert late == [(Progress, None), (OutputReady, None), (StatusChange, "succeeded")]


def test_a_stream_goes_on_after_the_last_event(site, low, client):
    id = low.post_jobs(prompt(seed=42)).id
    client.wait(id)

    def read(after: int | None) -> list[tuple[int, str, dict]]:
        headers = {} if after is None else {"last-event-id": str(after)}
        asked = urllib.request.Request(f"http://{site[1]}/api/v2/jobs/{id}/events", headers=headers)
        text = urllib.request.urlopen(asked, timeout=20).read().decode()
        found = [
            dict(line.split(": ", 1) for line in each.splitlines()) for each in text.split("\n\n") if "id: " in each
        ]
        return [(int(each["id"]), each["event"], json.loads(each["data"])) for each in found]

    whole = read(0)
    assert [data["status"] for _, kind, data in whole if kind == "status"] == ["queued", "running", "succeeded"]
    for number in {number for number, _, _ in whole}:
        assert read(number) == [each for each in whole if each[0] > number]
    assert read(None)[-1][2]["status"] == "succeeded"


def test_cancelling_and_a_node_that_fails(api, client):
    job = api.submit(api.workflows.from_json(prompt(seed=43, steps=200, step_s=0.05)))
    for event in job.events():
        if isinstance(event, Progress) and event.step:
            assert job.cancel().status in ("canceling", "canceled")
        if isinstance(event, StatusChange) and event.status == "canceled":
            break
    assert job.wait(5).status == "canceled" and job.cancel().status == "canceled" and job.outputs == []
    graph = prompt(seed=44)
    graph["3"]["inputs"]["denoise"] = 0.5
    job = api.submit(api.workflows.from_json(graph))
    client.wait(job.id)
    with pytest.raises(JobFailed) as failed:
        job.result()
    error = failed.value.error
    assert (error.code, error.node_id, error.class_type) == ("node_execution_error", "3", "KSampler")
    assert "this sampler fails" in error.message and "comfy_stand_in" in error.traceback


def test_labels_find_jobs_in_pages(api, low):
    sent = [low.post_jobs(prompt(seed=50), metadata={"batch": "b", "number": str(n % 2)}).id for n in range(5)]
    assert [each.id for each in api.list_jobs(metadata={"batch": "b"}, limit=2)] == sent[::-1]
    assert [each.id for each in api.list_jobs(metadata={"batch": "b", "number": "1"})] == [sent[3], sent[1]]
    assert list(api.list_jobs(metadata={"batch": "c"})) == []
    [newest] = low.list_jobs(limit=1)["jobs"]
    assert newest["id"] == sent[-1] and newest["metadata"] == {"batch": "b", "number": "0"}
    assert api.jobs.get(sent[1]).metadata == {"batch": "b", "number": "1"}
    for wrong in ({"a b": "x"}, {"a": 1}, {"a": "\x00"}, {"a": "é" * 129}, {f"a{n}": "" for n in range(17)}):
        with pytest.raises(ComfyError) as refused:
            low_error(low.post_jobs, prompt(), metadata=wrong)
        assert refused.value.code == "metadata_invalid"
    for how, code in (({"metadata": {f"a{n}": "" for n in range(4)}}, "invalid_metadata_filter"),
                      ({"cursor": "../x"}, "invalid_cursor"), ({"limit": 101}, "invalid_request")):  # fmt: skip
        with pytest.raises(ComfyError) as refused:
            low_error(low.list_jobs, **how)
        assert refused.value.code == code


def low_error(call, *args, **how):
    """The call, its protocol error as the client's."""
    from comfy_sdk.exceptions import translating

    with translating():
        return call(*args, **how)


def test_what_cannot_run_is_refused_with_its_nodes(api, site):
    graph = prompt()
    del graph["3"]["inputs"]["model"]
    graph["3"]["inputs"]["steps"] = 0
    with pytest.raises(InvalidWorkflow, match=r"Node 3 \(KSampler\): ") as refused:
        api.submit(api.workflows.from_json(graph))
    told = {(each["field"], each["reason"]) for each in refused.value.details["node_errors"]["3"]}
    assert told == {("model", "required_input_missing"), ("steps", "value_smaller_than_min")}
    with pytest.raises(InvalidWorkflow, match="NoSuchNode"):
        api.submit(api.workflows.from_json({"1": {"class_type": "NoSuchNode", "inputs": {}}}))
    with pytest.raises(MissingAsset, match="upload it"):
        api.submit(api.workflows.from_json(copying({"__type": "core/ASSET", "info": {"id": "0" * 32}})))
    with pytest.raises(NotFound):
        api.jobs.get("7f3d2c1b-9a8e-4d6f-b012-3c4d5e6f7a8b")
    job = api.submit(api.workflows.from_json(prompt(seed=60)), idempotency_key="k" * 255)
    with pytest.raises(IdempotencyKeyReuse) as reused:
        api.submit(api.workflows.from_json(prompt(seed=60)), idempotency_key="k" * 255)
    assert reused.value.details == {"job_id": job.id}
    stored = site[0].keyed([f"v2:{hashlib.sha256(b'k' * 255).hexdigest()}"])
    assert [each.body["prompt"]["3"]["inputs"]["seed"] for each in stored.values()] == [60]


def test_uploads_are_checked_and_secrets_are_not_kept(api, low, site):
    with pytest.raises(HashMismatch):
        low_error(low.post_assets, io.BytesIO(b"abc"), "image/png", "a.png", expected_hash=f"blake3:{'0' * 64}")
    found = low.post_assets(io.BytesIO(b"abc"), "image/png", "../../etc/pass[wd].png", tags=["a", "b"])
    known = "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
    assert (found.hash, found.file_path, found.size_bytes) == (known, "pass_wd_.png", 3)
    assert low.head_asset_by_hash(known) and not low.head_asset_by_hash(f"blake3:{'1' * 64}")
    with pytest.raises(ComfyError, match="upload it") as missing:
        low_error(low.asset_from_hash, f"blake3:{'1' * 64}")
    assert missing.value.code == "blob_not_found"
    job = api.submit(api.workflows.from_json(prompt(seed=61)), api_key="comfyui-secret")
    job.wait(10)
    assert b"comfyui-secret" not in site[0].database.where.encode() and "comfyui-secret" not in json.dumps(
        [each.to_dict() for each in site[0].list()]
    )  # fmt: skip


def test_the_asynchronous_client(site):
    async def run() -> np.ndarray:
        async with AsyncComfy() as api:
            job = await api.submit(api.workflows.from_json(copying(api.assets.from_bytes(png(3), filename="a.png"))))
            async for event in job.events():
                assert not isinstance(event, Log)
            return np.asarray(Image.open(io.BytesIO(await (await job.result()).outputs[0].to_bytes())).convert("L"))

    np.testing.assert_array_equal(asyncio.run(run()), expected(png(3)))


def test_comfy_cli_runs_a_saved_page(site, client, tmp_path, tmp_path_factory):
    """It converts and checks the page by /object_info itself, before it sends anything."""
    folder = installed(tmp_path_factory, "comfy-cli", *COMFY_CLI)
    page = json.loads(files("kinema.server.comfy").joinpath("own_templates/kinema_text_to_video.json").read_text())
    sampler = next(node for node in page["nodes"] if node["type"] == "KSampler")
    sampler["widgets_values"][2:4] = 3, 0  # steps, and the stand-in's time of one

    (tmp_path / "page.json").write_text(json.dumps(page))
    host, _, port = site[1].partition(":")
    ran = subprocess.run(
        [sys.executable, "-m", "comfy_cli", "--json", "run", "--workflow", str(tmp_path / "page.json"), "--wait",
         "--host", host, "--port", port], capture_output=True, text=True, timeout=60,
        env=os.environ | {"PYTHONPATH": str(folder), "HOME": str(tmp_path), "DO_NOT_TRACK": "1"},
    )  # fmt: skip
    said = json.loads(ran.stdout.splitlines()[-1])
    assert said["ok"], said["error"]
    job = client.wait(said["data"]["prompt_id"])
    [file] = job["outputs"]["12"]["images"]
    assert said["data"]["outputs_by_node"]["12"] == [
        f"http://{site[1]}/view?filename={file['filename']}&subfolder={file['subfolder']}&type=output"
    ]
    ran_nodes = set(said["data"]["executed_node_ids"])
    assert len(ran_nodes) == 12 and ran_nodes == set(job["workflow"]["prompt"])
