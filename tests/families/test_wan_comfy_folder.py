"""A user's ComfyUI models: a folder of files with true names and headers, added as a whole, each file looked at."""

from __future__ import annotations

import re
import struct

import pytest
from hollow_comfy import VAE_22, VARIANTS, comfy_models, gguf
from hollow_files import keys, typed, write

from kinema.core.errors import ModelError
from kinema.weights import comfy_folders, looked, manage, store


@pytest.fixture(scope="module")
def comfy(tmp_path_factory):
    return comfy_models(tmp_path_factory.mktemp("comfy") / "ComfyUI")


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("given", ["", "models"])
def test_every_video_model_in_the_folder_is_added(comfy, given):
    found = manage.add_folders(comfy_folders.comfy_folders(comfy / given))
    assert {card.id: card.variant for card in found.models} == VARIANTS
    assert {card.id for card in found.models} <= {card.id for card in store.added_cards()}
    lost = {card.id: store.missing(card) for card in found.models}
    assert [name for name, parts in lost.items() if parts] == ["wan2.2_ti2v_5B_fp16"], "it has no VAE of Wan 2.2"
    assert "wan2.2_vae.safetensors" in lost["wan2.2_ti2v_5B_fp16"][0]
    refused = {path.name: why for path, why in found.refused}
    assert set(refused) == {"wan2.2_s2v_14B_fp8_scaled.safetensors", "some_image_model.safetensors"}
    assert "S2V" in refused["wan2.2_s2v_14B_fp8_scaled.safetensors"]
    again = manage.add_folders(comfy_folders.comfy_folders(comfy / given))
    assert {card.id for card in again.models} == set(VARIANTS), "names stay when a folder is added again"


def test_paths_of_other_disks(comfy, tmp_path):
    """extra_model_paths.yaml: a transformer in one folder, its parts in another."""
    models = comfy / "models"
    (tmp_path / "ssd").mkdir()
    (tmp_path / "ssd" / "5B.safetensors").symlink_to(models / "diffusion_models" / "wan2.2_ti2v_5B_fp16.safetensors")
    write(tmp_path / "disk" / "wan2.2_vae.safetensors", typed(VAE_22))
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(
        f"a1:\n  base_path: {tmp_path}\n  is_default: true\n  unet: |\n    ssd\n    gone\n  vae: disk\n"
        f"other:\n    text_encoders: {models / 'text_encoders'}\n"
    )
    found = manage.add_folders(comfy_folders.comfy_folders(file))
    (card,) = found.models
    assert (card.variant, store.missing(card)) == ("ti2v", [])
    for text, words in (("- a", "not a file of model"), ("a:\n  vae: gone\n", "no existing folder"), ("a: [", "YAML")):
        file.write_text(text)
        with pytest.raises(ModelError, match=words):
            comfy_folders.comfy_folders(file)


def test_what_is_no_folder_of_comfyui(comfy, tmp_path):
    (tmp_path / "vae").mkdir()
    assert comfy_folders.comfy_folders(tmp_path) is None
    assert comfy_folders.comfy_folders(comfy / "models" / "vae") is None
    (tmp_path / "unet").mkdir()
    with pytest.raises(ModelError, match="No video model of Kinema in 0 files"):
        manage.add_folders(comfy_folders.comfy_folders(tmp_path))


LOOKED = [
    ("diffusion_models/wan2.1_t2v_1.3B_fp16.safetensors", "Wan 2.1 text to video, 1.3B", "float16", True),
    ("diffusion_models/wan2.1_i2v_480p_14B_fp8_scaled.safetensors", "image to video, 14B, 480p", "float8_e4m3fn", True),
    ("diffusion_models/wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors", "two experts", "float8_e4m3fn", True),
    ("diffusion_models/wan2.2_fun_control_high_noise_14B_fp8_scaled.safetensors", "one of its two", "float16", False),
    ("diffusion_models/wan2.2_s2v_14B_fp8_scaled.safetensors", "Wan 2.2 S2V", "float16", False),
    ("diffusion_models/wan2.1_t2v_14B_int8.safetensors", "Wan 2.1 text to video, 14B", "int8", True),
    ("unet/HighNoise/Wan2.2-I2V-A14B-HighNoise-Q4_K_S.gguf", "expert for high noise", "GGUF Q4_K", False),
    ("vae/wan/wan_2.1_vae.safetensors", "the VAE of Wan 2.1", "float32", False),
    ("text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors", "a T5 text encoder", "float16", False),
    ("clip_vision/clip_vision_h.safetensors", "a CLIP vision encoder", "float16", False),
    ("loras/wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors", "LoRA.* of rank 64", "float16", False),
]


@pytest.mark.parametrize(("name", "what", "weights", "runs"), LOOKED, ids=[row[0] for row in LOOKED])
def test_each_file_says_what_it_is(comfy, name, what, weights, runs):
    seen = looked.look(str(comfy / "models" / name))
    assert re.search(what, seen.what) and seen.weights == weights and seen.runs is runs
    assert runs or seen.why


def test_what_a_file_needs_beside_it(comfy):
    needs = looked.look(str(comfy / "models/diffusion_models/wan2.1_i2v_480p_14B_fp8_scaled.safetensors")).needs
    assert [(each.part, each.place.rpartition("/")[2]) for each in needs] == [
        ("vae", "wan_2.1_vae.safetensors"), ("text encoder", "umt5_xxl_fp8_e4m3fn_scaled.safetensors"),
        ("image encoder", "clip_vision_h.safetensors"),
    ]  # fmt: skip
    alone = looked.look(str(comfy / "models/diffusion_models/wan2.2_fun_control_high_noise_14B_fp8_scaled.safetensors"))
    assert [(each.part, each.place) for each in alone.needs][-1] == ("other expert", None)
    half = looked.look(str(comfy / "models/diffusion_models/wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors") + ":")
    assert half.needs[-1].place.endswith("wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors")
    assert looked.look("kinema-mini-wan").weights in ("float32", "float16", "bfloat16")


def test_a_damaged_gguf_file_is_said_to_be_damaged(tmp_path):
    whole = gguf(tmp_path / "wan.gguf", keys("1.3B"), 8).read_bytes()
    for cut in (3, 4, 12, 30, 200, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.gguf").write_bytes(whole[:cut])
        with pytest.raises(ModelError):
            looked.look(str(tmp_path / "cut.gguf"))
    (tmp_path / "long.gguf").write_bytes(whole[:24] + struct.pack("<Q", 2**60) + whole[32:])
    with pytest.raises(ModelError, match="damaged"):
        looked.look(str(tmp_path / "long.gguf"))
