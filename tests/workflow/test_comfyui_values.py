"""Value nodes: safe arithmetic, switches that run one side only, and prompts with their constants folded in."""

from __future__ import annotations

import json
import math
import time
from types import FunctionType

import pytest
from comfyui_templates import golden_cases, node, page, templates

from kinema.core.errors import RequestError
from kinema.workflow.formats.convert import to_prompt
from kinema.workflow.formats.read import parse_workflow
from kinema.workflow.nodes.expression import evaluate
from kinema.workflow.nodes.fold import folded
from kinema.workflow.nodes.values import math_expression, primitive, switch

VALUES = {"a": 5.5, "b": 16, "c": True}
LEGAL = (
    "a * b + 1", "floor (a * b + 1)", "max(4, (int(a * 100) // 16) * 16)", "-a ** 2", "b % 7 - 7 // 2", "2 ** -2",
    "a if b > 10 else 1 / 0", "1 < b <= 16", "not c or b == 3", "round(2.5), ".rstrip(", "), "round(a, 1)",
    "sum([a, b, 2])", "min(a, b, 3)", "sqrt(b) + log(b) + sin(a) + cos(a) + tan(a)", "ceil(a) + abs(-3)", "pow(2, 10)",
    "max(5, round(a * 24)) + (5 - (max(5, round(a * 24)) % 17)) % 17", "1e3 + .5", "c and b",
    "b & -8 | 3 ^ 1", "b & ~1", "log2(b) + log10(b)",
)  # fmt: skip


@pytest.mark.parametrize("expression", LEGAL)
def test_arithmetic_equals_pythons(expression):
    names = {
        name: getattr(math, name) for name in ("floor", "ceil", "sqrt", "log", "log2", "log10", "sin", "cos", "tan")
    }
    expected = FunctionType(compile(expression, "LEGAL", "eval"), {**names, **VALUES})()  # of this file only
    assert (evaluate(expression, VALUES), type(evaluate(expression, VALUES))) == (expected, type(expected))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "cannot be read"), ("a +", "cannot be read"), ("a.real", "cannot be read"), ("a[0]", "cannot be read"),
        ("__import__('os')", "cannot be read"), ("eval('1')", "cannot be read"), ("lambda: 1", "cannot be read"),
        ("'a' * 9", "cannot be read"), ("(b := 3)", "cannot be read"), ("[x for x in (1, 2)]", "cannot be read"),
        ("f'{a}'", "cannot be read"), ("1j", "cannot be read"), ("max(*[1, 2])", "cannot be read"),
        ("1 << 2", "cannot be read"), ("a & 1", "unsupported"),
        ("(" * 220 + "1" + ")" * 220, "cannot be read"), ("-" * 400 + "1", "cannot"),
        ("+".join("1" * 200), "cannot be read"), ("d + 1", r"d is not linked \(linked: a, b, c\)"),
        ("1 / 0", "division by zero"), ("1 % 0", "by zero"), ("sqrt(-1)", "math domain"), ("(-8) ** 0.5", "complex"),
        ("9 ** 9 ** 9", "more than 256"), ("2 ** 10 ** 10", "more than 256"), ("2 ** 300", "whole number of more than"),
        ("1" + "0" * 100, "more than 256 bits"), ("1e400", "finite"), ("1e200 * 1e200", "finite"),
        ("[1] * 10", "list"), ("[1, 2]", "list"), ("round(1, -999999999)", "digits"), ("min()", "expected"),
        ("x" * 501, r"501 characters.*500"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_at_once(expression, message):
    begin = time.process_time()
    with pytest.raises(RequestError, match=message):
        evaluate(expression, VALUES)
    assert time.process_time() - begin < 0.5


def test_every_expression_of_the_templates_can_be_read():
    seen = set()
    for path in templates():
        value = json.loads(path.read_text("utf-8"))
        graphs = [value, *value.get("definitions", {}).get("subgraphs", [])]
        seen |= {
            each["widgets_values"][0] for graph in graphs for each in graph["nodes"]
            if each["type"] == "ComfyMathExpression"
        }  # fmt: skip
    assert len(seen) > 30
    for expression in seen:
        assert isinstance(evaluate(expression, dict.fromkeys("abcdefgh", 2)), int | float), expression


def test_the_outputs_of_an_expression_and_of_primitives():
    assert math_expression("a / 2", {"a": -5}) == (-2.5, -2, True)
    assert math_expression("a - a", {"a": 3}) == (0.0, 0, False)
    assert (primitive("PrimitiveFloat", 3), primitive("PrimitiveInt", 3)) == (3.0, 3)
    assert isinstance(primitive("PrimitiveFloat", 3), float)
    for kind, value in (("PrimitiveInt", 1.5), ("PrimitiveInt", True), ("PrimitiveString", 3), ("PrimitiveBoolean", 1)):
        with pytest.raises(RequestError, match=kind):
            primitive(kind, value)


def test_a_switch_evaluates_one_side():
    assert switch(True, lambda: 1 // 0, lambda: "yes") == "yes"
    assert switch(False, lambda: "no", lambda: 1 // 0) == "no"


def fold(nodes, links):
    return folded(to_prompt(parse_workflow(json.dumps(page(nodes, links)), "test")), "test")


def graph(switched):
    """The steps of a sampler, computed; its model, by a switch."""
    boolean = node(1, "PrimitiveBoolean", outputs=[("BOOLEAN", "BOOLEAN")], values=[switched])
    loaders = [node(key, "UNETLoader", outputs=[("MODEL", "MODEL")], values=[f"{key}.safetensors"]) for key in (2, 3)]
    sides = [("on_false", "*", 1), ("on_true", "*", 2), ("switch", "BOOLEAN", 3, "switch")]
    chooses = node(4, "ComfySwitchNode", inputs=sides, outputs=[("output", "*")], values=[False])
    number = node(5, "PrimitiveInt", outputs=[("INT", "INT")], values=[10, "fixed"])
    math_ = node(6, "ComfyMathExpression", inputs=[("values.a", "FLOAT,INT", 4)],
                 outputs=[("FLOAT", "FLOAT"), ("INT", "INT")], values=["a * 2 + .5"])  # fmt: skip
    sampled = [("model", "MODEL", 5), ("steps", "INT", 6, "steps"), ("cfg", "FLOAT", 7, "cfg")]
    sampler = node(7, "KSampler", inputs=sampled, outputs=[("LATENT", "LATENT")])
    save = node(8, "PreviewImage", inputs=[("images", "IMAGE", 8)])
    links = [[1, 2, 0, 4, 0, "*"], [2, 3, 0, 4, 1, "*"], [3, 1, 0, 4, 2, "*"], [4, 5, 0, 6, 0, "*"],
             [5, 4, 0, 7, 0, "*"], [6, 6, 1, 7, 1, "*"], [7, 6, 0, 7, 2, "*"], [8, 7, 0, 8, 0, "*"]]  # fmt: skip
    return [boolean, *loaders, chooses, number, math_, sampler, save], links


@pytest.mark.parametrize(("switched", "loader"), [(False, "2"), (True, "3")])
def test_folding_leaves_what_runs_with_plain_values(switched, loader):
    found = fold(*graph(switched))
    assert list(found) == [loader, "7", "8"]
    inputs = found["7"]["inputs"]
    assert (inputs["model"], inputs["steps"], inputs["cfg"]) == ([loader, 0], 20, 20.5)


def test_an_error_counts_only_where_its_value_is_used():
    nodes, links = graph(False)
    nodes[5]["widgets_values"] = ["a / 0"]
    with pytest.raises(RequestError, match=r"node 6: The expression a / 0 has no value"):
        fold(nodes, links)
    del nodes[6]["inputs"][1:]
    assert fold(nodes, links)["7"]["inputs"]["model"] == ["2", 0]


def test_values_that_only_the_run_knows_stay_nodes():
    size = node(1, "GetImageSize", inputs=[("image", "IMAGE", 3)], outputs=[("width", "INT")])
    math_ = node(2, "ComfyMathExpression", inputs=[("values.a", "INT", 1)], outputs=[("F", "FLOAT"), ("I", "INT")],
                 values=["a * 2"])  # fmt: skip
    mask = node(3, "SolidMask", inputs=[("width", "INT", 2, "width")], outputs=[("MASK", "MASK")])
    nodes = [size, math_, mask, node(4, "MaskPreview", inputs=[("mask", "MASK", 4)])]
    found = fold(nodes, [[1, 1, 0, 2, 0, "INT"], [2, 2, 1, 3, 0, "INT"], [4, 3, 0, 4, 0, "MASK"]])
    assert (list(found), found["3"]["inputs"]["width"]) == (["1", "2", "3", "4"], ["2", 1])


def test_the_branch_that_a_template_switches_off_is_left_out(real_data):
    """Wan 2.2's template has a four-step branch with two adapters, which is off."""
    _, prompt = golden_cases(real_data)["video_wan2_2_14B_i2v"]
    found = folded(prompt, "test")
    classes = [each["class_type"] for each in found.values()]
    assert classes.count("LoraLoaderModelOnly") == 0 and classes.count("KSamplerAdvanced") == 2
    samplers = [each["inputs"] for each in found.values() if each["class_type"] == "KSamplerAdvanced"]
    assert {(each["steps"], each["cfg"]) for each in samplers} == {(20, 3.5)}
    length = next(each["inputs"]["length"] for each in found.values() if each["class_type"] == "WanImageToVideo")
    assert length == 81
