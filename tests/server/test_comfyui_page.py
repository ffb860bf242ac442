"""ComfyUI's official interface, unchanged, in a real browser on a real `kinema serve` with its worker."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from chromium import chromium
from comfyui_page import Page, interface
from served import Served

from kinema.media.read import read_video

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

PLAYS = "document.querySelector('video')?.readyState >= 2"
ENDED = "(await (await fetch('api/jobs')).json()).jobs.every((job) => ['completed', 'cancelled'].includes(job.status))"
DROP = """async (address) => {
    const data = new DataTransfer();
    data.items.add(new File([await (await fetch(address)).blob()], 'result.mp4', { type: 'video/mp4' }));
    document.getElementById('graph-canvas').dispatchEvent(
        new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with chromium() as browser:  # skips first
        folder = interface(tmp_path_factory)
        found = Served(tmp_path_factory.mktemp("served"), "--ui", str(folder))
        yield found, browser
        found.stop()


def result(page: Page, number: int, folder: Path) -> Path:
    """The file of a job, by its place in the list."""
    shown = page.jobs()[number]["preview_output"]
    address = f"api/view?filename={shown['filename']}&subfolder={shown['subfolder']}&type={shown['type']}"
    data = page.page.evaluate(
        "async (it) => [...new Uint8Array(await (await fetch(it)).arrayBuffer())]", address
    )  # fmt: skip
    path = folder / f"{number}-{shown['filename']}"
    path.write_bytes(bytes(data))
    return path


def test_a_template_runs_jobs_are_canceled_workflows_saved_and_results_dropped(served, tmp_path):
    server, browser = served
    tab = Page(browser, server.url)
    page = tab.page
    tab.open("kinema_text_to_video", first=True)
    sent: list[dict] = []
    page.on("request", lambda it: it.url.endswith("/prompt") and sent.append(it.post_data_json))
    tab.set("KSampler", steps=4, control_after_generate="increment")
    for count in (1, 2, 3):
        tab.run()
        tab.until(f"(await (await fetch('api/jobs')).json()).jobs.length === {count}")
    page.get_by_test_id("queue-overlay-toggle").click()
    row = page.locator(f"[data-job-id='{tab.jobs()[0]['id']}']")
    row.hover()
    row.get_by_label("Cancel").click()
    tab.until(r"/Total: [1-9]\d?%/.test(document.body.innerText)")
    tab.until("app.graph._nodes.find((node) => node.type === 'KSampler').imgs?.[0]?.naturalWidth === 64")
    tab.until(ENDED)
    tab.until(PLAYS)
    tab.until("(await document.querySelector('video').play(), document.querySelector('video').currentTime > 0.2)")
    assert [job["status"] for job in tab.jobs()] == ["cancelled", "completed", "completed"]
    frames_FHWC = read_video(result(tab, 2, tmp_path))[0]
    assert frames_FHWC.shape == (17, 256, 256, 3)
    red_FHW = (frames_FHWC[..., 0] > 150) & (frames_FHWC[..., 1:].max(-1) < 110)
    assert red_FHW.any((1, 2)).mean() > 0.7, "a red ball"
    assert not np.array_equal(frames_FHWC, read_video(result(tab, 1, tmp_path))[0]), "another seed"
    assert [each["prompt"]["8"]["inputs"]["seed"] for each in sent] == [7, 8, 9]

    page.keyboard.press("Control+s")
    page.get_by_role("dialog").get_by_role("textbox").fill("my flow")
    page.keyboard.press("Enter")
    tab.until("(await fetch('api/userdata/workflows%2Fmy%20flow.json')).ok")
    saved = page.evaluate("fetch('api/userdata/workflows%2Fmy%20flow.json').then((it) => it.json())")
    assert len(saved["nodes"]) == 12

    page.evaluate("app.loadGraphData({nodes: [], links: [], version: 0.4})")
    tab.until("app.graph._nodes.length === 0")
    shown = tab.jobs()[2]["preview_output"]
    page.evaluate(DROP, f"api/view?filename={shown['filename']}&subfolder={shown['subfolder']}&type=output")
    tab.until("app.graph._nodes.length === 12")
    again = page.evaluate("app.graphToPrompt().then((it) => it.output)")
    assert again == sent[0]["prompt"], "the clip carries its graph"
    tab.close()


@pytest.mark.slow
def test_every_official_workflow_gives_the_prompt_of_the_page(served, real_data):
    """What the page makes of a workflow depends on the nodes that the server declares: the recorded prompts came from a
    page on other declarations."""
    from comfyui_templates import golden_cases

    server, browser = served
    tab = Page(browser, server.url)
    tab.open("kinema_text_to_video")
    for name, (path, prompt) in golden_cases(real_data).items():
        made = tab.page.evaluate(
            "async (graph) => { await app.loadGraphData(graph); return (await app.graphToPrompt()).output; }",
            json.loads(path.read_text("utf-8")),
        )  # fmt: skip
        assert made == prompt, name
    tab.context.close()


@pytest.mark.slow
def test_a_tab_follows_its_job_over_a_killed_server(served, tmp_path):
    server, browser = served
    data = json.dumps({"nodes": [], "links": [], "version": 0.4, "id": "saved-before", "extra": {}})
    tab = Page(browser, server.url)
    tab.open("kinema_text_to_video")
    tab.page.evaluate("(data) => fetch('api/userdata/workflows%2Fbefore.json', {method: 'POST', body: data})", data)
    tab.set("KSampler", steps=40, seed=11, control_after_generate="fixed")
    tab.run()
    tab.until("(await (await fetch('api/jobs')).json()).jobs[0]?.status === 'in_progress'")
    tab.page.wait_for_timeout(2000)
    job = tab.jobs()[0]["id"]
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()
    server.start()
    tab.until("(await fetch('api/jobs').catch(() => ({}))).ok")
    tab.until(f"(await (await fetch('api/jobs')).json()).jobs.find((it) => it.id === {job!r})?.status === 'completed'")
    tab.until(PLAYS)
    first = read_video(result(tab, 0, tmp_path))[0]
    tab.set("EmptyHunyuanLatentVideo", length=13)  # nothing of it is cached
    tab.run()
    tab.until("(await (await fetch('api/jobs')).json()).jobs.length > 1")
    tab.until(ENDED)
    assert len(first) == 17 and len(read_video(result(tab, 0, tmp_path))[0]) == 13
    tab.page.reload()
    tab.until("window.app?.extensionManager && document.querySelector('[aria-label^=Workflows]')")
    tab.page.keyboard.press("w")
    tab.page.get_by_text("before", exact=True).first.click()
    tab.until("app.graph._nodes.length === 0")
    tab.context.close()
