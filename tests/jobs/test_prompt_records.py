"""Workflows as ComfyUI's clients list them, and the names of their results, on SQLite and PostgreSQL."""

from __future__ import annotations

import uuid

from kinema.jobs.claims import Claims
from kinema.jobs.kinds import Kinds
from kinema.jobs.store import JobStore
from kinema.server.comfy.kind import KINDS
from kinema.server.comfy.outputs import JobOutputs, ResultNames
from kinema.server.comfy.prompts import Prompts

BODY = {"prompt": {"1": {"class_type": "SaveImage", "inputs": {}}}, "outputs": ["1"], "files": {}, "models": {},
        "client_id": "c", "extra": {}}  # fmt: skip


def submit(store: JobStore, number: float | None = None, front: bool = False, workflow: str = "") -> str:
    id = str(uuid.uuid4())
    store.submit(
        "workflow", BODY, key=id,
        also=lambda do, job: Prompts(store).add(do, job, id, "c", workflow, number, front),
    )  # fmt: skip
    return id


def test_prompts_are_recorded_listed_and_ordered(store, tmp_path):
    store.kinds = Kinds(KINDS)
    prompts, claims = Prompts(store), Claims(store, "w")
    ids = [submit(store, workflow="page") for _ in range(3)]
    first, third = submit(store, front=True), submit(store, number=1.5)
    assert [each.id for each in prompts.queue()[1]] == [first, ids[0], third, *ids[1:]]
    assert prompts.find(first).number < 0 and prompts.find(str(uuid.uuid4())) is None and prompts.remaining() == 5
    claim = claims.take()
    assert claim is not None and prompts.bodies([claim.job.id]) == {claim.job.id: BODY}
    [running], waiting = prompts.queue()
    assert running.id == first and running.status == "in_progress" and len(waiting) == 4
    claim.report(None, [("node", {"event": "executing", "node": "1"})])
    moving, remaining = prompts.moving(0.0)
    assert [each.id for each in moving] == [first] and remaining == 5 and moving[0].last_event == 3
    assert [event.kind for event in prompts.events(claim.job.id, 1)] == ["state", "node"]
    assert len(prompts.events(claim.job.id, kinds=("node",))) == 1
    claim.succeed({"outputs": {"1": {"images": []}}}, [])
    moving, remaining = prompts.moving(0.0)
    assert [each.status for each in moving] == ["completed"] and remaining == 4
    assert prompts.moving(moving[0].ended_at)[0] == []
    page, total = prompts.page(("pending",), limit=2, offset=1)
    assert total == 4 and [each.id for each in page] == [ids[2], ids[1]]
    assert [each.id for each in prompts.page((), limit=9, workflow="page", newest_first=False)[0]] == ids
    [done] = prompts.page(("completed", "failed"), limit=5, sort="execution_duration")[0]
    assert done.result == {"outputs": {"1": {"images": []}}}
    store.delete(done.job)
    assert prompts.find(first) is None

    names = ResultNames(store.database)
    one, two = (JobOutputs(names, job, tmp_path / job) for job in ("a", "b"))
    paths = [each.reserve("video/Clip", ".mp4", "output") for each in (one, two, one)]
    assert [each.name for each in paths] == [f"Clip_0000{n}_.mp4" for n in (1, 2, 3)]
    media = str(store.media.put(b"clip", "video/mp4"))
    found = [files.name_of(path, "output", media) for files, path in zip((one, two), paths)]
    assert {each.name for each in found} == {"video/Clip_00001_.mp4"} and names.find(found[0]) == media
    assert names.names("output") == ["video/Clip_00001_.mp4"] and names.names("temp") == []
    assert JobOutputs(names, "a", tmp_path).reserve("video/Clip", ".mp4", "output").name == "Clip_00003_.mp4"
    assert one.reserve("video/Clip", ".mp4", "temp").name == "Clip_00001_.mp4"
