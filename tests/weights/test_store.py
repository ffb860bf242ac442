"""Names of models, complete and incomplete downloads, and refusals before anything is fetched or loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hollow_files import keys, write
from safetensors.torch import save_file

from kinema.core.errors import ModelError, WeightsMissing
from kinema.weights import store
from kinema.weights.names import file_name, is_hub_id, model_name


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty Hugging Face cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def adapter(folder: Path) -> Path:
    """A motion adapter's configuration: the smallest supported folder."""
    folder.mkdir(parents=True)
    config = {"_class_name": "MotionAdapter", "block_out_channels": [32, 64], "motion_max_seq_length": 32}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"x": torch.zeros(1)}, folder / "diffusion_pytorch_model.safetensors")
    return folder


@pytest.mark.parametrize("name", ["Wan2.2-T2V-A14B-Diffusers", "v1.5", "a.b.c", "plain", "x.safetensors-folder"])
def test_an_id_is_the_whole_name(tmp_path, home, name):
    assert store.add(adapter(tmp_path / name)).id == name
    assert store.find(name).path == str((tmp_path / name).resolve())


def test_two_that_begin_alike_stay_two(tmp_path, home):
    first, second = (store.add(adapter(tmp_path / name)) for name in ("Wan2.1-a", "Wan2.1-b"))
    assert (first.id, second.id) == ("Wan2.1-a", "Wan2.1-b")
    again = store.add(adapter(tmp_path / "other" / "wan2.1-A"))
    assert again.id == "wan2.1-A-2"  # names are found in any case


def test_names_of_files_and_of_folders_in_the_hub_s_cache(tmp_path):
    snapshot = tmp_path / "models--Wan-AI--Wan2.1-VACE-1.3B-diffusers" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    assert model_name(snapshot) == "Wan2.1-VACE-1.3B-diffusers"
    assert file_name(Path("wan2.1_t2v_1.3B_fp16.safetensors")) == "wan2.1_t2v_1.3B_fp16"
    assert file_name(Path("style.v1.2")) == "style.v1.2"
    assert file_name(Path(".safetensors")) == ".safetensors"


def test_an_output_is_named_after_the_whole_name_of_a_folder(tmp_path):
    from kinema.cli.output import stem

    (tmp_path / "take.2").mkdir()
    assert stem(str(tmp_path / "take.2"), "video") == "take.2"
    assert stem(str(tmp_path / "take.2.mp4"), "video") == "take.2"


@pytest.mark.parametrize("dotted", ["style.v1.2", "Wan2.2-x"])
def test_an_adapter_by_a_name_with_dots(home, dotted):
    from kinema.weights import adapters

    (home / "adapters").mkdir(parents=True)
    save_file({"x": torch.zeros(1)}, home / "adapters" / f"{dotted}.safetensors")
    assert adapters.find(dotted).name == f"{dotted}.safetensors"


@pytest.mark.parametrize("name", ["./nothere", "../nothere", "~/nothere", "/no/such", "nothere", "a/b/c", "a//b", "-/x",
                                  "nul\0", "x" * 300, "a/" + "b" * 300, "owner/na me", "", "a/.."])  # fmt: skip
def test_what_is_neither_a_path_nor_a_hub_id(hub, name):
    assert not is_hub_id(name)
    with pytest.raises(ModelError, match="no such folder or file"):
        store.local_path(name)
    assert store.fetched(name) is None
    with pytest.raises(ModelError):
        store.pull(name)
    with pytest.raises(ModelError):
        store.find(name)


def test_the_options_that_name_models_say_so():
    from kinema import plan
    from kinema.weights import local

    for call in (
        lambda: plan("a red ball", model="animatediff-v3", options={"base": "./nothere"}),
        lambda: local.find("depth", "./nothere"),
    ):
        with pytest.raises(ModelError, match=r"\./nothere: no such folder or file"):
            call()


def test_a_pull_without_a_network_says_why(hub):
    with pytest.raises(ModelError, match="nothing is fetched") as caught:
        store.pull("wan2.1-t2v-1.3b")
    assert "LocalEntryNotFound" not in str(caught.value)
    assert store.pull("kinema-mini-wan") == store.locate(store.find("kinema-mini-wan"))


INDEX = {
    "_class_name": "WanPipeline", "transformer": ["diffusers", "WanTransformer3DModel"], "transformer_2": [None, None],
    "tokenizer": ["transformers", "T5Tokenizer"], "scheduler": ["diffusers", "UniPCMultistepScheduler"],
}  # fmt: skip
CONFIG = {"num_attention_heads": 12, "attention_head_dim": 128, "num_layers": 30, "text_dim": 4096}


def pulled(hub: Path, hub_id: str) -> Path:
    """A complete copy of a model with two shards, as the hub's client writes it."""
    repository = hub / f"models--{hub_id.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("a" * 40)
    for folder in ("transformer", "tokenizer", "scheduler"):
        (snapshot / folder).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    (snapshot / "model_index.json").write_text(json.dumps(INDEX))
    (snapshot / "transformer" / "config.json").write_text(json.dumps(CONFIG))
    (snapshot / "tokenizer" / "tokenizer.json").write_text("{}")
    (snapshot / "scheduler" / "scheduler_config.json").write_text("{}")
    shards = [f"diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for name in shards:
        save_file({name: torch.zeros(1)}, snapshot / "transformer" / name)
    index = {"weight_map": dict(zip("ab", shards, strict=True))}
    (snapshot / "transformer" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    return snapshot


@pytest.mark.parametrize("lost", [
    None, "transformer", "tokenizer", "scheduler", "transformer/config.json", "tokenizer/tokenizer.json",
    "transformer/diffusion_pytorch_model-00002-of-00002.safetensors", "dangling", "broken index",
])  # fmt: skip
def test_an_interrupted_pull_is_not_here(hub, lost):
    import shutil

    card = store.find("wan2.1-t2v-1.3b")
    snapshot = pulled(hub, card.hub)
    if lost == "dangling":
        (snapshot / "vae.safetensors").symlink_to(hub / "blobs" / "gone")
    elif lost == "broken index":
        (snapshot / "model_index.json").write_text('{"_class_name": "WanPi')
    elif lost is not None:
        gone = snapshot / lost
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    if lost is None:
        assert store.fetched(card.hub) == store.local_path(card.hub) == store.locate(card) == snapshot
        assert store.here(card)
        return
    assert store.fetched(card.hub) is None
    assert store.local_path(card.hub) is None
    assert not store.here(card)
    assert store.on_disk(card)
    assert store.check(card)
    with pytest.raises(WeightsMissing, match=r"are incomplete: .*models pull wan2\.1-t2v-1\.3b` fetches the rest"):
        store.locate(card)


def test_a_pulled_model_that_no_card_names_is_found_by_its_id(hub):
    pulled(hub, "someone/Wan2.1-fine.tune")
    card = store.find("someone/Wan2.1-fine.tune")
    assert (card.id, card.variant) == ("Wan2.1-fine.tune", "t2v")
    snapshot = pulled(hub, "someone/Wan2.2-unknown")
    (snapshot / "model_index.json").write_text(json.dumps({**INDEX, "_class_name": "WanAnimatePipeline"}))
    with pytest.raises(ModelError, match=r"this is Wan 2\.2 Animate"):
        store.find("someone/Wan2.2-unknown")


@pytest.mark.parametrize("table", [{}, [], {"a": 1}, {"a": "../x"}, {"a": "/etc/passwd"}, {"a": ""}, None])
def test_an_index_that_names_files_elsewhere_is_damaged(tmp_path, table):
    from kinema.weights.complete import missing_files

    (tmp_path / "x.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    with pytest.raises(ModelError, match="weight_map"):
        missing_files(tmp_path)


def test_a_transformer_without_its_parts_is_not_good(tmp_path, home):
    card = store.add(write(tmp_path / "wan2.1_t2v_1.3B_fp16.safetensors", keys("1.3B")))
    assert card.id == "wan2.1_t2v_1.3B_fp16"
    assert not store.here(card)
    assert [words.split(" (")[0] for words in store.check(card)] == ["vae", "text encoder"]


def test_a_folder_nobody_knows_says_what_it_is(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "LTXPipeline"}))
    with pytest.raises(ModelError, match=r"model_index\.json names LTXPipeline; not a supported checkpoint"):
        store.recognise(tmp_path)
    pickled = tmp_path / "v1-5.ckpt"
    pickled.write_bytes(b"\x80\x04")
    with pytest.raises(ModelError, match="models convert"):
        store.recognise(pickled)
