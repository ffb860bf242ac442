"""The pool of engines: one owner at a time, the least recently used dropped when memory is needed."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
import torch

from kinema.engine import load
from kinema.jobs import pool as pool_file
from kinema.jobs.pool import EnginePool, is_out_of_memory

MODELS = ("kinema-mini-wan", "kinema-mini-svd", "kinema-mini-zeroscope")


@pytest.fixture
def pool(monkeypatch):
    """A pool with room for two models of 100 bytes each. loads: what was loaded, in order."""
    found = EnginePool("cpu", "float32")
    found.loads = []

    def loaded(model, device, dtype, progress):
        assert (device, dtype) == ("cpu", "float32")
        found.loads.append(model)
        torch.set_num_threads(torch.get_num_threads() + 1)  # as a load on a busy machine changes it
        return SimpleNamespace(model=model)

    monkeypatch.setattr(load, "load", loaded)
    monkeypatch.setattr(pool_file, "_bytes_on_disk", lambda place: 100)
    monkeypatch.setattr(found, "_room", lambda: 300 - 130 * len(found._idle))
    return found


def use(pool: EnginePool, *models: str) -> None:
    for model in models:
        with pool.lease(model) as engine:
            assert engine.model == model


def test_the_least_recently_used_is_dropped(pool):
    one, two, three = MODELS
    threads = torch.get_num_threads()
    use(pool, one, two, one, two)
    assert torch.get_num_threads() == threads
    assert pool.loads == [one, two] and pool.models() == [one, two]
    use(pool, one, three)
    assert pool.models() == [one, three] and pool.has(one) and not pool.has(two)
    use(pool, two)
    assert pool.loads == [one, two, three, two] and pool.models() == [three, two]
    pool.clear()
    assert pool.models() == []


def test_a_model_that_is_a_path_is_loaded_by_its_path(pool, mini_path, tmp_path):
    """Its card's id is the folder's name alone, which finds nothing."""
    mine = tmp_path / "mine"
    mine.symlink_to(mini_path)
    use(pool, str(mine), str(mine))
    assert pool.loads == [str(mine)]


def test_replaced_weights_are_loaded_again(pool, monkeypatch, tmp_path):
    weights = tmp_path / "transformer" / "model.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"old")
    monkeypatch.setattr(pool_file.store, "locate", lambda card: tmp_path)
    use(pool, MODELS[0], MODELS[0])
    assert len(pool.loads) == 1
    weights.write_bytes(b"newer")
    use(pool, MODELS[0], MODELS[0])
    assert len(pool.loads) == 2


def test_an_engine_has_one_owner(pool):
    order = []

    def other() -> None:
        with pool.lease(MODELS[0]):
            order.append("other")

    with pool.lease(MODELS[0]) as engine:
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.05)
        order.append("first")
        assert engine.model == MODELS[0]
    thread.join(10)
    assert order == ["first", "other"] and pool.loads == [MODELS[0]]


def test_an_engine_that_ran_out_of_memory_is_dropped_and_others_stay(pool):
    import torch

    use(pool, *MODELS[:2])
    with pytest.raises(torch.OutOfMemoryError), pool.lease(MODELS[0]):
        raise torch.OutOfMemoryError("no memory")
    assert pool.models() == [MODELS[1]]
    with pytest.raises(ValueError, match="wrong"), pool.lease(MODELS[1]):
        raise ValueError("wrong")
    assert pool.models() == [MODELS[1]]
    assert is_out_of_memory(MemoryError()) and not is_out_of_memory(ValueError())
