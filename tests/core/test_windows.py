"""Windows in time cover what they should, have legal lengths, and share frames with their neighbours."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kinema.core import windows
from kinema.core.card import FramesRule

RULE = FramesRule(step=4, trained=17, maximum=81)
numbers = st.integers(1, 400)


@given(numbers)
def test_over_a_clip(num_frames):
    spans = windows.over_clip(num_frames, RULE)
    assert all(RULE.legal(span.num_frames) for span in spans)
    assert spans[0].start == 0 and {frame for s in spans for frame in range(s.start, s.stop)} >= set(range(num_frames))
    if num_frames > 17:
        assert spans[-1].stop == num_frames and all(span.num_frames == 17 for span in spans)
        assert all(a.stop - b.start >= windows.OVERLAP for a, b in itertools.pairwise(spans))
        assert all(b.start > a.start for a, b in itertools.pairwise(spans))
    else:
        assert len(spans) == 1 and num_frames <= spans[0].num_frames < num_frames + 4


@given(numbers, numbers, st.integers(1, 12))
def test_after_what_is_there(begin, new, known):
    spans = windows.after(begin, begin + new, RULE, known)
    assert spans[0].start == max(0, begin - known) and all(RULE.legal(span.num_frames) for span in spans)
    assert {frame for span in spans for frame in range(span.start, span.stop)} >= set(range(begin, begin + new))


@given(numbers, st.integers(1, 12))
def test_before_what_is_there(new, known):
    spans = windows.before(new, known, RULE)
    assert spans[0].stop == new + known and all(RULE.legal(span.num_frames) for span in spans)
    assert {frame for span in spans for frame in range(span.start, span.stop)} >= set(range(new))
    assert all(
        earlier.stop - later.start <= 17 and earlier.stop > later.start for later, earlier in itertools.pairwise(spans)
    )
