"""The look of clips: against scikit-image, against pictures of known look."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_clips import encoded
from skimage.measure import blur_effect

from kinema.curation.stage import CurationSettings
from kinema.curation.stages.look import Look, blur, colourfulness, content_box


def picture(height: int = 144, width: int = 192, low: int = 40, high: int = 215) -> np.ndarray:
    cells = np.random.default_rng(0).integers(low, high, (height // 12, width // 12, 3), np.uint8)
    return cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize("sigma_px", [0, 1, 3])
def test_blur_is_the_papers(sigma_px):
    gray = cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)
    gray = gray if not sigma_px else cv2.GaussianBlur(gray, (0, 0), sigma_px)
    assert blur(gray) == pytest.approx(blur_effect(gray, h_size=11), abs=1e-4)


def test_a_picture_of_one_colour_is_not_called_blurred():
    assert blur(np.full((40, 40), 90, np.uint8)) == 0.0


def test_colourfulness_of_known_pictures():
    assert colourfulness(np.full((1, 8, 8, 3), 120, np.uint8)) == 0.0
    red_and_green = np.zeros((1, 2, 2, 3), np.uint8)
    red_and_green[0, 0, :, 0] = red_and_green[0, 1, :, 1] = 200
    # red - green is +-200, its mean 0; (red + green) / 2 - blue is 100 everywhere
    assert colourfulness(red_and_green) == pytest.approx(200 + 0.3 * 100)


@pytest.mark.parametrize(("top", "left"), [(18, 0), (0, 24), (18, 24)])
def test_bars_are_measured_and_left_out_of_the_rest(tmp_path, top, left):
    frames = np.repeat(picture()[None], 6, 0)
    frames[:, : top or 0] = frames[:, 144 - top :] = 0
    frames[:, :, : left or 0] = frames[:, :, 192 - left :] = 0
    found = Look(CurationSettings()).measure(encoded(tmp_path / "a.mp4", frames))
    inside = (192 - 2 * left) * (144 - 2 * top) / (192 * 144)
    assert found["bars"] == pytest.approx(1 - inside, abs=0.02)
    assert found["content_box"] == pytest.approx([left / 192, top / 144, 1 - left / 192, 1 - top / 144], abs=0.01)
    assert found["crushed"] < 0.01


def test_a_night_sky_a_black_clip_and_a_moving_border_are_no_bars():
    sky = cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)[None].repeat(4, 0)
    sky[:, :40] = 5
    assert content_box(sky) == (0, 0, 192, 144)
    assert content_box(np.zeros((4, 144, 192), np.uint8)) == (0, 0, 192, 144)
    moving = cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)[None].repeat(2, 0)
    moving[0, :20] = moving[0, -20:] = 0
    assert content_box(moving) == (0, 0, 192, 144)


@pytest.mark.parametrize(("low", "high", "column"), [(0, 6, "crushed"), (250, 255, "blown"), (40, 215, None)])
def test_exposure(tmp_path, low, high, column):
    frames = np.repeat(picture(low=low, high=high)[None], 4, 0)
    found = Look(CurationSettings()).measure(encoded(tmp_path / "a.mp4", frames))
    assert {name: round(found[name], 1) for name in ("crushed", "blown")} == {
        name: float(name == column) for name in ("crushed", "blown")
    }
