"""Fun-Control and Fun-Camera from single files in the published layout, against a forward, inputs and a sampling loop
that are written out here (wan_reference.py): the library has no pipeline for them."""

from __future__ import annotations

import itertools
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from wan_original import (
    clean_text_state,
    clip_state,
    original_vae,
    original_vae_22,
    randomised,
    renamed,
    spiece,
    text_encoder,
    transformer,
)
from wan_reference import forward as reference_forward

from kinema.conditions.rays import track
from kinema.core.conditions import Camera
from kinema.core.errors import ModelError, RequestError
from kinema.core.request import Request
from kinema.diffusion.noise import noise
from kinema.engine.generate import generate, sample
from kinema.engine.load import load as load_engine
from kinema.families.wan import fun_camera, load, plan, recognise
from kinema.weights import store
from kinema.workflow.findings import examine
from kinema.workflow.formats.api import parse_api
from kinema.workflow.run.execute import run_workflow
from kinema.workflow.run.folders import FolderInputs, FolderOutputs

SIDE, FRAMES, LENGTH, STEPS, GUIDANCE, SHIFT, SEED = 32, 9, 3, 2, 3.0, 5.0, 7
HEAD, LAYERS, WIDTH = 128, 2, 256
TOLERANCE = 1e-4

KINDS = {
    # name: input channels, channels of latents, CLIP, reference, camera, variant
    "wan2.1_fun_control_tiny": (48, 16, True, False, False, "fun-control"),
    "wan2.1_fun_control_v1.1_tiny": (48, 16, True, True, False, "fun-control-ref"),
    "wan2.2_fun_control_high_noise_tiny": (52, 16, False, True, False, "fun-control-2.2"),
    "wan2.2_fun_control_5B_tiny": (148, 48, False, True, False, "fun-control-5b"),
    "wan2.2_fun_inpaint_high_noise_tiny": (36, 16, False, False, False, "inp-2.2"),
    "wan2.2_fun_inpaint_5B_tiny": (100, 48, False, False, False, "inp-5b"),
    "wan2.2_ti2v_5B_tiny": (48, 48, False, False, False, "ti2v"),
    "wan2.1_fun_camera_v1.1_tiny": (32, 16, True, False, True, "fun-camera"),
    "wan2.2_fun_camera_low_noise_tiny": (36, 16, False, False, True, "fun-camera-2.2"),
}


def drawn(*shape: int, scale: float = 0.05) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * scale


def state_of(name: str) -> dict[str, torch.Tensor]:
    """All tensors of a tiny file."""
    channels, z, images, reference, camera, _ = KINDS[name]
    clip = {"image_dim": 80, "added_kv_proj_dim": WIDTH} if images else {}
    network = transformer("t2v", head_dim=HEAD, num_layers=LAYERS, in_channels=channels, out_channels=z, **clip)
    state = renamed(network)
    if reference:
        state |= {"ref_conv.weight": drawn(WIDTH, z, 2, 2, scale=0.2), "ref_conv.bias": drawn(WIDTH)}
    if camera:
        block = "control_adapter.residual_blocks.0"
        state |= {
            "control_adapter.conv.weight": drawn(WIDTH, 24 * 64, 2, 2), "control_adapter.conv.bias": drawn(WIDTH),
            f"{block}.conv1.weight": drawn(WIDTH, WIDTH, 3, 3, scale=0.02), f"{block}.conv1.bias": drawn(WIDTH),
            f"{block}.conv2.weight": drawn(WIDTH, WIDTH, 3, 3, scale=0.03), f"{block}.conv2.bias": drawn(WIDTH),
        }  # fmt: skip
    return state


def vision():
    """CLIP with the size of heads that the single files have."""
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=80, intermediate_size=24, num_hidden_layers=3, num_attention_heads=1, image_size=28, patch_size=14,
        hidden_act="gelu",
    )  # fmt: skip
    return randomised(CLIPVisionModel(config))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """ComfyUI's folders with every kind and the parts that they share."""
    from diffusers import AutoencoderKLWan
    from test_wan_ti2v import autoencoder

    root = tmp_path_factory.mktemp("fun") / "models"
    for folder in ("diffusion_models", "vae", "text_encoders", "clip_vision"):
        (root / folder).mkdir(parents=True)
    for name in KINDS:
        save_file(state_of(name), root / "diffusion_models" / f"{name}.safetensors")
    vae = randomised(AutoencoderKLWan(base_dim=8, z_dim=16))
    save_file(renamed(vae, original_vae), root / "vae" / "wan_2.1_vae.safetensors")
    save_file(renamed(autoencoder(), original_vae_22), root / "vae" / "wan2.2_vae.safetensors")
    pieces = {"spiece_model": torch.tensor(list(spiece()), dtype=torch.uint8)}
    save_file(clean_text_state(text_encoder()) | pieces, root / "text_encoders" / "umt5_xxl_fp16.safetensors")
    save_file(clip_state(vision()), root / "clip_vision" / "clip_vision_h.safetensors")
    return root


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Exact pictures: a first frame, a reference, and a control clip that is shorter than the clip."""
    folder, rng = tmp_path_factory.mktemp("media"), np.random.default_rng(0)
    for name, shape in (("first", (8, 8, 3)), ("reference", (8, 8, 3)), ("control", (5, 8, 8, 3))):
        pixels = rng.integers(0, 256, shape, dtype=np.uint8).repeat(SIDE // 8, -3).repeat(SIDE // 8, -2)
        np.save(folder / f"{name}.npy", pixels.astype(np.float32) / np.float32(255))
        Image.fromarray(pixels.reshape(-1, SIDE, SIDE, 3)[0]).save(folder / f"{name}.png")
    return folder


_FAMILIES: dict = {}


def family_of(models, name):
    if name not in _FAMILIES:
        file = models / "diffusion_models" / f"{name}.safetensors"
        _FAMILIES[name] = load(recognise(file), file, "cpu")
    return _FAMILIES[name]


def conditions(name, media, *kinds):
    made = {
        "image": {"kind": "image", "image": str(media / "first.npy"), "at": "first"},
        "last": {"kind": "image", "image": str(media / "reference.npy"), "at": "last"},
        "reference": {"kind": "reference", "images": (str(media / "reference.npy"),)},
        "control": {"kind": "control", "control": "edge", "video": str(media / "control.npy")},
        "camera": {"kind": "camera", "move": "roll_left", "amount": 1.5},
    }
    return tuple(made[kind] for kind in kinds)


def planned(models, name, media, *kinds, **options):
    file = models / "diffusion_models" / f"{name}.safetensors"
    request = Request(
        prompt="a red ball", negative_prompt="a ball", model=str(file), width=SIDE, height=SIDE, frames=FRAMES,
        steps=STEPS, guidance=GUIDANCE, seed=SEED, profile="exact", conditions=conditions(name, media, *kinds),
        options={"shift": SHIFT, "sampler": "euler", "schedule": "simple", **options},
    )  # fmt: skip
    return plan(request, recognise(file))


def encoded(vae, pixels_FHWC: np.ndarray) -> torch.Tensor:
    """Pixels in [0, 1] to normalised latents (z, T, h, w)."""
    x = torch.from_numpy(pixels_FHWC).movedim(-1, 0)[None] * 2 - 1
    with torch.no_grad():
        z = vae.encode(x).latent_dist.mode()[0]
    mean, std = (torch.tensor(each).view(-1, 1, 1, 1) for each in (vae.config.latents_mean, vae.config.latents_std))
    return (z - mean) / std


def plucker(way, angle, frames, size=(SIDE, SIDE), lens=(0.5, 0.5, 0.5, 0.5)) -> torch.Tensor:
    """Rays of a camera that moves and rolls, one pixel at a time: (24, T, H, W)."""
    (width, height), (fx, fy, cx, cy) = size, lens
    every = np.zeros((frames, 6, height, width))
    for index in range(frames):
        turn = index / frames * angle
        rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        origin = np.array(way, dtype=float) * index / frames
        for row, column in np.ndindex(height, width):
            # The focal lengths belong to a frame of 16:9, of which this one is the middle.
            wide, tall = max(width, height * 1280 / 720), max(height, width * 720 / 1280)
            x = (column + 0.5 - cx * width) / (fx * wide)
            y = (row + 0.5 - cy * height) / (fy * tall)
            ray = rotation @ (np.array([x, y, 1.0]) / np.linalg.norm([x, y, 1.0]))
            every[index, :, row, column] = [*np.cross(origin, ray), *ray]
    every = np.concatenate([every[:1].repeat(4, 0), every[1:]])  # 4 T
    packed = [every[4 * t : 4 * t + 4, c] for t in range(len(every) // 4) for c in range(6)]  # each 4 H W
    return torch.from_numpy(np.concatenate(packed).reshape(-1, 24, height, width)).float().movedim(0, 1)


def expected(name, models, media, *kinds, kept=True, drawn=None) -> torch.Tensor:
    """The latents of Euler's steps over ComfyUI's simple schedule, with everything written out."""
    channels, z, images, _, _, _ = KINDS[name]
    state, family = load_file(models / "diffusion_models" / f"{name}.safetensors"), family_of(models, name)
    vae, side = family.parts.vae, SIDE // (16 if z == 48 else 8)
    first, reference, control = (np.load(media / f"{each}.npy") for each in ("first", "reference", "control"))
    start, controls, mask = torch.zeros(2 * z, LENGTH, side, side).chunk(2) + (torch.zeros(4, LENGTH, side, side),)
    if "image" in kinds:
        start[:, :1], mask[:, 0] = encoded(vae, first[None]), 1.0
    if "control" in kinds:
        controls[:, :2] = encoded(vae, control)  # 5 frames are 2 latent frames
    if "inpaint" in name:
        clip = np.full((FRAMES, SIDE, SIDE, 3), 0.5, np.float32)
        clip[0], clip[-1] = (first if "image" in kinds else 0.5), (reference if "last" in kinds else 0.5)
        start, mask[3, -1] = encoded(vae, clip), float("last" in kinds)
    parts = {
        0: [], 100: [mask, start], 32: [start], 36: [mask, start], 48: [controls, start], 52: [controls, mask, start],
        148: [controls, mask, start],
    }[channels if (channels, z) != (48, 48) else 0]  # fmt: skip
    states = None
    if images:
        states = torch.zeros(5, 80)
        if "image" in kinds:
            picture = Image.fromarray((first * 255).round().astype("u1"))
            seen = family.parts.image_processor(images=picture, return_tensors="pt")["pixel_values"]
            states = family.parts.image_encoder(seen, output_hidden_states=True).hidden_states[-2][0]
    more = {
        "image_LD": states,
        "reference_CHW": encoded(vae, reference[None])[:, 0] if "reference" in kinds else None,
        "rays_CTHW": plucker([0, 0, 0], -1.5 * np.pi / 3, FRAMES) if "camera" in kinds else None,
    }
    table = SHIFT * torch.arange(1, 1001) / 1000 / (1 + (SHIFT - 1) * torch.arange(1, 1001) / 1000)
    sigmas = [float(table[-1 - int(i * 1000 / STEPS)]) for i in range(STEPS)] + [0.0]
    texts = [family.text_states(words, 64)[0] for words in ("a red ball", "a ball")]
    x = noise(SEED, "init/0", (1, z, LENGTH, side, side))[0] if drawn is None else drawn(1, z, LENGTH, side, side)[0]
    known = kept and z == 48 and "image" in kinds
    with torch.no_grad():
        for now, after in itertools.pairwise(sigmas):
            t_T = torch.full((LENGTH,), 1000 * now)
            shown = x
            if known:
                t_T[0], shown = 0.0, torch.cat([start[:, :1], x[:, 1:]], 1)
            inputs = torch.cat([shown, *parts])
            good, bad = (
                reference_forward(state, inputs, t_T, text, head=HEAD, layers=LAYERS, **more) for text in texts
            )
            x = x + (after - now) * (bad + GUIDANCE * (good - bad))
    return torch.cat([start[:, :1], x[:, 1:]], 1) if known else x


CASES = [
    ("wan2.1_fun_control_tiny", ("control", "image")),
    ("wan2.1_fun_control_tiny", ()),
    ("wan2.1_fun_control_v1.1_tiny", ("control", "image", "reference")),
    ("wan2.1_fun_control_v1.1_tiny", ("control",)),
    ("wan2.2_fun_control_high_noise_tiny", ("control", "reference")),
    ("wan2.2_fun_control_high_noise_tiny", ("control", "image")),
    ("wan2.2_fun_control_5B_tiny", ("control", "reference")),
    ("wan2.2_fun_control_5B_tiny", ("control", "image", "reference")),
    ("wan2.2_fun_inpaint_high_noise_tiny", ("image", "last")),
    ("wan2.2_fun_inpaint_high_noise_tiny", ("last",)),
    ("wan2.2_fun_inpaint_5B_tiny", ("image", "last")),
    ("wan2.1_fun_camera_v1.1_tiny", ("camera", "image")),
    ("wan2.2_fun_camera_low_noise_tiny", ("camera", "image")),
]


@pytest.mark.parametrize(("name", "kinds"), CASES, ids=["+".join((name, *kinds)) for name, kinds in CASES])
def test_latents_equal_the_reference(models, media, name, kinds):
    family = family_of(models, name)
    made = planned(models, name, media, *kinds)
    ours = sample(made, family, family.encode(made, family.prepare(made)), made.spans[0])[0]
    theirs = expected(name, models, media, *kinds)
    assert family.card.variant == KINDS[name][5]
    assert (theirs - noise(SEED, "init/0", (1, *theirs.shape))[0]).abs().max() > 0.1
    assert (ours - theirs).abs().max() < TOLERANCE


def test_a_first_frame_that_is_sampled_as_comfyui_does(models, media):
    name, kinds = "wan2.2_fun_control_5B_tiny", ("control", "image")
    family = family_of(models, name)
    made = planned(models, name, media, *kinds, first_frame="sampled")
    ours = sample(made, family, family.encode(made, family.prepare(made)), made.spans[0])[0]
    assert (ours - expected(name, models, media, *kinds, kept=False)).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", KINDS)
def test_every_condition_counts(models, media, name):
    family = family_of(models, name)
    by_card = {"control:edge": "control", "image:first": "image", "image:last": "last"}
    kinds = {by_card.get(each, each) for each in family.card.accepts} & {*by_card.values(), "reference", "camera"}

    def flow(*kinds):
        made = planned(models, name, media, *kinds)
        cond = family.encode(made, family.prepare(made))
        x = noise(SEED, "x", family.latent_shape(cond, made.spans[0]))
        return family.predict(cond, made.spans[0])(x, torch.tensor(500.0), ("cond",))["cond"]

    whole = flow(*kinds)
    for kind in kinds:
        assert (flow(*(each for each in kinds if each != kind)) - whole).abs().max() > 1e-2, kind


def test_frames_come_out(models, media):
    for name in ("wan2.1_fun_control_v1.1_tiny", "wan2.2_fun_control_5B_tiny"):
        chunks = list(generate(planned(models, name, media, "control", "reference"), family_of(models, name)))
        assert sum(len(chunk.frames) for chunk in chunks) == FRAMES and chunks[0].frames.shape[1:] == (SIDE, SIDE, 3)


@pytest.mark.parametrize(
    ("move", "way", "turn"),
    [
        ("still", [0, 0, 0], 0), ("tilt_up", [0, -1, 0], 0), ("tilt_down", [0, 1, 0], 0), ("pan_left", [-1, 0, 0], 0),
        ("pan_right", [1, 0, 0], 0), ("zoom_in", [0, 0, 2], 0), ("zoom_out", [0, 0, -2], 0),
        ("roll_left", [0, 0, 0], -1),
        ("roll_right", [0, 0, 0], 1),
    ],
)  # fmt: skip
def test_rays_of_every_move_through_another_lens(move, way, turn):
    size, lens, speed = (24, 8), (0.4, 0.7, 0.45, 0.6), 2.5
    groups = fun_camera.embeddings(track(Camera(move=move), 5, speed, lens), size)
    ours = torch.cat(list(groups), dim=2)[0]
    theirs = plucker(np.array(way) * 1.5 * speed, turn * np.pi / 3 * speed, 5, size, lens)
    assert ours.shape == theirs.shape == (24, 2, 8, 24)
    assert (ours - theirs).abs().max() < 1e-5


def latents_of(family, made):
    return sample(made, family, family.encode(made, family.prepare(made)), made.spans[0])


def test_staged_weights_give_the_same_latents(models, media):
    """Weights that move to the device for use only."""
    name = "wan2.1_fun_camera_v1.1_tiny"
    family, made = family_of(models, name), planned(models, name, media, "camera", "image")
    exact = latents_of(family, made)
    family.residency.staged = True
    staged = latents_of(family, made)
    family.residency.staged = False
    assert torch.equal(staged, exact)


def test_each_expert_of_a_pair_reads_the_camera_with_its_own_parts(models, media):
    """With the boundary above or below all steps, the pair of two files is one of its experts."""
    low = "wan2.2_fun_camera_low_noise_tiny"
    folder, high = models / "diffusion_models", low.replace("low", "high")
    changed = {
        key: value * (0.5 if key.startswith("control_adapter.") else 0.9) for key, value in state_of(low).items()
    }
    save_file(changed, folder / f"{high}.safetensors")
    card = store.find(str(folder / f"{high}.safetensors"))
    assert card.variant == "fun-camera-2.2-pair" and card.second_path == str(folder / f"{low}.safetensors")
    both = load(card, folder / f"{high}.safetensors", "cpu")
    own = {"sampler": "checkpoint", "schedule": "checkpoint"}
    for name, boundary in ((high, 0.0), (low, 1.0)):
        alone = latents_of(family_of(models, name), planned(models, name, media, "camera", "image", **own))
        made = planned(models, high, media, "camera", "image", **own)
        made = made.model_copy(update={"options": {**made.options, "boundary": boundary, "low_guidance": GUIDANCE}})
        assert (latents_of(both, made) - alone).abs().max() < 1e-4, name
    (folder / f"{high}.safetensors").unlink()


def test_bfloat16_is_nearly_the_same(models, media):
    name = "wan2.2_fun_control_5B_tiny"
    made, file = planned(models, name, media, "control", "image", "reference"), models / "diffusion_models"
    file = file / f"{name}.safetensors"
    half = latents_of(load(recognise(file), file, "cpu", torch.bfloat16), made)
    exact = latents_of(family_of(models, name), made)
    assert (half - exact).abs().mean() < 0.05 * exact.abs().mean()


class Lent:
    """Lends engines for files, and keeps the latents that they sample."""

    def __init__(self) -> None:
        self.latents: list[torch.Tensor] = []

    @contextmanager
    def lease(self, model, on_event=None):
        self.engine = load_engine(model, device="cpu")
        yield self

    def sample_latents(self, *given, **more):
        self.latents.append(self.engine.sample_latents(*given, **more))
        return self.latents[-1]

    def __getattr__(self, name):
        return getattr(self.engine, name)


def graph_of(name, guide, latent, **more):
    def node(kind, **inputs):
        return {"class_type": kind, "inputs": inputs}

    words = ["guide", 0], ["guide", 1]
    if guide is None:
        words = ["good", 0], ["bad", 0]
    size = {"width": SIDE, "height": SIDE, "length": FRAMES, "batch_size": 1}
    joined = {"positive": ["good", 0], "negative": ["bad", 0], "vae": ["vae", 0], **size}
    return {
        "model": node("UNETLoader", unet_name=f"{name}.safetensors", weight_dtype="default"),
        "shifted": node("ModelSamplingSD3", model=["model", 0], shift=SHIFT),
        "clip": node("CLIPLoader", clip_name="umt5_xxl_fp16.safetensors", type="wan", device="default"),
        "vae": node("VAELoader", vae_name="wan_2.1_vae.safetensors"),
        "good": node("CLIPTextEncode", text="a red ball", clip=["clip", 0]),
        "bad": node("CLIPTextEncode", text="a ball", clip=["clip", 0]),
        "first": node("LoadImage", image="first.png"),
        "reference": node("LoadImage", image="reference.png"),
        **({"guide": node(guide, **joined, **more)} if guide else {}),
        **({"guide": node("Wan22ImageToVideoLatent", vae=["vae", 0], **size, **more)} if not guide else {}),
        "camera": node("WanCameraEmbedding", camera_pose="Anti Clockwise (ACW)", width=SIDE, height=SIDE, length=FRAMES,
                       speed=1.5, fx=0.5, fy=0.5, cx=0.5, cy=0.5),
        "sampler": node("KSampler", model=["shifted", 0], positive=words[0], negative=words[1], seed=SEED, steps=STEPS,
                        latent_image=["guide", latent], cfg=GUIDANCE, sampler_name="euler", scheduler="simple",
                        denoise=1.0),
        "decode": node("VAEDecode", samples=["sampler", 0], vae=["vae", 0]),
        "made": node("CreateVideo", images=["decode", 0], fps=8.0),
        "save": node("SaveVideo", video=["made", 0], filename_prefix="video/test", format="auto", codec="auto"),
    }  # fmt: skip


GRAPHS = [
    ("wan2.2_ti2v_5B_tiny", None, 0, {"start_image": ["first", 0]}, ("image",), True),
    ("wan2.2_fun_control_5B_tiny", "Wan22FunControlToVideo", 2, {"ref_image": ["reference", 0]}, ("reference",), False),
    (
        "wan2.2_fun_inpaint_5B_tiny", "WanFunInpaintToVideo", 2,
        {"start_image": ["first", 0], "end_image": ["reference", 0]}, ("image", "last"), False,
    ),
    (
        "wan2.1_fun_camera_v1.1_tiny", "WanCameraImageToVideo", 2,
        {"start_image": ["first", 0], "camera_conditions": ["camera", 0]}, ("image", "camera"), False,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "guide", "latent", "more", "kinds", "kept"), GRAPHS, ids=[row[0] for row in GRAPHS])
def test_a_comfyui_graph_gives_the_latents_of_the_reference(
    models, media, tmp_path, name, guide, latent, more, kinds, kept
):
    """From the nodes of ComfyUI's templates to latents and a file, with ComfyUI's noise."""
    lent = Lent()
    work = examine(parse_api(graph_of(name, guide, latent, **more), "graph.json"))
    with FolderOutputs(tmp_path / "out", tmp_path / "temp") as outputs:
        written = run_workflow(
            work, models={f"{name}.safetensors": str(models / "diffusion_models" / f"{name}.safetensors")},
            inputs=FolderInputs(media), outputs=outputs, cache=None, engines=lent,
        )  # fmt: skip
    assert [each.facts["frames"] for each in written] == [FRAMES]

    def drawn(*shape):
        return torch.randn(shape, generator=torch.Generator().manual_seed(SEED))

    theirs = expected(name, models, media, *kinds, kept=kept, drawn=drawn)
    vae = family_of(models, name).parts.vae.config
    mean, std = (torch.tensor(each).view(-1, 1, 1, 1) for each in (vae.latents_mean, vae.latents_std))
    assert ((lent.latents[0][0] - mean) / std - theirs).abs().max() < TOLERANCE


def test_what_is_refused(models, media, tmp_path):
    name = "wan2.1_fun_control_v1.1_tiny"
    card = recognise(models / "diffusion_models" / f"{name}.safetensors")
    with pytest.raises(RequestError, match="takes one reference picture"):
        plan(
            Request(
                prompt="x", model=card.path, width=SIDE, height=SIDE, frames=FRAMES,
                conditions=({"kind": "reference", "images": (str(media / "reference.npy"),) * 2},),
            ),
            card,
        )  # fmt: skip
    camera = "wan2.1_fun_camera_v1.1_tiny"
    with pytest.raises(RequestError, match="focal length 0"):
        planned(models, camera, media, "camera", camera_lens=[0.5, 0, 0.5, 0.5])
    with pytest.raises(RequestError, match="control:edge"):
        planned(models, camera, media, "control")
    for name, gone, more, words in (
        ("wan2.1_fun_control_v1.1_tiny", "ref_conv.bias", {}, "ref_conv.bias is missing"),
        ("wan2.1_fun_camera_v1.1_tiny", "control_adapter.conv.bias", {}, "control_adapter.conv.bias is missing"),
        ("wan2.1_fun_camera_v1.1_tiny", "", {"control_adapter.extra.x": drawn(3)}, "extra.x is not a part"),
        ("wan2.1_fun_control_tiny", "blocks.1.cross_attn.k_img.bias", {}, "blocks.1.attn2.add_k_proj.bias is missing"),
    ):
        state = {key: value for key, value in state_of(name).items() if key != gone}
        file = models / "diffusion_models" / "broken.safetensors"
        save_file(state | more, file)
        with pytest.raises(ModelError, match=words):
            load(recognise(file), file, "cpu")
        file.unlink()
