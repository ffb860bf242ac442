"""Hostile workflow files: refused with a reason, in bounded time and memory."""

from __future__ import annotations

import copy
import json
import random
import struct
import time
import tracemalloc
import zlib

import pytest
from comfyui_templates import golden_cases, node, page, subgraph
from PIL import Image

from kinema.core.errors import KinemaError, MediaError, RequestError
from kinema.workflow.draw_svg import svg
from kinema.workflow.draw_text import lines
from kinema.workflow.findings import examine
from kinema.workflow.formats.api import parse_api
from kinema.workflow.formats.convert import to_prompt
from kinema.workflow.formats.read import parse_workflow, read_workflow
from kinema.workflow.formats.texts import chosen
from kinema.workflow.run.execute import planned_workflow
from kinema.workflow.run.folders import FolderInputs


def converted(value):
    return to_prompt(parse_workflow(json.dumps(value), "test"))


def chain(count):
    """Patches one after the other, the last one first in the file."""
    nodes = [
        node(key, "ModelSamplingSD3", inputs=[("model", "MODEL", key - 1 or None)], outputs=[("MODEL", "MODEL")])
        for key in range(count, 0, -1)
    ]
    return page(nodes, [[key, key, 0, key + 1, 0, "MODEL"] for key in range(1, count)])


def test_cycles_of_nodes_are_named():
    nodes = [
        node(key, "ModelSamplingSD3", inputs=[("model", "MODEL", link)], outputs=[("MODEL", "MODEL")])
        for key, link in ((1, 2), (2, 1), (3, 3))
    ]
    links = [[1, 1, 0, 2, 0, "MODEL"], [2, 2, 0, 1, 0, "MODEL"], [3, 2, 0, 3, 0, "MODEL"]]
    with pytest.raises(RequestError, match=r"a cycle of nodes: (1 -> 2|2 -> 1)\."):
        converted(page(nodes, links))
    prompt = {"a": {"class_type": "A", "inputs": {"x": ["a", 0]}}}
    with pytest.raises(RequestError, match="a cycle of nodes: a"):
        parse_workflow(json.dumps(prompt), "test")


@pytest.mark.parametrize("kind", ["Reroute", "ModelSamplingSD3"])
def test_cycles_of_nodes_that_pass_on_are_refused(kind):
    """Reroutes, or bypassed nodes, that lead to each other."""
    mode = 0 if kind == "Reroute" else 4
    nodes = [
        node(key, kind, inputs=[("model", "MODEL", link)], outputs=[("MODEL", "MODEL")], mode=mode)
        for key, link in ((1, 2), (2, 1))
    ]
    user = node(3, "KSampler", inputs=[("model", "MODEL", 3)])
    links = [[1, 1, 0, 2, 0, "MODEL"], [2, 2, 0, 1, 0, "MODEL"], [3, 2, 0, 3, 0, "MODEL"]]
    with pytest.raises(RequestError, match="A cycle of links through node"):
        converted(page([*nodes, user], links))


def test_a_subgraph_that_contains_itself_is_refused():
    one = subgraph("one", [node(1, "two")], [], [], [])
    two = subgraph("two", [node(1, "one")], [], [], [])
    with pytest.raises(RequestError, match="'one' contains itself"):
        converted(page([node(5, "one")], [], [one, two]))


def test_subgraphs_that_double_at_each_level_are_refused():
    levels = [subgraph(f"g{n}", [node(k, f"g{n + 1}") for k in range(2)], [], [], []) for n in range(30)]
    last = subgraph("g30", [node(1, "VAELoader")], [], [], [])
    with pytest.raises(RequestError, match=r"expand to too much.*20,000 nodes, nested at most 32 deep"):
        converted(page([node(1, "g0")], [], [*levels, last]))
    deep = [subgraph(f"g{n}", [node(1, f"g{n + 1}")], [], [], []) for n in range(40)]
    with pytest.raises(RequestError, match="expand to too much"):
        converted(page([node(1, "g0")], [], deep))


def many_hosts(inner, count=5000):
    """A page whose nodes all expand to the same inner node."""
    box = subgraph("box", [inner], [], [], [])
    return page([node(key, "box") for key in range(count)], [], [box])


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (node(1, "A", inputs=[(f"i{key}", "X", None) for key in range(900)]), r"expand to too much|inputs"),
        (node(1, "A", widgets_values_named={f"n{key}": 0 for key in range(900)}), r"too many inputs.*100,000"),
        (node(1, "CLIPTextEncode", values=["{a|b}" * 10_000]), r"prompts are too long.*1,000,000"),
        (node(1, "SaveWEBM", values=["%a.b%" * 300]), r"A file name of 1,500 characters.*1,000"),
    ],
    ids=["sockets", "values", "prompts", "names"],
)
def test_what_subgraphs_multiply_is_bounded(inner, message):
    begin = time.process_time()
    with pytest.raises(RequestError, match=message):
        converted(many_hosts(inner))
    assert time.process_time() - begin < 4


def test_a_long_chain_of_reroutes_is_refused():
    links = [[key, key, 0, key + 1, 0, "*"] for key in range(1, 200)]
    reroutes = [node(key, "Reroute", inputs=[("", "*", key - 1)], outputs=[("", "*")]) for key in range(2, 200)]
    user = node(200, "KSampler", inputs=[("model", "MODEL", 199)])
    with pytest.raises(RequestError, match=r"node 200 passes through more than 100 nodes"):
        converted(page([node(1, "UNETLoader", outputs=[("MODEL", "MODEL")]), *reroutes, user], links))


ODD = (
    None, 0, -1, 4, True, "", [], {}, [1], [None], {"a": 1}, 1e308, 10**30, "-10", "-20", ["1", 0], "Reroute",
    "PrimitiveNode", "\x00\x1b", "KSampler", "ComfyMathExpression", "ComfySwitchNode", "{" * 50,
)  # fmt: skip


def spots(value):
    """Every (container, key) in a JSON value."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from spots(value[key])


def test_damaged_templates_are_read_or_refused_but_never_break(real_data):
    """Sixty pages and prompts with parts replaced by odd ones."""
    rng = random.Random(4)
    cases = golden_cases(real_data)
    texts = [cases["video_wan2_2_14B_i2v"][0].read_text("utf-8"), cases["wan2.1_fun_inp"][0].read_text("utf-8"),
             json.dumps(cases["video_wan_vace_flf2v"][1])]  # fmt: skip
    read = 0
    for _ in range(60):
        value = json.loads(rng.choice(texts))
        places = list(spots(value))
        for container, key in rng.sample(places, rng.choice((1, 3, 10))):
            container[key] = rng.choice(ODD)
        try:
            found = examine(parse_workflow(json.dumps(value), "test"))
            svg(found)
            json.dumps([found.to_dict(), lines(found)])
            read += 1
        except KinemaError:
            pass
    assert 10 < read < 55


def test_damaged_prompts_are_planned_or_refused_but_never_break(real_data, tmp_path):
    """Each input of prompts with pictures, masks, guides and samplers is removed, linked elsewhere or given an odd
    value. What is refused is refused before anything is loaded."""
    rng = random.Random(5)
    whole = copy.deepcopy(golden_cases(real_data)["video_wan_vace_flf2v"][1])
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    for each in whole.values():
        if each["class_type"] == "LoadImage":
            each["inputs"]["image"] = "a.png"
    odd = (*ODD, float("nan"), 0.5, {"__value__": [1]}, "../../x")
    planned = 0
    for _ in range(50):
        prompt = json.loads(json.dumps(whole))
        inputs = rng.choice([each["inputs"] for each in prompt.values() if each["inputs"]])
        name = rng.choice(list(inputs))
        inputs[name] = rng.choice([*odd, *([rng.choice(list(prompt)), rng.choice((-1, 0, 1, 9))] for _ in range(12))])
        if rng.random() < 0.2:
            del inputs[name]
        try:
            work = examine(parse_api(prompt, "test"))
            models = {each.name: "none" if each.folder == "loras" else "kinema-mini-wan" for each in work.models
                      if not each.part}  # fmt: skip
            planned_workflow(work, models=models, inputs=FolderInputs(tmp_path))
            planned += 1
        except KinemaError:
            pass
    assert 5 < planned < 45


@pytest.mark.parametrize("form", ["page", "prompt"])
def test_too_many_nodes_are_refused(form):
    if form == "page":
        value = {"nodes": [{"id": key, "type": "A"} for key in range(100_000)], "links": []}
    else:
        value = {str(key): {"class_type": "A"} for key in range(100_000)}
    with pytest.raises(RequestError, match=r"(100,000 nodes.*10,000 nodes|more than 1,000,000 values)"):
        converted(value)


def test_a_long_chain_takes_seconds_at_most_and_no_recursion():
    begin = time.process_time()
    found = examine(parse_workflow(json.dumps(chain(3000)), "test"))
    assert (len(found.prompt), len(found.nodes)) == (3000, 3000)
    with pytest.raises(RequestError, match="3,000 nodes run; too many to draw"):
        svg(found)
    assert time.process_time() - begin < 6


def test_a_drawing_of_a_thousand_nodes_is_bounded():
    begin = time.process_time()
    assert svg(examine(parse_workflow(json.dumps(chain(1000)), "test"))).count("<rect") == 1000 + 4
    assert time.process_time() - begin < 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": [1]}, "node 0: expected an object, got a whole number"),
        ({"nodes": [{"type": "A"}]}, "node 0: id: expected"),
        ({"nodes": [{"id": True, "type": "A"}]}, "id: expected"),
        ({"nodes": [{"id": 1, "type": ["A"]}]}, "type: expected text, got a list"),
        ({"nodes": [{"id": 1, "type": "A"}, {"id": "1", "type": "B"}]}, "two nodes have the id 1"),
        ({"nodes": [{"id": 1, "type": "A", "inputs": {"a": 1}}]}, "inputs: expected a list"),
        ({"nodes": [{"id": 1, "type": "A", "inputs": [{"name": 3}]}]}, "name: expected text"),
        ({"nodes": [{"id": 1, "type": "A", "inputs": [{"name": "x", "link": []}]}]}, "link: expected"),
        ({"nodes": [{"id": 1, "type": "A", "widgets_values": "x"}]}, "widgets_values: expected a list or an object"),
        ({"nodes": [{"id": 1, "type": "A", "inputs": [{"name": "x"}] * 1001}]}, "1,001.*at most 1,000"),
        ({"nodes": [{"id": 1, "type": "A", "mode": "x"}]}, "mode: expected a whole number"),
        ({"nodes": [], "links": "x"}, "links: expected a list"),
        ({"nodes": [], "links": [[1, 2]]}, "link 0: expected an object, got a list"),
        ({"nodes": [], "links": [[1, 2, "a", 3, 0, "X"]]}, "link 0: slot: expected a whole number"),
        ({"nodes": [], "definitions": {"subgraphs": {}}, "x": 1}, None),
        ({"nodes": [], "definitions": {"subgraphs": [3]}}, "subgraph 0: expected an object"),
        ({"nodes": [], "definitions": {"subgraphs": [{"id": "a", "nodes": []}] * 2}}, "defined twice"),
        ({"1": {"class_type": 3}}, "class_type: expected text"),
        ({"1": {"class_type": "A", "inputs": []}}, "inputs: expected an object"),
        ({"1": {"class_type": "A", "inputs": {"x": ["9", 0]}}}, "linked to node 9, which the prompt does not contain"),
    ],
)
def test_wrong_types_are_named(change, message):
    if message is None:
        assert converted(change) == {}
        return
    with pytest.raises(RequestError, match=message):
        converted(change)


def test_strange_but_legal_parts_are_no_obstacle():
    """Positions of any kind, links to nowhere, slots that no node has, control characters in names."""
    nodes = [
        {"id": 1, "type": "Reroute", "pos": "x", "size": None, "inputs": [], "outputs": []},
        {"id": 2, "type": "PrimitiveNode", "widgets_values": []},
        node(3, "KSampler", inputs=[("model", "MODEL", 1), ("steps", "INT", 2, "steps"), ("cfg", "FLOAT", 77, "cfg"),
                                    ("positive", "X", 3)], title="\x1b[31m<b>&"),
        node(4, "LoraLoader", mode=4),
    ]  # fmt: skip
    links = [[1, 1, 0, 3, 0, "*"], [2, 2, 0, 3, 1, "INT"], [3, 4, 99, 3, 3, "X"], None]
    found = examine(parse_workflow(json.dumps(page(nodes, links)), "test"))
    assert found.running["3"]["inputs"] == {"seed": 0, "steps": 20, "cfg": 8.0, "sampler_name": "euler",
                                            "scheduler": "simple", "denoise": 1.0}  # fmt: skip
    drawn = svg(found)
    assert "\x1b" not in drawn and "<b>" not in drawn and "&lt;b&gt;&amp;" in drawn


def test_deep_nesting_is_refused():
    for text in ("[" * 100_000, '{"nodes": [], "extra": ' + "[" * 200 + "]" * 200 + "}"):
        with pytest.raises(RequestError, match=r"nested more than 64|expected an object"):
            parse_workflow(text, "test")


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_text_that_inflates_to_gigabytes_is_refused_in_little_memory(tmp_path, kind):
    """A megabyte that inflates to one gigabyte of blanks: the same block a thousand times."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(b" " * 2**20) + squeeze.flush(zlib.Z_FULL_FLUSH)
    packed = b"\x78\xda" + block * 1024
    head = b"workflow\0\0" if kind == b"zTXt" else b"workflow\0\1\0\0\0"
    body = head + packed
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 13, b"IHDR") + bytes(17)
    (tmp_path / "a.png").write_bytes(start + struct.pack(">I", len(body)) + kind + body + bytes(4))
    tracemalloc.start()
    try:
        with pytest.raises(MediaError, match=r"larger than the limit of 16,777,216 bytes"):
            read_workflow(tmp_path / "a.png")
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 2**32 - 1, b"tEXt") + b"workflow\0{}",
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 5000, b"tEXt") + b"workflow\0{}",
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 12, b"zTXt") + b"workflow\0\0xx" + bytes(4),
        b"RIFF\0\0\0\0WEBPEXIF" + struct.pack("<I", 2**32 - 1) + b"II*\0",
        b"RIFF\0\0\0\0WEBPEXIF" + struct.pack("<I", 10) + b"II*\0" + struct.pack("<I", 2**31) + b"xx",
        b"\x1a\x45\xdf\xa3" + bytes(40), b"ID3" + bytes(40), b"\0\0\0\x18ftypmp42" + bytes(40),
    ],
)  # fmt: skip
def test_damaged_carriers_are_refused(tmp_path, data):
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(KinemaError, match=r"a\.bin"):
        read_workflow(tmp_path / "a.bin")


def test_exif_tags_that_overlap_are_bounded(tmp_path):
    """Sixty thousand tags that all name the same megabyte."""
    text = b"x" * 2**20
    table = b"".join(struct.pack("<HHII", 0x110, 2, len(text), 10 + 12 * 60_000) for _ in range(60_000))
    body = b"II*\0" + struct.pack("<IH", 8, 60_000) + table + text
    (tmp_path / "a.webp").write_bytes(b"RIFF\0\0\0\0WEBPEXIF" + struct.pack("<I", len(body)) + body)
    begin = time.process_time()
    with pytest.raises(MediaError, match="larger than the limit"):
        read_workflow(tmp_path / "a.webp")
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(
    "text", ["{" * 90 + "|" * 90_000, "/*" * 50_000, "//\n" * 33_000, "{a|b}" * 20_000, "\\{" * 50_000]
)
def test_long_prompts_take_linear_time(text):
    begin = time.process_time()
    chosen(text, random.Random(0))
    assert time.process_time() - begin < 1


def test_huge_prompts_are_refused():
    with pytest.raises(RequestError, match=r"100,001 characters.*100,000"):
        chosen("a" * 100_001, random.Random(0))
    with pytest.raises(RequestError, match="nested over 100 deep"):
        chosen("{" * 101, random.Random(0))
