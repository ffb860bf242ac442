"""Planning: scheduled themes, drafts while stock is low, viewers' themes, a failing writer."""

from __future__ import annotations

from datetime import datetime

import pytest

from kinema.channel.config import ChannelConfig, DirectorConfig, Viewers
from kinema.channel.day import DayPart
from kinema.channel.making.ledger import Ledger
from kinema.channel.making.planning import Need, Planner, job_of, need

DAY = (DayPart.model_validate({"from": "06:00", "until": "12:00", "theme": "birds"}),)
CONFIG = ChannelConfig(part=DAY, theme="a calm sea")


def test_the_theme_on_air_comes_first_then_the_next_and_drafts_where_there_is_little():
    morning = datetime(2026, 5, 4, 8)
    stock = {"birds": (0, 0), "a calm sea": (0, 0)}
    assert need(CONFIG, morning, stock.__getitem__) == Need("birds", "draft")
    stock["birds"] = (8, 2)
    assert need(CONFIG, morning, stock.__getitem__) == Need("birds", "full")
    stock["birds"] = (38, 2)
    assert need(CONFIG, morning, stock.__getitem__) == Need("a calm sea", "draft")
    stock["a calm sea"] = (40, 0)
    assert need(CONFIG, morning, stock.__getitem__) is None


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path) as found:
        yield found


def test_episodes_are_written_down_whole_and_in_order(ledger, tmp_path):
    planner = Planner(CONFIG, ledger)
    ids = planner.write("birds")
    assert ids == [f"e00001s0{number}" for number in range(1, 7)]
    assert planner.write("a calm sea")[0] == "e00002s01"
    assert ledger.next_number("birds") == 1
    first = ledger.begin("birds", "draft")
    assert (first.id, first.state, first.quality) == ("e00001s01", "making", "draft")
    job = job_of(CONFIG, "abc", first)
    assert job["id"] == "abc-e00001s01"
    assert job["profile"] == "fast"
    assert job["prompt"] == first.prompt
    with Ledger(tmp_path) as again:  # another process sees the same ledger
        assert again.token == ledger.token
        assert again.begin("birds", "full").id == "e00001s02"
        assert again.counts()["making"] == 2


def test_the_end_of_a_shot_is_noted_once(ledger):
    Planner(CONFIG, ledger).write("birds")
    shot = ledger.begin("birds", "full")
    ledger.ban(shot.id, "no")
    assert not ledger.end(shot.id, "published")
    assert ledger.get(shot.id).state == "banned"


def test_a_viewers_theme_gets_its_turn_and_one_that_cannot_be_shown_is_dropped(ledger):
    config = CONFIG.model_copy(update={"viewers": Viewers(every=2), "director": DirectorConfig(shots=2)})
    planner = Planner(config, ledger)
    ledger.suggest("a race of green cars", 10)
    planner.write("birds")
    planner.write("birds")
    assert ledger.suggested() is None
    shots = ledger.in_state("planned")
    assert "green" in shots[2].prompt
    assert shots[2].theme == "birds"  # for the theme on air
    ledger.suggest("porn", 10)  # blocked since it was suggested
    planner.write("birds")
    planner.write("birds")
    assert ledger.suggested() is None
    assert len(ledger.in_state("planned")) == 8
