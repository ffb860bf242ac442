"""Removing and renaming models, disk space for a pull, files that can be added."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from kinema.core.errors import ModelError
from kinema.weights import manage, store

SHIPPED = "kinema-mini-wan"


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def mine(tmp_path) -> Path:
    """A local checkpoint, as links: only its configuration is read."""
    shutil.copytree(
        store.locate(store.find(SHIPPED)), tmp_path / "mine", copy_function=lambda a, b: Path(b).symlink_to(a)
    )
    return tmp_path / "mine"


def test_renamed_and_removed_from_the_list_but_not_from_the_disk(mine):
    assert manage.add(mine).id == "mine"
    manage.rename("Mine", "better")
    assert store.find("better").path == str(mine)
    with pytest.raises(ModelError):
        store.find("mine")
    for taken in (SHIPPED, "mini", "", " x", "a/b"):
        with pytest.raises(ModelError):
            manage.rename("better", taken)
    what = manage.removal("better")
    assert str(mine) in what.words() and what.folder is None
    manage.remove(what)
    assert mine.is_dir() and store.added_cards() == []


def test_what_was_not_added_is_neither_renamed_nor_removed():
    for model in (SHIPPED, "nothing", "owner/nothing", "wan2.1-t2v-1.3b"):
        with pytest.raises(ModelError):
            manage.removal(model)
        with pytest.raises(ModelError):
            manage.rename(model, "new")


def test_what_was_pulled_is_deleted_and_nothing_else(tmp_path, monkeypatch):
    import huggingface_hub

    for owner in ("one", "two"):
        commit = "a" * 40
        repo = tmp_path / "hub" / f"models--{owner}--model"
        (repo / "blobs").mkdir(parents=True)
        (repo / "blobs" / "1234").write_bytes(bytes(5000))
        (repo / "snapshots" / commit).mkdir(parents=True)
        (repo / "snapshots" / commit / "weights.safetensors").symlink_to("../../blobs/1234")
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text(commit)
    scan = huggingface_hub.scan_cache_dir
    monkeypatch.setattr(huggingface_hub, "scan_cache_dir", lambda: scan(tmp_path / "hub"))
    what = manage.removal("one/model")
    assert what.bytes == 5000 and "models--one--model" in what.words()
    manage.remove(what)
    assert not (tmp_path / "hub" / "models--one--model").exists()
    assert (tmp_path / "hub" / "models--two--model" / "blobs" / "1234").exists()


@pytest.mark.parametrize(("size", "fits"), [(10_000_000, True), (10**15, False)])
def test_a_pull_that_does_not_fit_is_refused_before_it(size, fits, monkeypatch):
    files = [SimpleNamespace(rfilename="a.safetensors", size=size), SimpleNamespace(rfilename="a.ckpt", size=10**16)]
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: SimpleNamespace(siblings=files))
    if fits:
        assert manage.room("owner/model").needed_bytes == size, "pickles are never fetched"
    else:
        with pytest.raises(ModelError, match="not enough"):
            manage.room("owner/model")
    assert manage.room(SHIPPED) is None


def test_a_hub_that_does_not_answer_is_told_by_the_pull(monkeypatch):
    def fail(*_, **__):
        raise ConnectionError

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", fail)
    assert manage.room("owner/model") is None


def test_a_folder_of_many_names_the_files_that_can_be_added(tmp_path, monkeypatch):
    comfy = tmp_path / "ComfyUI" / "models"
    for name in ("vae/vae.safetensors", "diffusion_models/wan.safetensors"):
        (comfy / name).parent.mkdir(parents=True)
        (comfy / name).write_bytes(b"x")
    recognise = store.recognise

    def known(path):
        return store.find(SHIPPED) if path.name == "wan.safetensors" else recognise(path)

    monkeypatch.setattr(store, "recognise", known)
    with pytest.raises(ModelError) as error:
        manage.add(comfy)
    assert "wan.safetensors" in str(error.value) and "vae.safetensors" not in str(error.value)
