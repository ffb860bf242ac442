"""The server and its workers are killed while prompts run; benchmarks/comfy_load.py does it for longer, with more
clients."""

from __future__ import annotations

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


def test_lists_stay_quick_with_five_thousand_jobs(tmp_path):
    from comfy_load import listing

    found = listing(tmp_path, requests=12)
    assert sorted(value for name, value in found.items() if name.endswith("p50"))[-1] < 50, found
