"""Train Tora's parts on a frozen CogVideoX (arXiv 2407.21705, section 3.4): the trajectory extractor and the fusers, in
two stages, on dense flow and then on key points.

The loss is CogVideoX's: the mean squared error of the velocity. (The published code weighs the error of the clean
latents by 1 / (1 - alpha_bar), which is the same number.) Motion maps are kept when captions are dropped, as at
inference, where both guidance branches share one map.

Shapes: B batch, T latent frames, C channels, h w latent cells, L D text states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from ...families.cogvideox import positions
from ...families.cogvideox.model import OFFSET
from ...families.cogvideox.tora.fusers import FUSERS
from ...families.cogvideox.tora.guide import MotionFeatures, guided
from ...families.cogvideox.tora.networks import CHANNELS, MotionGuidance, TrajectoryExtractor
from ..core import processes
from ..core.frozen import Frozen
from ..data.captioner import WORDINGS, CaptionOf
from ..data.motion_clips import MotionClips
from .ddpm import Schedule
from .flow import noise_like

STAGES = ("dense", "sparse")
HELD_OUT_STEPS = (300, 600, 900)
HELD_OUT_CLIPS = 16
WITHOUT_PICTURE = 0.05
"""Share of clips of an image-to-video model without the image (`noised_image_dropout` of CogVideoX's training)."""
PICTURE_NOISE = (-3.0, 0.5)
"""Mean and deviation of the logarithm of the noise on that image."""


def new_guidance(
    config: Any, *, fuser: str = "adaptive_norm", channels: int = CHANNELS, motion_channels: int | None = None,
    seed: int = 0,
) -> MotionGuidance:  # fmt: skip
    """New parts for a transformer with this configuration. fuser: a name in FUSERS. channels: of the extractor.
    motion_channels: of the compressed motion map, if not those of the latents."""
    if fuser not in FUSERS:
        raise ValueError(f"fuser must be one of {', '.join(FUSERS)}, got {fuser!r}.")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        made = MotionGuidance.of(config, channels, FUSERS[fuser])
        if motion_channels is None or motion_channels == (config["out_channels"] or config["in_channels"]):
            return made
        extractor = TrajectoryExtractor(
            config["num_layers"], channels, motion_channels, config["patch_size"], config["patch_size_t"] or 1
        )
        return MotionGuidance(extractor, list(made.fuser))  # type: ignore[arg-type]


class ToraTask(Frozen):
    """transformer: frozen. guidance: trained in place. states: encodes captions to (B, L, D). stage: dense or sparse.
    frozen: other networks of the model that must not change (autoencoder, text encoder), for the proof. Clips are drawn
    with the probability of their weight. names_for_adam: as in loop.Task; by default all (Muon is for matrices). more:
    clips of other sizes; each step has clips of one size."""

    def __init__(
        self, transformer: Any, guidance: MotionGuidance, states: Callable[[list[str]], Tensor], caption_of: CaptionOf,
        store: MotionClips, held_out: MotionClips, *, schedule: Schedule, stage: str, device: str = "cpu",
        batch: int = 2, drop: float = 0.1, frozen: Mapping[str, nn.Module] | None = None,
        names_for_adam: Sequence[str] = ("",), more: Sequence[MotionClips] = (),
        judge: Callable[[int], dict[str, Any]] = lambda step: {},
    ):  # fmt: skip
        if stage not in STAGES:
            raise ValueError(f"stage must be one of {', '.join(STAGES)}, got {stage!r}.")
        if schedule.prediction != "v_prediction":
            raise ValueError(f"CogVideoX predicts the velocity; this scheduler says {schedule.prediction!r}.")
        self.freeze(nn.ModuleDict({"transformer": transformer, **(frozen or {})}), lambda name: False)
        self.transformer, self.guidance = transformer.to(device), guidance.to(device).requires_grad_(True)
        self.modules: Mapping[str, nn.Module] = {"guidance": self.guidance}
        self.states, self.caption_of, self.store, self.held_out = states, caption_of, store, held_out
        self.schedule, self.stage, self.device = schedule, stage, device
        self.batch_size, self.drop, self.judge, self.samples = batch, drop, judge, 0
        self.names_for_adam = tuple(names_for_adam)
        self.stores = [store, *more]
        self.shares = torch.stack([each.weight.sum() for each in self.stores])
        self._guiding = ExitStack()

    def predict(
        self, noisy_BTCHW: Tensor, t_B: Tensor, states_BLD: Tensor, motion_BCTHW: Tensor | None,
        picture_BCHW: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """The velocity (B, T, C, h, w). motion: compressed maps, for all clips or one for all; None: without Tora's
        parts. picture: the image input of an image-to-video model, zeros after its first frame.

        The fusers stay in place until the next call, since gradient checkpointing runs the blocks again in `backward`.
        """
        config, kind = self.transformer.config, self.transformer.dtype
        self.let_go()
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=kind == torch.bfloat16):
            return self._predict(config, kind, noisy_BTCHW, t_B, states_BLD, motion_BCTHW, picture_BCHW)

    def _predict(
        self, config: Any, kind: torch.dtype, noisy_BTCHW: Tensor, t_B: Tensor, states_BLD: Tensor,
        motion_BCTHW: Tensor | None, picture_BCHW: Tensor | None,
    ) -> Tensor:  # fmt: skip
        x = noisy_BTCHW.to(kind)
        if picture_BCHW is not None:
            image = torch.zeros_like(x)
            image[:, 0] = picture_BCHW.to(x)
            x = torch.cat([x, image], 2)
        offset = None if config.ofs_embed_dim is None else torch.full((len(x),), OFFSET, device=self.device)
        frames, _, rows, columns = x.shape[1:]
        table = positions.rotary(self.transformer, frames, rows, columns, torch.device(self.device))
        motion = None
        if motion_BCTHW is not None:
            features = self.guidance(motion_BCTHW.to(self.device))
            motion = MotionFeatures(self.guidance.fuser, features)  # type: ignore[arg-type]
        self._guiding.enter_context(guided(self.transformer, motion))
        found: Tensor = self.transformer(
            hidden_states=x, encoder_hidden_states=states_BLD.to(kind), timestep=t_B.to(self.device), ofs=offset,
            image_rotary_emb=table, return_dict=False,
        )[0]  # fmt: skip
        return found.float()

    def let_go(self) -> None:
        """Remove the fusers from the transformer."""
        self._guiding.close()

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        self.guidance.train()
        which = int(torch.multinomial(self.shares, 1, generator=generator)) if len(self.stores) > 1 else 0
        store = self.stores[which]
        index = torch.multinomial(store.weight, self.batch_size, replacement=True, generator=generator)
        draw = torch.randint(store.sparse.shape[1], (len(index),), generator=generator)
        x0 = store.latents[index].float().to(self.device)
        t_B = self.schedule.draw(len(index), generator)
        noisy, target = self.schedule.mix(x0, noise_like(x0, generator), t_B.to(self.device))
        left_out = (torch.rand(len(index), generator=generator) < self.drop).tolist()
        wording = torch.randint(WORDINGS, (len(index),), generator=generator).tolist()
        captions = [
            "" if out else self.caption_of(item, number, False)
            for item, number, out in zip(store.item[index].tolist(), wording, left_out, strict=True)
        ]
        picture = None if store.picture is None else noisy_picture(store.picture[index].float(), generator)
        motion = store.motion(index, draw if self.stage == "sparse" else None)
        self.samples += len(index) * processes.count()
        predicted = self.predict(noisy, t_B, self._states(captions), motion, picture)
        return self.error(predicted, target, store, index), {}

    def error(self, predicted: Tensor, target: Tensor, store: MotionClips, index: Tensor) -> Tensor:
        """The training loss of the clips `index` of a store."""
        return (predicted - target).square().mean()

    def _states(self, captions: list[str]) -> Tensor:
        with torch.no_grad():
            return self.states(captions)

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, Any]:
        """Return held-out errors with fixed noise and key points, and `motion_percent`: by how much the error rises, in
        per cent, with the motion maps of other clips. It is 0 until the parts use the motion."""
        self.guidance.eval()
        store, count = self.held_out, min(HELD_OUT_CLIPS, len(self.held_out))
        index = torch.arange(count)
        x0 = store.latents[index].float().to(self.device)
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)).to(x0)
        states = self._states([self.caption_of(item, 0, False) for item in store.item[index].tolist()])
        picture = None if store.picture is None else store.picture[index].float()
        motion = store.motion(index, torch.zeros(count, dtype=torch.long) if self.stage == "sparse" else None)
        found: dict[str, Any] = {}
        for t in HELD_OUT_STEPS:
            t_B = torch.full((count,), t)
            noisy, target = self.schedule.mix(x0, noise, t_B.to(self.device))
            error, other = (
                float((self.predict(noisy, t_B, states, each, picture) - target).square().mean())
                for each in (motion, motion.roll(1, 0))
            )
            found[f"error_{t}"] = round(error, 5)
            if t == HELD_OUT_STEPS[1]:
                found["motion_percent"] = round(100 * (other / error - 1), 3)
        self.let_go()
        return found | self.judge(step)

    @torch.no_grad()
    def sample(
        self, caption: str, motion_CTHW: Tensor | None, *, seed: int, steps: int, scheduler: Any, guidance: float = 6.0,
        picture_CHW: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Sample latents (T, C, h, w) with the current weights, by the checkpoint's schedule with DDIM (eta 0) and
        classifier-free guidance in which both branches see the motion. motion_CTHW: None for none."""
        from diffusers import CogVideoXDDIMScheduler

        self.guidance.eval()
        solver: Any = CogVideoXDDIMScheduler.from_config(scheduler.config)
        solver.set_timesteps(steps)
        x = torch.randn((1, *self.store.latents.shape[1:]), generator=torch.Generator().manual_seed(seed))
        x = x.to(self.device)
        states = self._states([caption, ""])
        motion = None if motion_CTHW is None else motion_CTHW[None].float()
        picture = None if picture_CHW is None else picture_CHW[None].float().expand(2, -1, -1, -1)
        for t in solver.timesteps:
            t_B = torch.full((2,), int(t))
            cond, uncond = self.predict(x.expand(2, -1, -1, -1, -1), t_B, states, motion, picture).split(1)
            x = solver.step(uncond + guidance * (cond - uncond), int(t), x)[0]
        self.let_go()
        return x[0]


def noisy_picture(picture_BCHW: Tensor, generator: torch.Generator) -> Tensor:
    """The image input of image-to-video models in training: with a little noise, and zero for some clips."""
    mean, deviation = PICTURE_NOISE
    count = len(picture_BCHW)
    level = torch.exp(mean + deviation * torch.randn(count, generator=generator)).view(-1, 1, 1, 1)
    kept = (torch.rand(count, generator=generator) >= WITHOUT_PICTURE).view(-1, 1, 1, 1)
    return (picture_BCHW + level * torch.randn(picture_BCHW.shape, generator=generator)) * kept
