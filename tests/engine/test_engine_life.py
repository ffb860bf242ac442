"""Arguments and memory of an engine: dtype passed to upscale passes, memory freed after generation."""

from __future__ import annotations

import gc
import weakref

import pytest
from fake_family import FakeFamily

import kinema
from kinema.core import display
from kinema.core.errors import RequestError
from kinema.core.events import Event, Part, ignore, planned
from kinema.core.request import Request
from kinema.engine import load
from kinema.engine.load import Engine
from kinema.weights import store

WISH = Request(prompt="a red ball", seed=1, steps=2, options={"motion_words": "text"})


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """`load` creates engines without networks; the list holds the arguments of each and a weak reference to it."""
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    found: list = []

    def fake(model, *, device=None, dtype=None, progress=None, on_event=ignore):
        card = store.find(model)
        on_event(planned(Part("load", 1.0)))
        on_event(Event("load"))
        family = FakeFamily(card)
        family.weight_files = lambda plan: ()
        engine = Engine(card.id, family, tmp_path, device or "cpu", dtype)
        found.append((model, device, dtype, weakref.ref(engine)))
        return engine

    monkeypatch.setattr(load, "load", fake)
    monkeypatch.setattr(kinema, "_ENGINES", {})
    return found


def alive(loaded) -> list[str]:
    gc.collect()
    return [model for model, *_, engine in loaded if engine() is not None]


def test_an_upscale_has_the_engines_dtype(loaded):
    engine = load.load("kinema-mini-zeroscope", device="cpu", dtype="bfloat16")
    plan = engine.plan("x", frames=4, seed=1, upscale="xl")
    assert any(name.startswith("upscale/0/") for name in engine.manifest(plan)["weights"])
    assert loaded[1][:3] == ("kinema-mini-zeroscope-xl", "cpu", "bfloat16")


def test_a_made_clip_holds_no_model(loaded):
    clip = load.load(WISH.model).generate(WISH)
    assert alive(loaded) == [WISH.model], "it is needed still"
    assert len(clip.frames()) == 17
    assert alive(loaded) == []
    assert clip.manifest["weights"] and len(clip.frames()) == 17


def test_one_model_is_in_memory_at_a_time(loaded):
    first = kinema.generate(WISH)
    second = kinema.generate("x", model="kinema-mini-zeroscope", seed=1, frames=4)
    assert alive(loaded) == [], "a clip that is not made yet keeps nothing"
    assert len(second.frames()) == 4
    assert alive(loaded) == ["kinema-mini-zeroscope"]
    assert len(first.frames()) == 17, "the other has made way"
    assert alive(loaded) == [WISH.model]
    assert first.manifest["plan"]["model"] == WISH.model
    kinema._ENGINES.clear()


@pytest.mark.parametrize("call", ["save", "frames", "manifest", "engine"])
def test_a_call_has_one_display_of_all_that_it_does(loaded, monkeypatch, tmp_path, call):
    """Loading and generation share one display; a generated clip shows nothing more."""
    displays: list[list[display.ProgressState]] = []

    class Seen(display.Display):
        def __enter__(self):
            displays.append([])
            self.overall = display.Overall()
            return self

        def __call__(self, event):
            self.overall(event)
            displays[-1].append(self.overall.now())

    monkeypatch.setattr(display, "_python", True)
    monkeypatch.setattr(display, "Lines", lambda *_: Seen())
    if call == "engine":
        load.load(WISH.model).generate(WISH, progress=True).save(tmp_path / "a.mp4")
        stages = ["prepare", "encode", "sample", "decode"]
    else:
        clip = kinema.generate(WISH, progress=True)
        assert displays == [], "nothing is done yet"
        stages = ["load"] if call == "manifest" else ["load", "prepare", "encode", "sample", "decode"]
        found = getattr(clip, call)
        if call != "manifest":
            found(*([tmp_path / "a.mp4"] if call == "save" else []))
    told = [each for each in displays if each]
    assert len(told) == 1, "one display, whatever the call has to do"
    seen = [now.stage for now in told[0] if now.stage]
    assert set(seen) <= set(stages) and seen[0] in stages[:2]
    assert {now.stages for now in told[0] if now.stage} == {len(stages)}, "the whole from the first moment"


def test_nothing_that_is_asked_of_sampling_is_ignored(loaded):
    engine = load.load(WISH.model)
    plan = engine.plan(WISH)
    kept: list = []
    chunks = list(engine.stream(plan, keep=kept.append, keep_every=1))
    assert len(kept) == 1 and chunks
    for canvas in ("source", "upscale"):
        with pytest.raises(RequestError, match="another plan"):
            engine.stream(plan.model_copy(update={"canvas": canvas}), state=kept[0])
    with pytest.raises(RequestError, match="another plan"):
        engine.stream(plan.model_copy(update={"seed": 2}), state=kept[0])
    with pytest.raises(RequestError, match="keep_every"):
        engine.stream(plan, keep=kept.append)
    with pytest.raises(RequestError, match="keep_every"):
        engine.stream(plan, keep_every=2)
