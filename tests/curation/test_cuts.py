"""Transitions: the cascade against films whose cuts are known, and the spans between transitions."""

from __future__ import annotations

import numpy as np
import pytest
from small_films import dissolved, shot

from kinema.core.errors import RequestError
from kinema.curation.cascade import Cascade
from kinema.curation.detectors import DETECTORS, make_detectors
from kinema.curation.transitions import Transition, joined, spans


def found(frames: np.ndarray, name: str = "cascade", fps: float = 24.0) -> list[Transition]:
    (detector,) = make_detectors([name], fps)
    for number, frame in enumerate(frames):
        detector.see(number, np.ascontiguousarray(frame[..., ::-1]))
    return joined(detector.finish(), 6)


def test_hard_cuts_are_found_at_their_frame():
    shots = [shot(seed, 14 + seed) for seed in range(4)]
    places = np.cumsum([len(each) for each in shots])[:-1]
    assert found(np.concatenate(shots)) == [Transition(place, place) for place in places]


def test_a_cut_in_the_last_frames_and_one_in_the_first():
    frames = np.concatenate([shot(1, 1), shot(2, 20), shot(3, 1)])
    assert [each.first for each in found(frames)] == [1, 21]


def test_flashes_pans_and_fading_light_are_no_cuts():
    frames = shot(5, 60).astype(np.float32)
    frames[20:22] = frames[20:22] * 0.2 + 204
    assert found(frames.astype(np.uint8)) == []
    assert found(shot(6, 45, drift=4)) == []
    assert found((np.linspace(1, 0.7, 40)[:, None, None, None] * shot(7, 1)).astype(np.uint8)) == []


@pytest.mark.parametrize("length", [12, 24])
def test_a_dissolve_is_found_where_it_is(length):
    one, other = shot(8, 30 + length), shot(9, 30 + length)
    frames = np.concatenate([one[:30], dissolved(one[30:], other[:length]), other[length:]])
    (transition,) = found(frames)
    assert abs(transition.first - 30) <= 4 and abs(transition.last - (30 + length)) <= 4


def test_a_fade_through_black_is_one_transition():
    one, other = shot(10, 40), shot(11, 40)
    down, up = np.linspace(1, 0, 11)[1:, None, None, None], np.linspace(0, 1, 11)[:-1, None, None, None]
    frames = np.concatenate([one[:30], one[30:] * down // 1, other[:10] * up // 1, other[10:]]).astype(np.uint8)
    (transition,) = found(frames)
    assert 22 <= transition.first <= 34 and 46 <= transition.last <= 52


def test_the_cascade_keeps_a_second_of_frames():
    cascade = Cascade(24.0)
    for number, frame in enumerate(shot(12, 100)):
        cascade.see(number, frame)
    assert len(cascade.kept) <= 1.2 * 24 + 8


@pytest.mark.parametrize("name", ["content", "adaptive"])
def test_the_librarys_detectors_see_the_same_hard_cuts(name):
    pytest.importorskip("scenedetect")
    frames = np.concatenate([shot(1, 30), shot(2, 30), shot(3, 30)])
    assert [each.first for each in found(frames, name)] == [30, 60]


def test_unknown_detectors_are_refused():
    with pytest.raises(RequestError, match="cascade"):
        make_detectors(["cascad"])
    assert {"cascade", "content", "adaptive", "fades", "transnet"} == set(DETECTORS)


def test_transitions_join_and_leave_spans():
    assert joined([Transition(9, 9), Transition(2, 5), Transition(4, 7)]) == [Transition(2, 7), Transition(9, 9)]
    assert joined([Transition(2, 7), Transition(9, 9)], near=2) == [Transition(2, 9)]
    assert spans(20, [Transition(0, 3), Transition(9, 9), Transition(15, 20)], 10.0, None) == [(3, 9), (9, 15)]
    assert spans(20, [], 10.0, 0.9) == [(0, 7), (7, 13), (13, 20)]
    assert spans(20, [], 10.0, 2.0) == [(0, 20)]
