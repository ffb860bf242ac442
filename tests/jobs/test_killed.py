"""Workers and their supervisor are killed at any time; benchmarks/jobs.py does the same to clips, for longer."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from echo_kind import KINDS

from kinema.jobs.store import JobStore
from kinema.jobs.supervise import Workers

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

HERE = Path(__file__).parent


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_killed_jobs_end_once_and_as_if_nothing_had_happened(database, request, tmp_path, monkeypatch):
    from jobs import harm

    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    on_file = database == "sqlite"
    url = f"sqlite:///{tmp_path / 'j.sqlite'}" if on_file else request.getfixturevalue("postgres").new_database()
    found = harm(
        url, num_workers=1 if on_file else 2, jobs=4, kills=2, seed=2, kind="echo", listeners=4,
        arguments=("--kinds", "echo_kind:ALL"), every_s=0.8,
    )  # fmt: skip
    assert sum(found["kills"].values()) >= 1 and found["attempts"] > 4
    assert found["resumed"] >= 1  # the first kill hits a job with a kept state


def test_a_job_that_hangs_costs_one_attempt_and_its_worker(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    url = f"sqlite:///{tmp_path / 'j.sqlite'}"
    arguments = ("--kinds", "echo_kind:ALL", "--hanging", "0.5", "--lost", "1")
    with JobStore.open(url, kinds=KINDS) as store:
        id = store.submit("echo", {"steps": 2, "hangs": True})[0].id
        slow = store.submit("echo", {"steps": 8, "step_s": 0.2})[0].id  # longer than --hanging, and not silent
        with Workers(store, url, arguments=arguments):
            end = time.monotonic() + 40
            while not (store.get(id).ended and store.get(slow).ended):
                assert time.monotonic() < end, store.get(id)
                time.sleep(0.05)
        job = store.get(id)
        assert job.state == "succeeded" and job.attempts == 2
        assert [each["reason"][:18] for each in job.failures] == ["It did nothing for"]
        assert store.get(slow).attempts == 1


def test_supervisors_that_start_at_the_same_time_take_different_slots(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    with JobStore.open(f"sqlite:///{tmp_path / 'j.sqlite'}", kinds=KINDS) as store:
        serving = Workers(store, num_workers=1)
        one, two = (Workers(store, num_workers=2, free=True) for _ in range(2))
        assert [[*each.children] for each in (serving, one, two)] == [[0], [1, 2], [3, 4]]
        with one:
            pass  # its workers, started or not, are stopped
        assert [*Workers(store, free=True).children] == [1]
