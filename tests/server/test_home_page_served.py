"""The home page with the real `kinema serve`, its worker and the miniature, in a real browser."""

from __future__ import annotations

import os
import signal
import urllib.request

import numpy as np
import pytest
from chromium import chromium
from home_tab import Tab
from served import Served

from kinema.media.manifest import read_manifest
from kinema.media.read import read_video

DONE = "document.querySelector('#watch video')?.readyState >= 2"
CLIP_S = 120


@pytest.fixture
def served(tmp_path):
    found = Served(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def tab(served):
    with chromium() as browser:
        found = Tab(browser, served.url)
        yield found
        found.close()


def saved(tab, served, tmp_path):
    """The file behind the Save button."""
    path = tmp_path / "saved.mp4"
    address = served.url.rstrip("/") + tab.page.get_attribute("#watch-words a[download]", "href")
    with urllib.request.urlopen(address, timeout=10) as answer:
        path.write_bytes(answer.read())
    return path


def test_a_prompt_becomes_a_clip(tab, served, tmp_path):
    page = tab.page
    page.fill("#prompt", "a red ball rolls left over a green hill at sunset")
    page.fill("#seconds", "1")
    page.select_option("#profile", "fast")
    page.keyboard.press("Control+Enter")
    tab.until("document.querySelector('.status')?.textContent")
    page.reload()
    tab.until(DONE, CLIP_S)
    tab.until("document.querySelector('.tile video')?.readyState >= 1")
    path = saved(tab, served, tmp_path)
    frames_FHWC = read_video(path)[0]
    assert frames_FHWC.shape == (9, 256, 256, 3)
    red_FHW = (frames_FHWC[..., 0] > 170) & (frames_FHWC[..., 1:].max(-1) < 110)
    assert red_FHW.any((1, 2)).mean() > 0.7, "a red ball"
    assert read_manifest(path)["plan"]["profile"] == "fast"


@pytest.mark.slow
def test_an_object_is_removed_from_a_real_clip(tab, served, tmp_path, real_data):
    page, given = tab.page, real_data / "realshort.mp4"
    tab.give(given.name, "video/mp4", given.read_bytes())
    tab.drag((0.4, 0.3), (0.6, 0.7))
    page.keyboard.press("Control+Enter")
    tab.until(DONE, 4 * CLIP_S)
    before_FHWC, after_FHWC = read_video(given)[0], read_video(saved(tab, served, tmp_path))[0]
    assert after_FHWC.shape == before_FHWC.shape
    change_HW = np.abs(after_FHWC[0].astype(int) - before_FHWC[0]).mean(-1)
    rows, columns = slice(82, 158), slice(138, 182)  # well inside the box
    assert change_HW[rows, columns].mean() > 10 and np.median(change_HW[:, :60]) <= 2


@pytest.mark.slow
def test_a_clip_survives_its_worker(tab, served, tmp_path):
    page = tab.page
    page.fill("#prompt", "a blue star at night")
    page.select_option("#profile", "exact")
    page.fill("#seconds", "10")
    page.click("#submit")
    tab.until("document.querySelector('.status')?.textContent.startsWith('Sampling, 8 ')", CLIP_S)
    os.kill(served.worker(), signal.SIGKILL)
    tab.until("document.querySelector('.status')?.textContent.includes('attempt 2')", CLIP_S)
    page.reload()
    tab.until(DONE, 2 * CLIP_S)
    tab.errors = [each for each in tab.errors if "readyz" not in each]  # until the next worker is there
    assert "SIGKILL" in tab.text("watch-words") and len(read_video(saved(tab, served, tmp_path))[0]) == 81


@pytest.mark.slow
def test_a_path_is_followed_and_a_job_canceled(tab, served, tmp_path):
    page = tab.page
    page.click("#examples li:nth-child(3) button")
    page.click("#submit")
    tab.until(DONE, CLIP_S)
    frames_FHWC = read_video(saved(tab, served, tmp_path))[0].astype(int)
    yellow_FHW = frames_FHWC[..., :2].min(-1) - frames_FHWC[..., 2] > 60
    across = [np.nonzero(yellow_HW)[1].mean() / 256 for yellow_HW in yellow_FHW[[1, 8, 15]]]
    assert np.allclose(across, (0.17, 0.5, 0.83), atol=0.12), "the star is where the path is"

    page.click("#new-clip")
    page.fill("#seconds", "10")
    page.select_option("#profile", "exact")
    page.click("#submit")
    tab.until("document.querySelector('.status')?.textContent.startsWith('Sampling')", CLIP_S)
    page.click("#watch-words >> text=Cancel")
    tab.until("document.querySelector('.blank strong')?.textContent === 'Canceled'", CLIP_S)
