"""Models of the paper's design: the built-in miniature, and folders that `kinema train recipes/mini_easyanimate.py`
writes. No torch.

Nobody publishes weights of this design in a layout with its autoencoder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....core.card import Card, Defaults, FramesRule, Network, ProfileRule, SizeRule
from ....core.errors import ModelError
from ....weights.configs import Config
from ....weights.names import model_name
from ..options import EasyAnimateOptions

PIPELINE, TRANSFORMER, AUTOENCODER = "EasyAnimatePaperPipeline", "PaperTransformer", "SliceVae"
MOST_FRAMES = 513
"""Of a clip. 144 frames, the paper's longest, are 145 here: 8n + 1."""
PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")


def _card(
    *, side: int, grid: int, frames: int, fps: float, picture: bool, others: tuple[tuple[int, int], ...] = (),
    **own: Any,
) -> Card:  # fmt: skip
    """side: of the training's square frames; others: its other sizes. grid: what sides are multiples of. picture:
    takes a first frame."""
    return Card(
        family="easyanimate", variant="paper", accepts=("image:first",) if picture else (),
        size=SizeRule(
            multiple=grid, trained=((side, side), *others), min_side=grid, max_side=4 * side, max_area=16 * side * side
        ),
        frames=FramesRule(step=8, trained=frames, maximum=MOST_FRAMES),
        defaults=Defaults(fps=fps, steps=25, guidance=4.0),
        profiles={
            "exact": ProfileRule(), "balanced": ProfileRule(reuse=2, low_precision=True),
            "fast": ProfileRule(steps=12, low_precision=True),
        },
        options=EasyAnimateOptions.table(motion_module=True, context_length=0, context_overlap=8), **own,
    )  # fmt: skip


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
    made_here = Config.maybe(path / "card.json")
    native = Config(made_here.values.get("native") or {}, str(path / "card.json")) if made_here else Config({}, "")
    network = Network(
        parameters=layers * 29 * width * width, width=width, layers=layers, space_stride=space, patch=patch,
        text_parameters=12 * text.whole("num_layers", 2, most=256) * text.whole("d_model", 96) ** 2,
        text_length=native.whole("max_sequence_length", 32, most=4096), bytes_per_parameter=4,
        autoencoder_parameters=1_200_000, latent_channels=vae.whole("latent_channels", 16, most=1024),
    )  # fmt: skip
    return _card(
        id=model_name(path), licence="unknown", path=str(path), title="A model of the design of EasyAnimate's paper",
        side=space * config.whole("sample_size", 8, most=1024), grid=space * patch,
        frames=native.whole("frames", 17, most=MOST_FRAMES), fps=native.number("fps", 8.0),
        picture=config.flag("image_input"), network=network, others=_others(native),
        domain="toyland" if made_here and made_here.values.get("world") else "",
    )  # fmt: skip


def _others(native: Config) -> tuple[tuple[int, int], ...]:
    """The sizes that the training had besides, from "sizes" of card.json: [[width, height], ...]."""
    given = native.values.get("sizes") or []
    if not isinstance(given, list) or len(given) > 64:
        raise native.wrong("sizes", "up to 64 pairs of numbers")
    pairs = [Config({"size": each}, native.what).wholes("size", most=4096) for each in given]
    if any(len(pair) != 2 for pair in pairs):
        raise native.wrong("sizes", "pairs of width and height")
    return tuple((pair[0], pair[1]) for pair in pairs)


MINI = _card(
    id="kinema-mini-easyanimate", licence="Apache-2.0", builtin="miniatures/mini_easyanimate", domain="toyland",
    title="The built-in miniature of EasyAnimate's paper: an image model with motion modules, trained on Toyland",
    aliases=("mini-easyanimate",), side=64, grid=16, frames=17, fps=8.0, picture=True,
    network=Network(
        parameters=2_571_648, width=128, layers=5, text_parameters=193_216, text_length=32,
        autoencoder_parameters=1_183_276, bytes_per_parameter=4,
    ),
    notes=("Knows only Toyland: simple objects before four places by day. See docs/mini_easyanimate.md.",),
)  # fmt: skip
SHIPPED = (Path(__file__).parents[3] / str(MINI.builtin)).is_dir()
"""Whether the weights of the miniature are in the package; without them its card is not offered."""
CARDS: tuple[Card, ...] = (MINI,) if SHIPPED else ()
