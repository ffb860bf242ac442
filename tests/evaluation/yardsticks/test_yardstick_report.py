"""An evaluation and a comparison as JSON, text and pages."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from fake_yardsticks import write_clip, write_set

from kinema.core.errors import MediaError, RequestError
from kinema.evaluation.plots import forest, histogram, number
from kinema.evaluation.yardsticks import compare, compare_page, report, report_page
from kinema.evaluation.yardsticks.contract import Score
from kinema.evaluation.yardsticks.result import Figure
from kinema.evaluation.yardsticks.run import evaluate
from kinema.evaluation.yardsticks.store import FILE


class Addresses(HTMLParser):
    """Collects what a page would fetch, and its text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.found, self.tags, self.words = [], [], ""
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.found += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action") and value]

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def saved(tmp_path_factory, bright_set, dark_set):
    with pytest.MonkeyPatch.context() as patch:
        from fake_yardsticks import Brightness, FarFrom, Gap

        from kinema.evaluation.yardsticks import table

        for each in (Brightness, Gap, FarFrom):
            patch.setitem(table.YARDSTICKS, each.name, each)
        out = tmp_path_factory.mktemp("report")
        found = evaluate(bright_set, dark_set, metrics=["brightness", "gap", "far"], out=out)
        return found, report_page.save(found, out, ["kinema", "evaluate"]), out


def test_the_schema_of_the_json(saved):
    _, data, out = saved
    assert json.loads((out / report_page.JSON).read_text()) == json.loads(json.dumps(data))
    assert set(data) == {
        "format", "kinema", "date", "command", "seconds", "clips", "against", "figures", "failed", "differing",
        "not_computed",
    }  # fmt: skip
    assert data["format"] == 1 and set(data["clips"]) == {"path", "count", "frames", "sizes", "fps"}
    assert data["clips"] | {"path": ""} == {
        "path": "", "count": 6, "frames": [6, 6], "sizes": {"32x32": 6}, "fps": {"8": 6},
    }  # fmt: skip
    for figure in data["figures"].values():
        assert set(figure) == {
            "title", "unit", "better", "against", "value", "low", "high", "clips", "protocol", "facts", "per_clip",
        }  # fmt: skip
    assert data["figures"]["far"]["per_clip"] is None and data["figures"]["far"]["low"] is None
    assert list(data["figures"]["gap"]["per_clip"]) == [f"{each:03d}" for each in range(6)]
    assert data["figures"]["brightness"]["protocol"] == {"frames": "all", "scale": 1.0}


def test_the_page_fetches_nothing_and_escapes_everything(tmp_path, fakes):
    name = '<img src=x onerror=alert(1)>&"'
    write_clip(tmp_path / "a" / f"{name}.mp4", 40)
    write_clip(tmp_path / "a" / "b.mp4", 90)
    write_clip(tmp_path / "a" / "short.mp4", 90, frames=2)
    (tmp_path / "a" / "b.txt").write_text("</style><script>alert(1)</script> a \u202egray\x1b[31m bar")
    found = evaluate(tmp_path / "a", metrics=["brightness"])
    content = (report_page.save(found, tmp_path / "out"), (tmp_path / "out" / report_page.PAGE).read_text())[1]
    page = Addresses(content)
    assert all(each.startswith(("data:", "#")) for each in page.found), page.found
    assert re.findall(r"url\((?!data:)|https?://|@import", content) == []
    assert "script" not in page.tags and "img" not in page.tags
    assert name in page.words and "<script>alert(1)</script> a gray[31m bar" in page.words
    assert "short.mp4: brightness: 2 frames" in page.words
    assert "default-src 'none'" in content and len(content) < 200_000


def test_worst_and_best():
    def figure(better, values):
        names = tuple("abcdefgh"[: len(values)])
        score = Score(0.0, None, None, "", tuple(values))
        return Figure("x", "x", "", better, "no", {}, score, names)

    worst, best = report.extremes(figure("higher", [3.0, 1.0, math.nan, 5.0, 4.0, 2.0, 6.0, 7.0]))
    assert [name for name, _ in worst] == ["b", "f", "a"] and [name for name, _ in best] == ["h", "g", "d"]
    worst, best = report.extremes(figure("lower", [3.0, 1.0, 2.0]))
    assert [name for name, _ in worst] == ["a", "c"] and [name for name, _ in best] == ["b"], "each clip once"
    assert report.extremes(figure("lower", [])) == ([], [])


def test_numbers_and_plots():
    assert [number(each) for each in (None, math.nan, 0.0, 0.01234567, 12.3456, 123456.7, 1.5e-7)] == [
        "-", "-", "0", "0.01235", "12.35", "123457", "1.500e-07",
    ]  # fmt: skip
    drawn = histogram([0.0] * 9 + [1.0], 0.1, 0.0, 0.3, "<dB>")
    heights = [float(each) for each in re.findall(r'class="bar".*?height="([\d.]+)"', drawn)]
    assert heights[0] / heights[-1] == pytest.approx(9, rel=0.01) and sum(map(bool, heights)) == 2
    assert "<dB>" not in drawn and histogram([1.0], 1.0, None, None, "") == ""
    assert histogram([2.0, 2.0], 2.0, 2.0, 2.0, "") and forest([]) == ""


def test_a_real_difference_is_found_and_none_is_invented(saved, tmp_path, fakes, bright_set, dark_set):
    _, _, bright = saved
    evaluate(dark_set, dark_set, metrics=["brightness", "gap", "far"], out=tmp_path / "dark")
    both = compare.compare(bright, tmp_path / "dark", ["brightness", "gap"])
    assert [each.p for each in both.figures] == [4 / 2**6] * 2, "six pairs of one sign, twice for two figures"
    assert [each.verdict for each in both.figures] == ["", ""]
    found = compare.compare(bright, tmp_path / "dark", ["brightness"])
    assert found.figures[0].verdict == "A" and found.figures[0].num_pairs == 6
    assert found.figures[0].difference.value == pytest.approx(25, abs=2)
    same = compare.compare(bright, bright)
    assert [each.verdict for each in same.figures] == ["", "", ""] and same.figures[0].difference.p == 1.0
    data = compare.to_dict(found, ["kinema"])
    assert json.loads(json.dumps(data, allow_nan=False))["figures"]["brightness"]["verdict"] == "A"
    compare_page.save(found, data, tmp_path / "page")
    page = Addresses((tmp_path / "page" / compare_page.PAGE).read_text())
    assert page.found == [] and "A is better" in page.words
    assert "A is better" in compare.as_text(found)


def test_what_cannot_be_compared_is_refused(saved, tmp_path, fakes, bright_set, monkeypatch):
    _, _, bright = saved
    with pytest.raises(RequestError, match="has no rows"):
        compare.compare(bright, tmp_path)
    with pytest.raises(RequestError, match="do not both have fvd"):
        compare.compare(bright, bright, ["fvd"])
    monkeypatch.setattr(fakes, "protocol", lambda self: {"frames": 8, "scale": 1.0})
    other = write_set(tmp_path / "other", 3)
    evaluate(bright_set, other, metrics=["brightness", "far"], out=tmp_path / "changed")
    found = compare.compare(bright, tmp_path / "changed")
    reasons = {each.name: compare.verdict_text(each) for each in found.figures}
    assert reasons["brightness"] == "not compared: measured with another frames"
    assert reasons["far"].startswith("not compared: measured with another frames")
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("given", "adjusted"),
    [([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]), ([0.5, 0.9], [1.0, 1.0]), ([0.02], [0.02])],
)
def test_p_values_of_several_figures_are_adjusted(given, adjusted):
    """Against Holm's procedure worked by hand."""
    from kinema.evaluation.yardsticks.bootstrap import Difference

    score = Score(0.0, None, None, "")
    figures = [
        compare.ComparedFigure(str(p), "", "", "lower", score, score, Difference(1.0, 0.5, 1.5, p, 0, 10), 0, "", p)
        for p in given
    ]
    figures.append(compare.ComparedFigure("none", "", "", "lower", score, score, None, 0, "no clips"))
    assert [each.p for each in compare._adjusted(figures)][:-1] == pytest.approx(adjusted)


def test_names_make_pairs():
    a = dict.fromkeys(("a", "b", "c"), "")
    assert compare.paired(a, a) == ["a", "b", "c"] and compare.paired(a, dict.fromkeys("bcd", "")) == ["b", "c"]
    assert compare.paired(a, dict.fromkeys("cde", "")) == [] and compare.paired(a, dict.fromkeys("abcdefg", "")) == []


def test_a_page_that_cannot_be_written_is_an_error_in_words(saved, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="cannot be written"):
        report_page.save(saved[0], tmp_path / "file" / "out")
    assert (Path(saved[2]) / FILE).is_file()


def test_figures_without_a_number_are_null():
    assert report.clean({"a": np.float64("nan"), "b": [np.int64(3), math.inf], "c": (True, None)}) == {
        "a": None, "b": [3, None], "c": [True, None],
    }  # fmt: skip
