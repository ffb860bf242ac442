"""The area of rendered titles, and heads of aesthetic predictors on stand-in vectors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_clips import encoded
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import save_file

from kinema.core.errors import ModelError, RequestError
from kinema.curation.stage import CurationSettings
from kinema.curation.stages import text_area
from kinema.curation.stages.aesthetic import Aesthetic
from kinema.curation.stages.text_area import TextArea, covered, is_text, text_boxes, tightened
from kinema.features.aesthetic import aesthetic_head


def title(words: str, size: int, turn: float, at: tuple[int, int] = (40, 60)) -> tuple[np.ndarray, float]:
    """A picture of 240 x 400 px with a title, and the share of it that the box of its ink covers."""
    face = ImageFont.load_default(size)
    left, top, right, bottom = face.getbbox(words)
    ink = Image.new("L", (round(right - left) + 8, round(bottom - top) + 8), 0)
    ImageDraw.Draw(ink).text((4 - left, 4 - top), words, font=face, fill=255)
    rows, columns = (np.flatnonzero((np.asarray(ink) > 96).any(axis)) for axis in (1, 0))
    box = Image.new("L", ink.size, 0)
    ImageDraw.Draw(box).rectangle([columns[0], rows[0], columns[-1], rows[-1]], fill=255)
    picture, area = Image.new("RGB", (400, 240), (40, 80, 120)), Image.new("L", (400, 240), 0)
    for target, stamp, color in ((picture, ink, (255, 255, 255)), (area, box, 255)):
        turned = stamp.rotate(turn, expand=True, resample=Image.Resampling.BICUBIC)
        target.paste(color, at, turned)
    return np.asarray(picture), float((np.asarray(area) > 127).mean())


def test_the_area_of_titles(tmp_path):
    stage = TextArea(CurationSettings(options={"text_area.frames": "2"}))
    stage.open()
    for words, size, turn in (("Hello World", 36, 0), ("EPISODE ONE", 28, 12)):
        picture, true = title(words, size, turn)
        assert covered(text_boxes(stage.detector, picture), 240, 400) == pytest.approx(true, rel=0.1)
    half = encoded(tmp_path / "a.mp4", np.stack([np.full((240, 400, 3), 90, np.uint8)] * 4 + [picture] * 4), crf="10")
    found = stage.measure(half)
    assert found["text_area"] == pytest.approx(true / 2, rel=0.15) and found["text_boxes"] == 1


@pytest.mark.parametrize("turn", [0, 12, 30])
def test_a_wide_box_is_tightened_to_the_ink_whatever_its_angle(turn):
    picture, true = title("one summer noon", 30, turn)
    lit = np.argwhere(picture[..., 0] > 150)[:, ::-1].astype(np.float64)
    axis = np.array(
        [[np.cos(np.radians(turn)), -np.sin(np.radians(turn))], [np.sin(np.radians(turn)), np.cos(np.radians(turn))]]
    )
    along = lit @ axis.T
    (left, top), (right, bottom) = along.min(0) - 7, along.max(0) + 7
    box = np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) @ axis
    assert covered([box], 240, 400) > 1.5 * true
    assert covered([tightened(picture, box.astype(np.float32))], 240, 400) == pytest.approx(true, rel=0.07)


def test_boxes_that_overlap_count_once_and_those_outside_not():
    box = np.array([[10, 10], [30, 10], [30, 20], [10, 20]], np.float32)
    assert covered([box, box + 0.001, box - [100, 100]], 40, 50) == pytest.approx(21 * 11 / 2000, abs=0.02)
    assert covered([], 40, 50) == 0


@pytest.mark.parametrize(
    ("text", "score", "told"), [("o", 0.99, False), ("O 0", 0.8, False), ("TV", 0.95, True), ("A film", 0.6, True)]
)
def test_shapes_are_not_taken_for_letters(text, score, told):
    assert is_text(text, score) is told
    frame = np.zeros((100, 200, 3), np.uint8)
    tall = np.array([[10, 10], [190, 10], [190, 90], [10, 90]])
    found = SimpleNamespace(boxes=tall[None], txts=("Big words",), scores=(0.9,))
    assert text_boxes(lambda _: found, frame) == []


def test_options_and_the_missing_package_are_named(monkeypatch):
    with pytest.raises(RequestError, match=r"from 1 to 64, got '0'"):
        TextArea(CurationSettings(options={"text_area.frames": "0"}))
    monkeypatch.setattr(text_area.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"RapidOCR.*pip install.*\[curate\]"):
        TextArea(CurationSettings()).check()


def test_both_published_heads_give_the_scores_of_their_layers(tmp_path):
    vectors = torch.nn.functional.normalize(torch.randn(5, 768, generator=torch.Generator().manual_seed(0)), dim=1)
    line = torch.nn.Linear(768, 1)
    torch.save(line.state_dict(), tmp_path / "linear.pth")
    np.testing.assert_allclose(
        aesthetic_head(tmp_path / "linear.pth")(vectors.numpy()), line(vectors).detach()[:, 0], atol=1e-5
    )
    parts = [torch.nn.Linear(768, 64), torch.nn.Dropout(0.2), torch.nn.Linear(64, 16), torch.nn.Linear(16, 1)]
    deep = torch.nn.Sequential(*parts).eval()
    save_file({f"layers.{name}": value for name, value in deep.state_dict().items()}, tmp_path / "deep.safetensors")
    head = aesthetic_head(tmp_path / "deep.safetensors")
    np.testing.assert_allclose(head(vectors.numpy()), deep(vectors).detach()[:, 0], atol=1e-5)
    save_file({"something": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="not the head"):
        aesthetic_head(tmp_path / "other.safetensors")


def test_a_clip_scores_the_mean_of_its_frames(tmp_path):
    stage = Aesthetic(CurationSettings())
    stage.head = lambda vectors: vectors[:, 0]
    stage.encoder = SimpleNamespace(pictures=lambda frames: frames.reshape(len(frames), -1)[:, :1] / 51)
    frames = np.stack([np.full((32, 32, 3), 12 * number, np.uint8) for number in range(16)])
    assert stage.measure(encoded(tmp_path / "a.mp4", frames, crf="1"))["aesthetic"] == pytest.approx(90 / 51, abs=0.2)
