"""Detection of published Wan files and folders and their relatives: headers and configurations with names and shapes,
no weights. What runs is recognised, everything else is refused by its name."""

from __future__ import annotations

import json
import re

import pytest
from hollow_files import keys, typed, write

from kinema.core.errors import ModelError
from kinema.families.wan import load
from kinema.weights import quantised, store

REF = {"ref_conv.weight": (5120, 16, 2, 2)}
CAMERA = {"control_adapter.conv.weight": (5120, 1536, 2, 2)}
REF_13 = {"ref_conv.weight": (1536, 16, 2, 2)}
CAMERA_13 = {"control_adapter.conv.weight": (1536, 1536, 2, 2)}
EMB_POS = {"img_emb.emb_pos": (1, 514, 1280)}

RUN = [
    ("wan2.1_t2v_1.3B_fp16", keys("1.3B"), "t2v", 1536),
    ("wan2.1_t2v_14B_fp8_e4m3fn", keys(kind="F8_E4M3"), "t2v", 5120),
    ("wan2.1_t2v_14B_bf16", keys(prefix="model.diffusion_model."), "t2v", 5120),
    ("Wan2_1-T2V-14B_fp16", keys(), "t2v", 5120),
    ("wan2.1_i2v_480p_14B_fp16", keys(channels=36, clip=True), "i2v", 5120),
    ("wan2.1_i2v_720p_14B_fp16", keys(channels=36, clip=True), "i2v", 5120),
    ("wan2.1_vace_1.3B_fp16", keys("1.3B", vace=15), "vace", 1536),
    ("wan2.1_vace_14B_fp16", keys(vace=8), "vace", 5120),
    ("wan2.2_ti2v_5B_fp16", keys("5B", 48, 48), "ti2v", 3072),
    ("renamed 5B", keys("5B", 48, 48, prefix="model.diffusion_model."), "ti2v", 3072),
    ("my style, v1.5 (final)", keys("1.3B"), "t2v", 1536),
    ("wan2.2_t2v_high_noise_14B_fp16", keys(), "t2v-a14b-high", 5120),
    ("wan2.2_t2v_low_noise_14B_fp8_scaled", keys(kind="F8_E4M3"), "t2v-a14b-low", 5120),
    ("Wan22-T2V-A14B-HighNoise", keys(prefix="model.diffusion_model."), "t2v-a14b-high", 5120),
    ("Wan2_2-T2V-A14B-LOW_fp8_e4m3fn_scaled_KJ", keys(), "t2v-a14b-low", 5120),
    ("Wan2.2-T2V-A14B/high_noise_model/diffusion_pytorch_model", keys(), "t2v-a14b-high", 5120),
    ("Wan2.2-T2V-A14B/low_noise_model/diffusion_pytorch_model", keys(), "t2v-a14b-low", 5120),
    ("Wan2.2-I2V-A14B/low_noise_model/diffusion_pytorch_model", keys(channels=36), "i2v-a14b-low", 5120),
    ("Wan2.2-Fun-A14B-InP/low_noise_model/diffusion_pytorch_model", keys(channels=36), "inp-2.2", 5120),
    ("Wan2.1-Fun-14B-InP/diffusion_pytorch_model", keys(channels=36, clip=True), "inp", 5120),
    ("Wan2.1-I2V-14B-720P/diffusion_pytorch_model", keys(channels=36, clip=True), "i2v", 5120),
    (
        "Wan2.1-Fun-V1.1-1.3B-Control/diffusion_pytorch_model",
        keys("1.3B", 48, clip=True, more=REF_13),
        "fun-control-ref",
        1536,
    ),
    ("Wan2.1-VACE-14B/diffusion_pytorch_model", keys(vace=8), "vace", 5120),
    ("Wan2.2-VACE-Fun-A14B-high_noise", keys(vace=8), "vace-a14b-high", 5120),
    ("wan2.2_fun_vace_low_noise_14B_bf16", keys(vace=8), "vace-a14b-low", 5120),
    ("Wan2.2-VACE-Fun-A14B/low_noise_model/diffusion_pytorch_model", keys(vace=8), "vace-a14b-low", 5120),
    ("ATI/diffusion_pytorch_model", keys(channels=36, clip=True), "ati", 5120),
    ("wan2.1_fun_camera_v1.1_1.3B_bf16", keys("1.3B", 32, clip=True, more=CAMERA_13), "fun-camera", 1536),
    ("wan2.1_fun_control_14B_bf16", keys(channels=48, clip=True), "fun-control", 5120),
    (
        "wan2.2_fun_camera_low_noise_14B_fp8_scaled",
        keys(channels=36, more=CAMERA, kind="F8_E4M3"),
        "fun-camera-2.2",
        5120,
    ),
    ("Wan2_1-I2V-14B-480P_fp8_e5m2", keys(channels=36, clip=True, kind="F8_E5M2"), "i2v", 5120),
    ("wan2.2_i2v_high_noise_14B_fp16", keys(channels=36), "i2v-a14b-high", 5120),
    ("wan2.2_i2v_low_noise_14B_fp8_scaled", keys(channels=36, kind="F8_E4M3"), "i2v-a14b-low", 5120),
    ("wan2.1_flf2v_720p_14B_fp16", keys(channels=36, clip=True, more=EMB_POS), "flf2v", 5120),
    ("renamed flf", keys(channels=36, clip=True, more=EMB_POS), "flf2v", 5120),
    ("wan2.1_fun_inp_1.3B_bf16", keys("1.3B", 36, clip=True), "inp", 1536),
    ("renamed inp", keys("1.3B", 36, clip=True), "inp", 1536),
    ("Wan2.1-Fun-14B-InP", keys(channels=36, clip=True), "inp", 5120),
    ("Wan2_1-I2V-ATI-14B_fp8_e4m3fn", keys(channels=36, clip=True), "ati", 5120),
    ("wan2.1_fun_control_1.3B_bf16", keys("1.3B", 48, clip=True), "fun-control", 1536),
    ("Wan2.1-Fun-14B-Control", keys(channels=48, clip=True), "fun-control", 5120),
    ("wan2.1_fun_v1.1_control", keys(channels=48, clip=True, more=REF), "fun-control-ref", 5120),
    ("wan2.1_fun_camera_v1.1_14B_bf16", keys(channels=32, clip=True, more=CAMERA), "fun-camera", 5120),
    ("wan2.2_fun_control_high_noise_14B_fp8_scaled", keys(channels=52, more=REF), "fun-control-2.2", 5120),
    ("wan2.2_fun_inpaint_low_noise_14B_fp8_scaled", keys(channels=36), "inp-2.2", 5120),
    ("wan2.2_fun_camera_high_noise_14B", keys(channels=36, more=CAMERA), "fun-camera-2.2", 5120),
    ("wan2.2_fun_inpaint_5B_bf16", keys("5B", 100, 48), "inp-5b", 3072),
    ("wan2.2_fun_control_5B_bf16", keys("5B", 148, 48), "fun-control-5b", 3072),
    ("functional_and_matinee", keys(), "t2v", 5120),
]

REFUSED = [
    ("FastWan2.2-TI2V-5B-FullAttn", keys("5B", 48, 48), "FastWan"),
    ("5B with pictures", keys("5B", 48, 48, clip=True), "relative of Wan 2.2"),
    ("5B with a reference", keys("5B", 48, 48, more={"ref_conv.weight": (3072, 48, 2, 2)}), "relative of Wan 2.2"),
    ("5B with 96", keys("5B", 96, 48), "relative of Wan 2.2"),
    ("renamed camera", keys("1.3B", 32, clip=True), "Fun-Camera 1.1"),
    ("camera with a mask", keys("1.3B", 36, clip=True, more=CAMERA), "Fun-Camera 1.1"),
    ("control without pictures", keys("1.3B", 48), "Fun-Control 1.0"),
    ("wan2.1_fun_control_t2v", keys("1.3B"), "Fun-Control"),
    ("FunControl with audio", keys(channels=48, clip=True, more={"audio_proj.x": (9,)}), "HuMo"),
    ("Phantom control", keys(channels=48, clip=True), "Phantom"),
    ("wan2.2_s2v_14B_fp8_scaled", keys(more={"casual_audio_encoder.weights": (1, 25, 1, 1)}), "S2V"),
    ("renamed s2v", keys(more={"audio_injector.injector.0.q.weight": (5120, 5120)}), "S2V"),
    ("renamed s2v 2", keys(more={"trainable_cond_mask.weight": (3, 5120)}), "S2V"),
    ("wan2.2_animate_14B", keys(channels=36, clip=True, more={"face_adapter.fuser_blocks.0.x": (9,)}), "2 Animate"),
    ("renamed animate", keys(channels=36, clip=True, more={"pose_patch_embedding.bias": (9,)}), "2 Animate"),
    ("wan_animate_2", keys(channels=36, clip=True, more={"blocks.0.block.x": (9,)}), "Animate 2"),
    ("humo_17B", keys(channels=36, more={"audio_proj.norm.weight": (9,)}), "HuMo"),
    ("wan2.1_14B_SCAIL_2_fp16", keys(more={"patch_embedding_mask.weight": (9,)}), "SCAIL 2"),
    ("SCAIL", keys(more={"patch_embedding_pose.weight": (9,)}), "SCAIL"),
    ("wan2.2_dancer_14b_global", keys(more={"patch_embedding_global.weight": (9,)}), "Dancer"),
    ("Wan21-WanMove_fp8_scaled_e4m3fn_KJ", keys(channels=36, clip=True), "WanMove"),
    ("Phantom-Wan-14B_fp16", keys(), "Phantom"),
    ("Wan21-Self-Forcing-1.3B", keys("1.3B"), "Self-Forcing"),
    ("self_forcing_dmd", keys("1.3B"), "Self-Forcing"),
    ("wan_causvid_14B", keys(), "CausVid"),
    ("FastWan2.1-T2V-1.3B", keys("1.3B"), "FastWan"),
    ("Wan2.1-T2V-14B-StepDistill-CfgDistill", keys(), "student"),
    ("wan2.2_bernini_r_high_noise_fp8_scaled", keys(), "Bernini"),
    ("SkyReels-V2-DF-14B-540P", keys(), "diffusion forcing"),
    (
        "Wan2.2-Fun-5B-Control-Camera",
        keys("5B", 100, 48, more={"control_adapter.conv.weight": (3072, 6144, 2, 2)}),
        "relative of Wan 2.2",
    ),
    ("Wan2_1-SkyReels-V2-T2V-14B-720P_fp16", keys(), "SkyReels"),
    ("wan2.2_i2v_A14b_high_noise_lightx2v_4step", keys(channels=36), "few-step student"),
    ("wan2.2-t2v-rapid-aio-v10", keys(), "few-step merge"),
    ("humo_1.7B", keys("1.3B", 36, more={"audio_proj.audio_proj_glob_1.layer.weight": (9,)}), "HuMo"),
    (
        "wan2.2_dancer_14b_local_fp8_scaled",
        keys(kind="F8_E4M3", more={"patch_embedding_global.weight": (9,)}),
        "Dancer",
    ),
    ("Phantom-Wan-1_3B", keys("1.3B"), "Phantom"),
    ("Wan-Move-14B-480P/diffusion_pytorch_model", keys(channels=36, clip=True), "WanMove"),
    (
        "Wan2_1-VACE_module_14B_bf16",
        {"vace_patch_embedding.weight": ("F16", (5120, 96, 1, 2, 2))},
        "without their transformer",
    ),
    ("clip_vision_h", {"vision_model.embeddings.patch_embedding.weight": ("F16", (9,))}, "CLIP vision encoder"),
    ("wan2.2_vae", {"decoder.upsamples.0.upsamples.0.residual.2.weight": ("F16", (9, 9))}, "VAE of Wan 2.2"),
    ("wan_2.1_vae", {"decoder.upsamples.0.residual.2.weight": ("F16", (9, 9))}, "VAE of Wan 2.1"),
    ("umt5", {"blocks.0.pos_embedding.embedding.weight": ("F16", (9, 9))}, "text encoder"),
    (
        "diffusers_names",
        {"condition_embedder.text_embedder.linear_1.weight": ("F16", (9, 9)), "patch_embedding.weight": ("F16", (9,))},
        "diffusers' layout",
    ),
]


@pytest.mark.parametrize(("name", "shapes", "variant", "width"), RUN, ids=[row[0] for row in RUN])
def test_files_that_run(tmp_path, name, shapes, variant, width):
    card = store.recognise(write(tmp_path / f"{name}.safetensors", typed(shapes)))
    plain = name.removesuffix("/diffusion_pytorch_model")
    own = (
        plain.replace("/", " ") if plain != name else name
    )  # a file that is called as all others has its folder's name
    assert (card.id, card.family, card.variant, card.network.width) == (own, "wan", variant, width)


@pytest.mark.parametrize(("name", "shapes", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_files_that_are_refused_by_name(tmp_path, name, shapes, words):
    file = write(tmp_path / f"{name}.safetensors", typed(shapes))
    refused(file, words)


def refused(path, words):
    """Check that the message contains the path, and the words outside it."""
    with pytest.raises(ModelError) as caught:
        store.recognise(path)
    assert str(path) in str(caught.value)
    assert re.search(words, str(caught.value).replace(str(path), ""))


DOUBTS = [
    ("something", keys(), "Wan 2.2 A14B shares"),
    ("any name at all", keys(channels=36), "which of the two experts"),
    ("my edits", keys(vace=8), "VACE-Fun A14B shares"),
    ("anime", keys(channels=36, clip=True), "Fun-InP, ATI and WanMove share"),
    ("wan2.1_i2v_14B", keys(channels=36, clip=True), "480p or 720p"),
    ("wan2.1_t2v_14B_fp16", keys(), ""),
    ("wan2.1_vace_14B_fp16", keys(vace=8), ""),
    ("wan2.1_i2v_480p_14B_fp16", keys(channels=36, clip=True), ""),
    ("wan2.2_i2v_low_noise_14B", keys(channels=36), ""),
    ("small", keys("1.3B"), ""),
]


@pytest.mark.parametrize(("name", "shapes", "words"), DOUBTS, ids=[row[0] for row in DOUBTS])
def test_what_a_name_does_not_tell_is_said_in_every_plan(tmp_path, name, shapes, words):
    from kinema.core.request import Request
    from kinema.engine.plan import plan

    file = write(tmp_path / f"{name}.safetensors", typed(shapes))
    card = store.recognise(file)
    assert any(words in each for each in card.doubts) if words else card.doubts == ()
    if "image:first" not in card.needs:
        made = plan(Request(prompt="a hill", model=str(file)), device="cpu", stage=True)
        assert made.notes[: len(card.doubts)] == card.doubts


def test_metadata_name_a_renamed_file(tmp_path):
    file = write(tmp_path / "mine.safetensors", typed(keys()), {"modelspec.title": "Phantom-Wan-14B"})
    refused(file, "this is Phantom")
    file = write(tmp_path / "other.safetensors", typed(keys(channels=36)), {"name": "Wan2.2 I2V A14B low noise"})
    assert store.recognise(file).variant == "i2v-a14b-low"


def folder(place, pipeline="WanPipeline", index=(), vae=(), **config):
    """A diffusers folder of configurations. None in `index` or `config` is null."""
    parts = {name: ["diffusers", "X"] for name in ("transformer", "vae", "scheduler")}
    sizes = {
        "_class_name": "WanVACETransformer3DModel" if "vace_layers" in config else "WanTransformer3DModel",
        "num_attention_heads": 40, "attention_head_dim": 128, "num_layers": 40, "text_dim": 4096, "in_channels": 16,
        "out_channels": 16, "image_dim": None, "added_kv_proj_dim": None, "pos_embed_seq_len": None,
    }  # fmt: skip
    for name, value in (
        ("model_index.json", {"_class_name": pipeline, "boundary_ratio": None, **parts, **dict(index)}),
        ("transformer/config.json", {**sizes, **config}),
        ("vae/config.json", {"z_dim": 16, **dict(vae)}),
    ):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(json.dumps(value))
    return place


SMALL = {"num_attention_heads": 12, "num_layers": 30}
FIVE = {"num_attention_heads": 24, "num_layers": 30, "in_channels": 48, "out_channels": 48}
IMAGE = {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}
TWO = {"boundary_ratio": 0.875, "transformer_2": ["diffusers", "WanTransformer3DModel"]}
I2V, VACE = "WanImageToVideoPipeline", "WanVACEPipeline"

FOLDERS_RUN = [
    ("Wan2.1-T2V-1.3B-Diffusers", {**SMALL}, "t2v"),
    ("Wan2.1-T2V-14B-Diffusers", {"index": {"transformer_2": [None, None], "expand_timesteps": False}}, "t2v"),
    ("Wan2.1-I2V-14B-480P-Diffusers", {"pipeline": I2V, **IMAGE}, "i2v"),
    ("Wan2.2-TI2V-5B-Diffusers", {"index": {"expand_timesteps": True}, "vae": {"z_dim": 48}, **FIVE}, "ti2v"),
    ("renamed 5b", {**FIVE}, "ti2v"),
    ("as i2v", {"pipeline": I2V, "index": {"expand_timesteps": True}, **FIVE}, "ti2v"),
    ("Wan2.1-VACE-1.3B-diffusers", {"pipeline": VACE, **SMALL, "vace_layers": list(range(0, 30, 2))}, "vace"),
    ("Wan2.2-T2V-A14B-Diffusers", {"index": TWO}, "t2v-a14b"),
    ("my.model.v2", {"index": TWO}, "t2v-a14b"),
    ("Wan2.2-I2V-A14B-Diffusers", {"pipeline": I2V, "index": TWO, "in_channels": 36}, "i2v-a14b"),
    ("Wan2.2-T2V-A14B low", {}, "t2v-a14b-low"),
    ("Wan2.1-FLF2V-14B-720P-diffusers", {"pipeline": I2V, **IMAGE, "pos_embed_seq_len": 514}, "flf2v"),
    ("Wan2.1-Fun-14B-InP", {"pipeline": I2V, **IMAGE}, "inp"),
    ("Fun-Control", {"pipeline": I2V, **IMAGE, "in_channels": 48}, "fun-control"),
    ("Wan2.2-VACE-Fun-14B", {"pipeline": VACE, "index": TWO, "vace_layers": list(range(0, 40, 5))}, "vace-a14b"),
    ("Wan2.1-VACE-14B-diffusers", {"pipeline": VACE, "vace_layers": list(range(0, 40, 5))}, "vace"),
]

FOLDERS_REFUSED = [
    ("no second", {"index": {"boundary_ratio": 0.875}}, "one of its two experts is missing"),
    ("per token", {"index": {"expand_timesteps": True}}, "relative of Wan 2.2 TI2V-5B"),
    ("two of them", {"index": TWO, **FIVE}, "relative of Wan 2.2"),
    ("only its vae", {"vae": {"z_dim": 48}}, "Wan 2.2"),
    ("Wan2.2-Animate-14B-Diffusers", {"pipeline": "WanAnimatePipeline", **IMAGE}, "2 Animate"),
    ("its transformer", {"pipeline": I2V, **IMAGE, "_class_name": "WanAnimateTransformer3DModel"}, "2 Animate"),
    ("Animate 2", {"pipeline": I2V, **IMAGE, "_class_name": "WanAnimate2Transformer3DModel"}, "Animate 2"),
    ("Fun-Control", {"index": TWO, "in_channels": 52}, "Fun-Control A14B"),
    ("SkyReels-V2-DF-1.3B", {"pipeline": "SkyReelsV2DiffusionForcingPipeline", **SMALL}, "diffusion forcing"),
    ("quantised", {"quantization_config": {"quant_method": "bitsandbytes"}}, "bitsandbytes"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "made", "variant"), FOLDERS_RUN, ids=[row[0] for row in FOLDERS_RUN])
def test_folders_that_run(tmp_path, name, made, variant):
    card = store.recognise(folder(tmp_path / name, **made))
    assert (card.id, card.variant) == (name, variant)
    assert not any("unpublished" in note for note in card.notes)


@pytest.mark.parametrize(("name", "made", "words"), FOLDERS_REFUSED, ids=[row[0] for row in FOLDERS_REFUSED])
def test_folders_that_are_refused_by_name(tmp_path, name, made, words):
    refused(folder(tmp_path / name, **made), words)


ORIGINAL = [
    ("Wan2.2-T2V-A14B", "high_noise_model", {"model_type": "t2v", "in_dim": 16}, "original code's"),
    ("Wan2.2-I2V-A14B", "low_noise_model", {"model_type": "i2v", "in_dim": 36}, "original code's"),
    ("Wan2.2-TI2V-5B", "", {"model_type": "ti2v", "in_dim": 48, "out_dim": 48, "dim": 3072}, r"ti2v.* in the original"),
    ("Wan2.2-S2V-14B", "", {"model_type": "s2v", "in_dim": 16}, "S2V"),
    ("Wan2.1-FLF2V-14B-720P", "", {"model_type": "flf2v", "in_dim": 36}, "original code's"),
    ("Wan2.1-Fun-V1.1-14B-Control", "", {"model_type": "i2v", "in_dim": 48, "add_ref_conv": True}, "original code's"),
    ("camera", "", {"model_type": "i2v", "in_dim": 32, "add_control_adapter": True}, "original code's"),
    ("Wan2.2-Fun-A14B-Control", "high_noise_model", {"model_type": "i2v", "in_dim": 52}, "Control A14B"),
    ("Wan2.2-VACE-Fun-A14B", "high_noise_model", {"model_type": "vace", "in_dim": 16}, "original code"),
    ("fun in transformer", "transformer", {"model_type": "i2v", "in_dim": 48}, "original code's"),
    ("Wan2.1-T2V-14B", "", {"model_type": "t2v", "in_dim": 16}, "original code's folder layout"),
]


@pytest.mark.parametrize(("name", "inner", "config", "words"), ORIGINAL, ids=[row[0] for row in ORIGINAL])
def test_folders_of_the_original_code_and_of_videox(tmp_path, name, inner, config, words):
    place = tmp_path / name / inner
    place.mkdir(parents=True)
    sizes = {"_class_name": "WanModel", "dim": 5120, "num_layers": 40, "out_dim": 16}
    (place / "config.json").write_text(json.dumps({**sizes, **config}))
    refused(tmp_path / name, words)


def test_a_card_from_before_is_refused_at_load(tmp_path):
    """A model that was added under a wrong detection is refused before it is opened."""
    from kinema.core.registry import find_card

    made = folder(tmp_path / "Fun-Control", index=TWO, in_channels=52)
    card = find_card("wan2.1-t2v-14b", store.known_cards()).model_copy(update={"path": str(made), "hub": None})
    with pytest.raises(ModelError, match="this is Fun-Control A14B"):
        load(card, made, "cpu")


X = "blocks.0.self_attn.q"
QUANTISED = [
    ("mxfp8", {f"{X}.weight_scale": ("U8", (5120, 160))}, "F8_E4M3", "MXFP8"),
    ("mxfp8 e8m0", {f"{X}.weight_scale": ("F8_E8M0", (5120, 160))}, "F8_E4M3", "MXFP8"),
    ("nvfp4", {f"{X}.weight_scale": ("F8_E4M3", (5120, 320)), f"{X}.weight_scale_2": ("F32", ())}, "U8", "NVFP4"),
    ("int8", {f"{X}.weight_scale": ("F32", (5120, 1))}, "I8", "int8"),
    ("blocks", {f"{X}.weight_scale_inv": ("F32", (40, 40))}, "F8_E4M3", "in blocks"),
    ("2d blocks", {f"{X}.weight_scale": ("F32", (40, 40))}, "F8_E4M3", "in blocks"),
    ("bnb", {f"{X}.weight.absmax": ("F32", (9,))}, "U8", "bitsandbytes"),
    ("svdq", {"blocks.0.self_attn.q.qweight": ("I8", (9, 9))}, "F16", "SVDQuant"),
]


@pytest.mark.parametrize(("name", "more", "kind", "words"), QUANTISED, ids=[row[0] for row in QUANTISED])
def test_quantised_files_are_refused_by_the_name_of_their_kind(tmp_path, name, more, kind, words):
    """By families that read float8 only; Wan refuses what weights/stored does not read."""
    shapes = typed(keys()) | {f"{X}.weight": (kind, (5120, 5120))} | more
    file = write(tmp_path / "wan2.1_t2v_14B.safetensors", shapes)
    with pytest.raises(ModelError, match=words):
        quantised.refuse(file)
    if words in ("MXFP8", "NVFP4", "int8"):
        assert store.recognise(file).network.stored_bytes == file.stat().st_size
        return
    with pytest.raises(ModelError, match=words):
        store.recognise(file)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 256}, "ConvRot"),
        ({"format": "mxfp8"}, "MXFP8"), ({"format": "nvfp4"}, "NVFP4"),
        ({"format": "asym_w4a8_int8"}, "asym_w4a8_int8"), ({"format": "float8_e4m3fn"}, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["tensor", "metadata"])
def test_comfyui_s_notes_name_the_kind(tmp_path, layer, words, where):
    text, file = json.dumps(layer).encode(), tmp_path / "wan2.1_t2v_14B.safetensors"
    if where == "tensor":
        note = {f"{X}.comfy_quant": ("U8", (len(text),))}
        write(file, note | typed(keys(kind="F8_E4M3")), values={f"{X}.comfy_quant": text}.items())
    else:
        write(file, typed(keys(kind="F8_E4M3")), {"_quantization_metadata": json.dumps({"layers": {X: layer}})})
    if words is not None:
        with pytest.raises(ModelError, match=words):
            quantised.refuse(file)
    if words != "asym_w4a8_int8":
        assert store.recognise(file).variant == "t2v"
        return
    with pytest.raises(ModelError, match=words):
        store.recognise(file)


def test_scaled_float8_runs_and_a_damaged_gguf_does_not(tmp_path):
    shapes = typed(keys(kind="F8_E4M3")) | {f"{X}.scale_weight": ("F32", ()), "scaled_fp8": ("F8_E4M3", (0,))}
    assert store.recognise(write(tmp_path / "wan2.1_t2v_14B_fp8_scaled.safetensors", shapes)).variant == "t2v"
    for name in ("wan2.1-t2v-14b-Q8_0.gguf", "no ending"):
        file = tmp_path / name
        file.write_bytes(b"GGUF" + bytes(40))
        with pytest.raises(ModelError, match="GGUF"):
            store.recognise(file)
