"""Events survive the way through JSON, all kinds of them, and nothing else passes for one."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.core import events
from kinema.core.errors import KinemaError
from kinema.core.event_json import KINDS, event_from_json, event_to_json
from kinema.core.events import Event, Note, Outcome, Part, Planned, Preview, Progress

EVENTS = [
    Event("load"), Event("video", doing="training"), Progress("sample", 3, 20, 0.5, span=2), Progress("decode"),
    Planned("plan", (Part("load", 1.5), Part("sample", 2.0, span=0), Part("fill", 1.0, doing="patches"))),
    Note("encode", "The prompt is long."), Outcome("done", {"filled": {"patched": 0.5}}), Preview("sample", 4, 20, 1),
]  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_survives(event):
    assert event_from_json(json.loads(json.dumps(event_to_json(event)))) == event


def test_every_kind_has_a_name():
    """A new kind of event that this table lacks would stop the first run that reports it to another process."""
    public = {each for each in vars(events).values() if isinstance(each, type) and issubclass(each, Event)}
    assert public == set(KINDS.values()) == {type(event) for event in EVENTS}


def test_defaults_are_left_out_and_unknown_fields_ignored():
    assert event_to_json(Progress("decode", 1)) == {"event": "progress", "stage": "decode", "done": 1}
    assert event_from_json({"event": "stage", "stage": "load", "colour": "red"}) == Event("load")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["stage", "seconds", "x"]), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(sorted({field.name for kind in KINDS.values() for field in fields(kind)} - {"frames"}))


@settings(deadline=None, max_examples=150)
@given(st.sampled_from([*KINDS, "odd", None]), st.dictionaries(NAMES, PLAIN, max_size=5))
def test_anything_else_is_refused_or_an_event_that_a_display_can_show(kind, data):
    from kinema.core.overall import Overall

    try:
        event = event_from_json({"event": kind, **data})
    except KinemaError:
        return
    shown = Overall()
    shown(Planned("plan", (Part("load", 1.0), Part("sample", 1.0))))
    shown(event)
    shown.now()
