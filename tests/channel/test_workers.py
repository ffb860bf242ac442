"""Workers that share a PostgreSQL database and are killed at any time."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import psutil
import pytest
from episode_of import plan
from postgres_server import Server
from running_channel import Process, channel_file, config_of, ended, lines, producer, wait_for

from kinema.channel.library import Library
from kinema.channel.making.ledger import Ledger
from kinema.core.environ import database_address
from kinema.core.errors import KinemaError, RequestError
from kinema.jobs.store import JobStore

LOST_S = 2.0
SHOTS, DEATHS = 6, 2


@pytest.fixture(scope="module")
def server():
    found = Server()
    yield found
    found.stop()


def worker(server: Server, log: Path, number: int, *more: str) -> Process:
    command = [sys.executable, "-m", "kinema", "worker", "--database", server.url, "--lost", str(LOST_S), *more]
    return Process(command, log.with_name(f"worker-{number}.log"), FAKE_SECONDS="0.6", FAKE_LOG=str(log))


def draws(process: Process, log: Path) -> psutil.Process | None:
    """The process of a worker that generates, once it has begun a shot."""
    for child in psutil.Process(process.popen.pid).children():
        if any(words[0] == "begin" and words[3] == str(child.pid) for words in lines(log)):
            return child
    return None


def left(server: Server) -> list:
    """What finished shots left in the database."""
    with JobStore.open(server.url) as store:
        return [*store.list(), *([bytes] if (bytes := store.media.total_bytes()) else [])]


def test_workers_killed_at_random_and_each_shot_is_published_once(server, tmp_path):
    making = f"here = false\nin_flight = 4\nworker_lost_s = {LOST_S}"
    file = channel_file(tmp_path, enough=SHOTS, making=making, database=server.url)
    log, rng = tmp_path / "fake.log", random.Random(4)
    at_home = producer(file, log)
    crew = [worker(server, log, number) for number in range(2)]

    def published() -> int:
        with Ledger(config_of(file).root) as ledger:
            return ledger.counts()["published"]

    try:
        for death in range(DEATHS):
            victim = wait_for(lambda death=death: draws(crew[death], log), at_home)
            time.sleep(rng.uniform(0, 0.5))
            if death == 0:  # as if its machine died
                crew[death].kill()
                victim.kill()
            else:
                crew[death].popen.terminate()  # its shot is requeued
                assert crew[death].popen.wait(60) == 0
            crew[death] = worker(server, log, 2 + death)
        wait_for(lambda: published() == SHOTS, at_home)
        wait_for(lambda: left(server) == [], at_home)
    finally:
        for process in [at_home, *crew]:
            process.kill()
    with Library.open(config_of(file).root) as library, Ledger(config_of(file).root) as ledger:
        ids = sorted(clip.id for clip in library.ready())
        assert len(ids) == len(set(ids)) == SHOTS
        assert ledger.counts()["aside"] == 0
        assert all(clip.path.is_file() for clip in library.ready())
    drawn = ended(log)
    assert set(drawn) == set(ids)
    # only a clip whose worker dies between its end and its record is generated again
    assert sum(drawn.values()) <= SHOTS + DEATHS
    assert len({words[3] for words in lines(log)}) >= 3  # several workers took part


def test_last_frames_travel_to_the_worker_that_goes_on_from_them(server, tmp_path):
    making = f"here = false\nin_flight = 2\nworker_lost_s = {LOST_S}"
    rest = 'files = "shared"'  # of [database]
    file = channel_file(tmp_path, enough=8, making=making, database=server.url, maker="FakeContinuer", rest=rest)
    log, root = tmp_path / "fake.log", config_of(file).root
    with Ledger(root) as ledger:
        ids = plan(ledger, "a ball on a meadow", ["cut", "continue", "cut", "continue"])
    at_home = producer(file, log)
    more = ("--only", "channel", "--folder", str(tmp_path / "shared"))
    crew = [worker(server, log, number, *more) for number in (10, 11)]
    try:
        wait_for(lambda: all(ended(log)[id] for id in ids), at_home)
        assert {tuple(w[1:]) for w in lines(log) if w[0] == "tail"} >= {(ids[1], "20"), (ids[3], "40")}
        with JobStore.open(server.url) as store:
            wait_for(lambda: not [job for job in store.list() if job.body["planned"] in ids], at_home)
            with store.database.look() as do:
                assert do("SELECT sha FROM kinema_media_parts") == []
        assert list((tmp_path / "shared" / "media").iterdir())
    finally:
        for process in [at_home, *crew]:
            process.kill()


def test_addresses():
    url = "postgresql://kinema@127.0.0.1:1/there"
    assert database_address(url, "PW", {"PW": "s3/c"}) == "postgresql://kinema:s3%2Fc@127.0.0.1:1/there"
    assert database_address(url, None) == url
    for bad in ("mysql://a/b", "postgresql://u:secret@h/db", "postgresql://h"):
        with pytest.raises(RequestError) as refused:
            database_address(bad, None)
        assert "secret" not in str(refused.value)
    with pytest.raises(RequestError, match="variable PW is not set"):
        database_address(url, "PW", {})
    with pytest.raises(KinemaError, match=r"127\.0\.0\.1"):
        JobStore.open(url)
