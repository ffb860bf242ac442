"""Captions: those of files are kept, others come from an endpoint or a vision model."""

from __future__ import annotations

import base64
import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from caption_server import GOOD, caption_server
from made_clips import encoded
from PIL import Image

from kinema.core.errors import KinemaError, RequestError, WeightsMissing
from kinema.curation.measure import MeasureWork
from kinema.curation.stage import CurationSettings
from kinema.curation.stages.captions import ClipCaptions, draw
from kinema.curation.stages.clip_score import ClipScore
from kinema.curation.state import CurationState, ShotsOfFile, SourceFile
from kinema.http.chat import Chat, ChatError, Endpoint


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Twelve frames, the n-th of the gray level 20 n."""
    frames = np.stack([np.full((48, 64, 3), 20 * number, np.uint8) for number in range(12)])
    return encoded(tmp_path_factory.mktemp("clips") / "a.mp4", frames, crf="1")


def opened(asked, **options) -> ClipCaptions:
    given = {"url": asked.url, "model": "seer", "tries": "2", **options}
    stage = ClipCaptions(CurationSettings(options={f"captions.{name}": value for name, value in given.items()}))
    stage.open()
    chat = stage.writer.chat
    stage.writer.chat = Chat(chat.endpoint.model_copy(update={"pause_s": 0.0}))
    return stage


def grays(body: dict) -> list[float]:
    """The mean gray level of the pictures of a request."""
    parts = [part for part in body["messages"][1]["content"] if part["type"] == "image_url"]
    pictures = [base64.b64decode(part["image_url"]["url"].partition("base64,")[2]) for part in parts]
    return [float(np.asarray(Image.open(io.BytesIO(one))).mean()) for one in pictures]


def test_a_clip_is_described_from_frames_in_order(clip):
    with caption_server() as asked:
        found = opened(asked).measure(clip)
    assert found == {"caption_written": GOOD, "caption_from": "seer:clip"}
    shown = grays(asked.bodies[0])
    assert len(shown) == 8 and shown == sorted(shown) and shown[0] < 40 and shown[-1] > 180
    schema = asked.bodies[0]["response_format"]["json_schema"]
    assert schema["name"] == "caption" and schema["schema"]["required"] == ["caption"]


def test_a_caption_of_the_file_is_kept_and_nobody_is_asked(clip):
    with caption_server() as asked:
        assert opened(asked).measure(replace(clip, caption=" Mine. ")) == {"caption_from": "file"}
        assert asked.bodies == []
    kept = ClipCaptions(CurationSettings())
    kept.open()
    assert kept.measure(clip) == {}


def test_three_captions_are_merged_as_the_paper_draws_them(clip):
    with caption_server() as asked:
        found = opened(asked, merge="svd").measure(clip)
    frame, moving, both = asked.bodies
    assert len(grays(frame)) == 1 and abs(grays(frame)[0] - 120) < 15 and len(grays(moving)) == 8
    assert GOOD in both["messages"][1]["content"]
    assert {found[f"caption_of_{name}"] for name in ("frame", "clip", "both")} == {GOOD}
    assert found["caption_from"] == ("seer:frame", "seer:clip", "seer:summary")[draw(clip.id)]
    counts = Counter(draw(f"{number}.mp4#0-9") for number in range(4000))
    assert [round(counts[n] / 4000, 2) for n in range(3)] == pytest.approx([0.5, 0.25, 0.25], abs=0.02)


@pytest.mark.parametrize("first", ["garbage", "empty", "number", "sorry", "busy", "failed"])
def test_a_poor_reply_is_corrected_and_what_passes_is_tried_again(clip, first):
    with caption_server(first, "good") as asked:
        assert opened(asked).measure(clip)["caption_written"] == GOOD
    if first in ("busy", "failed"):
        assert asked.bodies[0] == asked.bodies[1]
    else:
        assert asked.bodies[1]["messages"][-1]["content"].startswith("That cannot be used.")


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        ("garbage", "no usable caption after a correction.*JSON object"), ("sorry", "refusal.*sorry"),
        ("refusal", "the model refuses: I will not"), ("no completion", "no chat completion"),
        ("broken", "the response"), ("busy", r"429.*2 attempts"), ("forbidden", "responded 401"),
        ("hang", r"did not respond within 0.3 s.*2 attempts"),
    ],
)  # fmt: skip
def test_without_a_caption_there_is_a_reason(clip, behaviour, told):
    with caption_server(behaviour) as asked, pytest.raises(ChatError, match=f"(?s){told}"):
        opened(asked, **({"timeout_s": "0.3"} if behaviour == "hang" else {})).measure(clip)


@pytest.mark.parametrize(("behaviour", "text"), [("fenced", GOOD), ("control", "A [31m red ball rolls.")])
def test_a_caption_is_plain_text_on_one_line(clip, behaviour, text):
    with caption_server(behaviour) as asked:
        asked.schemas = False
        assert opened(asked).measure(clip)["caption_written"] == text
        assert "response_format" in asked.bodies[0] and "response_format" not in asked.bodies[-1]


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"url": "http://127.0.0.1:1/v1"}, RequestError, "captions.url and captions.model"),
        ({"url": "ftp://x", "model": "m"}, RequestError, "captions.url: .*http"),
        ({"url": "http://127.0.0.1:1/v1", "model": "m", "tries": "many"}, RequestError, "captions.tries.*'many'"),
        ({"url": "http://127.0.0.1:1/v1", "model": "m", "folder": "x"}, RequestError, "not both"),
        ({"merge": "sometimes"}, RequestError, "captions.merge must be one of clip, svd, got 'sometimes'"),
        ({"folder": "/no/such/folder"}, WeightsMissing, "no such folder"),
        ({"url": "http://127.0.0.1:1/v1", "model": "m", "key_env": "NO_SUCH_KEY"}, KinemaError, "NO_SUCH_KEY"),
    ],
)
def test_illegal_options_are_refused_before_any_work(options, error, told):
    with pytest.raises(error, match=told):
        ClipCaptions(CurationSettings(options={f"captions.{k}": value for k, value in options.items()})).check()


class Words:
    """A stand-in for CLIP: everything is the same unit vector, but texts without "ball" are opposite."""

    name = digest = "words"
    size_px = 8

    def pictures(self, frames_NHWC):
        return np.tile(np.array([1.0, 0.0], np.float32), (len(frames_NHWC), 1))

    def texts(self, texts):
        return np.array([[1.0 if "ball" in text else -1.0, 0.0] for text in texts], np.float32)


def test_a_written_caption_is_the_clips_own_for_later_stages(clip, tmp_path):
    settings = CurationSettings()
    score = ClipScore(settings)
    score.encoder = Words()
    assert score.measure(clip) == {"clip_score": None}
    assert score.measure(replace(clip, caption="a boat")) == {"clip_score": pytest.approx(-1)}
    with caption_server() as asked:
        work = MeasureWork(("captions", "clip_score"), settings, {"captions": opened(asked), "clip_score": score})
        found = work((clip, ("captions", "clip_score")))
    assert found.stages["clip_score"][0] == {"clip_score": pytest.approx(1)}
    state = CurationState(tmp_path / "state.db")
    state.list_files([SourceFile("a.mp4", "1")])
    state.add_shots([ShotsOfFile("a.mp4", ((0, 12),), 8.0, 64, 48)])
    keys = {"captions": "1", "clip_score": "1"}
    written = replace(found, name="a.mp4", stages={"captions": found.stages["captions"]})
    state.add_figures([written], keys)
    ((later, missing),) = state.unmeasured(clip.source.parent, keys)
    assert (later.caption, missing) == (GOOD, ("clip_score",))
    (row,) = state.rows(clip.source.parent, tuple(keys))
    assert row["caption"] == GOOD
    state.close()


def test_the_key_is_checked_before_the_first_clip(monkeypatch):
    monkeypatch.setenv("SEER_KEY", "sk-1")
    stage = ClipCaptions(
        CurationSettings(options={"captions.url": "http://127.0.0.1:1/v1", "captions.model": "m",
                                  "captions.key_env": "SEER_KEY"})
    )  # fmt: skip
    stage.check()
    assert stage.endpoint == Endpoint(
        base_url="http://127.0.0.1:1/v1", model="m", key_env="SEER_KEY", temperature=0.2, max_tokens=1000
    )
