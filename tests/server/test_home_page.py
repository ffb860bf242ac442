"""The home page in a real browser, against a server whose jobs only pretend to work (fake_jobs_server.py)."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from chromium import chromium
from fake_jobs_server import FakeServer
from home_tab import PHONE, Tab
from PIL import Image

from kinema.core.request import Request

CHECKS = Path(__file__).with_name("page_checks.js").read_text("utf-8")
PAINTED = """((brush) => {
    if (!brush.width) return false;
    const pen = new OffscreenCanvas(brush.width, brush.height).getContext('2d', { willReadFrequently: true });
    pen.drawImage(brush, 0, 0);
    return pen.getImageData(0, 0, brush.width, brush.height).data.some(Boolean);
})(document.getElementById('brush'))"""
SHIFTS = """() => new Promise((resolve) => new PerformanceObserver((list) => resolve(
    list.getEntries().filter((each) => !each.hadRecentInput).reduce((sum, each) => sum + each.value, 0)
)).observe({ type: "layout-shift", buffered: true }) ?? setTimeout(() => resolve(0), 500))"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def fake(tmp_path):
    server = FakeServer(tmp_path)
    yield server
    server.close()


def test_a_clip_by_keyboard_alone_and_after_a_reload(browser, fake):
    fake.steps, fake.hold_at = 20, 15
    tab = Tab(browser, fake.url)
    page = tab.page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # skip to the prompt
    page.keyboard.type("a red ball rolls left")
    tab.until("document.getElementById('cost').dataset.state === 'good'")
    assert re.match(r"(About|Less than) .*second", tab.text("cost-main")) and "17 frames, 2.13 s, 256x256" in tab.text(
        "cost-more"
    )
    page.keyboard.press("Control+Enter")
    tab.until("document.querySelector('.preview')?.naturalWidth > 0")
    assert re.match(r"Sampling, \d+ of 20", page.text_content(".status"))
    page.reload()  # in the middle: the job is still on the stage
    page.wait_for_selector("html[data-ready]")
    fake.go.set()
    tab.until("document.querySelector('#watch video')?.videoWidth === 128")
    assert fake.posted == [{
        "kind": "clip", "name": "a red ball rolls left",
        "body": {"prompt": "a red ball rolls left", "model": "kinema-mini-wan", "profile": "balanced", "upscale": 4,
                 "file": "a-red-ball-rolls-left.mp4"},
    }]  # fmt: skip
    assert tab.text("said") == "Done." and page.input_value("#prompt") == "a red ball rolls left"
    save = page.locator("#watch-words a[download]")
    assert (
        save.get_attribute("href").endswith("/result") and save.get_attribute("download") == "a-red-ball-rolls-left.mp4"
    )
    assert page.evaluate(SHIFTS) < 0.1, "nothing jumps"
    page.keyboard.press("Escape")
    tab.until("document.getElementById('stage-title').textContent === 'New clip'")
    tab.close()


def test_masks_drawn_on_a_clip(browser, fake):
    tab = Tab(browser, fake.url)
    page = tab.page
    tab.give("clip.mp4", "video/mp4", (fake.folder / "clip.mp4").read_bytes())
    assert page.locator("#verb-picks span").all_text_contents() == ["Remove", "Replace", "Extend"]
    tab.drag((0.25, 0.25), (0.5, 0.75))
    assert np.allclose(tab.draft()["region"]["box"], (0.25, 0.25, 0.5, 0.75), atol=0.005)
    page.focus("[data-mark=box-move]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert np.allclose(tab.draft()["region"]["box"], (0.26, 0.25, 0.51, 0.73), atol=0.005)
    page.click("#undo")
    assert np.allclose(tab.draft()["region"]["box"], (0.26, 0.25, 0.51, 0.75), atol=0.005)
    page.keyboard.press("Control+Enter")
    tab.until("location.hash.startsWith('#job=')")
    sent = Request.from_dict(without_names(fake.posted[0]["body"]))
    source, mask = sent.conditions
    assert (sent.canvas, sent.fill, source.video) == ("source", "auto", fake.clip)
    assert mask.follow and mask.shape == "original_expand" and mask.ratio == 0.1
    assert np.allclose(mask.boxes, [(0.26, 0.25, 0.51, 0.75)], atol=0.005)
    assert fake.posted[0]["body"]["shown_as"] == {fake.clip: "clip.mp4"}

    page.click("#new-clip")
    page.check("#verb-picks [value=replace]")
    page.fill("#prompt", "a green car")
    page.check("#tool-picks [value=brush]")
    tab.drag((0.2, 0.5), (0.6, 0.5))
    page.uncheck("#follow")
    page.click("#submit")
    tab.until("location.hash.startsWith('#job=')")
    sent = Request.from_dict(without_names(fake.posted[1]["body"]))
    mask = sent.conditions[1]
    assert sent.fill == "generate" and not mask.follow and mask.shape == "original"
    painted_HW = np.asarray(Image.open(io.BytesIO((fake.folder / mask.image[7:]).read_bytes())).convert("L"))
    assert painted_HW.shape == (96, 128)
    assert (painted_HW[46:50, 26:77] == 255).all() and (painted_HW[:40] == 0).all() and (painted_HW[:, :18] == 0).all()

    page.click("#watch-words >> text=Edit settings")  # the same again
    tab.until(PAINTED)
    page.click("#submit")
    tab.until("document.querySelectorAll('.tile').length === 3")
    assert fake.posted[2]["body"] == fake.posted[1]["body"]
    page.click("#watch-words >> text=Extend")
    tab.until("document.getElementById('clip').readyState >= 2")
    page.click("#submit")
    tab.until("document.querySelectorAll('.tile').length === 4")
    (continued,) = Request.from_dict(without_names(fake.posted[3]["body"])).conditions
    assert (continued.kind, continued.clip, continued.place) == ("continue", fake.clip, "start")
    tab.close()


def test_paths_drawn_on_a_picture(browser, fake):
    tab = Tab(browser, fake.url)
    page = tab.page
    picture = io.BytesIO()
    Image.fromarray(np.full((64, 96, 3), 180, np.uint8)).save(picture, "PNG")
    tab.give("photo.png", "image/png", picture.getvalue())
    assert page.input_value("#model") == "" and "kinema-mini-svd" in page.text_content("#model option")
    page.select_option("#model", "kinema-mini-svd")
    page.check("#tool-picks [value=path]")
    tab.drag((0.1, 0.5), (0.9, 0.5))
    points = np.array(tab.draft()["path"])
    assert np.allclose(points[[0, -1]], [(0.1, 0.5), (0.9, 0.5)], atol=0.01) and len(points) == 14
    assert np.allclose(np.diff(points[:, 0]), 0.8 / 13, atol=0.005), "constant speed"
    page.click("#clear")
    for _ in range(2):
        tab.tab_to("add-mark")
        page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowRight")
    assert np.allclose(tab.draft()["path"], [(0.2, 0.5), (0.4, 0.51)])
    tab.until("document.getElementById('model-error').textContent.includes('trajectory')")
    page.select_option("#model", "")
    assert "kinema-mini-wan" in page.text_content("#model option")
    page.fill("#seconds", "100")
    tab.until("document.getElementById('seconds-error').textContent.includes('10.12')")
    assert page.get_attribute("#seconds", "aria-invalid") == "true"
    page.click("#seconds-error >> text=Use 10.125")
    tab.until("document.getElementById('cost').dataset.state === 'good'")
    assert page.input_value("#seconds") == "10.125" and tab.text("seconds-error") == ""
    page.fill("#seconds", "")
    page.click("#submit")
    tab.until("location.hash.startsWith('#job=')")
    image, path = Request.from_dict(without_names(fake.posted[0]["body"])).conditions
    assert (image.kind, image.at) == ("image", "first") and np.allclose(path.points, [(0.2, 0.5), (0.4, 0.51)])
    tab.errors = [each for each in tab.errors if "422" not in each]  # the browser logs the refusals
    tab.close()


def test_jobs_in_flight_canceled_failed_and_deleted(browser, fake):
    fake.steps, fake.step_s = 1000, 0.02
    first = fake.submit({"prompt": "the first"}, "the first")
    second = fake.submit({"prompt": "the second"}, "the second")
    third = fake.submit({"prompt": "the third"}, "the third")
    tab = Tab(browser, f"{fake.url}#job={third['id']}")
    tab.url = fake.url
    page = tab.page
    tab.until("document.querySelector('.status')?.textContent === 'Queued, 1 job before it'")
    page.click("#watch-words >> text=Make it next")
    tab.until("document.querySelector('.status')?.textContent === 'Queued, next in line'")
    page.click(f"[data-id='{first['id']}'] button")  # cancel
    tab.until(f"document.querySelector('[data-id=\"{first['id']}\"]').dataset.state === 'canceled'")
    fake.fails, fake.steps = "The worker ran out of memory.", 3
    page.click("#watch-words >> text=Cancel")
    page.click("#watch-words >> text=Retry")
    tab.until("document.querySelector('.blank p')?.textContent === 'The worker ran out of memory.'")
    assert tab.text("said") == "Failed: The worker ran out of memory.."
    fake.fails = ""
    page.click("#watch-words >> text=Retry")
    tab.until("document.querySelector('#watch video')?.videoWidth === 128")
    page.click("#watch-words >> text=Delete")
    assert third["id"] in fake.jobs, "asks once more"
    page.click("#watch-words >> text=Delete for good?")
    tab.until("document.querySelectorAll('.tile').length === 2")
    assert third["id"] not in fake.jobs and second["id"] in fake.jobs and tab.text("stage-title") == "New clip"
    tab.close()


def test_a_server_that_goes_away(browser, fake):
    fake.step_s, fake.steps = 0.1, 60
    tab = Tab(browser, fake.url)
    page = tab.page
    page.fill("#prompt", "a blue star")
    page.click("#submit")
    tab.until("document.querySelector('.preview')?.naturalWidth > 0")
    fake.stop()
    tab.until("document.getElementById('server').dataset.state === 'bad'")
    page.fill("#prompt", "a pink heart")
    page.click("#submit")
    tab.until("!document.getElementById('toast').hidden")
    fake.start()
    tab.until("document.getElementById('server').dataset.state === 'good'")
    tab.until("[...document.querySelectorAll('.tile')].map((tile) => tile.dataset.state).join() === 'queued,running'")
    page.wait_for_timeout(200)
    assert [each["body"]["prompt"] for each in fake.posted] == ["a blue star", "a pink heart"], "each once"
    (id, first), *later = fake.streams
    assert first == 0 and [after for each, after in later if each == id][-1] > 1, "the stream goes on where it was"
    tab.errors.clear()  # the browser logs what it could not reach
    tab.close()


def test_a_token(browser, tmp_path):
    server = FakeServer(tmp_path, token="the right token", steps=1)
    try:
        job = server.submit({"prompt": "a ball"}, "a ball")
        tab = Tab(browser, f"{server.url}#job={job['id']}", ready=False)
        page = tab.page
        for word in ("a wrong one", "the right token"):
            page.wait_for_selector("#token[open]")
            page.fill("#token-field", word)
            page.keyboard.press("Enter")
        tab.until("document.querySelector('#watch video')?.videoWidth === 128")
        tab.until("document.querySelector('.tile video')?.videoWidth === 128")
        assert page.get_attribute("#watch-words a[download]", "href").startswith("blob:")
        tab.context.close()
    finally:
        server.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_phone_and_contrast(browser, fake, scheme):
    fake.submit({"prompt": "a ball"}, "a ball with a name that does not fit into one line of a card on a phone, at all")
    fake.submit({"prompt": "x"}, "unbroken" * 20)
    tab = Tab(browser, fake.url, viewport=PHONE, color_scheme=scheme, has_touch=True, is_mobile=True)
    page = tab.page
    assert page.evaluate(CHECKS) == []
    page.click("#examples li:nth-child(3) button")
    page.click("#more summary")
    tab.until("document.getElementById('cost').dataset.state === 'good'")
    assert page.evaluate(CHECKS) == []
    page.fill("#seconds", "100")
    tab.until("document.getElementById('seconds-error').textContent")
    assert page.evaluate(CHECKS) == []
    page.click(".tile a >> nth=0")
    tab.until("document.querySelector('#watch video')?.videoWidth === 128")
    assert page.evaluate(CHECKS) == []
    tab.errors = [each for each in tab.errors if "422" not in each]  # the browser logs the refusal
    tab.close()


def without_names(body: dict) -> dict:
    return {name: value for name, value in body.items() if name not in ("shown_as", "file")}
