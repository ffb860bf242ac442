"""Plans: defaults of the card, refusals, no silent rounding."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kinema
from kinema import KinemaError, Plan, Request, RequestError
from kinema.core.resolve import resolve
from kinema.engine.plan import plan
from kinema.families.wan.cards import CARDS, MINI
from kinema.weights.store import find


def test_nothing_is_left_open():
    """Only the upscale steps may be empty."""
    found = plan(Request(prompt="a red ball"), device="cpu")
    assert [name for name, value in found.model_dump().items() if value is None] == []
    assert Plan.from_dict(found.model_dump(mode="json")) == found


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_published_defaults(card):
    conditions = tuple({"kind": "image", "image": PICTURE, "at": name.removeprefix("image:")} for name in card.needs)
    size = {} if card.builtin else {"conditions": conditions, "width": 832, "height": 480}
    found = plan(Request(model=card.id, profile="exact", **size), device="cpu", stage=card.stage)
    assert (found.frames, found.fps) == (card.frames.trained, card.defaults.fps)
    assert (found.steps, found.guidance) == (card.defaults.steps, card.defaults.guidance)
    assert found.negative_prompt == card.defaults.negative_prompt
    assert found.estimate.seconds > 0
    assert found.estimate.gb > 0


PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_sizes_are_refused_with_the_nearest_and_who_can():
    with pytest.raises(RequestError) as caught:
        plan(Request(model="kinema-mini-wan", width=833, height=480))
    assert caught.value.field == "size"
    assert caught.value.nearest == "256x144"
    with pytest.raises(RequestError) as caught:
        plan(Request(model="kinema-mini-wan", width=832, height=480))
    assert "wan2.1-t2v-1.3b" in caught.value.models
    assert "wan2.2-t2v-a14b" in caught.value.models
    assert "wan2.2-t2v-a14b-high" not in caught.value.models, "an expert alone is not suggested"


def test_nearest_snaps_and_says_so():
    found = plan(Request(model="wan2.1-t2v-1.3b", width=830, height=478, frames=80, fit="nearest"))
    assert (found.width, found.height, found.frames) == (832, 480, 81)
    assert set(found.changes) == {"size 830x478 -> 832x480", "frames 80 -> 81"}


def test_frames_are_4n_plus_1():
    with pytest.raises(RequestError) as caught:
        plan(Request(model="wan2.1-t2v-14b", frames=80))
    assert caught.value.nearest == 81
    assert "4n+1" in str(caught.value)


def test_seconds_take_the_grid_and_say_so():
    found = plan(Request(model="wan2.1-t2v-1.3b", seconds=3))
    assert found.frames == 49
    assert plan(Request(model="wan2.1-t2v-1.3b", seconds=0.2)).frames == 5
    with pytest.raises(RequestError, match="16"):
        plan(Request(model="wan2.1-t2v-1.3b", seconds=60))


def test_conditions_are_refused_from_the_card():
    path = kinema.Trajectory(points=((0, 0), (1, 1)))
    with pytest.raises(RequestError) as caught:
        plan(Request(model="wan2.1-t2v-14b", conditions=(path,)))
    assert caught.value.models[0] == "kinema-mini-wan" and "tora" in caught.value.models
    with pytest.raises(RequestError, match="image:first"):
        plan(Request(model="wan2.1-i2v-14b-480p"))
    with pytest.raises(RequestError, match="audio"):
        plan(Request(conditions=(kinema.Audio(track="x.wav"),)))


def test_a_pictures_aspect_is_kept_where_no_size_is_asked_for(tmp_path):
    from PIL import Image

    Image.new("RGB", (900, 300)).save(tmp_path / "wide.png")
    picture = kinema.Image(image=str(tmp_path / "wide.png"))
    found = plan(Request(model="wan2.1-i2v-14b-480p", conditions=(picture,)))
    assert abs(found.width / found.height - 3) < 0.3
    assert found.width * found.height <= 832 * 480 * 1.1


def test_options_are_typed():
    for options in (
        {"shift": "fast"},
        {"shift": -1},
        {"shift": True},
        {"conditioning_scale": [1, 2, 3]},
        {"nope": 1},
    ):
        with pytest.raises(RequestError):
            plan(Request(options=options))
    assert plan(Request(options={"shift": 7})).options["shift"] == 7


def test_estimates_follow_the_arithmetic():
    """Wan 1.3B, 832x480x81, 50 steps with guidance is about 28 PFLOP; 14B about 180 (both worked out by hand)."""
    small = plan(Request(model="wan2.1-t2v-1.3b", profile="exact"), device="NVIDIA H200")
    large = plan(Request(model="wan2.1-t2v-14b", profile="exact", width=832, height=480), device="NVIDIA H200")
    assert small.estimate.pflop == pytest.approx(28, rel=0.06)
    assert large.estimate.pflop == pytest.approx(180, rel=0.06)
    assert 40 < small.estimate.seconds < 70
    assert large.estimate.gb > 28


def test_motion_words_become_a_path_only_in_the_miniature_and_say_so():
    prompt = "a red ball rolls left over a green hill at sunset"
    found = plan(Request(prompt=prompt, seed=1))
    path = found.conditions[0]
    assert path.kind == "trajectory"
    assert path.points[0][0] > path.points[-1][0] + 0.3, "left"
    assert path.color[0] > 180 > path.color[1]
    assert any("drawn path" in note for note in found.notes)
    assert plan(Request(prompt=prompt, options={"motion_words": "text"})).conditions == ()
    assert len(set(plan(Request(prompt="a white star at night")).conditions[0].points)) == 1, "it rests"
    assert plan(Request(prompt="snow at night")).conditions == ()
    assert plan(Request(prompt=prompt, model="wan2.1-t2v-1.3b")).conditions == ()


numbers = st.one_of(st.integers(-5, 3000), st.floats(-10, 2000), st.none(), st.text(max_size=5), st.booleans())
places = st.one_of(st.sampled_from(["first", "last", "x"]), st.integers(-1, 40))
points = st.lists(st.tuples(st.floats(-1, 2), st.floats(-1, 2)), max_size=4)
conditions = st.lists(
    st.one_of(
        st.builds(lambda at: {"kind": "image", "image": PICTURE, "at": at}, places),
        st.builds(lambda p: {"kind": "trajectory", "points": p}, points),
        st.builds(lambda n: {"kind": "continue", "clip": "missing.mp4", "frames": n}, st.integers(0, 9)),
        st.builds(lambda b: {"kind": "mask", "boxes": b}, st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=2)),
        st.just({"kind": "source", "video": "missing.mp4"}),
        st.just({"kind": "camera", "move": "pan_left"}),
        st.dictionaries(st.text(max_size=6), st.integers(), max_size=2),
    ),
    max_size=3,
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "prompt": st.text(max_size=60),
            "model": st.one_of(st.sampled_from([card.id for card in CARDS]), st.text(max_size=8)),
            "width": numbers, "height": numbers, "frames": numbers, "seconds": numbers, "fps": numbers,
            "steps": numbers, "guidance": numbers, "seed": numbers, "upscale": numbers,
            "profile": st.sampled_from(["exact", "balanced", "fast", "turbo"]),
            "fit": st.sampled_from(["strict", "nearest", "loose"]),
            "conditions": conditions,
            "options": st.dictionaries(st.sampled_from(["shift", "text_length", "x"]), numbers, max_size=2),
        },
    )
)  # fmt: skip
def test_any_request_is_planned_or_refused_with_a_typed_error(fields):
    try:
        found = plan(Request(**fields), device="cpu")
    except KinemaError as error:
        assert str(error)
        return
    card = find(fields.get("model", "kinema-mini-wan"))
    assert card.size.legal(found.width, found.height)
    assert card.frames.legal(found.frames)
    assert Plan.from_dict(found.model_dump(mode="json")) == found


def test_a_place_that_nothing_is_said_about_stays_free_of_things():
    """Only for a removal without a prompt; a negative prompt, a prompt or other conditions take precedence."""
    hidden = ({"kind": "source", "video": "x.mp4"}, {"kind": "mask", "boxes": [[0.1, 0.1, 0.5, 0.5]]})
    wordless = resolve(Request(prompt=" ", conditions=hidden), MINI)
    assert "a red ball" in wordless.negative_prompt and any("kept out" in note for note in wordless.notes)
    for other in (
        Request(prompt="over a meadow", conditions=hidden),
        Request(prompt="", conditions=hidden, negative_prompt=""),
        Request(prompt="", conditions=hidden[:1]),
        Request(prompt="", conditions=(hidden[0], {"kind": "mask", "nothing": True})),
        Request(prompt="", conditions=(hidden[0], {**hidden[1], "fill": "source"})),
        Request(prompt="", conditions=(*hidden, {"kind": "reference", "images": ["x.png"]})),
    ):
        assert resolve(other, MINI).negative_prompt == ""
