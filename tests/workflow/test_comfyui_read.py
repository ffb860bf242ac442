"""Workflows are found in every kind of file that ComfyUI saves, written here by Pillow and FFmpeg as ComfyUI does."""

from __future__ import annotations

import json
import struct
import zlib
from fractions import Fraction

import av
import numpy as np
import pytest
from comfyui_templates import node, page
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kinema.core.errors import MediaError, RequestError
from kinema.workflow.formats.read import parse_workflow, read_workflow

PAGE = page([node(1, "UNETLoader", values=["a é.safetensors", "default"])], [])
PROMPT = {"7": {"class_type": "VAELoader", "inputs": {"vae_name": "v"}}}
BOTH = {"workflow": json.dumps(PAGE), "prompt": json.dumps(PROMPT)}


def ids(path):
    return list(read_workflow(path).graph.nodes)


def png(path, chunks):
    """A PNG file with further chunks, (type, data), before its pixels."""
    Image.new("RGB", (4, 4)).save(path)
    data = path.read_bytes()
    made = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path.write_bytes(data[:33] + made + data[33:])
    return path


def test_png_texts_of_pillow(tmp_path):
    info = PngInfo()
    for key, value in BOTH.items():
        info.add_text(key, value)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", pnginfo=info)
    assert ids(tmp_path / "a.png") == ["1"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"tEXt", b"workflow\0" + BOTH["workflow"].encode()),
        (b"zTXt", b"workflow\0\0" + zlib.compress(BOTH["workflow"].encode())),
        (b"iTXt", b"workflow\0\0\0en\0word\0" + json.dumps(PAGE, ensure_ascii=False).encode()),
        (b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(BOTH["workflow"].encode())),
        (b"comf", b"workflow\0" + BOTH["workflow"].encode()),
    ],
)
def test_each_kind_of_text_chunk(tmp_path, kind, body):
    found = read_workflow(png(tmp_path / "a.png", [(b"tEXt", b"Software\0x"), (kind, body)]))
    assert found.graph.nodes["1"].widgets == ["a é.safetensors", "default"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_webp_exif(tmp_path, order):
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F], exif[0x0110] = "workflow:" + BOTH["workflow"], "prompt:" + BOTH["prompt"]
    Image.new("RGB", (4, 4)).save(tmp_path / "a.webp", exif=exif)
    assert ids(tmp_path / "a.webp") == ["1"]


def test_a_prompt_alone_is_enough(tmp_path):
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + BOTH["prompt"]
    Image.new("RGB", (4, 4)).save(tmp_path / "a.webp", exif=exif)
    assert ids(tmp_path / "a.webp") == ["7"]
    assert ids(png(tmp_path / "a.png", [(b"tEXt", b"prompt\0" + BOTH["prompt"].encode())])) == ["7"]


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.webm"])
def test_clips(tmp_path, name):
    options = {"movflags": "use_metadata_tags"} if not name.endswith("webm") else {}
    with av.open(str(tmp_path / name), "w", options=options) as container:
        container.metadata.update(BOTH)
        stream = container.add_stream("libvpx-vp9" if name.endswith("webm") else "libx264", 8)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), "uint8"))))
        container.mux(stream.encode())
    assert ids(tmp_path / name) == ["1"]


@pytest.mark.parametrize(("name", "codec"), [("a.flac", "flac"), ("a.opus", "libopus"), ("a.mp3", "libmp3lame")])
def test_sounds(tmp_path, name, codec):
    with av.open(str(tmp_path / name), "w") as container:
        container.metadata.update(BOTH)
        stream = container.add_stream(codec, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), "float32"), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), 0
        resampler = av.AudioResampler(stream.format, "mono", 48000, frame_size=stream.frame_size or None)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode())
    assert ids(tmp_path / name) == ["1"]


def test_svg_and_json(tmp_path):
    both = json.dumps({"workflow": PAGE, "prompt": PROMPT})
    svg = f"<?xml version='1.0'?>\n<svg><metadata><![CDATA[{both}]]></metadata></svg>"
    (tmp_path / "a.svg").write_text(svg)
    (tmp_path / "a.json").write_text(BOTH["workflow"])
    (tmp_path / "mark.json").write_text("\ufeff " + BOTH["workflow"], encoding="utf-8")
    body = {"prompt": PROMPT, "extra_data": {"extra_pnginfo": {"workflow": PAGE}}}
    (tmp_path / "body.json").write_text(json.dumps(body))
    assert [ids(tmp_path / name) for name in ("a.svg", "a.json", "mark.json", "body.json")] == [["1"]] * 3 + [["7"]]


def test_nan_in_prompts_becomes_null_but_not_in_texts():
    text = '{"1": {"class_type": "A", "inputs": {"b": NaN, "c": "a NaN \\" NaN"}, "is_changed": [NaN]}}'
    assert parse_workflow(text, "test").prompt["1"]["inputs"] == {"b": None, "c": 'a NaN " NaN'}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b"", "the file is empty"),
        ("a.json", b"{", "not valid JSON"),
        ("a.json", b"{}", "JSON, but not a workflow"),
        ("a.json", b"[1]", "expected an object, got a list"),
        ("a.json", b'{"nodes": 3}', "JSON, but not a workflow"),
        ("a.json", b'{"a": "\xff"}', "not UTF-8"),
        ("a.svg", b"<svg></svg>", "carries no workflow"),
        ("a.gif", b"GIF89a" + bytes(30), "carries no workflow"),
        ("a.jpg", b"\xff\xd8\xff" + bytes(30), "carries no workflow"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "carries no workflow"),
        ("a.txt", b"hello", "a.txt"),
    ],
)
def test_files_without_a_workflow_are_refused_by_name(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises((MediaError, RequestError), match=message) as found:
        read_workflow(tmp_path / name)
    assert name in str(found.value)


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(MediaError, match="a folder"):
        read_workflow(tmp_path)
    with pytest.raises(MediaError, match="no such file"):
        read_workflow(tmp_path / "none.json")
