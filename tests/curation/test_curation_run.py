"""Curating a folder: the same table from any number of workers and after any interruption; every file has its place."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from pool_work import Deadly
from small_films import save, shot

from kinema.core.errors import KinemaError, RequestError
from kinema.core.events import Progress
from kinema.curation.dataset import CurationFile, remark
from kinema.curation.export import export
from kinema.curation.pools import Here, Processes
from kinema.curation.report import write_report
from kinema.curation.run import curate
from kinema.training.data import own_clips

pytest.importorskip("pyarrow")
from kinema.curation.table import read_rows

STAGES = ("look", "duplicates")


@pytest.fixture(scope="module")
def heap(tmp_path_factory):
    """Two films of two shots each in different sizes and rates, a copy, and files that are no videos."""
    folder = tmp_path_factory.mktemp("heap")
    (folder / "sub").mkdir()
    save(folder / "a.mp4", np.concatenate([shot(1, 14), shot(2, 12)]))
    save(folder / "sub" / "b.mp4", np.concatenate([shot(3, 13, height=64), shot(4, 15, height=64)]), fps=12.0)
    (folder / "c & <copy>.mp4").write_bytes((folder / "a.mp4").read_bytes())
    (folder / "a.txt").write_text("a caption\n")
    (folder / "broken.mp4").write_bytes((folder / "a.mp4").read_bytes()[:1500])
    (folder / "words.mp4").write_text("no video")
    (folder / "notes.docx").write_text("")
    save(folder / "one.mp4", shot(5, 1))
    return folder


@pytest.fixture(scope="module")
def dataset(heap, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "set"
    return out, curate(heap, out, recipe="svd", stages=STAGES, workers=0)


def rows(table):
    return {row["id"]: row for row in read_rows(table)}


def test_every_shot_and_every_file_has_a_row(dataset):
    _, found = dataset
    table = rows(found.table)
    assert [name for name in table if "#" in name] == [
        "a.mp4#0-14", "a.mp4#14-26", "c & <copy>.mp4#0-14", "c & <copy>.mp4#14-26", "sub/b.mp4#0-13", "sub/b.mp4#13-28"
    ]  # fmt: skip
    errors = {name: row["error"] for name, row in table.items() if "#" not in name}
    assert {name: text.split(" (")[0] for name, text in errors.items()} == {
        "broken.mp4": "not a readable video or sound file",
        "notes.docx": "no video: its ending is .docx",
        "one.mp4": "too short",
        "words.mp4": "not a readable video or sound file",
    }
    assert (found.num_unreadable, found.files) == (4, 7)
    assert all(row["reasons"] == [row["error"]] and not row["kept"] for name, row in table.items() if "#" not in name)
    first = table["a.mp4#14-26"]
    assert (first["fps"], first["width"], first["height"], first["caption"]) == (24.0, 64, 48, "a caption")
    assert table["c & <copy>.mp4#0-14"]["reasons"] == ["a copy of another clip"]
    assert table["c & <copy>.mp4#0-14"]["duplicate_of"] == "a.mp4#0-14"


def test_two_processes_give_the_same_bytes(dataset, heap, tmp_path):
    found = curate(heap, tmp_path / "set", recipe="svd", stages=STAGES, workers=2)
    assert found.table.read_bytes() == dataset[1].table.read_bytes()


def test_an_interrupted_run_continues_at_the_clip(dataset, heap, tmp_path):
    def stop_at(stage, place):
        def on_event(event):
            if isinstance(event, Progress) and (event.stage, event.done) == (stage, place):
                raise KeyboardInterrupt

        return on_event

    for stage, place in (("split", 2), ("measure", 3)):
        with pytest.raises(KeyboardInterrupt):
            curate(
                heap,
                tmp_path / "set",
                recipe="svd",
                stages=STAGES,
                workers=0,
                resume=stage == "measure",
                on_event=stop_at(stage, place),
            )
        assert not (tmp_path / "set" / "clips.parquet").exists()
    seen = []
    found = curate(heap, tmp_path / "set", recipe="svd", stages=STAGES, workers=0, resume=True, on_event=seen.append)
    counted = [(each.stage, each.total) for each in seen if isinstance(each, Progress) and each.done == 0]
    assert counted == [("measure", 3)]
    assert found.table.read_bytes() == dataset[1].table.read_bytes()


def test_a_changed_file_and_a_new_stage_are_all_that_is_computed_again(heap, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    save(folder / "a.mp4", shot(1, 12))
    save(folder / "b.mp4", shot(2, 12))
    curate(folder, tmp_path / "set", stages=("look",), workers=0)
    save(folder / "b.mp4", np.concatenate([shot(3, 12), shot(4, 12)]))
    seen = []
    found = curate(folder, tmp_path / "set", stages=("look",), workers=0, resume=True, on_event=seen.append)
    assert [(each.stage, each.total) for each in seen if isinstance(each, Progress) and not each.done] == [
        ("split", 1), ("measure", 2)
    ]  # fmt: skip
    assert list(rows(found.table)) == ["a.mp4#0-12", "b.mp4#0-12", "b.mp4#12-24"]
    more = curate(folder, tmp_path / "set", stages=("look", "duplicates"), workers=0, resume=True)
    assert rows(more.table)["a.mp4#0-12"]["frame_hashes"]


def test_marks_change_without_measuring(dataset, heap, tmp_path, monkeypatch):
    out = tmp_path / "set"
    before = rows(curate(heap, out, recipe="svd", stages=STAGES, workers=0).table)
    monkeypatch.setattr("kinema.curation.reading._read", None)
    kept = CurationFile.read(out)
    counts = remark(out, ())
    after = rows(out / "clips.parquet")
    assert counts["kept"] == 6 and all(row["kept"] == ("#" in name) for name, row in after.items())
    for name, row in before.items():
        assert {**row, "kept": 0, "reasons": 0} == {**after[name], "kept": 0, "reasons": 0}
    remark(out, kept.thresholds)
    assert rows(out / "clips.parquet") == before


def test_exports_are_training_sets(dataset, tmp_path):
    out, _ = dataset
    for shards in (False, True):
        target = tmp_path / f"set-{shards}"
        made = export(out, target, shards=shards)
        assert (made.clips, made.bare) == (4, 2)
        figures = [json.loads(line) for line in (target / "figures.jsonl").read_text().splitlines()]
        assert len(figures) == 2 and all(each["file_name"].endswith(".mp4") and "text" not in each for each in figures)
        assert all(len(each) > 3 for each in figures)
        found = own_clips.find(target, tmp_path / "unpacked" / str(shards), frames=5, fps=12.0)
        assert not found.refused
        assert sorted(item.info.num_frames for item in found.items) == [12, 13, 14, 15]
        assert sorted(item.caption for item in found.items) == ["", "", "a caption", "a caption"]
    again = tmp_path / "again"
    export(out, again, shards=True)
    assert (again / "00000.tar").read_bytes() == (tmp_path / "set-True" / "00000.tar").read_bytes()
    with pytest.raises(RequestError, match="new or empty"):
        export(out, again)


def test_the_report_shows_what_fell_where_and_links_nowhere(dataset, tmp_path):
    write_report(dataset[0], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") > 5 and page.count("data:image/jpeg") == 6
    assert "a copy of another clip (2)" in page and "Kept (4)" in page
    assert "c &amp; &lt;copy&gt;.mp4" in page and "<copy>" not in page
    assert "broken.mp4" in page and "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"recipe": "sdv"}, "recipe"), ({"cuts": ["cascad"]}, "cuts"), ({"stages": ["lok"]}, "stages"),
        ({"workers": -1}, "workers"), ({"longest_s": 0.0}, "longest"),
        ({"options": {"look.x": "1"}, "stages": []}, "options"),
    ],
)  # fmt: skip
def test_illegal_values_are_refused_before_any_work(heap, tmp_path, given, field):
    with pytest.raises(RequestError) as refused:
        curate(heap, tmp_path / "set", **given)
    assert refused.value.field == field and not (tmp_path / "set").exists()


def test_a_folder_without_files_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="contains no files"):
        curate(tmp_path / "empty", tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_an_existing_data_set_is_not_replaced(dataset, heap, tmp_path):
    with pytest.raises(RequestError, match="--resume"):
        curate(heap, dataset[0], recipe="svd", stages=STAGES)
    with pytest.raises(RequestError, match="another cuts"):
        curate(heap, dataset[0], recipe="svd", stages=STAGES, cuts=["content"], resume=True)
    with pytest.raises(RequestError, match="must not contain"):
        curate(heap, heap.parent)


def test_a_worker_that_dies_costs_one_item():
    found = list(Processes(2).run(Deadly(), range(7)))
    assert sorted(each for each in found if isinstance(each, int)) == [0, 1, 4, 25, 36]
    assert dict(each for each in found if not isinstance(each, int)) == {
        3: "the worker process died (signal 9)", 4: "unexpected ValueError: four"
    }  # fmt: skip


def test_a_full_disk_is_an_error_and_leaves_no_table(heap, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kinema.core.whole.put", full)
    with pytest.raises(KinemaError, match="No space left"):
        curate(heap, tmp_path / "set", stages=(), workers=0)
    assert not list((tmp_path / "set").glob("*.parquet"))


def test_results_come_while_items_are_still_asked_for():
    asked = []

    def items():
        for number in range(50):
            asked.append(number)
            yield number + 10

    results = Here().run(Deadly(), items())
    next(results)
    assert len(asked) == 1


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bytes(dataset, heap, tmp_path):
    """kill -9 at several moments of a run with two workers, then --resume until it is done."""
    command = [
        sys.executable, "-m", "kinema", "curate", str(heap), "-o", str(tmp_path / "set"), "--recipe", "svd",
        "--stages", ",".join(STAGES), "--workers", "2", "--resume",
    ]  # fmt: skip
    for after_s in (4.0, 6.0, 8.0):
        run = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(after_s)
        run.kill()
        run.wait()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 3
    assert (tmp_path / "set" / "clips.parquet").read_bytes() == dataset[1].table.read_bytes()


@pytest.mark.slow
def test_ray_gives_the_same_bytes(dataset, heap, tmp_path):
    pytest.importorskip("ray")
    found = curate(heap, tmp_path / "set", recipe="svd", stages=STAGES, workers=2, ray="local")
    assert found.table.read_bytes() == dataset[1].table.read_bytes()
