"""Nodes that write: the files, measured with other readers, and the graph that they carry."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from picture_streams import Folder, masks, noise, pictures, read, run
from PIL import Image

from kinema.core.errors import Cancelled, RequestError
from kinema.media.read import probe, read_audio, read_video
from kinema.workflow.formats.read import carried_texts, read_workflow
from kinema.workflow.run.prefix import filled
from kinema.workflow.run.saving_nodes import SAVED
from kinema.workflow.run.values import Sound, Video

PROMPT = {"7": {"class_type": "LoadImage", "inputs": {"image": "caf\u00e9 \u6b4c \U0001f98a.png"}}}
PAGE = {
    "nodes": [{"id": 7, "type": "LoadImage", "inputs": [], "outputs": [], "widgets_values": ["caf\u00e9.png"]}],
    "links": [], "version": 0.4,
}  # fmt: skip
CARRY = {"prompt": PROMPT, "workflow": PAGE}
MOVING = np.stack([np.roll(noise(8, 8, 3), k, axis=0).repeat(8, 0).repeat(8, 1) for k in range(12)])


def save(kind, folder, *, carry=None, **inputs):
    return SAVED[kind]("9", {name.replace("__", "."): value for name, value in inputs.items()}, Folder(folder),
                       carry=carry)  # fmt: skip


def clip(fps=16.0, sound_s=None, **more):
    sound = None
    if sound_s is not None:
        samples_SC = np.sin(np.arange(round(44100 * sound_s)) / 20)[:, None].repeat(2, 1).astype(np.float32) * 0.5
        sound = Sound(44100, lambda: samples_SC)
    return Video(pictures(MOVING, size=5), fps, sound, **more)


def test_frames_are_truncated_not_rounded(tmp_path):
    values = np.array([0.0, 0.9999, 1.0, 0.5, 0.00391, 0.00393]).reshape(1, 2, 3, 1).repeat(3, -1)
    (written,) = save("SaveImage", tmp_path, images=pictures(values))
    assert np.asarray(Image.open(written.path))[..., 0].ravel().tolist() == [0, 254, 255, 127, 0, 1]
    (written,) = save("SaveAnimatedWEBP", tmp_path, images=pictures(values))
    assert np.asarray(Image.open(written.path))[..., 0].ravel().tolist() == [0, 254, 255, 127, 0, 1]


def test_save_video_writes_h264_at_the_exact_rate_with_sound_cut_to_length(tmp_path):
    (written,) = save("SaveVideo", tmp_path, video=clip(fps=23.9764, sound_s=3), carry=CARRY)
    assert written.path == tmp_path / "output/video/ComfyUI_00001_.mp4" and written.kind == "output"
    assert written.facts == {"frames": 12, "width": 64, "height": 64, "fps": 23.976}
    with av.open(str(written.path)) as file:
        video, sound = file.streams.video[0], file.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt, video.average_rate) == (
            "h264", "yuv420p", Fraction(23976, 1000),
        )  # fmt: skip
        assert sound.codec_context.name == "aac"
        frames = [frame.to_ndarray(format="rgb24", src_colorspace="ITU709") for frame in file.decode(video)]
    assert b"crf=23.0" in written.path.read_bytes() and len(frames) == 12
    assert np.abs(np.stack(frames) / 255 - MOVING).mean() < 0.05
    assert abs(len(read_audio(written.path)) / 48000 - 12 / 23.976) < 1024 / 48000, "a packet of AAC"


def test_sound_that_is_too_short_is_not_extended(tmp_path):
    (written,) = save("SaveVideo", tmp_path, video=clip(sound_s=0.3))
    assert 0.29 < len(read_audio(written.path)) / 48000 < 0.35


@pytest.mark.parametrize(
    ("inputs", "made", "suffix", "codec", "pixels"),
    [
        ({"codec": "av1"}, {}, ".webm", "libdav1d", "yuv420p"),
        ({"format__codec": "av1", "format": "mp4", "codec": "auto"}, {}, ".mp4", "libdav1d", "yuv420p"),
        ({"format": "webm"}, {"bit_depth": "10"}, ".webm", "libdav1d", "yuv420p10le"),
        ({}, {"codec": "av1"}, ".webm", "libdav1d", "yuv420p"),
        ({"format": "mp4", "codec": "h264"}, {"codec": "av1", "bit_depth": "10"}, ".mp4", "h264", "yuv420p10le"),
    ],
)
def test_formats_codecs_and_bits(tmp_path, inputs, made, suffix, codec, pixels):
    (written,) = save("SaveVideo", tmp_path, video=clip(**made), carry=CARRY, **inputs)
    assert written.path.suffix == suffix
    with av.open(str(written.path)) as file:
        context = file.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == (codec, pixels)
    frames_FHWC, fps = read_video(written.path)
    assert fps == 16 and np.abs(frames_FHWC / 255 - MOVING).mean() < 0.05
    assert read_workflow(written.path).graph.nodes.keys() == {"7"}


def test_what_a_container_cannot_hold_is_refused(tmp_path):
    with pytest.raises(RequestError, match="h264 in webm"):
        save("SaveVideo", tmp_path, video=clip(), format="webm", format__codec="h264")
    with pytest.raises(RequestError, match=r"crf = 64"):
        save("SaveWEBM", tmp_path, images=pictures(MOVING), crf=64)
    with pytest.raises(RequestError, match="frames per second"):
        save("SaveWEBM", tmp_path, images=pictures(MOVING), fps=0.01)
    with pytest.raises(RequestError, match="method = 'x'"):
        save("SaveAnimatedWEBP", tmp_path, images=pictures(MOVING), method="x")
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize(("codec", "pixels"), [("vp9", "yuv420p"), ("av1", "yuv420p10le")])
def test_save_webm(tmp_path, codec, pixels):
    sizes = {}
    for crf in (10, 60):
        (written,) = save("SaveWEBM", tmp_path, images=pictures(MOVING), codec=codec, fps=12.5, crf=crf, carry=CARRY)
        with av.open(str(written.path)) as file:
            video = file.streams.video[0]
            assert (video.codec_context.pix_fmt, video.average_rate) == (pixels, Fraction(25, 2))
        sizes[crf] = written.path.stat().st_size
    assert sizes[60] < 0.8 * sizes[10]
    found = written.path.read_bytes()
    assert found.find(b"WORKFLOW") < 2**21 and carried_texts(written.path)["prompt"] == json.dumps(PROMPT)


def test_save_animated_webp_keeps_every_frame_its_time_and_its_alpha(tmp_path):
    (rgba,) = run("JoinImageWithAlpha", image=pictures(MOVING), alpha=masks(noise(1, 64, 64).round(1) * 0.5))
    (written,) = save("SaveAnimatedWEBP", tmp_path, images=rgba, fps=15, carry=CARRY)
    image = Image.open(written.path)
    assert image.n_frames == 12 and written.facts["fps"] == pytest.approx(1000 / 66)
    wanted = np.floor(read(rgba).astype(np.float64) * 255 + 1e-5)
    for k in range(12):
        image.seek(k)
        image.load()
        assert image.info["duration"] == 66, "int(1000 / 15)"
        assert np.abs(np.asarray(image.convert("RGBA")) - wanted[k]).max() == 0
    tags = image.getexif()
    assert tags[0x0110] == "prompt:" + json.dumps(PROMPT) and tags[0x010F] == "workflow:" + json.dumps(PAGE)
    assert probe(written.path).num_frames == 12
    small, large = (
        save("SaveAnimatedWEBP", tmp_path, images=pictures(MOVING), lossless=False, quality=quality, method="fastest")[
            0
        ].path
        for quality in (5, 90)
    )
    assert small.stat().st_size < 0.7 * large.stat().st_size


def test_pictures_are_written_one_by_one_with_texts_that_any_reader_sees(tmp_path):
    colors = noise(3, 6, 5, 4)
    written = save("SaveImage", tmp_path, images=pictures(colors), filename_prefix="a/%width%_%batch_num%", carry=CARRY)
    assert [each.path.relative_to(tmp_path / "output").as_posix() for each in written] == [
        "a/5_0_00001_.png", "a/5_1_00001_.png", "a/5_2_00001_.png",
    ]  # fmt: skip
    for each, frame in zip(written, colors):
        image = Image.open(each.path)
        assert np.array_equal(np.asarray(image), (frame * 255).round()) and image.mode == "RGBA"
        assert json.loads(image.text["workflow"]) == PAGE and json.loads(image.text["prompt"]) == PROMPT
    assert b"iTXt" not in written[0].path.read_bytes() and b"zTXt" not in written[0].path.read_bytes()
    (found,) = read_workflow(written[0].path).graph.nodes.values()
    assert found.type == "LoadImage"


def test_previews_are_temporary(tmp_path):
    written = save("PreviewImage", tmp_path, images=pictures(noise(2, 4, 4, 3)))
    written += save("MaskPreview", tmp_path, mask=masks(noise(1, 4, 4)))
    assert [each.kind for each in written] == ["temp"] * 3 and len({each.path for each in written}) == 3
    assert np.asarray(Image.open(written[2].path))[..., 1].tolist() == (noise(1, 4, 4)[0] * 255).round().tolist()


@pytest.mark.parametrize("kind", ["SaveVideo", "SaveWEBM", "SaveAnimatedWEBP", "SaveImage"])
def test_a_file_without_a_graph_carries_none(tmp_path, kind):
    given = {"video": clip()} if kind == "SaveVideo" else {"images": pictures(MOVING[:2])}
    assert carried_texts(save(kind, tmp_path, **given)[0].path) == {}


def test_a_run_that_is_cancelled_leaves_nothing(tmp_path):
    seen = []

    def stop(event):
        seen.append((event.done, event.total))
        if event.done == 3:
            raise Cancelled("enough")

    for kind, inputs in (("SaveVideo", {"video": clip()}), ("SaveImage", {"images": pictures(MOVING)})):
        with pytest.raises(Cancelled):
            SAVED[kind]("9", inputs, Folder(tmp_path / kind), on_event=stop)
    assert seen == [(1, 12), (2, 12), (3, 12)] * 2
    assert not list((tmp_path / "SaveVideo").rglob("*.*")) and len(list((tmp_path / "SaveImage").rglob("*.*"))) == 3


def test_pictures_with_alpha_become_a_clip_without(tmp_path):
    (written,) = save("SaveVideo", tmp_path, video=replace(clip(), pictures=pictures(noise(2, 16, 16, 4))))
    assert probe(written.path).num_frames == 2


def test_the_parts_of_a_prefix():
    now = time.struct_time((2026, 3, 4, 5, 6, 7, 0, 0, 0))
    for prefix, wanted in (
        ("video/ComfyUI", "video/ComfyUI"),
        ("%year%-%month%-%day%/%hour%%minute%%second%", "2026-03-04/050607"),
        ("%width%x%height% %depth% 50%", "640x480 %depth% 50%"),
        ("a/../b/./c", "b/c"),
        ("a\\b", "a/b"),
        ("\u6b4c", "\u6b4c"),
    ):
        assert filled(prefix, 640, 480, now) == wanted
    for prefix in (
        "../x",
        "a/../../x",
        "/etc/x",
        "\\\\server\\x",
        "C:\\x",
        "",
        "a/",
        ".",
        "a\0b",
        "a\nb",
        "x" * 201,
        "\u6b4c" * 70,
    ):
        with pytest.raises(RequestError, match=r"filename_prefix.*Legal"):
            filled(prefix, 640, 480, now)
