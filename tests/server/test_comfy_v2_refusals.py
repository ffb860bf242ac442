"""Comfy API v2 for clients that are wrong, foreign or hostile; and how long assets are kept."""

from __future__ import annotations

import io
import json
import uuid
from random import Random

import pytest
from blake3 import blake3
from comfy_low.transport import ComfyLow
from comfy_stand_in import prompt

from kinema.server.comfy.assets import KEEP_S, Assets, safe_name
from kinema.server.comfy.labels import labels_of
from kinema.server.comfy.outputs import ResultName
from kinema.server.comfy.v2_errors import V2Refused
from kinema.server.comfy.v2_results import job_of_output, output_id

API = "/api/v2"
SOME = str(uuid.UUID(int=7))
ZERO = f"blake3:{'0' * 64}"
DEEP: dict = {}
for _ in range(60):
    DEEP = {"1": DEEP, "__type": "core/ASSE"}


def asset(id: object) -> dict:
    return {"__type": "core/ASSET", "info": {"id": id}}


def loading(image: object) -> dict:
    return {"1": {"class_type": "LoadImage", "inputs": {"image": image}}}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_workflow"), ({"workflow": None}, "invalid_workflow"), ({"workflow": []}, "invalid_workflow"),
        ({"workflow": {}}, "invalid_workflow"), ({"workflow": {"1": 3}}, "invalid_workflow"),
        ({"workflow": {"1": {"class_type": 3}}}, "invalid_workflow"),
        ({"workflow": {"1": {"class_type": "LoadImage", "inputs": []}}}, "invalid_workflow"),
        ({"workflow": {"nodes": [], "links": [], "last_node_id": 1}}, "workflow_format_ui"),
        ({"workflow": DEEP}, "invalid_workflow"), ({"workflow": prompt(), "priority": 3}, "invalid_request"),
        ({"workflow": prompt(), "extra_data": []}, "invalid_request"),
        ({"workflow": prompt(), "extra_data": {"kinema": {"models": {"a": "/etc/passwd"}}}}, "invalid_workflow"),
        ({"workflow": prompt(), "metadata": "x"}, "metadata_invalid"),
        ({"workflow": prompt(), "metadata": {"a": "\ud800"}}, "invalid_request"),
        ({"workflow": loading(asset(SOME))}, "missing_asset"), ({"workflow": loading(asset(7))}, "missing_asset"),
        ({"workflow": loading(asset("../../etc/passwd"))}, "missing_asset"),
        ({"workflow": loading({"__type": "core/ASSET", "info": []})}, "missing_asset"),
        ({"workflow": loading({"__type": "core/ASSET", "info": {"hash": ZERO}})}, "missing_asset"),
        ({"workflow": {"1": asset(SOME)}}, "missing_asset"), ({"workflow": asset(SOME)}, "missing_asset"),
        ({"workflow": loading("/etc/passwd")}, "invalid_workflow"),
        ({"workflow": {str(n): loading(asset(str(uuid.UUID(int=n))))["1"] for n in range(2000)}}, "missing_asset"),
    ],
)  # fmt: skip
def test_what_is_no_job_is_refused(site, body, code):
    found = site()
    answer = found.client.post(f"{API}/jobs", content=json.dumps(body), headers={"content-type": "application/json"})
    error = answer.json()["error"]
    assert (error["code"], found.store.list()) == (code, [])
    assert error["message"] and answer.status_code in (400, 422)


@pytest.mark.parametrize(
    ("how", "status"),
    [
        (("POST", "jobs", {"content": b"["}), 400), (("POST", "jobs", {"content": b"{}"}), 415),
        (("POST", "jobs", {"content": b'{"a":"' + b"x" * 9000}), 413), (("GET", "jobs/x", {}), 404),
        (("GET", f"jobs/{SOME}", {}), 404), (("GET", f"jobs/{SOME}/events", {}), 404),
        (("GET", f"jobs/{SOME}/workflow", {}), 404), (("POST", f"jobs/{SOME}/cancel", {}), 404),
        (("GET", "jobs?limit=0", {}), 400), (("GET", "jobs?limit=1e9", {}), 400), (("GET", "jobs?cursor=%00", {}), 400),
        (("GET", "jobs?metadata[a%20b]=x", {}), 400), (("GET", "jobs?metadata[a]=x&metadata[a]=y", {}), 400),
        (("POST", "assets", {"content": b"x"}), 400), (("POST", "assets", {"files": {"other": b"x"}}), 400),
        (("POST", "assets", {"files": {"file": b"x"}, "data": {"expected_hash": "sha256:1"}}), 400),
        (("POST", "assets", {"files": {"file": b"x"}, "data": {"expected_hash": ZERO}}), 409),
        (("POST", "assets", {"files": {"file": b"x"}, "data": {"url": "http://a.example"}}), 400),
        (("POST", "assets", {"files": {"file": b"x" * 30_000}}), 413),
        (("POST", "assets", {"data": {"file": "a text"}, "files": {"x": b""}}), 400),
        (("POST", "assets", {"content": b"", "headers": {"content-type": "multipart/form-data; boundary=a"}}), 400),
        (("POST", "assets/from-hash", {"json": {"hash": 7}}), 400),
        (("POST", "assets/from-hash", {"json": {"hash": ZERO, "file_path": 7}}), 400),
        (("POST", "assets/from-hash", {"json": {"hash": ZERO}}), 404), (("HEAD", f"assets/by-hash/{ZERO}", {}), 404),
        (("GET", f"assets/{SOME}", {}), 404),
        (("GET", f"assets/{output_id('1' * 21, ResultName('output', 'a.png'))}/content", {}), 404),
        (("DELETE", f"assets/{SOME}", {}), 404),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(site, how, status):
    found = site(max_body_bytes=5000, max_upload_bytes=20_000)
    method, path, more = how
    headers = {"content-type": "application/json"} if more.get("content", b"")[:1] in (b"[", b'{"a"'[:1]) else {}
    if status == 415:
        headers = {"content-type": "text/plain"}
    answer = found.client.request(method, f"{API}/{path}", **{"headers": headers, **more})
    assert answer.status_code == status, answer.text
    if method != "HEAD":
        assert answer.json()["error"]["code"] and answer.json()["error"]["message"]
        assert answer.text.count("Legal:") <= 1
    assert found.store.list() == []


def test_the_token_is_the_api_key_and_pages_of_strangers_do_nothing(site):
    found = site(token="a token of many letters")
    low = ComfyLow("http://localhost:8188", "a token of many letters", client=found.client)
    made = low.post_assets(io.BytesIO(b"abc"), "image/png", "a.png")
    assert found.client.get(f"{API}/assets/{made.id}").status_code == 401
    for path in ("jobs", "assets", f"assets/{made.id}/content"):
        assert found.client.get(f"{API}/{path}").status_code == 401
    own = {"authorization": "Bearer a token of many letters"}
    for foreign in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        for path in ("jobs", "assets", "assets/from-hash"):
            assert found.client.post(f"{API}/{path}", json={}, headers=own | foreign).status_code == 403
        assert found.client.delete(f"{API}/assets/{made.id}", headers=own | foreign).status_code == 403
    assert low.get_asset(made.id).id == made.id


def test_an_upload_of_a_script_is_a_download_without_a_type(site):
    low = ComfyLow("http://localhost:8188", client=site().client)
    made = low.post_assets(io.BytesIO(b"<script>"), "text/html", "<a>;b.html")
    answer = site().client.get(f"{API}/assets/{made.id}/content")
    assert answer.headers["content-type"] == "application/octet-stream" and answer.content == b"<script>"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_full_queue_says_when_to_come_again(site):
    found = site(max_queued=1)
    low = ComfyLow("http://localhost:8188", client=found.client)
    low.post_jobs(prompt())
    answer = found.client.post(f"{API}/jobs", json={"workflow": prompt()})
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
    assert int(answer.headers["retry-after"]) > 0


def test_assets_are_kept_until_nobody_needs_them(store, monkeypatch):
    """Named ones for KEEP_S after their last use; above the bytes those unused longest go; jobs keep what they name."""
    assets, now = Assets(store, most_bytes=25), [1e9]
    monkeypatch.setattr(type(store.database), "now", lambda _self, _do: now[0])

    def add(content: bytes):
        media = store.media.put(content, "image/png")
        now[0] += 1
        return assets.add(media, f"blake3:{blake3(content).hexdigest()}", "a.png", "image/png")[0]

    def left() -> list[bool]:
        clean_now = now[0] + 7200
        store.media.collect(clean_now, 3600)
        return [assets.find(each.id) is not None and store.media.has(each.sha256) for each in made]

    made = [add(bytes([n]) * 10) for n in range(2)]
    now[0] += 1
    assets.use([made[0].id])
    assert left() == [True, True]
    body = {"prompt": loading("a.png"), "outputs": [], "files": {"a.png": f"sha256:{made[1].sha256}"}, "models": {},
            "client_id": "", "extra": {}}  # fmt: skip
    store.submit("workflow", body)
    made.append(add(b"c" * 10))
    assert left() == [True, False, True]
    assert store.media.has(made[1].sha256), "the job's"
    assert assets.of_hash(made[1].blake3) is None
    assert not assets.delete(made[1].id) and assets.delete(made[2].id)
    assert left() == [True, False, False] and not store.media.has(made[2].sha256)
    now[0] += KEEP_S + 10
    add(b"d")
    assert left() == [False, False, False]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("photo.png", "photo.png"), ("../../a/b.PNG", "b.PNG"), ("c:\\x\\y.webp", "y.webp"),
        ("a [output].png", "a _output_.png"),
        ("", "upload.bin"), ("..", "upload.bin"), (".png", "upload.png"), ("a\x00\nb.png", "a__b.png"),
        ("é" * 300 + ".png", "é" * 180 + ".png"),
    ],
)  # fmt: skip
def test_names_of_assets_are_the_last_part_of_a_path(given, name):
    assert safe_name(given) == name


def test_ids_of_results_name_their_job():
    names = [ResultName("output", "a/b_00001_.mp4"), ResultName("temp", "a/b_00001_.mp4")]
    for job in ("0" * 21, "f" * 21, "1a22daa99a367a5fc41a1"):
        ids = {output_id(job, name) for name in names}
        assert len(ids) == 2 and {job_of_output(id) for id in ids} == {job}
        assert all(uuid.UUID(id).version == 8 and uuid.UUID(id).variant == uuid.RFC_4122 for id in ids)
    assert job_of_output(SOME) is None and job_of_output("x") is None


def test_labels_have_limits():
    assert labels_of({"a.b-c_1": "é" * 128}) == {"a.b-c_1": "é" * 128} and labels_of(None) == {}
    for wrong in ([], {"": "x"}, {"a": None}, {"a": "\u202e"}, {"x" * 41: ""}, {f"{n}": "" for n in range(17)}):
        with pytest.raises(V2Refused):
            labels_of(wrong)


def changed(random: Random, value: object) -> None:
    """Replace, delete or rename something deep in a JSON value."""
    junk = (None, True, -1, 1e308, 2**70, "", "\x00", "../a", [], ["3", 0], ["3", 99], ["no", 0], [["3", 0]], {},
            asset(None), {"__value__": [1]}, {"__type": "core/ASSET"}, "a.png [output]")  # fmt: skip
    holder, key = None, None
    while isinstance(value, dict | list) and value and random.random() < 0.85:
        holder, key = value, random.choice([*value] if isinstance(value, dict) else range(len(value)))
        value = value[key]
    if holder is None:
        return
    if random.random() < 0.2:
        del holder[key]
    elif random.random() < 0.1 and isinstance(holder, dict):
        holder[random.choice(["x", "inputs", "class_type"])] = holder.pop(key)
    else:
        holder[key] = json.loads(json.dumps(random.choice(junk)))


@pytest.mark.parametrize("num", [50, pytest.param(4000, marks=pytest.mark.slow)])
def test_no_change_of_a_legal_job_is_a_fault(site, num):
    """A job that is taken can be shown, whatever is in it."""
    found, random, seen = site(max_queued=num), Random(5), set()
    low = ComfyLow("http://localhost:8188", client=found.client)
    id = low.post_assets(io.BytesIO(b"abc"), "image/png", "a.png").id
    legal = json.dumps({
        "workflow": {**prompt(), **loading(asset(id))}, "metadata": {"a": "b"},
        "extra_data": {"kinema": {"models": {"a": "none"}}, "extra_pnginfo": {"workflow": {"id": 1}}, "assets": 1},
    })  # fmt: skip
    for _ in range(num):
        body = json.loads(legal)
        for _ in range(random.randint(0, 3)):
            changed(random, body)
        sent = json.dumps(body)
        answer = found.client.post(f"{API}/jobs", content=sent, headers={"content-type": "application/json"})
        seen.add(answer.status_code)
        assert answer.status_code in (201, 400, 422), (answer.text, sent)
        if answer.status_code == 201:
            own = f"{API}/jobs/{answer.json()['id']}"
            assert all(found.client.get(f"{own}{more}").status_code == 200 for more in ("", "/workflow")), sent
    assert seen >= {201, 422}
