"""Saved pages become exactly the API prompts that ComfyUI's page sends."""

from __future__ import annotations

import json
import random
from datetime import datetime

import pytest
from comfyui_templates import as_objects, golden_cases, node, page, subgraph

from kinema.core.errors import RequestError
from kinema.workflow.formats.convert import converted, to_prompt
from kinema.workflow.formats.read import parse_workflow
from kinema.workflow.formats.texts import chosen


def inputs_of(value, key="2", **options):
    return to_prompt(parse_workflow(json.dumps(value), "test"), **options)[key]["inputs"]


def test_prompts_equal_those_of_comfyuis_page(real_data):
    cases = golden_cases(real_data)
    wrong = [
        name for name, (file, prompt) in cases.items()
        if to_prompt(parse_workflow(file.read_text("utf-8"), name)) != prompt
    ]  # fmt: skip
    assert (len(cases), wrong) == (28, [])


def test_format_1_gives_the_same_prompts(real_data):
    """The same pages, their links as objects and their ids as text."""
    for name in ("video_wan_vace_inpainting", "wan2.1_fun_control", "text_to_video_wan"):
        file, prompt = golden_cases(real_data)[name]
        value = json.loads(file.read_text("utf-8"))
        value |= {"version": 1, "links": as_objects(value["links"]), "state": {"lastNodeId": 1}}
        assert to_prompt(parse_workflow(json.dumps(value), name)) == prompt


def test_a_prompt_is_its_own_conversion(real_data):
    _, prompt = golden_cases(real_data)["video_wan2_2_14B_i2v"]
    assert to_prompt(parse_workflow(json.dumps(prompt), "test")) == prompt
    assert to_prompt(parse_workflow(json.dumps({"prompt": prompt, "client_id": "x"}), "test")) == prompt


def test_bodies_that_the_page_posted_hold_the_page_and_its_prompt(real_data):
    """Seven bodies of POST /prompt: the page as it was saved in them becomes the prompt beside it."""
    golden_cases(real_data)
    files = sorted((real_data / "workflows" / "prompts").glob("*.json"))
    bodies = [json.loads(file.read_text("utf-8")) for file in files]
    assert len(bodies) == 7
    for body in bodies:
        saved = body["extra_data"]["extra_pnginfo"]["workflow"]
        assert to_prompt(parse_workflow(json.dumps(saved), "test")) == body["prompt"]


def test_a_node_of_a_prompt_may_have_no_inputs():
    assert to_prompt(parse_workflow('{"1": {"class_type": "A"}}', "test")) == {"1": {"class_type": "A", "inputs": {}}}


SAMPLER = [("model", "MODEL", 1)]
LOADER = node(1, "UNETLoader", outputs=[("MODEL", "MODEL")], values=["a.safetensors", "default"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7, "randomize", 12, 2.5, "euler", "karras", 0.5], (7, 12, 2.5, "euler", "karras", 0.5)),
        ([7, 12, 2.5, "euler"], (7, 12, 2.5, "euler", "simple", 1.0)),  # no control; the rest are defaults
        ([], (0, 20, 8.0, "euler", "simple", 1.0)),
        ({"steps": 9, "seed": 3}, (3, 9, 8.0, "euler", "simple", 1.0)),
    ],
)
def test_values_are_stored_by_position(values, expected):
    found = inputs_of(page([LOADER, node(2, "KSampler", inputs=SAMPLER, values=values)], [[1, 1, 0, 2, 0, "MODEL"]]))
    names = ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")
    assert found == dict(zip(names, expected, strict=True)) | {"model": ["1", 0]}


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("SaveVideo", ["p", "auto", "h264"], {"filename_prefix": "p", "format": "auto", "format.codec": "h264",
                                              "format.codec.encoding": "auto", "codec": "auto"}),
        ("CreateVideo", [16], {"fps": 16, "bit_depth": "auto", "color_space": "sRGB", "codec": "none"}),
        ("LoadImage", ["a.png", "image"], {"image": "a.png"}),
        ("ResizeImageMaskNode", ["scale total pixels", 2, "lanczos"],
         {"resize_type": "scale total pixels", "resize_type.megapixels": 2, "scale_method": "lanczos"}),
        ("PrimitiveInt", [81, "fixed"], {"value": 81}),
        ("WanTrackToVideo", ["[]", 64, 32], {"tracks": "[]", "width": 64, "height": 32, "length": 81, "batch_size": 1,
                                             "temperature": 220.0, "topk": 2}),
        ("PrimitiveString", [[1, 2]], {"value": {"__value__": [1, 2]}}),  # a list is not taken for a link
    ],
)  # fmt: skip
def test_choices_with_inputs_of_their_own_and_defaults(kind, values, expected):
    assert inputs_of(page([node(2, kind, values=values)], [])) == expected


def test_a_link_replaces_the_widget_whose_value_keeps_its_position():
    seed = node(1, "PrimitiveInt", outputs=[("INT", "INT")], values=[5])
    sampler = node(2, "KSampler", inputs=[("steps", "INT", 1, "steps")], values=[7, "fixed", 20, 3.0])
    found = inputs_of(page([seed, sampler], [[1, 1, 0, 2, 99, "INT"]]))  # a stale slot: the input's link counts
    assert (found["steps"], found["cfg"]) == (["1", 0], 3.0)


def test_reroutes_and_primitives_are_passed_through():
    nodes = [
        LOADER,
        node(5, "Reroute", inputs=[("", "*", 1)], outputs=[("", "*")]),
        node(6, "Reroute", inputs=[("", "*", 2)], outputs=[("", "*")]),
        node(7, "PrimitiveNode", outputs=[("INT", "INT")], values=[33, "fixed"]),
        node(8, "Note", values=["hello"]),
        node(2, "KSampler", inputs=[("model", "MODEL", 3), ("steps", "INT", 4, "steps")]),
    ]
    links = [[1, 1, 0, 5, 0, "*"], [2, 5, 0, 6, 0, "*"], [3, 6, 0, 2, 0, "MODEL"], [4, 7, 0, 2, 1, "INT"]]
    prompt = to_prompt(parse_workflow(json.dumps(page(nodes, links)), "test"))
    assert set(prompt) == {"1", "2"}
    assert (prompt["2"]["inputs"]["model"], prompt["2"]["inputs"]["steps"]) == (["1", 0], 33)


@pytest.mark.parametrize(("mode", "expected"), [(0, ["3", 0]), (4, ["1", 0]), (2, None)])
def test_a_bypassed_node_passes_on_what_fits_and_a_muted_one_nothing(mode, expected):
    patch = node(3, "LoraLoader", inputs=[("clip", "CLIP", None), ("model", "MODEL", 1)],
                 outputs=[("MODEL", "MODEL"), ("CLIP", "CLIP")], values=["l", 1, 1], mode=mode)  # fmt: skip
    links = [[1, 1, 0, 3, 1, "MODEL"], [2, 3, 0, 2, 0, "MODEL"]]
    found = inputs_of(page([LOADER, patch, node(2, "KSampler", inputs=[("model", "MODEL", 2)])], links))
    assert found.get("model") == expected


def hosted(host, *, inner=20):
    """A sampler inside a subgraph, whose steps and seed the host exposes."""
    sampler = node(
        9, "KSampler", inputs=[("model", "MODEL", 1), ("steps", "INT", 2, "steps"), ("seed", "INT", 3, "seed")],
        values=[1, "fixed", inner],
    )  # fmt: skip
    links = [[1, -10, 0, 9, 0, "MODEL"], [2, -10, 1, 9, 1, "INT"], [3, -10, 2, 9, 2, "INT"]]
    definition = subgraph("box", [sampler], links, [("model", "MODEL"), ("steps", "INT"), ("seed", "INT")], [])
    return page([LOADER, host], [[1, 1, 0, 2, 0, "MODEL"]], [definition])


@pytest.mark.parametrize(
    ("values", "properties", "expected"),
    [
        ([], {}, (20, 1)),  # the inner widgets' own values
        ([30, 5], {}, (30, 5)),  # in the order of the definition's inputs that reach a widget
        ([30], {}, (30, 1)),
        ([5, 30], {"proxyWidgets": [["9", "seed"], ["9", "steps"]]}, (30, 5)),
        ([5, 30], {"proxyWidgets": [["-1", "seed"], ["9", "$$canvas-image-preview"]]}, (20, 5)),
        ([], {"proxyWidgetErrorQuarantine": [{"originalEntry": ["-1", "steps"], "hostValue": 44}]}, (44, 1)),
    ],
)
def test_hosts_supply_the_values_of_promoted_widgets(values, properties, expected):
    host = node(2, "box", inputs=[("model", "MODEL", 1)], values=values, properties=properties)
    found = inputs_of(hosted(host), "2:9")
    assert (found["steps"], found["seed"], found["model"]) == (*expected, ["1", 0])


def test_a_promoted_widget_of_a_subgraph_in_a_subgraph():
    """The outer host has no value of its own, so that of the inner one counts; with one, the outer wins."""
    sampler = node(9, "KSampler", inputs=[("steps", "INT", 2, "steps")], values=[1, "fixed", 20])
    small = subgraph("small", [sampler], [[2, -10, 0, 9, 0, "INT"]], [("steps", "INT")], [])
    inner = node(4, "small", inputs=[("steps", "INT", 7, "steps")], values=[30])
    large = subgraph("large", [inner], [[7, -10, 0, 4, 0, "INT"]], [("steps", "INT")], [])
    for values, expected in (([], 30), ([50], 50)):
        assert inputs_of(page([node(2, "large", values=values)], [], [small, large]), "2:4:9")["steps"] == expected


def test_a_subgraphs_output_leads_to_the_node_inside_or_straight_through():
    patch = node(9, "ModelSamplingSD3", inputs=[("model", "MODEL", 1)], outputs=[("MODEL", "MODEL")], values=[5])
    links = [[1, -10, 0, 9, 0, "MODEL"], [2, 9, 0, -20, 0, "MODEL"], [3, -10, 0, -20, 1, "MODEL"]]
    box = subgraph("box", [patch], links, [("model", "MODEL")], [("patched", "MODEL"), ("same", "MODEL")])
    host = node(3, "box", inputs=[("model", "MODEL", 1)], outputs=[("patched", "MODEL"), ("same", "MODEL")])
    for slot, expected in ((0, ["3:9", 0]), (1, ["1", 0])):
        nodes = [LOADER, host, node(2, "KSampler", inputs=[("model", "MODEL", 2)])]
        links = [[1, 1, 0, 3, 0, "MODEL"], [2, 3, slot, 2, 0, "MODEL"]]
        assert inputs_of(page(nodes, links, [box]))["model"] == expected


def test_unknown_nodes_keep_the_values_that_have_names_and_are_refused_all_at_once_without():
    named = node(2, "Strange", values=[1, "x"], widgets_values_named={"amount": 1, "word": "x"})
    by_input = node(3, "Stranger", inputs=[("seed", "INT", None, "seed"), ("word", "STRING", None, "word")],
                    values=[4, "randomize", "x", "image"])  # fmt: skip
    workflow = page([named, by_input], [])
    assert inputs_of(workflow) == {"amount": 1, "word": "x"}
    assert inputs_of(workflow, "3") == {"seed": 4, "word": "x"}
    nameless = [node(4, "First", values=[1]), node(5, "Second", values=[2])]
    with pytest.raises(RequestError, match=r"unknown nodes.*First, Second.*Legal: .*API form"):
        inputs_of(page([named, *nameless], []))
    assert converted(parse_workflow(json.dumps(page([named, *nameless], [])), "test")).unnamed == ("4", "5")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a {red|blue} ball", {"a red ball", "a blue ball"}),
        ("{a|{b|c}d}", {"a", "bd", "cd"}),
        (r"\{a|b\}", {"{a|b}"}),
        ("a /* no */ball // end\nrolls", {"a ball \nrolls"}),
        ("see https://x.y\nnow", {"see https:\nnow"}),
        ("a /* b", {"a /* b"}),
        ("{|x}", {"", "x"}),
        ("{a|b", {"a", "b"}),
        ("a } b | c", {"a } b | c"}),
    ],
)
def test_texts_lose_comments_and_choose(text, options):
    rng = random.Random(1)
    assert {chosen(text, rng) for _ in range(60)} == options


def test_the_seed_decides_the_choices():
    encode = node(2, "CLIPTextEncode", values=["{0|1|2|3|4|5|6|7|8|9}" * 20])
    texts = [inputs_of(page([encode], []), seed=seed)["text"] for seed in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2]


def test_file_names_get_dates_and_values_of_nodes():
    save = node(2, "SaveWEBM", values=["%date:yyyy-MM-dd_hh.mm.ss%/%date:yy-M-d%_%Loader.unet_name%_%width%_%No.w%"])
    loader = node(1, "UNETLoader", values=["a/b.safetensors"], title="Loader")
    found = inputs_of(page([loader, save], []), now=datetime(2026, 3, 4, 5, 6, 7))
    assert found["filename_prefix"] == "2026-03-04_05.06.07/26-3-4_a_b.safetensors_%width%_%No.w%"
