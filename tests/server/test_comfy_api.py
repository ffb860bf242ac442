"""ComfyUI's API: prompts, queue, history, jobs and the socket, over real sockets with a stand-in for the nodes."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import struct
import sys
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import comfy_stand_in
import pytest
from comfy_site import ComfyClient, serving, until_end, working
from comfy_stand_in import prompt
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from kinema.http.connection_limits import ConnectionLimits
from kinema.jobs.job import Job
from kinema.jobs.store import JobStore
from kinema.server.comfy.outputs import ResultName, ResultNames
from kinema.server.comfy.prompts import Prompts
from kinema.server.comfy.shown_jobs import job_of as line_of

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The tests of this file share a store, a server and a worker."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("comfy")
        patch.setenv("KINEMA_HOME", str(folder / "home"))
        with JobStore.open(f"sqlite:///{folder / 'jobs.sqlite'}", kinds=comfy_stand_in.KINDS) as found:
            yield found


@pytest.fixture(scope="module")
def address(store):
    with serving(store, planners=1) as found, working(store):
        yield found


@pytest.fixture
def client(address):
    return ComfyClient(address)


def job_of(store: JobStore, id: str) -> Job:
    return store.keyed([f"prompt:{id}"])[f"prompt:{id}"]


def test_the_example_client_gets_its_result(client):
    """Socket first, prompt, wait for executing null, history, view: ComfyUI's own example."""
    with client.socket() as link:
        first = json.loads(link.recv())
        assert first["type"] == "status" and first["data"]["sid"] == client.id
        id = client.submit(prompt(seed=5))
        said = until_end(link, id)
        types = [each["type"] for each in said]
        assert all(isinstance(each, dict) for each in said), "no binary message for a client that announced nothing"
        of_it = [each for each in said if each["type"] != "status"]
        assert all(each["data"]["prompt_id"] == id for each in of_it)
        first_of = {name: types.index(name) for name in reversed(types)}
        order = ["execution_start", "execution_cached", "executing", "progress_state", "executed", "progress",
                 "execution_success"]  # fmt: skip
        assert [first_of[name] for name in order] == sorted(first_of[name] for name in order)
        assert types[-2:] == ["execution_success", "executing"]
        executed = [each["data"]["node"] for each in said if each["type"] == "executed"]
        assert sorted(executed) == sorted(prompt()) and executed[-1] == "28"
        states = [each["data"]["nodes"]["3"] for each in said
                  if each["type"] == "progress_state" and "3" in each["data"]["nodes"]]  # fmt: skip
        assert [state["state"] for state in states][-1] == "finished" and states[-1]["max"] == 3
        # The end is in the history before anybody hears of it.
        record = client.ask(f"/history/{id}")[1][id]
    assert record["status"]["status_str"] == "success" and record["status"]["completed"]
    assert [name for name, _ in record["status"]["messages"]] == [
        "execution_start", "execution_cached", "execution_success"
    ]  # fmt: skip
    [file] = record["outputs"]["28"]["images"]
    assert (file["subfolder"], file["type"]) == ("clip", "output") and record["outputs"]["28"]["animated"] == [True]
    assert file["filename"].startswith("It_0000") and record["prompt"][1] == id
    other = client.submit(prompt(seed=5, prefix="clip/Other"))
    client.wait(other)
    assert client.ask(f"/history/{other}")[1][other]["outputs"]["28"]["images"][0]["filename"] == "Other_00001_.webp"
    assert Image.open(io.BytesIO(client.result("28", id))).size == (8, 4)
    again = client.submit(prompt(seed=5))
    client.wait(again)  # the same content under the same prefix has one name
    assert client.ask(f"/history/{again}")[1][again]["outputs"] == record["outputs"]


def test_comfy_api_simplified_unchanged(client, address, tmp_path):
    """A client library as it is: it submits, then listens, then reads the history; and uploads a picture."""
    from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper

    (tmp_path / "flow.json").write_text(json.dumps(prompt(seed=3, steps=6, step_s=0.05, prefix="simplified/A")))
    flow = ComfyWorkflowWrapper(str(tmp_path / "flow.json"))
    flow.set_node_param("KSampler", "seed", 77)
    api = ComfyApiWrapper(f"http://{address}")
    [(name, content)] = api.queue_and_wait_images(flow, "Save it").items()
    assert name == "A_00001_.webp" and Image.open(io.BytesIO(content)).size == (8, 4)
    [(again, _)] = api.queue_and_wait_images(flow, "Save it").items()
    assert again == name
    Image.new("RGB", (3, 2)).save(tmp_path / "photo.png")
    told = api.upload_image(tmp_path / "photo.png", "mine")
    assert (told["name"], told["subfolder"], told["type"]) == ("photo.png", "mine", "input")
    picture = prompt(seed=1)
    picture["99"] = {"class_type": "LoadImage", "inputs": {"image": "mine/photo.png"}, "_meta": {"title": "Picture"}}
    picture["28"]["inputs"]["images"] = ["99", 0]
    assert len(api.queue_and_wait_images(ComfyWorkflowWrapper(picture), "Save it")) == 1
    assert api.get_queue() == {"queue_running": [], "queue_pending": [], "paused": False}
    assert api.get_system_stats()["devices"] and "KSampler" in api.get_object_info("KSampler")
    api.interrupt()


def test_previews_go_to_clients_that_announced_them(client):
    with client.socket() as link:
        link.recv()
        link.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
        assert json.loads(link.recv())["type"] == "feature_flags"
        id = client.submit(prompt(seed=6, steps=14, step_s=0.1))
        said = until_end(link, id)
    pictures = [each for each in said if isinstance(each, bytes)]
    assert pictures
    kind, length = struct.unpack(">II", pictures[0][:8])
    facts = json.loads(pictures[0][8 : 8 + length])
    assert kind == 4 and facts["node_id"] == "3" and facts["prompt_id"] == id and facts["image_type"] == "image/jpeg"
    assert Image.open(io.BytesIO(pictures[0][8 + length :])).format == "JPEG"


def test_a_client_that_drops_and_returns_sees_the_end(client):
    """Also one that connects after the prompt has ended."""
    with client.socket() as link:
        link.recv()
        id = client.submit(prompt(seed=7, steps=8, step_s=0.05))
        while json.loads(link.recv())["type"] != "progress":
            pass
    with client.socket() as link:
        types = [each["type"] for each in until_end(link, id)]
    assert types.index("execution_start") < types.index("progress") and types[-2] == "execution_success"
    with client.socket() as link:
        types = [each["type"] for each in until_end(link, id)]
    assert "executed" in types and types[-2] == "execution_success"


def test_another_server_process_on_the_same_jobs_says_the_same(client, store, address):
    with (
        JobStore.open(f"sqlite:///{store.database.where}", kinds=comfy_stand_in.KINDS) as again,
        serving(again, planners=1) as elsewhere,
    ):
        other = ComfyClient(elsewhere)
        other.id = client.id
        with client.socket() as here, other.socket() as there:
            id = client.submit(prompt(seed=60, steps=4, step_s=0.05))
            said = [
                [each["type"] for each in until_end(link, id) if each["type"] not in ("status", "progress_state")]
                for link in (here, there)
            ]
        assert [name for name in said[0] if name != "progress"] == [name for name in said[1] if name != "progress"]
        assert other.ask(f"/history/{id}")[1] == client.ask(f"/history/{id}")[1] != {}


def test_what_a_prompt_is_answered(client, store):
    """ComfyUI's error types, by node and for the whole prompt; only ancestors of outputs are checked."""
    before = len(store.list(limit=500))

    def refused(changes: dict, **more) -> dict:
        status, said = client.ask("/prompt", {"prompt": {**prompt(), **changes}, **more})
        assert status == 400, said
        return said

    def changed(node: str, **inputs) -> dict:
        found = prompt()[node]
        kept = {name: value for name, value in {**found["inputs"], **inputs}.items() if value is not ...}
        return {node: {**found, "inputs": kept}}

    for node, inputs, type_ in (
        ("3", {"steps": 0}, "value_smaller_than_min"), ("3", {"steps": 20_000}, "value_bigger_than_max"),
        ("3", {"steps": "many"}, "invalid_input_type"), ("3", {"seed": 2**65}, "value_bigger_than_max"),
        ("3", {"sampler_name": "magic"}, "value_not_in_list"), ("3", {"model": ...}, "required_input_missing"),
        ("3", {"model": ["38", 0]}, "return_type_mismatch"), ("3", {"model": ["37", 4]}, "bad_linked_input"),
        ("3", {"model": ["99", 0]}, "bad_linked_input"), ("37", {"unet_name": "x.safetensors"}, "value_not_in_list"),
        ("37", {"unet_name": "/etc/passwd"}, "value_not_in_list"), ("3", {"cfg": [1, 2, 3]}, "invalid_input_type"),
    ):  # fmt: skip
        said = refused(changed(node, **inputs))
        assert said["error"]["type"] == "prompt_outputs_failed_validation"
        found = said["node_errors"][node]
        assert [error["type"] for error in found["errors"]] == [type_], (node, inputs, found)
        assert found["dependent_outputs"] == ["28"] and found["class_type"] == prompt()[node]["class_type"]
        assert found["errors"][0]["extra_info"]["input_name"] == next(iter(inputs))
    assert refused(changed("28", images=["3", 0]))["node_errors"]["28"]["errors"][0]["type"] == "return_type_mismatch"
    picture = {"99": {"class_type": "LoadImage", "inputs": {"image": "../secret.png"}},
               "28": {**prompt()["28"], "inputs": {**prompt()["28"]["inputs"], "images": ["99", 0]}}}  # fmt: skip
    assert refused(picture)["node_errors"]["99"]["errors"][0]["type"] == "custom_validation_failed"
    assert refused({"50": {"class_type": "Magic", "inputs": {}}})["error"]["type"] == "missing_node_type"
    assert refused({"50": {"inputs": {}}})["error"]["type"] == "missing_node_type"
    loop = {"8": {**prompt()["8"], "inputs": {"samples": ["3", 0], "vae": ["39", 0]}},
            "3": {**prompt()["3"], "inputs": {**prompt()["3"]["inputs"], "latent_image": ["3", 0]}}}  # fmt: skip
    assert refused(loop)["error"]["type"] == "invalid_prompt"
    assert client.ask("/prompt", {})[1]["error"]["type"] == "no_prompt"
    assert client.ask("/prompt", {"prompt": []})[1]["error"]["type"] == "invalid_prompt"
    assert client.ask("/prompt", {"prompt": {"37": prompt()["37"]}})[1]["error"]["type"] == "prompt_no_outputs"
    assert refused({}, prompt_id="x")["error"]["type"] == "invalid_prompt_id"
    assert refused({}, extra_data={"kinema": {"models": {"a": "/etc/passwd"}}})["error"]["type"] == "invalid_prompt"
    assert len(store.list(limit=500)) == before

    # What no output needs is not looked at; an output that can run runs beside one that cannot.
    unused = {"90": {"class_type": "KSampler", "inputs": {"model": ["77", 0]}}}
    second = {"29": {**prompt()["28"], "inputs": {**prompt()["28"]["inputs"], "fps": "fast"}}}
    status, said = client.ask("/prompt", {"prompt": {**prompt(seed=8), **unused, **second}})
    assert status == 200 and list(said["node_errors"]) == ["29"]
    assert set(client.wait(said["prompt_id"])["outputs"]) == {"28"}
    rounded = client.submit(prompt(seed=18446744073709552000))
    assert job_of(store, rounded).body["prompt"]["3"]["inputs"]["seed"] == 2**64 - 1


def test_the_page_is_kept_apart_and_ids_are_the_clients_own(client, store):
    page = {"id": "page-1", "nodes": ["x" * 1000] * 50, "links": []}
    mine = str(uuid.uuid4())
    extra = {"extra_pnginfo": {"workflow": page}, "comfy_usage_source": "test"}
    assert client.submit(prompt(seed=9), prompt_id=mine, extra_data=extra) == mine
    assert client.submit(prompt(seed=9), prompt_id=mine, extra_data=extra) == mine  # sent again
    other = client.ask("/prompt", {"prompt": prompt(seed=10), "prompt_id": mine})[1]
    assert other["error"]["type"] == "invalid_prompt_id"
    body = job_of(store, mine).body
    assert "x" * 1000 not in json.dumps(body) and json.loads(store.media.open(body["workflow"]).read()) == page
    detail = client.wait(mine)
    assert detail["workflow"]["extra_data"]["extra_pnginfo"]["workflow"] == page
    assert detail["workflow"]["prompt"].keys() == prompt().keys()
    assert client.ask(f"/history/{mine}")[1][mine]["prompt"][3]["extra_pnginfo"]["workflow"] == page
    assert "x" * 1000 not in json.dumps(client.ask("/history")[1]) + json.dumps(client.ask("/api/jobs")[1])
    [job] = client.ask("/api/jobs?workflow_id=page-1")[1]["jobs"]
    assert (job["id"], job["workflow_id"], job["status"]) == (mine, "page-1", "completed")
    assert job["outputs_count"] == 1 and job["preview_output"]["nodeId"] == "28"
    assert job["preview_output"]["mediaType"] == "images" and job["execution_end_time"] >= job["create_time"]


def test_cancelling_by_id_and_the_running_one_never_the_next(client):
    running = client.submit(prompt(seed=11, steps=200, step_s=0.05))
    waiting = [client.submit(prompt(seed=12 + n)) for n in range(4)]
    client.wait(running, ended=False)
    assert client.ask("/prompt")[1] == {"exec_info": {"queue_remaining": 5}}
    queue = client.ask("/api/queue")[1]
    assert [item[1] for item in queue["queue_running"]] == [running]
    assert [item[1] for item in queue["queue_pending"]] == waiting
    assert queue["queue_pending"][0][2]["3"]["class_type"] == "KSampler"
    assert client.ask(f"/history/{running}")[1] == {}
    early = client.ask(f"/history/{running}?unfinished=true")[1][running]
    assert early["status"]["status_str"] == "in_progress" and not early["status"]["completed"]
    assert client.ask(f"/api/jobs/{waiting[1]}/cancel", {})[1] == {"cancelled": True}
    assert client.ask(f"/api/jobs/{waiting[1]}/cancel", {})[1] == {"cancelled": False}
    assert client.ask(f"/api/jobs/{uuid.uuid4()}/cancel", {})[1] == {"cancelled": False}
    status, said = client.ask("/api/jobs/cancel", {"job_ids": [waiting[2], "nonsense"]})
    assert status == 400 and said["invalid_ids"] == ["nonsense"]
    client.ask("/queue", {"delete": [waiting[3], running]})  # what runs is not in the queue
    with client.socket() as link:
        assert client.ask("/interrupt", method="POST")[0] == 200
        assert client.ask("/interrupt", method="POST")[0] == 200  # again, before it has stopped: never the next
        said = until_end(link, running)
    [end] = [each["data"] for each in said if each["type"] == "execution_interrupted"]
    assert (end["node_id"], end["node_type"]) == ("3", "KSampler") and "37" in end["executed"]
    assert client.wait(waiting[0])["status"] == "completed"
    assert client.wait(running)["status"] == "cancelled"
    assert client.ask(f"/history/{running}")[1][running]["status"]["status_str"] == "error"
    assert [client.wait(id)["status"] for id in (waiting[1], waiting[3])] == ["cancelled"] * 2
    assert client.wait(waiting[2])["status"] == "completed"


def test_a_paused_queue_starts_nothing(client):
    assert client.ask("/queue", {"paused": True})[0] == 200
    ids = [client.submit(prompt(seed=20 + n)) for n in range(3)]
    first = client.submit(prompt(seed=24), front=True)
    between = client.ask("/prompt", {"prompt": prompt(seed=25), "number": -(10**6)})[1]
    assert client.ask("/queue")[1]["paused"] is True
    time.sleep(0.3)
    pending = [item[1] for item in client.ask("/queue")[1]["queue_pending"]]
    assert pending == [between["prompt_id"], first, *ids]
    client.ask("/queue", {"clear": True})
    client.ask("/queue", {"paused": False})
    assert [client.wait(id)["status"] for id in (*ids, first)] == ["cancelled"] * 4
    assert client.ask("/queue")[1] == {"queue_running": [], "queue_pending": [], "paused": False}


def test_a_node_that_fails_is_named(client, store):
    """At once, since another attempt would fail too; the history says which node, and how."""
    broken = prompt(seed=30, steps=1)
    broken["3"]["inputs"]["denoise"] = 0.5
    with client.socket() as link:
        id = client.submit(broken)
        said = until_end(link, id)
    error = next(each["data"] for each in said if each["type"] == "execution_error")
    assert (error["node_id"], error["node_type"], error["exception_type"]) == ("3", "KSampler", "ValueError")
    assert "this sampler fails" in error["exception_message"] and any("_sample" in line for line in error["traceback"])
    assert job_of(store, id).attempts == 1
    job = client.ask(f"/api/jobs/{id}")[1]
    assert job["status"] == "failed" and job["execution_error"]["node_id"] == "3"
    assert "this sampler fails" in client.ask("/api/jobs?status=failed&limit=1")[1]["jobs"][0]["execution_error"][
        "exception_message"
    ]  # fmt: skip


def test_lists_and_the_history_in_pages(client):
    ids = [client.submit(prompt(seed=40 + n)) for n in range(5)]
    for id in ids:
        client.wait(id)
    first = client.ask("/api/jobs?status=completed&limit=3")[1]
    assert [job["id"] for job in first["jobs"]] == ids[:1:-1]
    assert first["pagination"]["has_more"] and first["pagination"]["total"] >= 5
    total = first["pagination"]["total"]
    last = client.ask(f"/api/jobs?status=completed&limit=1000&offset={total - 1}")[1]
    assert len(last["jobs"]) == 1 and not last["pagination"]["has_more"]
    newest = client.ask("/history?max_items=2")[1]
    assert list(newest) == ids[3:]
    every = list(client.ask("/history")[1])
    assert list(client.ask("/history?max_items=2&offset=1")[1]) == every[1:3] and every[-5:] == ids
    for wrong in ("status=x", "limit=0", "limit=x", "sort_by=y", "sort_order=z", "offset=-1"):
        assert client.ask(f"/api/jobs?{wrong}")[0] == 400
    assert client.ask("/history?max_items=x")[0] == 400 and client.ask("/history/x")[1] == {}
    assert client.ask(f"/api/jobs/{uuid.uuid4()}")[0] == 404
    client.ask("/history", {"delete": [ids[0]]})
    assert client.ask(f"/history/{ids[0]}")[1] == {} and client.ask(f"/history/{ids[1]}")[1]
    client.ask("/api/history", {"clear": True})
    assert client.ask("/history")[1] == {} and client.ask("/api/jobs")[1]["pagination"]["total"] == 0


def test_names_are_given_once(store):
    names = ResultNames(store.database)

    def some(number: int) -> list[str]:
        used: set[str] = set()
        for _ in range(5):
            used.add(names.reserve("output", "x/Many", ".mp4", f"job{number}", used).name)
        return sorted(used)

    with ThreadPoolExecutor(8) as pool:
        found = [name for each in pool.map(some, range(8)) for name in each]
    assert sorted(found) == [f"x/Many_{number:05}_.mp4" for number in range(1, 41)]
    again = [names.reserve("output", "x/Many", ".mp4", "job3", set()).name for _ in range(2)]
    assert again[0] == again[1] in some(3)  # an attempt that follows another gets the names that it left
    one = str(store.media.put(b"one"))
    first, second = ResultName("output", some(3)[0]), ResultName("output", some(4)[0])
    assert names.written(first, one) == first and names.written(second, one) == first
    assert names.find(first) == one and names.find(second) is None


def test_the_token_and_the_origin_of_the_socket(store):
    token = "a token of twenty and more letters"
    with serving(store, token=token, planners=1) as address:
        ws = f"ws://{address}/ws"

        def status(url: str, **headers: str) -> int:
            try:
                with connect(url, additional_headers=headers) as link:
                    assert json.loads(link.recv())["type"] == "status"
                    return 101
            except InvalidStatus as error:
                return error.response.status_code

        assert status(ws) == 403 and status(f"{ws}?token=wrong") == 403
        assert status(f"{ws}?token={token.replace(' ', '%20')}") == 101
        assert status(ws, authorization=f"Bearer {token}") == 101
        good = {"authorization": f"Bearer {token}"}
        assert status(ws, **good, origin=f"http://{address}") == 101
        assert status(ws, **good, origin="http://evil.example") == 403
        assert status(ws.replace("/ws", "/api/ws"), **good) == 101
        client = ComfyClient(address)
        for path in ("/prompt", "/api/prompt", "/queue", "/history", "/api/jobs"):
            assert client.ask(path)[0] == 401
        assert client.ask("/prompt", {"prompt": prompt()})[0] == client.ask("/interrupt", {})[0] == 401
        assert ComfyClient(address, token).ask("/prompt")[0] == 200


def test_a_socket_has_no_time_limit_but_counts_as_a_connection(store):
    limits = ConnectionLimits(head_s=0.2, body_s=0.2, each=3)
    with serving(store, limits, planners=1) as address:
        client = ComfyClient(address)
        with client.socket() as one, client.socket() as two, client.socket():
            with pytest.raises(OSError):
                client.ask("/prompt")
            time.sleep(0.5)
            for each in (one, two):
                each.send(json.dumps({"type": "feature_flags", "data": {}}))
                assert {json.loads(each.recv())["type"] for _ in range(2)} == {"status", "feature_flags"}
        time.sleep(0.1)
        assert client.ask("/prompt")[0] == 200


def test_a_client_that_never_reads_is_dropped(store):
    """What it is owed does not pile up: the server stops reading from it, and ends the connection after the limit."""
    limits = ConnectionLimits(answer_s=0.3)
    with serving(store, limits, planners=1) as address:
        host, port = address.split(":")
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.settimeout(5)
            raw.connect((host, int(port)))
            raw.sendall(f"GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                        .encode())  # fmt: skip
            text = b'{"type":"feature_flags","data":{}}'
            frames = (b"\x81" + bytes([0x80 | len(text)]) + b"\0\0\0\0" + text) * 200
            began = time.monotonic()
            with contextlib.suppress(OSError):
                while time.monotonic() - began < 30:
                    raw.sendall(frames)
            assert time.monotonic() - began < 20
        assert ComfyClient(address).ask("/prompt")[0] == 200


def test_a_client_that_sends_or_reads_badly_hurts_nobody(client, address):
    with client.socket() as link:
        for text in ("x", "[]", '{"type": 3}', '{"type": "feature_flags", "data": 5}', b"\0\1"):
            link.send(text)
        with contextlib.suppress(ConnectionClosed):
            link.send("x" * 100_000)
            while True:
                link.recv(timeout=5)
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(f"ws://{address}/ws?clientId={client.id}", close_timeout=0.05))
        id = client.submit(prompt(seed=50, steps=3))
        assert client.wait(id)["status"] == "completed"


def test_lists_stay_quick_with_five_thousand_jobs(tmp_path):
    """In CPU time, which other processes do not lengthen; `benchmarks/comfy_load.py --listing` measures over HTTP."""
    from comfy_load import fill

    with JobStore.open(f"sqlite:///{tmp_path / 'jobs.sqlite'}", kinds=comfy_stand_in.KINDS) as store:
        fill(store, 5000)
        prompts = Prompts(store)
        for query in ({"limit": 64}, {"limit": 200, "offset": 2000}, {"limit": 64, "sort": "execution_duration"}):
            began = time.process_time()
            for _ in range(10):
                page, total = prompts.page(("completed", "failed", "cancelled"), **query)
                assert len([line_of(each) for each in page]) == query["limit"] and total == 5000
            assert (time.process_time() - began) / 10 < 0.04, query  # 0.11 without the index


def test_hostile_prompts_are_refused_within_bounds(client, address, store):
    before = len(store.list(limit=500))

    def sent(text: str) -> tuple[int, dict]:
        request = urllib.request.Request(f"http://{address}/prompt", text.encode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    good = json.dumps(prompt())
    node = '"%s": {"class_type": "ImageScale", "inputs": {"image": ["%s", 0]}}'
    many = ",".join(node % (n, n + 1) for n in range(100_000))

    def of(value: str) -> str:
        return f'{{"prompt": {value}}}'

    for text, status in (
        ("", 400), ("[]", 400), ("{", 400), (of("NaN"), 400), (of("[" * 500 + "]" * 500), 400),
        (f'{{"prompt": {{}}, "prompt": {good}}}', 400), (of(f"{{{many}}}"), 400), ("x" * 9_000_000, 413),
        (of(good.replace('"steps": 3', '"steps": 1e999')), 400),
        (of(good.replace('"steps": 3', f'"steps": {"9" * 4000}')), 400),
        (of('{"1": {"class_type": "\\u0000", "inputs": {}}}'), 400),
        (of('{"1": {"class_type": ["KSampler"], "inputs": {}}}'), 400),
        (of('{"1": {"class_type": "KSampler", "inputs": [1]}}'), 400), (of('{"1": 5}'), 400),
        (of(good.replace('"clip/It"', '"../../etc/passwd"')), 200),
    ):  # fmt: skip
        began = time.monotonic()
        found, said = sent(text)
        assert found == status and time.monotonic() - began < 10, (text[:80], found, str(said)[:300])
        assert found == 200 or said["error"]
    job = client.wait(said["prompt_id"])
    assert job["status"] == "failed" and "passwd" in job["execution_error"]["exception_message"]
    extra = {"far": 0, "api_key_comfy_org": "secret"}
    text = json.dumps({"prompt": prompt(seed=98), "extra_data": extra}).replace('"far": 0', '"far": 1e999')
    assert client.wait(sent(text)[1]["prompt_id"])["workflow"]["extra_data"] == {"far": None}
    odd = {"extra_data": 5, "client_id": ["x"], "number": "first", "front": "yes", "partial_execution_targets": 3}
    status, said = client.ask("/prompt", {"prompt": prompt(seed=99), **odd})
    assert status == 200 and client.wait(said["prompt_id"])["status"] == "completed"
    assert len(store.list(limit=500)) == before + 3
