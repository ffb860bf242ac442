"""Filling from other frames: planned, streamed without a model or before it, with exact truth under the mask."""

from __future__ import annotations

import functools
import json
import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import kinema
from kinema.cli.show import plan_rows
from kinema.core.chunk import Chunk
from kinema.core.events import Note, Outcome, Preview, Progress, collecting
from kinema.core.plan import Manifest
from kinema.engine import load, opener, rerun
from kinema.engine import windows as engine_windows
from kinema.engine.edit import edit
from kinema.engine.estimate import parts
from kinema.engine.fill import Shares, described
from kinema.engine.fill_cost import fill_work
from kinema.engine.on_demand import OnDemand
from kinema.engine.plan import plan as make_plan
from kinema.engine.without_model import WithoutModel, fill_clip
from kinema.media.manifest import read_manifest
from kinema.media.read import read_video
from kinema.media.write import write
from kinema.propagation.frame import FilledFrame, Origin
from kinema.weights import store

HEIGHT, WIDTH, FRAMES = 96, 128, 21
PHOTO = np.clip(
    cv2.GaussianBlur(np.random.default_rng(3).normal(0, 1, (140, 260, 3)), (0, 0), 5) * 700 + (120, 110, 100), 0, 255
).astype(np.uint8)
"""A textured picture, larger than a frame."""


def psnr(a, b):
    return 10 * math.log10(255**2 / max(float(np.mean((a.astype(float) - b) ** 2)), 1e-9))


def hidden_by_disc(step_px, *, shadow=False, count=FRAMES):
    """(clip, masks, truth): a camera that moves `step_px` a frame over PHOTO, and a disc that crosses the frame."""
    truth, frames, masks = [], [], []
    for index in range(count):
        left = round(step_px * index)
        picture = PHOTO[20 : 20 + HEIGHT, left : left + WIDTH]
        center = (24 + 4 * index, 44)
        mask = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), center, 12, 255, -1)
        frame = picture.copy()
        if shadow:
            dark = cv2.ellipse(np.zeros((HEIGHT, WIDTH), np.uint8), (center[0], 60), (14, 6), 0, 0, 360, 1, -1) > 0
            frame[dark] = (0.6 * frame[dark]).astype(np.uint8)
        frame[mask > 0] = (250, 30, 40)
        truth.append(picture)
        frames.append(frame)
        masks.append(mask)
    return np.stack(frames), np.stack(masks), np.stack(truth)


@pytest.fixture
def make(tmp_path):
    def made(step_px=2.0, name="clip", **how):
        frames, masks, truth = hidden_by_disc(step_px, **how)
        clip, mask = f"{tmp_path}/{name}/", f"{tmp_path}/{name}-mask/"
        write([Chunk(frames, 0, 12.0)], clip)
        write([Chunk(np.repeat(masks[..., None], 3, -1), 0, 12.0)], mask)
        return clip, mask, frames, masks > 0, truth

    return made


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """planned(fill): the plan for the clip of make(2.0), surveyed once for all tests that only read it."""
    folder = tmp_path_factory.mktemp("planned")
    frames, masks, _ = hidden_by_disc(2.0)
    clip, mask = f"{folder}/clip/", f"{folder}/mask/"
    write([Chunk(frames, 0, 12.0)], clip)
    write([Chunk(np.repeat(masks[..., None], 3, -1), 0, 12.0)], mask)
    return functools.cache(lambda fill: make_plan(request_of(clip, mask, fill=fill), device="cpu"))


def request_of(clip, mask, **fields):
    own = {name: fields.pop(name) for name in ("shape", "ratio", "shadow") if name in fields}
    conditions = (kinema.Source(video=clip), kinema.Mask(video=mask, **own))
    return kinema.Request(canvas="source", seed=1, conditions=conditions, **{"fill": "auto", **fields})


def frames_of(chunks):
    return np.concatenate([chunk.frames for chunk in chunks])


def in_blue(plan, family, *, window, **kept):
    """A window as a model that paints the mask blue generates it."""
    pixels = np.rint((window.frames_FHWC + 1) * 127.5)
    pixels[window.mask_FHW > 0.5] = (0, 0, 255)
    yield Chunk(pixels.astype(np.uint8), plan.spans[0].start, plan.fps)


@pytest.mark.parametrize("step_px", [0.0, 2.0])
def test_what_a_disc_hides_comes_back_and_nothing_else_changes(make, step_px, monkeypatch):
    clip, mask, frames, hole, truth = make(step_px)
    monkeypatch.setattr(load, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    found = kinema.generate(request_of(clip, mask, fill="propagate"))
    assert found.plan.fill == "propagate" and not found.plan.uses_model and not found.plan.outside
    made = found.frames()
    assert np.array_equal(made[~hole], frames[~hole]), "pixels outside the mask are the clip's own"
    assert psnr(made[hole], truth[hole]) > 30
    assert found.manifest["weights"] == {} and found.manifest["plan"]["fill"] == "propagate"


def test_auto_leaves_a_photograph_to_the_clip_and_says_so(make):
    clip, mask, *_ = make()
    plan = make_plan(request_of(clip, mask, prompt="a red ball"), device="cpu")
    assert plan.fill == "propagate" and plan.outside == ()
    assert any("without the model" in note for note in plan.notes)
    assert any("Not used" in note and "prompt" in note for note in plan.notes)
    assert plan.sources["propagated"] > 0.9 and abs(sum(plan.sources.values()) - 1) < 1e-3
    assert plan.estimate.pflop == 0


def test_a_model_that_knows_such_images_generates_only_what_no_frame_shows(make, monkeypatch):
    clip, mask, _, hole, truth = make(0.0, name="still")
    held = np.repeat(hole[:1], FRAMES, 0)  # the same area in every frame of a static camera: never seen
    hole = hole | held
    write([Chunk(np.repeat(hole[..., None], 3, -1).astype(np.uint8) * 255, 0, 12.0)], mask)
    asked = []

    def painted(plan, family, *, window, **kept):
        asked.append(window.mask_FHW.mean())
        yield from in_blue(plan, family, window=window)

    monkeypatch.setattr(engine_windows, "generate", painted)
    plan = make_plan(request_of(clip, mask, fill="both"), device="cpu")
    assert plan.fill == "both" and plan.uses_model and plan.sources["generated"] > 0.1
    made = frames_of(edit(plan, lambda: None))
    seen = hole & ~cv2.dilate(held[0].astype(np.uint8), np.ones((9, 9)))[None].astype(bool)
    assert psnr(made[seen], truth[seen]) > 30, "what another frame shows is propagated"
    core = cv2.erode(held[0].astype(np.uint8), np.ones((9, 9))).astype(bool)
    assert (made[:, core].astype(int)[..., 2] > 150).mean() > 0.9, "what no frame shows is the model's"
    assert asked


def test_progress_preview_and_what_came_from_where(planned):
    plan = planned("auto")
    events = []
    chunks = list(fill_clip(plan, events.append))
    assert [chunk.start for chunk in chunks] == [0, 8, 16]
    done = [event.done for event in events if isinstance(event, Progress) and event.stage == "fill"]
    assert done == list(range(1, FRAMES + 1))
    preview = next(event for event in events if isinstance(event, Preview))
    assert preview.frames().shape == (1, HEIGHT, WIDTH, 3)
    assert any(isinstance(event, Note) and "from other frames" in event.text for event in events)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif", "clip.webp", "folder/"])
def test_the_manifest_of_a_finished_clip_holds_what_the_run_counted(make, tmp_path, name):
    clip, mask, _, hole, _ = make(0.0, count=9)
    hole[:, 30:40, 50:60] = True  # a place that is never seen
    write([Chunk(np.repeat(hole[..., None], 3, -1).astype(np.uint8) * 255, 0, 12.0)], mask)
    made = kinema.generate(request_of(clip, mask, fill="propagate"))
    assert "filled" not in made.manifest, "not generated yet"
    saved = made.save(tmp_path / name)
    found = Manifest.from_dict(read_manifest(saved))
    assert json.loads(json.dumps(read_manifest(saved))) == json.loads(json.dumps(made.manifest))
    events = []
    list(fill_clip(made.plan, events.append))
    facts = next(event.facts for event in events if isinstance(event, Outcome))
    assert found.filled == facts["filled"] and found.moving == facts["moving"]
    assert set(found.filled) == {"propagated", "patched"} and sum(found.filled.values()) == pytest.approx(1, abs=1e-3)
    if not name.endswith("/"):
        assert json.loads((tmp_path / f"{name}.json").read_text()) == read_manifest(saved)


def test_something_that_moves_behind_the_area_is_in_the_manifest():
    shares = Shares(model=False)
    hole_HW = np.zeros((4, 5), bool)
    hole_HW[:2] = True
    origin_HW = np.where(hole_HW, Origin.PATCHED, Origin.KEPT).astype(np.uint8)
    origin_HW[0] = Origin.PROPAGATED
    shares.add(FilledFrame(np.zeros((4, 5, 3), np.uint8), origin_HW, refused=0.3), hole_HW)
    assert shares.facts() == {"filled": {"propagated": 0.5, "patched": 0.5}, "moving": 0.3}
    again = Shares(model=False)
    again.resume(json.loads(json.dumps(shares.counts())))
    assert again.facts() == shares.facts() and "in 30 % of the area something moves" in again.text()


def never_loaded(_on_event):
    pytest.fail("the model was loaded")


def test_both_loads_no_model_where_nothing_is_left(make, tmp_path, monkeypatch):
    clip, mask, _, hole, truth = make(2.0)
    monkeypatch.setattr(kinema, "_load_alone", never_loaded)
    found = kinema.generate(request_of(clip, mask, fill="both"), device="cpu")
    assert found.plan.uses_model and not any("negative prompt" in note for note in found.plan.notes)
    saved = found.save(tmp_path / "clip.webm")
    assert psnr(found.frames()[hole], truth[hole]) > 30
    manifest = Manifest.from_dict(read_manifest(saved))
    assert manifest.weights == {} and manifest.filled == {"propagated": 1.0}
    monkeypatch.setattr(load, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    assert np.array_equal(rerun.rerun(saved, device="cpu").frames(), found.frames())


def test_both_loads_the_model_at_the_first_window_that_needs_it(make, monkeypatch):
    clip, mask, _, hole, _ = make(0.0)
    hole[:, 30:40, 50:60] = True
    write([Chunk(np.repeat(hole[..., None], 3, -1).astype(np.uint8) * 255, 0, 12.0)], mask)
    monkeypatch.setattr(engine_windows, "generate", in_blue)
    plan = make_plan(request_of(clip, mask, fill="both"), device="cpu")
    assert any(note.startswith("No prompt for what the model generates") for note in plan.notes)
    engine = SimpleNamespace(
        family=None, notes=lambda plan: ("a note",), start_s=None, dtype="float32", device_name="cpu",
        manifest=lambda plan: {"weights": {"transformer": "0" * 64}},
    )  # fmt: skip
    loaded, events = [], []
    maker = opener.stand_in(plan, lambda on_event: loaded.append(len(events)) or engine, device="cpu")
    assert maker.manifest(plan)["weights"] == {}
    facts = {}
    frames = frames_of(maker.stream(plan, on_event=collecting(facts, events.append)))
    assert len(loaded) == 1 and maker.manifest(plan)["weights"]
    done = [event for event in events[: loaded[0]] if isinstance(event, Progress) and event.stage == "fill"]
    assert done[-1].done == done[-1].total, "frames are filled first"
    assert facts["filled"]["generated"] > 0.05 and any(getattr(event, "text", "") == "a note" for event in events)
    assert (frames[:, 33:37, 53:57].astype(int)[..., 2] > 150).all()


def test_one_function_tells_which_plans_need_an_engine(planned):
    plan = planned("both")
    assert opener.stand_in(plan) is None, "an engine that is loaded already is used"
    assert isinstance(opener.stand_in(plan, never_loaded), OnDemand)
    assert isinstance(opener.stand_in(plan.model_copy(update={"fill": "propagate"})), WithoutModel)
    assert opener.stand_in(plan.model_copy(update={"fill": "generate"}), never_loaded) is None


def test_the_estimate_follows_the_masked_area(planned):
    plan = planned("auto")
    less, more = (fill_work(plan.model_copy(update={"masked": share, "aligned": 1.0})) for share in (0.02, 0.4))
    assert more.work_s > 2 * less.work_s and fill_work(plan, done=20).work_s < 0.5 * fill_work(plan).work_s
    assert sum(share for _, share in more.stages) == pytest.approx(1)


def test_the_estimate_follows_what_the_survey_found_of_the_camera(make):
    """A camera that is still and one whose motion no homography describes: the frame waves."""
    still = make_plan(request_of(*make(step_px=0.0, count=9)[:2]), device="cpu")
    clip, mask, frames, _, _ = make(name="waving", count=9)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    for index, frame in enumerate(frames):
        wave = (x + 2.0 * np.sin(y / 9 + index), y + 2.0 * np.sin(x / 9 + 1.7 * index))
        frames[index] = cv2.remap(frame, *wave, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    write([Chunk(frames, 0, 12.0)], clip)
    waving = make_plan(request_of(clip, mask), device="cpu")
    assert still.aligned == 0 and waving.aligned > 0.9
    same = waving.model_copy(update={"masked": still.masked})
    assert fill_work(still).work_s < fill_work(same).work_s
    of_before = {name: value for name, value in still.model_dump(mode="json").items() if name != "aligned"}
    assert type(still).from_dict(of_before).aligned == 1, "plans of before cost as much as with a moving camera"
    assert "aligned" not in still.deciding()


def test_the_percents_add_up_to_a_hundred():
    assert described({"propagated": 0.0003, "patched": 0.9997}) == (
        "1 % from other frames, 99 % from patches of the surroundings"
    )
    assert described({"patched": 1.0}) == "100 % from patches of the surroundings" and described({}) == ""


def test_a_plan_without_a_model_shows_its_fill_and_no_model(planned):
    rows = dict(plan_rows(planned("auto")))
    assert rows["fill"] == "propagate" and rows["model"] == "none" and not {"steps", "prompt"} & set(rows)


@pytest.mark.parametrize("fill", ["propagate", "both"])
def test_a_plan_whose_model_generates_nothing_has_no_notes_on_the_model(make, fill):
    """Notes on the size, the prompt and the like are on the model, and are left out; unused prompts are named."""
    clip, mask, *_ = make()
    request = request_of(clip, mask, prompt="a (green:1.2) car", width=80, height=48)
    given = make_plan(request.changed(fill="generate"), device="cpu")
    assert any("80x48 is not a size" in note for note in given.notes)
    plan = make_plan(request.changed(fill=fill), device="cpu")
    assert set(plan.sources) == {"propagated"} and not set(given.notes) & set(plan.notes)
    unused = "Not used by fill = propagate: prompt" if fill == "propagate" else "neither model nor prompt is used"
    assert any(unused in note for note in plan.notes)


def test_a_model_that_has_nothing_to_generate_costs_nothing(planned):
    plan = planned("both")
    assert set(plan.sources) == {"propagated"} and plan.estimate.pflop == 0
    alone = planned("propagate").estimate
    assert (plan.estimate.seconds, plan.estimate.start) == (alone.seconds, alone.start), "only the fill"
    expected = parts(plan, store.find(plan.model), "cpu", start=True)
    assert [part.stage for part in expected][:3] == ["read", "fill", "load"] and expected[2].seconds == 0


def test_closing_stops_the_work(planned):
    chunks = fill_clip(planned("auto"))
    next(chunks)
    chunks.close()


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"canvas": "model"}, "in-place edit"),
        ({"conditions": (kinema.Mask(everything=True),)}, "masked area"),
        ({"conditions": ()}, "masked area"),
        ({"fill": "generate", "conditions": (kinema.Mask(boxes=((0, 0, 0.5, 0.5),), shadow=True),)}, "shadow"),
        ({"conditions": (kinema.Mask(boxes=((0, 0, 1, 1),)),)}, "nothing to fill it with"),
        ({"fill": "borrow"}, "fill"),
    ],
)
def test_what_cannot_be_filled_is_refused_before_work(make, fields, words):
    clip, *_ = make()
    own = {"canvas": "source", "fill": "propagate", "conditions": (kinema.Mask(boxes=((0, 0, 0.5, 0.5),)),), **fields}
    own["conditions"] = (kinema.Source(video=clip), *own["conditions"])
    with pytest.raises(kinema.RequestError, match=words):
        make_plan(kinema.Request(seed=1, **own), device="cpu")


def test_a_shadow_goes_with_its_object_and_the_rest_keeps_its_bytes(make):
    clip, mask, frames, hole, truth = make(0.0, shadow=True)
    dark = (frames != truth).any(-1) & ~hole
    plain = frames_of(fill_clip(make_plan(request_of(clip, mask), device="cpu")))
    made = frames_of(fill_clip(make_plan(request_of(clip, mask, shadow=True), device="cpu")))
    assert psnr(made[dark], truth[dark]) > psnr(plain[dark], truth[dark]) + 6
    away = ~cv2.dilate((hole | dark).any(0).astype(np.uint8), np.ones((21, 21))).astype(bool)
    assert np.array_equal(made[:, away], frames[:, away])


def test_the_same_clip_again_from_its_manifest(make, tmp_path):
    clip, mask, *_ = make(count=9)
    first = kinema.generate(request_of(clip, mask)).save(tmp_path / "first.webm")
    manifest = json.loads((tmp_path / "first.webm.json").read_text())
    assert manifest["plan"]["fill"] == "propagate" and manifest["plan"]["sources"]["propagated"] > 0.9
    second = rerun.rerun(first).save(tmp_path / "second.webm")
    assert np.array_equal(read_video(first)[0], read_video(second)[0])


def test_an_outpainted_clip_shows_what_the_camera_saw_beside_it(make):
    clip, _, frames, _, _ = make(4.0)
    source = kinema.Source(video=clip, grow=(0, 0, 0.25, 0))
    plan = make_plan(kinema.Request(canvas="source", seed=1, fill="auto", conditions=(source,)), device="cpu")
    assert plan.fill == "propagate" and plan.size == (WIDTH + 32, HEIGHT) and plan.sources["propagated"] > 0.5
    made = frames_of(fill_clip(plan))
    assert np.array_equal(made[:, :, :WIDTH], frames)
    truth = np.stack([PHOTO[20 : 20 + HEIGHT, 4 * index : 4 * index + WIDTH + 32] for index in range(10)])
    ground = made[:10, 70:, WIDTH : WIDTH + 24]  # below the disc, where later frames show it
    assert psnr(ground, truth[:, 70:, WIDTH : WIDTH + 24]) > 30
