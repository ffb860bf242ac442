"""The producer: durable steps, failing shots, drafts, quota. Real processes are killed."""

from __future__ import annotations

import os
import random
import time
from itertools import pairwise

import pytest
from episode_of import plan
from running_channel import channel_file, config_of, ended, lines, producer, wait_for

from kinema.channel.library import Library, LibraryClip
from kinema.channel.making.continuity import awaited
from kinema.channel.making.ledger import Ledger
from kinema.channel.making.producer import Producer, database_of
from kinema.jobs.job import Job
from kinema.jobs.store import JobStore


@pytest.fixture
def run(tmp_path):
    started = []

    def start(file, **fake):
        started.append(producer(file, tmp_path / "fake.log", **fake))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def states(file) -> dict[str, int]:
    with Ledger(config_of(file).root) as ledger:
        return ledger.counts()


def jobs_of(file) -> list[Job]:
    with JobStore.open(*database_of(config_of(file))) as store:
        return store.list()


def stored(file) -> list:
    """What the jobs of a channel left behind."""
    return [*jobs_of(file), *(path for path in (config_of(file).root / "work").rglob("*") if path.is_file())]


def test_a_killed_producer_goes_on_at_its_step_and_publishes_each_shot_once(run, tmp_path):
    file, log = channel_file(tmp_path, enough=4), tmp_path / "fake.log"
    first = run(file, FAKE_SECONDS="0.7")
    wait_for(lambda: sum(words[0] == "begin" for words in lines(log)) >= 2, first)  # the second shot is being generated
    time.sleep(0.2)
    first.kill()
    before = ended(log)
    assert before
    second = run(file, FAKE_SECONDS="0.7")
    wait_for(lambda: states(file)["published"] >= 3, second)
    second.kill()  # during the fourth shot
    third = run(file, FAKE_SECONDS="0.1", KINDS_VERSION="2")  # a version with other kinds of jobs
    wait_for(lambda: states(file)["published"] == 4 and states(file)["making"] == 0, third)

    assert set(ended(log).values()) == {1}, "a finished step was repeated"
    with Library.open(config_of(file).root) as library:
        clips = library.ready()
    assert sorted(clip.id for clip in clips) == ["e00001s01", "e00001s02", "e00001s03", "e00002s01"]
    assert all(clip.path.is_file() and clip.frames == 8 for clip in clips)
    wait_for(lambda: not stored(file), third)
    assert not list((tmp_path / "channel" / "clips").glob(".*"))


@pytest.mark.slow  # kills as in the test above; test_continuity.py tests continued shots without kills
def test_a_shot_goes_on_from_the_one_before_though_the_producer_is_killed_and_others_go_first(run, tmp_path):
    file = channel_file(tmp_path, enough=7, making='in_flight = 2\nupscale = "lanczos"', maker="FakeContinuer")
    log = tmp_path / "fake.log"
    root = config_of(file).root
    with Ledger(root) as ledger:
        ids = plan(ledger, "a ball on a meadow", ["cut", "continue", "continue", "cut"])

    def begun(id: str) -> bool:
        return ["begin", id] in [words[:2] for words in lines(log)]

    def over() -> bool:
        with Ledger(root) as ledger:
            return all(ledger.get(id).state == "published" for id in ids)

    process = run(file, FAKE_SECONDS="0.7")
    for number, id in enumerate((ids[1], ids[2])):
        wait_for(lambda id=id: begun(id), process)
        time.sleep(0.3 * number)
        process.kill()
        process = run(file, FAKE_SECONDS="0.7")
    wait_for(over, process)
    wait_for(lambda: not [job for job in jobs_of(file) if job.body["planned"] in ids], process)
    process.kill()

    tails = [words[1:3] for words in lines(log) if words[0] == "tail"]
    assert {tuple(words) for words in tails} >= {(ids[1], "20"), (ids[2], "30")}  # the gray of the previous clips
    firsts = list(dict.fromkeys(words[1] for words in lines(log) if words[0] == "begin"))
    assert firsts.index(ids[3]) < firsts.index(ids[1]) < firsts.index(ids[2])  # a cut does not wait
    order = [" ".join(words[:2]) for words in lines(log)]
    for one, next_one in ((ids[0], ids[1]), (ids[1], ids[2])):
        assert order.index(f"end {one}") < order.index(f"begin {next_one}")
    with Library.open(root) as library:
        clips = {clip.id: clip.shot.get("made_as") for clip in library.ready() if clip.id in ids}
    shown = list(clips)
    assert shown in ([*ids[:3], ids[3]], [ids[3], *ids[:3]])  # consecutive; the cut before or after them
    assert [clips[id] for id in ids] == [None, "continue", "continue", None]
    assert set(ended(log).values()) == {1}


@pytest.mark.slow
def test_continuing_shots_and_a_producer_that_is_killed_at_random(run, tmp_path):
    shots, kills, rng = 24, 14, random.Random(7)
    file = channel_file(tmp_path, enough=shots, making="in_flight = 3", maker="FakeContinuer")
    log, root = tmp_path / "fake.log", config_of(file).root
    with Ledger(root) as ledger:
        for _ in range(4):
            plan(ledger, "a ball on a meadow", ["cut", "continue", "continue", "match", "continue", "cut"])
    process = run(file, FAKE_SECONDS="0.3")
    for _ in range(kills):
        time.sleep(rng.uniform(2.5, 6))
        process.kill()
        process = run(file, FAKE_SECONDS="0.3")
    wait_for(lambda: states(file)["published"] == shots, process)
    time.sleep(2)
    process.kill()
    with Library.open(root) as library, Ledger(root) as ledger:
        clips = library.ready()
        assert len({clip.id for clip in clips}) == len(clips) == shots
        assert set(ended(log).values()) == {1}
        for before, clip in pairwise(clips):
            if clip.shot["continuity"] == "continue":
                assert (clip.shot["made_as"], clip.shot["goes_on_from"]) == ("continue", before.id)
        assert all(awaited(ledger, job.body["planned"]) for job in jobs_of(file))


def test_a_poisoned_shot_is_set_aside_with_its_reason_and_the_channel_goes_on(run, tmp_path):
    file, log = channel_file(tmp_path, enough=3), tmp_path / "fake.log"
    process = run(file, FAKE_POISON="e00001s02", FAKE_KILLER="e00001s03", MAX_DEATHS="2")
    wait_for(lambda: states(file)["published"] >= 3, process)  # its worker is killed, not the producer
    with Ledger(config_of(file).root) as ledger:
        aside = {shot.id: shot.reason for shot in ledger.lately("aside")}
    assert aside["e00001s02"] == "generate: this one cannot be drawn"
    assert "SIGKILL" in aside["e00001s03"]
    begun = [words[1] for words in lines(log) if words[0] == "begin"]
    assert begun.count("e00001s02") == 2  # attempts
    assert begun.count("e00001s03") == 2  # deaths


def test_drafts_first_and_the_quota_never_takes_what_is_queued(run, tmp_path):
    file, log = channel_file(tmp_path, enough=3, disk="quota = 1000000"), tmp_path / "fake.log"
    process = run(file)
    wait_for(lambda: states(file)["published"] == 3, process)
    profiles = [words[2] for words in lines(log) if words[0] == "begin"]
    assert profiles[0] == "fast"
    assert profiles[-1] == "balanced"  # there was one in stock already
    process.kill()
    with Library.open(config_of(file).root) as library:
        ids = [clip.id for clip in library.ready()]
        for number, id in enumerate(ids):
            library.aired(id, 1000.0 + number)
        library.insert(ids[0])
        size = library.get(ids[0]).bytes
        assert library.evict(size) == ids[1:]  # the queued one was aired longest ago, and stays
        assert [clip.id for clip in library.ready()] == ids[:1]


def test_a_quota_full_of_what_never_aired_is_not_filled_again_and_again(tmp_path):
    config = config_of(channel_file(tmp_path, disk="quota = 1000000"))
    producer = Producer(config)
    path = producer.library.clip_path("big")
    path.write_bytes(os.urandom(950_000))
    producer.library.add(LibraryClip("big", path, "Big", theme=config.theme, frames=8, fps=8.0, fingerprint="x"))
    producer._looked = time.monotonic()
    producer.step()
    assert "have not aired" in producer.doing
    assert not producer.ledger.in_state("making")
    producer.library.aired("big", 1000.0)
    producer._evict()
    producer.step()
    assert "have not aired" not in producer.doing  # an aired clip can be evicted
    producer.close()
