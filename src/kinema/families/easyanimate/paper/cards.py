"""Models of the paper's design: folders that `kinema train recipes/mini_easyanimate.py` writes. No torch.

Nobody publishes weights of this design in a layout with its autoencoder, so every card is made from a folder.
"""

from __future__ import annotations

from pathlib import Path

from ....core.card import Card, Defaults, FramesRule, Network, ProfileRule, SizeRule
from ....core.errors import ModelError
from ....weights.configs import Config
from ....weights.names import model_name
from ..options import EasyAnimateOptions

PIPELINE, TRANSFORMER, AUTOENCODER = "EasyAnimatePaperPipeline", "PaperTransformer", "SliceVae"
MOST_FRAMES = 513
"""Of a clip. 144 frames, the paper's longest, are 145 here: 8n + 1."""
PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
CARDS: tuple[Card, ...] = ()


def of_folder(path: Path) -> Card:
    """The card of a folder. ModelError if it is damaged."""
    missing = [part for part in PARTS if not (path / part).is_dir()]
    if missing:
        raise ModelError(f"{path}: missing parts: {', '.join(missing)}.")
    try:
        config, vae = Config.read(path / "transformer" / "config.json"), Config.read(path / "vae" / "config.json")
        text = Config.read(path / "text_encoder" / "config.json")
    except FileNotFoundError as error:
        raise ModelError(f"{path}: {Path(str(error.filename)).parent.name}/config.json is missing.") from None
    for part, wanted in ((config, TRANSFORMER), (vae, AUTOENCODER)):
        if (name := part.text("_class_name", "")) != wanted:
            raise ModelError(f"{part.what}: unsupported class {name[:80]}; supported: {wanted}.")
    width = config.whole("num_attention_heads", most=256) * config.whole("attention_head_dim", most=1024)
    layers = config.whole("num_layers", most=256)
    space = vae.whole("patch", 2, most=16) * 2 ** (len(vae.wholes("channels", most=65_536)) - 1)
    patch = config.whole("patch_size", 2, most=16)
    side, grid = space * config.whole("sample_size", 8, most=1024), space * patch
    made_here = Config.maybe(path / "card.json")
    native = Config(made_here.values.get("native") or {}, str(path / "card.json")) if made_here else Config({}, "")
    frames, fps = native.whole("frames", 17, most=MOST_FRAMES), native.number("fps", 8.0)
    return Card(
        id=model_name(path), family="easyanimate", variant="paper", licence="unknown", path=str(path),
        title="A model of the design of EasyAnimate's paper",
        accepts=("image:first",) if config.flag("image_input") else (),
        size=SizeRule(
            multiple=grid, trained=((side, side),), min_side=grid, max_side=4 * side, max_area=16 * side * side
        ),
        frames=FramesRule(step=8, trained=frames, maximum=MOST_FRAMES),
        defaults=Defaults(fps=fps, steps=25, guidance=4.0),
        network=Network(
            parameters=layers * 29 * width * width, width=width, layers=layers, space_stride=space, patch=patch,
            text_parameters=12 * text.whole("num_layers", 2, most=256) * text.whole("d_model", 96) ** 2,
            text_length=native.whole("max_sequence_length", 32, most=4096), bytes_per_parameter=4,
            autoencoder_parameters=1_200_000, latent_channels=vae.whole("latent_channels", 16, most=1024),
        ),
        profiles={
            "exact": ProfileRule(), "balanced": ProfileRule(reuse=2, low_precision=True),
            "fast": ProfileRule(steps=12, low_precision=True),
        },
        options=EasyAnimateOptions.table(motion_module=True, context_length=0, context_overlap=8),
        domain="toyland" if made_here and made_here.values.get("world") else "",
    )  # fmt: skip
