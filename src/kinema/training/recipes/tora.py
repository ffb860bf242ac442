"""Train Tora's parts, with which a CogVideoX model follows drawn paths (arXiv 2407.21705), from your clips or Toyland.

    kinema train tora --data clips/ --set model=THUDM/CogVideoX-5b --minutes 600 --device cuda --out runs/tora
    kinema train tora --set clips=512 --minutes 30 --out runs/tora          # kinema-mini-tora, on Toyland
    kinema generate "a red ball in a meadow" --model runs/tora/model --trajectory path.txt

Settings (`--set NAME=VALUE`), with defaults: model (kinema-mini-tora; any CogVideoX or Tora model); stages
(dense+sparse, or one of them: dense flow, then key points); steps (at most, in each stage: 500); batch (2); accumulate
(1: batches per step); lr (of the dense stage: 1e-4, for models of fewer than 50 million parameters 2e-3; the sparse
stage has half of it); flow (dis, or raft with raft_weights=FILE, a state dict of torchvision's raft_large; Toyland's
flow is exact); camera (drop, or keep: clips in which the camera moves); least_flow (0.1: clips with a smaller flow
score are dropped; px per frame at a shorter side of 480); draws (4: different key points per clip); points (16: at
most); sigma (px, of the Gaussian around key points: 10, or the model's); fuser (adaptive_norm, or extra_channels or
cross_attention, of the paper's ablation); compression (vae, or sample or pool, of the ablation; only vae writes a model
that generates); channels (of the extractor: 128, for small models 32); start (model: from the parts of a Tora model; or
new); crops (1); frames; fps; area (px); drop (0.1: share of captions dropped); trigger (a word before every caption);
clips (256) and world (mini, small or full) of Toyland; optimizer (adamw, adamw8bit with bitsandbytes, or muon for
matrices); checkpointing (off or on: less memory, a third more time); seed (0); samples (2: on a sheet after each
stage); every (minutes between samples; 0: only at the end).

Stages: data (checks the clips), motion (measures their motion, drops and weighs them), cache (latents and motion maps),
dense, sparse, export (OUT/model, in the published layout). Only the extractor and the fusers are trained; digests of
all other weights before and after are in stages.json.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from ..core.settings import Settings, Stage
from ._tora_options import ToraOptions

if TYPE_CHECKING:
    from ._tora_work import ToraTraining


def stages(settings: Settings) -> list[Stage]:
    options = ToraOptions(settings)
    later = LazyTraining(options)
    share = 0.8 / len(options.stages)
    return [
        Stage("data", 0.0, options.find_clips),
        Stage("motion", 0.05, options.curate_clips, may_change=("camera", "least_flow")),
        Stage("cache", 0.15, lambda minutes: later.work.cache(minutes)),
        *(
            Stage(name, share, partial(later.train, name),
                  may_change=("minutes", "steps", "samples", "every", "checkpointing"))
            for name in options.stages
        ),
        Stage("export", 0.0, lambda minutes: later.work.export(minutes)),
    ]  # fmt: skip


class LazyTraining:
    """Imports the work of the stages, and with it the libraries, on first use."""

    def __init__(self, options: ToraOptions) -> None:
        self.options = options

    @cached_property
    def work(self) -> ToraTraining:
        from ._tora_work import ToraTraining

        return ToraTraining(self.options)

    def train(self, stage: str, minutes: float) -> dict[str, Any]:
        return self.work.train(stage, minutes)
