"""The API of `kinema serve`, without workers: jobs, media, events, plans, models, health."""

from __future__ import annotations

import hashlib
import json

import cv2
import pytest

from kinema.jobs.claims import Claims

CLIP = {"prompt": "a red ball", "seed": 1}
TOKEN = "a token of twenty and more letters"


def submit(client, body=CLIP, **more):
    headers = more.pop("headers", {})
    return client.post("/jobs", json={"kind": "clip", "body": body, **more}, headers=headers)


def test_a_job_from_submission_to_deletion(site):
    client = site().client
    new = submit(client, name="ball", priority=3)
    job = new.json()
    assert (new.status_code, new.headers["location"]) == (201, f"/jobs/{job['id']}")
    assert (job["state"], job["position"], job["name"], job["priority"], job["body"]) == ("queued", 0, "ball", 3, CLIP)
    assert client.get(f"/jobs/{job['id']}").json() == job
    assert client.get("/jobs?state=queued,running&kind=clip").json() == {"jobs": [job], "next": None}
    assert client.get("/jobs?state=failed").json()["jobs"] == []
    assert client.post(f"/jobs/{job['id']}/pause").json()["paused"] is True
    assert client.post(f"/jobs/{job['id']}/resume").json()["paused"] is False
    assert client.delete(f"/jobs/{job['id']}").status_code == 409
    assert client.get(f"/jobs/{job['id']}/result").status_code == 409
    assert client.post(f"/jobs/{job['id']}/cancel").json()["state"] == "canceled"
    assert client.post(f"/jobs/{job['id']}/move", json={"to": "front"}).status_code == 409
    assert client.post(f"/jobs/{job['id']}/retry").json()["state"] == "queued"
    client.post(f"/jobs/{job['id']}/cancel")
    assert client.delete(f"/jobs/{job['id']}").status_code == 204
    gone = client.get(f"/jobs/{job['id']}")
    assert gone.status_code == 404 and "No job" in gone.json()["error"]


def test_a_request_that_was_just_planned_is_not_planned_again(site, monkeypatch):
    from kinema.server.plan_pool import PlanPool

    client, planned, plan = site().client, [], PlanPool.plan

    async def counted(self, request, media, limit_s):
        planned.append(request)
        return await plan(self, request, media, limit_s)

    monkeypatch.setattr(PlanPool, "plan", counted)
    assert client.post("/plan", json=CLIP).status_code == 200
    assert submit(client).status_code == 201 and len(planned) == 1
    assert submit(client, CLIP | {"seed": 2}).status_code == 201 and len(planned) == 2
    monkeypatch.setattr("kinema.server.clip_requests.FRESH_S", 0.0)
    assert submit(client).status_code == 201 and len(planned) == 3


def test_an_idempotency_key(site):
    client, key = site().client, {"idempotency-key": "k-1"}
    first = submit(client, headers=key)
    assert [first.status_code, submit(client, headers=key).status_code] == [201, 200]
    assert submit(client, headers=key).json()["id"] == first.json()["id"]
    other = submit(client, {"prompt": "a blue ball"}, headers=key)
    assert other.status_code == 409 and "idempotency key" in other.json()["error"]


def test_the_queue_is_listed_in_pages_and_reordered(site):
    client = site().client
    ids = [submit(client, {"prompt": f"ball {n}"}).json()["id"] for n in range(5)]
    seen, before = [], ""
    while before is not None:
        page = client.get(f"/jobs?limit=2{before and f'&before={before}'}").json()
        seen, before = seen + [job["id"] for job in page["jobs"]], page["next"]
    assert seen == ids[::-1]
    for limit in (0, -1, 501, 10**30):
        assert client.get(f"/jobs?limit={limit}").json()["field"] == "limit"
    assert client.post(f"/jobs/{ids[4]}/move", json={"to": "front"}).json()["position"] == 0
    assert client.post(f"/jobs/{ids[0]}/move", json={"before": ids[3]}).json()["position"] == 3
    for wrong in ({}, {"to": "middle"}, {"before": ids[1], "to": "back"}, {"before": 1}, {"first": True}):
        assert client.post(f"/jobs/{ids[0]}/move", json=wrong).status_code == 422


def test_a_page_of_jobs_with_large_bodies_is_short(site, monkeypatch):
    monkeypatch.setattr("kinema.server.job_routes.READ_JOBS", 2)
    client = site(max_queued=7).client
    keys = [{"idempotency-key": f"k-{seed}"} for seed in range(7)]
    sent = [submit(client, {"prompt": "ball", "seed": seed}, headers=keys[seed]) for seed in range(7)]
    ids = [each.json()["id"] for each in sent]
    full, again = submit(client), submit(client, {"prompt": "ball", "seed": 0}, headers=keys[0])
    assert again.status_code == 200 and again.json()["id"] == ids[0]
    assert full.status_code == 429 and full.headers["retry-after"] and "queue is full" in full.json()["error"]
    monkeypatch.setattr("kinema.server.job_routes.PAGE_BYTES", 3 * len(client.get(f"/jobs/{ids[0]}").content))
    sizes, seen, before = [], [], ""
    while before is not None:
        page = client.get(f"/jobs?{before and f'before={before}'}").json()
        seen, before = seen + [job["id"] for job in page["jobs"]], page["next"]
        sizes.append(len(page["jobs"]))
    assert (sizes, seen) == ([4, 3], ids[::-1])


@pytest.mark.parametrize(
    ("field", "submitted"),
    [
        ("kind", {"kind": "echo", "body": {}}), ("kind", {"kind": ["clip"], "body": {}}), ("body", {"kind": "clip"}),
        ("body", {"body": [1]}), ("extra", {"body": CLIP, "extra": 1}), ("promt", {"body": {"promt": "x"}}),
        ("size", {"body": {"width": 63, "height": 63}}), ("model", {"body": {"model": "/etc/passwd"}}),
        ("conditions.0.image", {"body": {"image": "/etc/passwd"}}), ("steps", {"body": {"steps": 1e400}}),
        ("priority", {"body": CLIP, "priority": 10**30}), ("name", {"body": CLIP, "name": "a\x00"}),
        ("conditions", {"body": {"model": "kinema-mini-svd"}}), ("image", {"body": {"image": 1}}),
        ("conditions.0.clip", {"body": {"conditions": [{"kind": "continue", "clip": "sha256:" + "0" * 64}]}}),
        ("conditions.0.image", {"body": {"image": "data:image/png;base64,AAAA"}}),
    ],
)  # fmt: skip
def test_a_job_that_cannot_be_done_is_refused_with_its_field(site, field, submitted):
    text = json.dumps(submitted).replace("Infinity", "1e400")
    answer = site().client.post("/jobs", content=text, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"] and answer.json().get("field", field if "base64" in text else "") == field


def test_bodies_that_are_none(site):
    client, json_type = site(max_body_bytes=1000).client, {"content-type": "application/json"}
    assert client.post("/jobs", content=b"{}").status_code == 415
    assert client.post("/jobs", content=b"x" * 2000, headers=json_type).status_code == 413
    for body in (b"", b"[" * 900, b"[]", b'{"kind": NaN}', b"\xff", b'{"a":1,"a":2}', b'{"kind":"\\ud800"}'):
        assert client.post("/jobs", content=body, headers=json_type).status_code == 400
    for path in ("/nothing", "/jobs/..%2f..", "/page/..%2fapp.py", "/jobs/0123/x"):
        answer = client.get(path)
        assert answer.status_code == 404 and answer.json()["error"]
    assert client.put("/jobs").status_code == 405 and client.put("/jobs").json()["error"]


def test_media_by_hash_with_ranges(site):
    client, data = site().client, b"0123456789" * 10
    sha = hashlib.sha256(data).hexdigest()
    assert client.head(f"/media/{sha}").status_code == 404
    new = client.post("/media", content=data, headers={"content-type": "video/mp4", "x-kinema-sha256": sha})
    assert (new.status_code, new.json()) == (201, {"media": f"sha256:{sha}", "bytes": 100, "media_type": "video/mp4"})
    assert client.post("/media", content=data).json() == new.json()
    whole = client.get(f"/media/{sha}")
    assert (whole.content, whole.headers["content-type"]) == (data, "video/mp4")
    assert "sandbox" in whole.headers["content-security-policy"] and whole.headers["etag"] == f'"{sha}"'
    part = client.get(f"/media/{sha}", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    assert client.get(f"/media/{sha}", headers={"range": "bytes=200-"}).status_code == 416
    assert int(client.head(f"/media/{sha}").headers["content-length"]) == 100


def test_a_page_that_is_uploaded_is_not_shown_as_one(site):
    client = site().client
    for media_type in ("text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript"):
        data = f"<script>alert('{media_type}')</script>".encode()
        sha = client.post("/media", content=data, headers={"content-type": media_type}).json()["media"][7:]
        answer = client.get(f"/media/{sha}")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")


def test_events_as_a_list_and_as_a_stream_that_resumes(site):
    found = site()
    id = submit(found.client).json()["id"]
    Claims(found.store, "w1").begin({})
    claim = Claims(found.store, "w1").take()
    claim.report({"fraction": 0.5}, [("note", {"text": "half"})])
    claim.succeed({"media": None}, [])
    events = found.client.get(f"/jobs/{id}/events", headers={"accept": "application/json"}).json()["events"]
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    stream = found.client.get(f"/jobs/{id}/events", headers={"last-event-id": "1"})
    assert stream.headers["content-type"].startswith("text/event-stream")
    blocks = [block.splitlines() for block in stream.text.split("\n\n") if block.startswith("id:")]
    sent = [(int(id[4:]), kind[7:], json.loads(data[6:])) for id, kind, data in blocks]
    assert sent == [(event["number"], event["kind"], event["data"]) for event in events[1:]]
    end = {"last-event-id": str(len(events))}
    assert found.client.get(f"/jobs/{id}/events", headers=end).status_code == 204
    assert found.client.get(f"/jobs/{id}/events?after=x").status_code == 422
    waiting = submit(found.client).json()["id"]
    assert found.client.head(f"/jobs/{waiting}/events").headers["content-type"].startswith("text/event-stream")


def test_a_stream_of_a_job_that_was_retried_goes_past_its_first_end(site):
    found = site()
    id = submit(found.client).json()["id"]
    for path in ("cancel", "retry", "cancel"):
        found.client.post(f"/jobs/{id}/{path}")
    text = found.client.get(f"/jobs/{id}/events").text
    states = [json.loads(line[6:])["state"] for line in text.splitlines() if line.startswith("data:")]
    assert states == ["queued", "canceled", "queued", "canceled"]


def test_the_result_of_a_job(site):
    found = site()
    id = submit(found.client).json()["id"]
    Claims(found.store, "w1").begin({})
    claim = Claims(found.store, "w1").take()
    media = found.store.media.put(b"a clip", "video/mp4")
    result = {"media": str(media), "bytes": 6, "media_type": "video/mp4", "name": 'b"all\u00e9.mp4'}
    claim.succeed(result, [str(media)])
    answer = found.client.get(f"/jobs/{id}/result")
    assert (answer.content, answer.headers["content-type"]) == (b"a clip", "video/mp4")
    assert answer.headers["content-disposition"].startswith("inline; filename*=")
    assert found.client.get(f"/jobs/{id}/result", headers={"range": "bytes=2-"}).content == b"clip"


def test_a_plan_names_media_by_hash_only(site, tmp_path):
    import numpy as np

    found = site()
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 64, 3), 99, np.uint8))
    media = found.client.post("/media", content=(tmp_path / "a.png").read_bytes()).json()["media"]
    plan = found.client.post("/plan", json={**CLIP, "image": media})
    assert plan.status_code == 200 and plan.json()["estimate"]["seconds"] > 0
    assert plan.json()["conditions"][0]["image"] == media and str(tmp_path) not in plan.text
    sound = found.client.post("/media", content=b"RIFF no picture").json()["media"]
    refused = found.client.post("/plan", json={**CLIP, "image": sound})
    assert refused.status_code == 422 and str(tmp_path) not in refused.text


def test_models_health_and_numbers(site):
    found = site(models=("kinema-mini-wan",))
    client = found.client
    models = client.get("/models")
    assert [model["id"] for model in models.json()["models"]] == ["kinema-mini-wan"]
    assert models.json()["models"][0]["sizes"] == ["64x64"] and "miniatures/" not in models.text
    assert submit(client, {"model": "kinema-mini-svd"}).json()["legal"] == "kinema-mini-wan"
    assert client.get("/healthz").json()["kinema"] == "server"
    assert client.get("/readyz").status_code == 503
    Claims(found.store, "w1").begin({})
    assert client.get("/readyz").json() == {"ready": True, "workers": 1, "queued": 0}
    submit(client)
    lines = client.get("/metrics").text.splitlines()
    assert 'kinema_jobs{state="queued"} 1' in lines and "kinema_workers 1" in lines
    assert 'kinema_http_responses_total{method="POST",route="submit",status="201"} 1' in lines
    assert all(line.startswith("#") or (len(line.rsplit(" ", 1)) == 2 and float(line.rsplit(" ", 1)[1]) >= 0)
               for line in lines)  # fmt: skip


def test_a_token_is_required_where_one_is_set(site):
    client = site(token=TOKEN).client
    ways = [("GET", "/jobs"), ("POST", "/jobs"), ("GET", "/models"), ("POST", "/plan"), ("POST", "/media"),
            ("GET", "/metrics"), ("GET", "/jobs/00000000"), ("GET", "/jobs/00000000/events"), ("GET", "/nothing"),
            ("GET", "/media/" + "0" * 64), ("GET", "/healthz/"), ("GET", "/page/../jobs")]  # fmt: skip
    for method, path in ways:
        assert client.request(method, path).status_code == 401, path
    own = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/jobs", headers=own).status_code == 200
    for path in ("/healthz", "/openapi.json"):
        assert client.get(path).status_code == 200
    wrong = [client.get("/jobs", headers={"authorization": f"Bearer {n}"}).status_code for n in range(12)]
    assert wrong == [401] * 10 + [429] * 2
    assert client.get("/jobs", headers=own).status_code == 200  # nobody locks the owner out
