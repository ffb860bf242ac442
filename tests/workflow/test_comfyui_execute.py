"""Graphs executed on the miniature: samplers in parts, pictures of conditions, results kept between runs."""

from __future__ import annotations

import errno
import subprocess
import sys

import numpy as np
import pytest
from graphs import SIZE, Counted, base, node, run, sampler, text_to_video, written
from PIL import Image

from kinema.core.errors import Cancelled, MediaError, RequestError
from kinema.media.read import read_chunks
from kinema.workflow.run.cache import NodeCache


@pytest.fixture
def engines(mini):
    return Counted(mini)


def frames(path):
    return np.concatenate([chunk.frames for chunk in read_chunks(path, audio=False)])


def test_the_same_graph_twice_computes_nothing_and_another_seed_only_what_follows(engines, tmp_path):
    events = []
    (first,) = run(text_to_video(), engines, tmp_path, report=lambda each: events.append((each.kind, each.node)))
    assert (first.node, first.path.name, first.path.parent.name) == ("save", "test_00001_.mp4", "video")
    assert first.facts["frames"] == 5 and engines.calls == (1, 1)
    assert events.count(("progress", "sampler")) == 2 and ("preview", "sampler") in events
    assert events.index(("executed", "sampler")) < events.index(("executing", "decode"))
    assert not [each for each in events if each[0] == "cached"]

    events.clear()
    (again,) = run(text_to_video(), engines, tmp_path, report=lambda each: events.append((each.kind, each.node)))
    assert again.path == first.path and engines.calls == (1, 1)
    assert ("cached", "sampler") in events and not [each for each in events if each[0] == "executing"]
    assert events[-1] == ("executed", "save")

    (other,) = run(text_to_video(seed=6), engines, tmp_path)
    assert other.path.name == "test_00002_.mp4" and engines.calls == (2, 2)
    assert (frames(other.path) != frames(first.path)).any()

    first.path.unlink()  # the stored copy answers under a new name
    (restored,) = run(text_to_video(), engines, tmp_path)
    assert restored.path.name == "test_00003_.mp4" and engines.calls == (2, 2)
    assert run(text_to_video(), engines, tmp_path)[0].path == restored.path
    faster = text_to_video()
    faster["clip_made"]["inputs"]["fps"] = 12.0  # what is before it is kept
    events.clear()
    (clip,) = run(faster, engines, tmp_path, report=lambda each: events.append((each.kind, each.node)))
    assert clip.facts["fps"] == 12.0 and engines.calls == (2, 2) and ("cached", "decode") in events
    run(text_to_video(), engines, tmp_path, cache=False)
    assert engines.calls == (3, 3), "without a cache all is computed"


def test_two_stages_with_leftover_noise_equal_one(engines, tmp_path):
    (one,) = run(text_to_video(), engines, tmp_path)
    values = {"noise_seed": 5, "steps": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "simple"}
    links = {"model": ["model", 0], "positive": ["good", 0], "negative": ["bad", 0]}
    high = node("KSamplerAdvanced", **values, **links, latent_image=["empty", 0], add_noise="enable", start_at_step=0,
                end_at_step=1, return_with_leftover_noise="enable")  # fmt: skip
    low = node("KSamplerAdvanced", **values, **links, latent_image=["high", 0], add_noise="disable", start_at_step=1,
               end_at_step=10000, return_with_leftover_noise="disable")  # fmt: skip
    graph = base(empty=node("EmptyHunyuanLatentVideo", **SIZE), high=high, sampler=low, **written())
    (two,) = run(graph, engines, tmp_path)
    assert engines.samples == 3
    assert latents_of(tmp_path)[1] == pytest.approx(latents_of(tmp_path)[0], abs=5e-5)
    assert np.abs(frames(one.path).astype(int) - frames(two.path)).max() <= 1
    graph["low_steps"] = node("PrimitiveInt", value=10000)
    graph["sampler"]["inputs"]["end_at_step"] = ["low_steps", 0]
    run(graph, engines, tmp_path)
    assert engines.samples == 3, "a value from a node is the value"


def latents_of(folder):
    """The latents in the cache that are complete: those without the leftover noise of a first stage, oldest first."""
    paths = sorted((folder / "cache").glob("??/*.npy"), key=lambda path: path.stat().st_ctime_ns)
    found = [np.load(path) for path in paths]
    latents = [each for each in found if each.shape == (1, 16, 2, 4, 4)]
    return [latents[0], latents[-1]]


def test_a_sampler_composed_of_parts_equals_the_whole_one(engines, tmp_path):
    run(text_to_video(), engines, tmp_path)
    graph = base(
        empty=node("EmptyHunyuanLatentVideo", **SIZE),
        noise=node("RandomNoise", noise_seed=5), name=node("KSamplerSelect", sampler_name="euler"),
        levels=node("BasicScheduler", model=["model", 0], scheduler="simple", steps=2, denoise=1.0),
        guider=node("CFGGuider", model=["model", 0], positive=["good", 0], negative=["bad", 0], cfg=3.0),
        sampler=node("SamplerCustomAdvanced", noise=["noise", 0], guider=["guider", 0], sampler=["name", 0],
                     sigmas=["levels", 0], latent_image=["empty", 0]),
        **written(),
    )  # fmt: skip
    run(graph, engines, tmp_path)
    assert latents_of(tmp_path)[1] == pytest.approx(latents_of(tmp_path)[0], abs=1e-6) and engines.samples == 2


def test_pictures_of_a_condition_pass_through_their_nodes(engines, tmp_path):
    """A picture is resized and padded, and the miniature receives exactly the pixels of the last node."""
    (tmp_path / "in").mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (24, 16, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "in" / "start.png")
    graph = base(
        load=node("LoadImage", image="start.png"),
        small=node("ImageScale", image=["load", 0], upscale_method="nearest-exact", width=16, height=32,
                   crop="disabled"),
        padded=node("ImagePadForOutpaint", image=["small", 0], left=8, top=0, right=8, bottom=0, feathering=0),
        guide=node("WanImageToVideo", positive=["good", 0], negative=["bad", 0], vae=["vae", 0], **SIZE,
                   start_image=["padded", 0]),
        sampler=sampler(("guide", 2), ("guide", 0), ("guide", 1), steps=1), **written(),
    )  # fmt: skip
    run(graph, engines, tmp_path)
    (condition,) = engines.plans[0].conditions
    given = np.load(condition.image)[0]
    rows = np.minimum(((np.arange(32) + 0.5) * 24 / 32).astype(int), 23)
    assert given.shape == (32, 32, 3) and np.array_equal(given[:, 8:24], picture[rows].astype(np.float32) / 255)
    assert (given[:, :8] == 0.5).all() and (given[:, 24:] == 0.5).all()
    Image.fromarray(picture[::-1]).save(tmp_path / "in" / "start.png")  # another content under the same name
    run(graph, engines, tmp_path)
    assert engines.samples == 2


def test_a_clip_of_a_graph_controls_another_one(engines, tmp_path):
    """The frames of one sampler are the control clip of a second, shorter than it and with soft masks."""
    guide = node("WanVaceToVideo", positive=["good", 0], negative=["bad", 0], vae=["vae", 0], **SIZE | {"length": 9},
                 strength=1.0, control_video=["decode", 0], control_masks=["mask", 0])  # fmt: skip
    graph = text_to_video(steps=1) | {
        "mask": node("SolidMask", value=0.25, width=64, height=64), "guide": guide,
        "sampler_2": sampler(("guide", 2), ("guide", 0), ("guide", 1), steps=1),
        "trim": node("TrimVideoLatent", samples=["sampler_2", 0], trim_amount=["guide", 3]),
        "decode_2": node("VAEDecode", samples=["trim", 0], vae=["vae", 0]),
        "save_2": node("SaveAnimatedWEBP", images=["decode_2", 0], filename_prefix="second", fps=8.0, lossless=True,
                       quality=80, method="default"),
    }  # fmt: skip
    first, second = run(graph, engines, tmp_path)
    assert engines.calls == (2, 2) and second.facts["frames"] == 9
    source, mask = engines.plans[1].conditions
    clip, masks = np.load(source.video), np.load(mask.video)
    assert clip.shape == (9, 32, 32, 3) and (clip[5:] == 0.5).all() and clip[:5].std() > 0.01
    assert np.abs((clip[:5] * 255).astype(int) - frames(first.path)).mean() < 12, "the first clip, before its encoder"
    assert masks.shape == (9, 32, 32) and (masks[0] == 0.25).all() and (masks[1:] == 1).all()


def test_denoise_begins_from_encoded_pictures(engines, tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "in" / "red.png")
    graph = base(
        load=node("LoadImage", image="red.png"), clip_in=node("RepeatImageBatch", image=["load", 0], amount=5),
        encode=node("VAEEncode", pixels=["clip_in", 0], vae=["vae", 0]),
        sampler=sampler(("encode", 0), steps=2, denoise=0.1, cfg=1.0), **written(),
    )  # fmt: skip
    (clip,) = run(graph, engines, tmp_path)
    found = frames(clip.path).mean(axis=(0, 1, 2))
    assert found[0] > 150 and found[1:].max() < 90, "a little noise leaves the clip red"


def test_only_the_chosen_side_of_a_switch_runs(engines, tmp_path):
    """The condition is known only when the picture's size is."""
    (tmp_path / "in").mkdir()
    Image.new("RGB", (40, 32)).save(tmp_path / "in" / "a.png")
    graph = text_to_video(steps=1) | {
        "load": node("LoadImage", image="a.png"), "measure": node("GetImageSize", image=["load", 0]),
        "is_wide": node("ComfyMathExpression", expression="a > 36", **{"values.a": ["measure", 0]}),
        "other": sampler(seed=99), "other_decode": node("VAEDecode", samples=["other", 0], vae=["vae", 0]),
        "pick": node("ComfySwitchNode", switch=["is_wide", 2], on_false=["other_decode", 0], on_true=["decode", 0]),
    }  # fmt: skip
    graph["clip_made"]["inputs"]["images"] = ["pick", 0]
    run(graph, engines, tmp_path)
    assert engines.calls == (1, 1) and engines.plans[0].seed == 5


def test_values_may_be_missing_and_whole_numbers_written_as_fractions(engines, tmp_path):
    graph = text_to_video(steps=1)
    for name, removed in {"sampler": "denoise", "empty": "batch_size", "clip_made": "fps"}.items():
        del graph[name]["inputs"][removed]
    graph["empty"]["inputs"]["width"] = 32.0
    graph["height"] = node("ComfyMathExpression", expression="a * 2", **{"values.a": ["half", 1]})
    graph["half"] = node("GetImageSize", image=["mask_image", 0])
    graph["mask_image"] = node("MaskToImage", mask=["mask", 0])
    graph["mask"] = node("SolidMask", value=1.0, width=16, height=16)
    graph["empty"]["inputs"]["height"] = ["height", 0]  # a float, as known only now
    (clip,) = run(graph, engines, tmp_path)
    assert (clip.facts["width"], clip.facts["height"], clip.facts["fps"]) == (32, 32, 30.0)
    graph["mask"]["inputs"]["height"] = 9000
    with pytest.raises(RequestError, match=r"node empty .*height = 18000.*from 16 to 16384"):
        run(graph, engines, tmp_path)


def test_a_stopped_run_leaves_no_file_and_keeps_what_is_done(engines, tmp_path):
    def stop(event):
        if (event.kind, event.node) == ("executing", "decode"):
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        run(text_to_video(seed=8), engines, tmp_path, report=stop)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    run(text_to_video(seed=8), engines, tmp_path)
    assert engines.calls == (1, 1), "the latents were kept"


def test_a_killed_sampler_goes_on_where_it_was(engines, tmp_path, monkeypatch):
    monkeypatch.setattr("kinema.workflow.run.kept_sampling.KEEP_S", 0.0)
    seen = []

    def report(event):
        seen.extend([event.data["value"]] if (event.kind, event.node) == ("progress", "sampler") else [])
        if len(seen) == 3 and event.kind == "preview":
            raise Cancelled("killed")

    with pytest.raises(Cancelled):
        run(text_to_video(steps=5, sampler_name="dpmpp_2m"), engines, tmp_path, report=report)
    assert len(list((tmp_path / "cache" / "drafts").iterdir())) == 1
    run(text_to_video(steps=5, sampler_name="dpmpp_2m"), engines, tmp_path, report=report)
    assert seen == [1, 2, 3, 3, 4, 5] and not list((tmp_path / "cache" / "drafts").iterdir())
    (resumed,) = (np.load(path) for path in (tmp_path / "cache").glob("??/*.npy") if np.load(path).shape[1] == 16)
    run(text_to_video(steps=5, sampler_name="dpmpp_2m"), engines, tmp_path / "other")
    (whole,) = (np.load(path) for path in (tmp_path / "other").glob("cache/??/*.npy") if np.load(path).shape[1] == 16)
    assert np.array_equal(resumed, whole)


def test_everything_wrong_is_named_before_anything_runs(engines, tmp_path):
    graph = text_to_video() | {
        "load": node("LoadImage", image="none.png"),
        "guide": node("WanImageToVideo", positive=["good", 0], negative=["bad", 0], vae=["vae", 0], **SIZE,
                      start_image=["load", 0]),
        "sampler_2": sampler(("guide", 2), ("guide", 0), ("guide", 1)),
        "sampler_3": sampler(sampler_name="euler_cfg_pp"),
        "outside": node("SaveImage", images=["decode", 0], filename_prefix="../x"),
    }  # fmt: skip
    for name in ("sampler_2", "sampler_3"):
        graph |= {f"{name}_d": node("VAEDecode", samples=[name, 0], vae=["vae", 0]),
                  f"{name}_s": node("PreviewImage", images=[f"{name}_d", 0])}  # fmt: skip
    with pytest.raises(RequestError) as error:
        run(graph, engines, tmp_path)
    assert "none.png is not in" in str(error.value) and "euler_cfg_pp" in str(error.value)
    assert "filename_prefix = '../x'" in str(error.value)
    with pytest.raises(RequestError, match=r"seed = 3000.* from 0 to 18446744073709551615"):
        run(text_to_video(seed=3 * 10**22), engines, tmp_path)
    assert engines.calls == (0, 0) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(("nodes", "runs"), [(199, True), (200, False)])
def test_a_chain_of_picture_nodes_is_bounded(engines, tmp_path, nodes, runs):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "in" / "a.png")
    graph = {"0": node("LoadImage", image="a.png")}
    graph |= {
        str(at): node("ImageFromBatch", image=[str(at - 1), 0], batch_index=0, length=1) for at in range(1, nodes)
    }
    graph["save"] = node("PreviewImage", images=[str(nodes - 1), 0])
    if runs:
        assert run(graph, engines, tmp_path, models={})
    else:
        with pytest.raises(RequestError, match="chains of up to 200"):
            run(graph, engines, tmp_path, models={})


def test_the_cache_keeps_to_its_size_and_what_is_in_use(tmp_path):
    made = []

    def make(path):
        made.append(path)
        path.write_bytes(b"0" * 1000)

    with NodeCache(tmp_path, max_bytes=2500) as cache:
        for key in ("aa1", "bb2", "cc3", "dd4"):
            assert cache.get(key, ".npy", make).stat().st_size == 1000
        assert cache.usage() == (4, 4000), "results in use are not removed"
        with NodeCache(tmp_path, max_bytes=0) as other:
            assert other.clear() == (0, 0)
    assert NodeCache(tmp_path).usage() == (2, 2000)
    with NodeCache(tmp_path, max_bytes=2500) as cache:
        assert cache.find("aa1", ".npy") is None and cache.find("dd4", ".npy") is not None
        with pytest.raises(MediaError, match=r"cannot be written .no room"):
            cache.get("ee5", ".npy", lambda path: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no room")))
    assert sorted(path.name for path in tmp_path.glob("??/*")) == ["cc3.npy", "dd4.npy"]


TWO = """
import json, sys, time
from pathlib import Path
from kinema.workflow.run.cache import NodeCache
folder = Path(sys.argv[1])
def make(path):
    with (folder / "made").open("a") as file:
        file.write("x")
    time.sleep(0.3)
    path.write_bytes(b"1")
print("ready", flush=True)
sys.stdin.readline()
with NodeCache(folder / "cache") as cache:
    cache.get("a" * 64, ".npy", make)
"""


def test_two_processes_at_once_compute_a_result_once(tmp_path):
    running = [
        subprocess.Popen([sys.executable, "-c", TWO, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         text=True)
        for _ in range(3)
    ]  # fmt: skip
    for each in running:
        assert each.stdout.readline() == "ready\n"
    for each in running:
        each.communicate("go\n", timeout=60)
    assert [each.returncode for each in running] == [0, 0, 0]
    assert (tmp_path / "made").read_text() == "x"
