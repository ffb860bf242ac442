"""The server and its workers are killed while prompts run; benchmarks/comfy_load.py does it for longer, with more
clients."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


def test_killed_prompts_end_once_with_the_frames_of_an_uninterrupted_run(tmp_path):
    """Their clients, which reconnect, hear of it."""
    from comfy_load import load

    found = load(tmp_path, prompts=4, clients=2, kills=1, worker_kills=1, steps=8, step_s=0.1, every_s=0.8, seed=1)
    assert found["kills"] == {"server": 1, "worker": 1} and found["attempts"] > 4


@pytest.mark.slow
def test_a_prompt_that_kills_its_worker_is_set_aside(tmp_path):
    from comfy_load import LoadServer
    from comfy_stand_in import prompt

    server = LoadServer(f"sqlite:///{tmp_path / 'jobs.sqlite'}", tmp_path / "home")
    try:
        poisoned = prompt(seed=1, step_s=0.1)  # what it did is stored before it dies
        poisoned["3"]["inputs"]["denoise"] = 0.25
        ids = [server.ask("/prompt", {"prompt": each})["prompt_id"] for each in (poisoned, prompt(seed=2))]
        end = time.monotonic() + 60
        while server.ask("/prompt")["exec_info"]["queue_remaining"]:
            assert time.monotonic() < end
            time.sleep(0.1)
        bad, good = (server.ask(f"/api/jobs/{id}") for id in ids)
        assert bad["status"] == "failed" and "SIGKILL" in bad["execution_error"]["exception_message"]
        assert bad["execution_error"]["node_id"] == "3" and good["status"] == "completed"
        assert server.ask(f"/history/{uuid.UUID(ids[0])}")[ids[0]]["status"]["status_str"] == "error"
    finally:
        server.stop()


@pytest.mark.slow
def test_a_real_workflow_goes_on_after_kill_9_of_the_server(tmp_path):
    """With the miniature: its sampler goes on from its kept state, the file has the bytes of an uninterrupted run
    elsewhere, and the same prompt again computes nothing."""
    from comfy_load import LoadServer
    from comfy_stand_in import prompt

    body = prompt(seed=3, steps=10, step_s=5.0)
    body["40"]["inputs"].update(width=256, height=256, length=9)

    def made(name: str, kill: bool) -> bytes:
        home = tmp_path / name
        server = LoadServer(f"sqlite:///{home / 'jobs.sqlite'}", home, kinds="kinema.server.comfy.kind:KINDS")
        try:
            id = server.ask("/prompt", {"prompt": body})["prompt_id"]
            until(lambda: progress_of(home, id) >= 3)
            if kill:
                server.kill()
            until(lambda: server.patiently(f"/history/{id}"))
            record = server.ask(f"/history/{id}")[id]
            assert record["status"]["completed"], record["status"]
            [file] = record["outputs"]["28"]["images"]
            assert bool(events_of(home, id, "resumed")) is kill
            began = time.monotonic()
            again = server.ask("/prompt", {"prompt": body})["prompt_id"]
            until(lambda: server.ask(f"/history/{again}"))
            assert server.ask(f"/history/{again}")[again]["outputs"] == record["outputs"]
            [cached] = [data["nodes"] for name, data in server.ask(f"/history/{again}")[again]["status"]["messages"]
                        if name == "execution_cached"]  # fmt: skip
            assert "3" in cached and time.monotonic() - began < 30
            return server.ask("/view?" + "&".join(f"{key}={value}" for key, value in file.items()))
        finally:
            server.stop()

    assert made("killed", True) == made("whole", False)


def until(is_true) -> None:
    end = time.monotonic() + 240
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.1)


def progress_of(home: Path, id: str) -> int:
    """The step that the sampler of a prompt has reached, as its worker has stored it."""
    return max((data["value"] for data in events_of(home, id, "node_progress") if data["node"] == "3"), default=0)


def events_of(home: Path, id: str, kind: str) -> list[dict]:
    with sqlite3.connect(home / "jobs.sqlite") as db:
        rows = db.execute("SELECT e.data FROM kinema_job_events e JOIN kinema_prompts p ON p.job = e.job "
                          "WHERE p.id = ? AND e.kind = ?", (id, kind)).fetchall()  # fmt: skip
    db.close()
    return [json.loads(row[0]) for row in rows]
