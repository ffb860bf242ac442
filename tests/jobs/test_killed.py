"""Workers and their supervisor are killed at any time; benchmarks/jobs.py does the same to clips, for longer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

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
    assert found["resumed"] >= 1
