"""`kinema workflow show` and `convert`, from the command line to what a person reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from cli_tools import answer, run

PROMPT = {
    "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "wan2.1_t2v_14B_fp16.safetensors",
                                                 "weight_dtype": "default"}},
    "2": {"class_type": "GlowNode", "inputs": {"model": ["1", 0], "word": "\u001b[2J<b>"}},
    "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}, "_meta": {"title": "Look"}},
}  # fmt: skip


def flow(folder: Path, value: object = PROMPT) -> str:
    (folder / "flow.json").write_text(json.dumps(value))
    return str(folder / "flow.json")


def test_show_names_the_nodes_and_all_that_is_missing(tmp_path: Path) -> None:
    result = run("workflow", "show", flow(tmp_path))
    assert result.exit_code == 0
    assert "1  Load Diffusion Model (UNETLoader)  -> the request's model" in result.stdout
    assert "2  GlowNode  ? the file does not say which node pack it is from" in result.stdout
    assert "2 nodes of 3 that run have a counterpart in Kinema." in result.stdout
    assert "`kinema models pull wan2.1-t2v-14b`" in result.stdout
    assert "\x1b" not in result.stdout
    found = answer(run("workflow", "show", flow(tmp_path), "--json"))
    assert (found["maps"], [each["state"] for each in found["nodes"]]) == (False, ["maps", "unknown", "maps"])
    assert [each["model"] for each in found["models"]] == ["wan2.1-t2v-14b"]


def test_show_draws_a_picture(tmp_path: Path) -> None:
    target = tmp_path / "flow.svg"
    result = run("workflow", "show", flow(tmp_path), "-o", str(target))
    assert result.exit_code == 0 and result.stdout.rstrip().endswith("flow.svg")
    texts = [each.text for each in ElementTree.parse(target).iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "flow.json" and "GlowNode #2" in texts and "Look #3" in texts


def test_an_output_that_is_no_svg_or_the_input_is_refused(tmp_path: Path) -> None:
    result = run("workflow", "show", flow(tmp_path), "-o", str(tmp_path / "flow.png"))
    assert result.exit_code == 2 and "not an SVG file" in result.stderr
    result = run("workflow", "show", flow(tmp_path), "-o", str(tmp_path / "none" / "flow.svg"))
    assert result.exit_code == 2 and not (tmp_path / "none").exists()
    both = tmp_path / "both.svg"
    both.write_text(f"<svg><metadata><![CDATA[{json.dumps({'prompt': PROMPT})}]]></metadata></svg>")
    before = both.read_bytes()
    assert run("workflow", "show", str(both)).exit_code == 0
    assert run("workflow", "show", str(both), "-o", str(both)).exit_code == 2
    assert both.read_bytes() == before


def test_convert_prints_the_prompt_and_what_is_missing_beside_it(tmp_path: Path) -> None:
    result = run("workflow", "convert", flow(tmp_path))
    assert (result.exit_code, answer(result)) == (0, PROMPT)
    assert "unknown node: GlowNode (node 2)" in result.stderr and "kinema models pull" in result.stderr
    result = run("workflow", "convert", flow(tmp_path), "--json")
    assert (answer(result), result.stderr) == (PROMPT, "")


def test_a_seed_makes_the_same_choices(tmp_path: Path) -> None:
    page = {"nodes": [{"id": 1, "type": "CLIPTextEncode", "widgets_values": ["{a|b|c|d|e|f|g|h}" * 30]}], "links": []}
    texts = [
        answer(run("workflow", "convert", flow(tmp_path, page), "--seed", str(seed)))["1"]["inputs"]["text"]
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_neither_torch_nor_codecs_are_loaded_for_json(tmp_path: Path) -> None:
    code = (
        "import sys; from kinema.workflow import examine, read_workflow, svg, to_prompt\n"
        f"w = read_workflow({flow(tmp_path)!r}); to_prompt(w); svg(examine(w))\n"
        "print(sorted({'torch', 'av', 'PIL', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_export_writes_a_request_as_a_workflow_that_reads_back(tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"prompt": "a fox", "model": "wan2.1-t2v-1.3b", "seed": 4, "profile": "exact"}))
    target = tmp_path / "flow.json"
    result = run("workflow", "export", str(request), "-o", str(target))
    assert (result.exit_code, result.stdout.strip()) == (0, str(target))
    printed = run("workflow", "export", str(request))
    assert json.loads(printed.stdout) == json.loads(target.read_text())
    assert answer(run("workflow", "show", str(target), "--json"))["maps"]
    assert run("workflow", "export", str(request), "-o", str(request)).exit_code == 2
    request.write_text(json.dumps({"prompt": "a fox"}))
    refused = run("workflow", "export", str(request))
    assert refused.exit_code == 2 and "No ComfyUI workflow for kinema-mini-wan" in refused.stderr
