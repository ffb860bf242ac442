"""A ComfyUI folder of models with true names and headers, on disk some hundred kilobytes; and headers of GGUF files."""

from __future__ import annotations

import struct

from hollow_files import keys, typed, write

EMB_POS = {"img_emb.emb_pos": (1, 514, 1280)}
REF = {"ref_conv.weight": (5120, 16, 2, 2)}
T5_BIAS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
UMT5 = {"spiece_model": ("U8", (9,)), T5_BIAS: ("F16", (32, 64))}
VAE = {"decoder.upsamples.0.residual.2.weight": ("F32", (9, 9))}
VAE_22 = {"decoder.upsamples.0.upsamples.0.residual.2.weight": ("F16", (9, 9))}
CLIP = {"vision_model.embeddings.patch_embedding.weight": ("F16", (1280, 3, 14, 14))}
LORA = {f"diffusion_model.blocks.0.self_attn.q.lora_{each}.weight": ("F16", shape)
        for each, shape in (("down", (64, 5120)), ("up", (5120, 64)))}  # fmt: skip
Q = "blocks.0.self_attn.q"
INT8 = typed(keys()) | {f"{Q}.weight": ("I8", (5120, 5120)), f"{Q}.weight_scale": ("F32", (5120, 1))}

FILES = {
    "diffusion_models/wan2.1_t2v_1.3B_fp16": keys("1.3B"),
    "diffusion_models/wan2.1_i2v_480p_14B_fp8_scaled": keys(channels=36, clip=True, kind="F8_E4M3"),
    "diffusion_models/wan2.1_flf2v_720p_14B_fp16": keys(channels=36, clip=True, more=EMB_POS),
    "diffusion_models/wan2.1_vace_14B_fp16": keys(vace=8),
    "diffusion_models/wan2.2_t2v_high_noise_14B_fp8_scaled": keys(kind="F8_E4M3"),
    "diffusion_models/wan2.2_t2v_low_noise_14B_fp8_scaled": keys(kind="F8_E4M3"),
    "diffusion_models/Wan/2.2/wan2.2_i2v_high_noise_14B_fp16": keys(channels=36),
    "diffusion_models/Wan/2.2/wan2.2_i2v_low_noise_14B_fp16": keys(channels=36),
    "diffusion_models/wan2.2_fun_control_high_noise_14B_fp8_scaled": keys(channels=52, more=REF),
    "diffusion_models/wan2.2_ti2v_5B_fp16": keys("5B", 48, 48),
    "diffusion_models/wan2.2_s2v_14B_fp8_scaled": keys(more={"casual_audio_encoder.weights": (1, 25, 1, 1)}),
    "diffusion_models/wan2.1_t2v_14B_int8": INT8,
    "unet/Wan2_1-I2V-ATI-14B_fp8_e4m3fn": keys(channels=36, clip=True, kind="F8_E4M3"),
    "checkpoints/some_image_model": {"model.diffusion_model.input_blocks.0.0.weight": ("F16", (320, 4, 3, 3))},
    "vae/wan/wan_2.1_vae": VAE,
    "text_encoders/umt5_xxl_fp8_e4m3fn_scaled": UMT5,
    "clip_vision/clip_vision_h": CLIP,
    "loras/wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise": LORA,
}
VARIANTS = {
    "wan2.1_t2v_1.3B_fp16": "t2v", "wan2.1_i2v_480p_14B_fp8_scaled": "i2v", "wan2.1_flf2v_720p_14B_fp16": "flf2v",
    "wan2.1_vace_14B_fp16": "vace", "wan2.2_t2v_14B_fp8_scaled": "t2v-a14b", "wan2.2_i2v_14B_fp16": "i2v-a14b",
    "wan2.2_fun_control_high_noise_14B_fp8_scaled": "fun-control-2.2", "wan2.2_ti2v_5B_fp16": "ti2v",
    "Wan2_1-I2V-ATI-14B_fp8_e4m3fn": "ati", "wan2.1_t2v_14B_int8": "t2v",
    "Wan2.2-I2V-A14B-HighNoise-Q4_K_S": "i2v-a14b-high",
}  # fmt: skip


def comfy_models(place):
    """Write the folder of ComfyUI; returns it."""
    for name, shapes in FILES.items():
        write(place / "models" / f"{name}.safetensors", typed(shapes))
    gguf(place / "models" / "unet" / "HighNoise" / "Wan2.2-I2V-A14B-HighNoise-Q4_K_S.gguf", keys(channels=36), 12)
    (place / "models" / "diffusion_models" / "put_diffusion_models_here").touch()
    return place


def gguf(file, shapes, kind):
    """The header of a GGUF file: 2-D weights of a quantised type, others F32; dimensions reversed."""

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    facts = text("general.architecture") + struct.pack("<I", 8) + text("wan")
    facts += text("tokens") + struct.pack("<IIQ", 9, 8, 20) + text("x") * 20
    table = b"".join(
        text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape[::-1], kind if len(shape) == 2 else 0, 0)
        for name, (_, shape) in shapes.items()
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, len(shapes), 2) + facts + table)
    return file
