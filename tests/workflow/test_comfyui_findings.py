"""What workflows are to Kinema: every node and file with its counterpart or what would supply it; drawings of it; and
the committed table of all official templates."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from comfyui_templates import golden_cases, node, page, template_folder, templates

from kinema.workflow.draw_svg import svg
from kinema.workflow.draw_text import lines
from kinema.workflow.findings import examine
from kinema.workflow.formats.read import parse_workflow, read_workflow

TABLE = Path(__file__).parents[2] / "docs" / "comfyui_templates.json"
PAGE = TABLE.with_name("comfyui.md")


def found(value):
    return examine(parse_workflow(json.dumps(value), "test.json"))


def wan(name="wan2.1_t2v_1.3B_fp16.safetensors", *more):
    """A text-to-video graph in little."""
    nodes = [
        node(1, "UNETLoader", outputs=[("MODEL", "MODEL")], values=[name, "default"]),
        node(2, "CLIPLoader", outputs=[("CLIP", "CLIP")], values=["umt5_xxl_fp16.safetensors", "wan"]),
        node(3, "CLIPTextEncode", inputs=[("clip", "CLIP", 1)], outputs=[("CONDITIONING", "C")], values=["a fox"]),
        node(4, "CLIPTextEncode", inputs=[("clip", "CLIP", 2)], outputs=[("CONDITIONING", "C")], values=["bad"]),
        node(5, "EmptyHunyuanLatentVideo", outputs=[("LATENT", "LATENT")], values=[832, 480, 33, 1]),
        node(6, "KSampler", inputs=[("model", "MODEL", 3), ("positive", "C", 4), ("negative", "C", 5),
                                    ("latent_image", "LATENT", 6)], outputs=[("LATENT", "LATENT")]),
        node(7, "VAELoader", outputs=[("VAE", "VAE")], values=["wan_2.1_vae.safetensors"]),
        node(8, "VAEDecode", inputs=[("samples", "LATENT", 7), ("vae", "VAE", 8)], outputs=[("IMAGE", "IMAGE")]),
        node(9, "SaveWEBM", inputs=[("images", "IMAGE", 9)], values=["out", "vp9", 16, 32]),
        *more,
    ]  # fmt: skip
    links = [[1, 2, 0, 3, 0, "CLIP"], [2, 2, 0, 4, 0, "CLIP"], [3, 1, 0, 6, 0, "MODEL"], [4, 3, 0, 6, 1, "C"],
             [5, 4, 0, 6, 2, "C"], [6, 5, 0, 6, 3, "LATENT"], [7, 6, 0, 8, 0, "LATENT"], [8, 7, 0, 8, 1, "VAE"],
             [9, 8, 0, 9, 0, "IMAGE"]]  # fmt: skip
    return page(nodes, links)


def test_a_graph_that_maps_names_the_command_that_fetches_its_model():
    result = found(wan())
    assert result.maps() and result.wrong == ()
    becomes = {each.id: each.becomes for each in result.nodes}
    assert (becomes["3"], becomes["4"]) == ("the request's prompt", "the request's negative prompt")
    assert result.missing() == [
        "model file wan2.1_t2v_1.3B_fp16.safetensors (node 1): `kinema models pull wan2.1-t2v-1.3b`"
    ]
    parts = {each.name: (each.model, each.part) for each in result.models if each.part}
    assert parts == {
        "umt5_xxl_fp16.safetensors": ("wan2.1-t2v-1.3b", True), "wan_2.1_vae.safetensors": ("wan2.1-t2v-1.3b", True),
    }  # fmt: skip


def test_folders_and_case_of_a_file_name_do_not_count():
    assert found(wan("sub\\Wan2.1_T2V_1.3B_fp16.safetensors")).maps()


def test_everything_missing_is_named_at_once_with_what_would_supply_it():
    strange = node(20, "PreviewImage", inputs=[("images", "IMAGE", 30)])
    value = wan(
        "other.safetensors", strange,
        node(21, "GlowNode", outputs=[("IMAGE", "IMAGE")], properties={"cnr_id": "glow-pack"}),
        node(22, "KSamplerAdvanced", outputs=[("LATENT", "LATENT")]),
        node(23, "FluxThing", properties={"cnr_id": "comfy-core"}),
        node(24, "Nameless"),
    )  # fmt: skip
    value["nodes"][0]["properties"] = {"models": [{"name": "other.safetensors", "url": "https://x.y/other"}]}
    value["links"] += [[30, 21, 0, 20, 0, "IMAGE"]]
    result = found(value)
    assert not result.maps()
    assert sorted(result.missing()) == [
        "model file other.safetensors (node 1): no model of Kinema reads it; the workflow names https://x.y/other",
        "unknown node: FluxThing (node 23): a node of ComfyUI itself",
        "unknown node: GlowNode (node 21): from the node pack glow-pack",
        "unknown node: Nameless (node 24): the file does not say which node pack it is from",
    ]
    states = {each.id: each.state for each in result.nodes}
    assert (states["1"], states["21"], states["6"]) == ("unread", "unknown", "maps")


def test_nodes_that_kinema_lacks_say_what_is_missing(real_data):
    file, _ = golden_cases(real_data)["txt_to_image_to_video"]
    lacks = "needs generating still pictures with Stable Diffusion"
    assert f"not in Kinema: EmptyLatentImage (node 22): {lacks}" in examine(read_workflow(file)).missing()
    result = examine(read_workflow(golden_cases(real_data)["video_wan2_2_14B_i2v"][0]))
    assert len(result.prompt) == 32 and len(result.nodes) == 15  # the branch of four steps is switched off


@pytest.mark.parametrize(
    ("at", "values", "message"),
    [
        (5, [3, "fixed", "many"], "node 6 (KSampler): steps = 'many'. Legal: a whole number from 1 to 10000."),
        (5, [3, "fixed", 0], "node 6 (KSampler): steps = 0. Legal: a whole number from 1 to 10000."),
        (5, [3, "fixed", 9, True], "node 6 (KSampler): cfg = True. Legal: a number from 0 to 100."),
        (5, [3, "fixed", 9, 3, "eular"], "node 6 (KSampler): sampler_name = 'eular'. Legal: euler, euler_cfg_pp"),
        (5, [-1], "node 6 (KSampler): seed = -1. Legal: a whole number from 0 to 18446744073709551615."),
        (2, [7], "node 3 (CLIPTextEncode): text = 7. Legal: a text."),
    ],
)
def test_wrong_values_are_named_with_what_is_legal(at, values, message):
    value = wan()
    value["nodes"][at]["widgets_values"] = values
    assert [line[: len(message)] for line in found(value).wrong] == [message]
    assert not found(value).maps()


def test_a_seed_that_the_page_rounded_is_legal_and_a_missing_link_is_not():
    value = wan()
    value["nodes"][5]["widgets_values"] = [18446744073709552000]
    assert found(value).wrong == ()
    value["nodes"][5]["inputs"].pop(0)
    assert found(value).wrong == ("node 6 (KSampler): its input model is not linked. Legal: a link of type MODEL.",)


def test_text_lists_each_node_after_its_inputs_and_what_is_missing():
    text = "\n".join(lines(found(wan("other.safetensors"))))
    assert text.startswith("test.json: 9 nodes, 9 of them run\n")
    assert (
        "6  KSampler  -> seed, steps and guidance of the request\n    model <- 1, positive <- 3, negative <- 4" in text
    )
    assert "1  Load Diffusion Model (UNETLoader)  ! no model of Kinema reads other.safetensors" in text
    order = [text.index(f"\n{key}  ") for key in "136"]
    assert order == sorted(order)
    assert text.endswith("8 nodes of 9 that run have a counterpart in Kinema.\n"
                         "  model file other.safetensors (node 1): no model of Kinema reads it")  # fmt: skip


def test_a_picture_has_a_box_for_each_node_and_a_curve_for_each_link(real_data):
    for name, (file, _) in golden_cases(real_data).items():
        result = examine(read_workflow(file))
        root = ElementTree.fromstring(svg(result))
        space = "{http://www.w3.org/2000/svg}"
        groups = [each for each in root.iter(f"{space}g") if each.find(f"{space}rect") is not None]
        boxes = [
            tuple(int(each.find(f"{space}rect").get(side)) for side in ("x", "y", "width", "height")) for each in groups
        ]
        links = sum(isinstance(v, list) for n in result.running.values() for v in n["inputs"].values())
        assert (len(boxes), len(list(root.iter(f"{space}path")))) == (len(result.nodes), links), name
        apart = all(
            a[0] + a[2] <= b[0] or b[0] + b[2] <= a[0] or a[1] + a[3] <= b[1] or b[1] + b[3] <= a[1]
            for at, a in enumerate(boxes) for b in boxes[:at]
        )  # fmt: skip
        width, height = int(root.get("width")), int(root.get("height"))
        assert apart and all(x + w <= width and y + h <= height for x, y, w, h in boxes), name


def needs(path: Path) -> list[str]:
    """What a template lacks to be a request of Kinema's, in short; nothing if it maps."""
    result = examine(read_workflow(path))
    kinds = sorted({(each.state, each.kind, each.becomes) for each in result.nodes})
    lacks = sorted({becomes.removeprefix("needs ") for state, _, becomes in kinds if state == "lacks"})
    unknown = sorted({kind for state, kind, _ in kinds if state == "unknown"})
    files = sorted({each.name for each in result.models if not each.model and each.folder != "loras"})
    wrong = ["values: " + line.partition(": ")[2][:100] for line in result.wrong]
    return (
        [f"lacks: {each}" for each in lacks] + [f"node: {each}" for each in unknown]
        + [f"file: {each}" for each in files] + wrong + ([] if result.nodes else ["no node runs"])
    )  # fmt: skip


def test_the_table_of_templates_is_true_for_a_part_of_them(real_data):
    """The in-scope ones and every thirtieth; all of them in the slow test."""
    table = json.loads(TABLE.read_text("utf-8"))
    scope = {path for path, _ in golden_cases(real_data).values() if path.parent == template_folder()}
    chosen = sorted({*templates()[::30], *scope})
    assert {path.stem: table.get(path.stem) for path in chosen} == {path.stem: needs(path) for path in chosen}


@pytest.mark.slow
def test_the_table_of_templates_is_true():
    found = {path.stem: needs(path) for path in templates()}
    if os.environ.get("KINEMA_GOLDEN") == "write":
        rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(each)}" for name, each in found.items())
        TABLE.write_text("{\n" + rows + "\n}\n", encoding="utf-8")
    assert json.loads(TABLE.read_text("utf-8")) == found
    assert len(found) == 644


@pytest.mark.slow
def test_every_subgraph_blueprint_can_be_read():
    package = pytest.importorskip("comfyui_subgraph_blueprints", reason="the blueprints are not installed")
    files = sorted((Path(package.__file__).parent / "blueprints").glob("*.json"))
    assert len(files) > 100 and all(examine(read_workflow(path)).prompt for path in files)


def reasons() -> list[tuple[str, int]]:
    """The templates by the first reason that applies, with their number."""
    index = json.loads((template_folder() / "index.json").read_text("utf-8"))
    paid = {each["name"] for group in index for each in group["templates"] if each.get("openSource") is False}
    count: Counter[str] = Counter()
    for name, lacks in json.loads(TABLE.read_text("utf-8")).items():
        if not lacks:
            count["maps"] += 1
        elif name in paid or name.startswith("api_"):
            count["paid"] += 1
        elif any(each.startswith("node: ") for each in lacks):
            count["unknown"] += 1
        elif any(each.startswith("lacks: ") for each in lacks):
            count["lacks"] += 1
        else:
            count["other"] += 1
    return sorted(count.items())


def test_the_page_gives_the_numbers_of_the_table():
    text = PAGE.read_text("utf-8")
    for reason, number in reasons():
        assert f"<!-- {reason} --> {number} " in text, (reason, number)


def test_the_page_names_what_each_template_in_scope_lacks(real_data):
    rows = {row.split(" | ")[0].removeprefix("| "): row for row in PAGE.read_text("utf-8").splitlines()}
    table = json.loads(TABLE.read_text("utf-8"))
    scope = [path.stem for path, _ in golden_cases(real_data).values() if path.stem in table]
    assert len(scope) == 26
    for name in scope:
        for lacks in (each.removeprefix("lacks: ") for each in table[name] if each.startswith("lacks: ")):
            assert name in rows[lacks].removesuffix(" |").split(" | ")[1].split(", "), (name, lacks)
