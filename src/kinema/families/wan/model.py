"""WanFamily: a loaded model with the interface of core/family.py. One class for text, image and VACE variants."""

from __future__ import annotations

import html
import itertools
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...core.card import Card
from ...core.chunk import Chunk
from ...core.errors import ModelError
from ...core.family import Predict, Window
from ...core.plan import Plan, Span, encoded
from ...core.prompt import cut_notes
from ...diffusion import flow, scheduling, weighted_text
from ...diffusion.guidance import GuidanceStep, classifier_free
from ...diffusion.guidance_variants import corrected
from ...diffusion.pixels import as_chunks, from_unit
from ...diffusion.prediction import FLOW, LatentScale, SigmaModel
from ...diffusion.samplers import chosen
from ...diffusion.sigma_schedules import flow_levels
from ...diffusion.steps import COND, SKIPPED
from ...weights import adapters
from ...weights.device import precision
from ...weights.residency import Residency
from . import (
    cpu_autoencoder,
    decode,
    experts,
    few_step,
    forward,
    fun,
    fun_camera,
    fun_layout,
    i2v,
    motion,
    prepare,
    ti2v,
    vace,
)
from .adapter_names import ADAPTER_NAMES
from .cards import GRIDS, is_vace
from .options import WanOptions
from .parts import WanCond, WanParts

BATCH_TOKENS = 16_384
"""Branches run as one batch up to this total number of tokens; above, one at a time (attention then fills the device,
and a batch would only double the memory)."""
PROMPTS_KEPT = 32


class WanFamily:
    """A loaded Wan model. Not thread-safe: one request at a time."""

    def __init__(self, card: Card, parts: WanParts, device: torch.device) -> None:
        self.card, self.parts, self.device = card, parts, device
        denoisers = {"": parts.transformer}
        if parts.transformer_2 is not None:
            denoisers = {experts.HIGH: parts.transformer, experts.LOW: parts.transformer_2}
        self.denoisers = denoisers
        networks = [parts.text_encoder, *denoisers.values(), parts.vae, parts.image_encoder, parts.tiny_decoder]
        blocks = {each: forward.blocks_of(each) for each in denoisers.values()}
        self.residency = Residency(
            device, [network for network in networks if network is not None],
            blocks={parts.text_encoder: parts.text_encoder.encoder.block, **blocks},
        )  # fmt: skip
        self.dtype = parts.transformer.dtype
        self.space = decode.space_factor(parts.vae)
        self.patch = parts.transformer.config.patch_size[1]
        self.prompts: OrderedDict[tuple[str, int, bool], torch.Tensor] = OrderedDict()
        if device.type == "cpu":
            cpu_autoencoder.prepare(parts.vae)
        self.gray: dict[tuple[int, ...], torch.Tensor] = {}
        for denoiser in denoisers.values():
            forward.prepare(denoiser)

    def weight_files(self, plan: Plan) -> tuple[Path, ...]:
        own = self.parts.folder
        students = few_step.paths(plan.student, own) if plan.student else ()
        return (*self.parts.files, *(file for file in students if own is None or own not in file.parents))

    # -- before the loop -------------------------------------------------------------------------------------------

    def notes(self, plan: Plan) -> tuple[str, ...]:
        length, tokenizer = WanOptions.of(plan).text_length, self.parts.tokenizer
        cut = [cut_notes(name, clean(prompt), tokenizer, length) for name, prompt in encoded(plan).items()]
        return tuple(note for notes in cut for note in notes)

    def prepare(self, plan: Plan, window: Window | None = None) -> prepare.WanPrepared:
        return prepare.prepare(plan, window, cover=fun_layout.is_fun(self.card.variant))

    @torch.inference_mode()
    def encode(self, plan: Plan, prepared: prepare.WanPrepared) -> WanCond:
        students = self._students(plan)
        self._use_styles(prepared.styles, students)
        prompts = dict(zip(("cond", "uncond"), encoded(plan).values()))
        options = WanOptions.of(plan)
        weigh = options.prompt_weights != "off"
        states = {branch: self.text_states(each, options.text_length, weigh) for branch, each in prompts.items()}
        image = concat = control = None
        scale: tuple[float, ...] = ()
        network = self.parts.transformer
        if network.config.image_dim is not None:
            with self.residency.using(self.parts.image_encoder) as encoder:
                image = i2v.image_states(prepared, network, self.parts.image_processor, encoder)
            image = image.to(self.device, self.dtype)
        cameras: dict[str, torch.Tensor | None] = {}
        reference = None
        if fun_layout.is_fun(self.card.variant):
            frames = decode.latent_frames(self.parts.vae, plan.frames)
            concat, reference = fun.inputs(plan, prepared, self.encode_pixels, network, (frames, self.space))
            concat, reference = self._placed(concat), None if reference is None else self._placed(reference)
            cameras = {
                expert: fun_camera.tokens(plan, denoiser, self._placed, self.residency.using)
                for expert, denoiser in self.denoisers.items()
            }
            prepared = replace(prepared, references=())
        elif network.config.in_channels > network.config.out_channels:
            known = i2v.condition(plan, prepared, self.encode_pixels)
            known = motion.carried(known, prepared.paths, options.track_temperature, options.track_points)
            concat = known.to(self.device, self.dtype)
        if is_vace(self.card.variant):
            # Encoding stays in float32 in every profile: errors of bfloat16 add up over the causal frames.
            control = vace.context(plan, prepared, self.encode_pixels, self.space, self.patch)
            control = control.to(self.device, self.dtype)
            scale, layers = options.conditioning_scale, len(self.parts.transformer.config.vace_layers)
            scale = scale * layers if len(scale) == 1 else scale
        source = None
        begins_with_clip = prepared.has_clip or self.card.variant != "ti2v"
        if prepared.source_BCFHW is not None and options.strength < 1.0 and begins_with_clip:
            pictures = [picture[:, :, None] for picture in prepared.references]
            latents = [self.encode_pixels(pixels).float() for pixels in (*pictures, prepared.source_BCFHW)]
            source = torch.cat(latents, dim=2)
        known = levels = None
        wide = self.card.variant in GRIDS and options.first_frame == "kept"
        if wide and prepared.first_BCHW is not None:
            known = self.encode_pixels(prepared.first_BCHW[:, :, None]).to(self.device)
            levels = ti2v.levels(self.scheduler(plan))
        grid = (plan.height // self.space, plan.width // self.space)
        references = len(prepared.references)
        return WanCond(
            states, image, concat, control, scale, source, prepared.styles, students, references, grid,
            plan.low_precision, known, levels, cameras, reference, options.skip.layers,
        )  # fmt: skip

    def _placed(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.device, self.dtype)

    def text_states(self, prompt: str, length: int, weigh: bool = False) -> torch.Tensor:
        """The text states (1, length, D), zero after the prompt's own tokens; cached for the last prompts. weigh:
        parentheses weigh words."""
        key = (prompt if weigh else clean(prompt), length, weigh)
        if key not in self.prompts:
            weights: list[float] = []
            if weigh:
                ids, weights = weighted_text.tokens(prompt, self.parts.tokenizer, length)
            else:
                ids = self.parts.tokenizer([key[0]], max_length=length, truncation=True, add_special_tokens=True)[
                    "input_ids"
                ][0]
            ids_BL = torch.tensor([ids], device=self.device)
            with self.residency.using(self.parts.text_encoder) as encoder:
                states_BLD = encoder(ids_BL, torch.ones_like(ids_BL)).last_hidden_state.to(self.device, self.dtype)
            states_BLD = torch.nn.functional.pad(states_BLD, (0, 0, 0, length - states_BLD.shape[1]))
            if any(weight != 1.0 for weight in weights):
                states_BLD = weighted_text.apply(states_BLD, self.text_states("", length), weights)
            self.prompts[key] = states_BLD
            while len(self.prompts) > PROMPTS_KEPT:
                self.prompts.popitem(last=False)
        self.prompts.move_to_end(key)
        return self.prompts[key]

    def encode_pixels(self, x_BCFHW: torch.Tensor) -> torch.Tensor:
        """Encode pixels to normalised latents. Mid-gray, VACE's empty input, is part of nearly every request and cached
        (separately for each precision: `exact` must not use the rounding of a fast profile). The pixels are made
        contiguous: convolutions round differently in another memory layout, so a cached result would depend on the
        request that computed it."""
        x_BCFHW = x_BCFHW.contiguous()
        key = (*x_BCFHW.shape, int(torch.is_autocast_enabled(self.device.type)))
        if (gray := not x_BCFHW.any()) and key in self.gray:
            return self.gray[key]
        with self.residency.using(self.parts.vae) as vae:
            latents = decode.encode(vae, x_BCFHW)
        if gray:
            self.gray = {other: old for other, old in self.gray.items() if other[:-1] == key[:-1]} | {key: latents}
        return latents

    def _use_styles(self, styles: tuple[tuple[str, float], ...], students: tuple[Path, ...]) -> None:
        for (expert, denoiser), student in zip(self.denoisers.items(), itertools.cycle(students or (None,))):
            adapters.use(denoiser, experts.styles_of(styles, expert), student, names=ADAPTER_NAMES)

    def _students(self, plan: Plan) -> tuple[Path, ...]:
        """The file of the plan's few-step student, or those of both experts; empty without one. ModelError if they are
        not there."""
        found = few_step.paths(plan.student, self.parts.folder) if plan.student else ()
        if plan.student and not found:
            raise ModelError(f"{self.card.id} has no few-step student {plan.student}.")
        return found

    # -- in the loop -----------------------------------------------------------------------------------------------

    def latent_shape(self, cond: WanCond, span: Span) -> tuple[int, ...]:
        """(1, z, N + T, H, W), with one latent frame per reference image first."""
        frames = decode.latent_frames(self.parts.vae, span.num_frames)
        return (1, self.parts.vae.config.z_dim, cond.num_references + frames, *cond.grid)

    def scheduler(self, plan: Plan) -> Any:
        """A new scheduler: of the plan's sampler and schedule, else of the checkpoint's class with the plan's shift and
        steps, or Euler for a student's sigmas."""
        return chosen(self._own_scheduler(plan), WanOptions.of(plan), plan, self.sigma_model(plan))

    def sigma_model(self, plan: Plan) -> SigmaModel:
        levels = flow_levels(WanOptions.of(plan).shift)
        return SigmaModel(FLOW, levels, levels.timestep)

    def latent_scale(self) -> LatentScale:
        return LatentScale(*decode.mean_std(self.parts.vae, self.device))

    def part(self, cond: WanCond, places: slice) -> WanCond:
        concat, control = (
            each if each is None else each[:, :, places] for each in (cond.concat_BCTHW, cond.control_BCTHW)
        )
        cameras = cond.cameras_BLD
        if cond.concat_BCTHW is not None:
            frames = cond.concat_BCTHW.shape[2]
            cameras = {
                expert: each if each is None else each.unflatten(1, (frames, -1))[:, places].flatten(1, 2)
                for expert, each in cameras.items()
            }
        return replace(cond, concat_BCTHW=concat, control_BCTHW=control, cameras_BLD=cameras)

    def num_frames(self, latent_frames: int) -> int:
        return (latent_frames - 1) * decode.time_factor(self.parts.vae) + 1

    def _own_scheduler(self, plan: Plan) -> Any:
        if plan.sigmas:
            return flow.euler(plan.sigmas, self.device)
        kind, shift = type(self.parts.scheduler), WanOptions.of(plan).shift
        config = dict(self.parts.scheduler.config)
        name = "flow_shift" if "flow_shift" in config else "shift"
        scheduler = kind.from_config(config, **{name: shift})
        scheduler.set_timesteps(plan.steps, device=self.device)
        # With many steps two timesteps may round to the same integer; searching for the first would then start late.
        scheduler.set_begin_index(0)
        return scheduler

    def begin(self, plan: Plan, cond: WanCond, scheduler: Any, noise_BCTHW: torch.Tensor) -> tuple[torch.Tensor, int]:
        if cond.source_BCTHW is None:
            return scheduling.begin(scheduler, noise_BCTHW), 0
        clean, strength = cond.source_BCTHW.to(self.device), WanOptions.of(plan).strength
        return scheduling.begin_with(scheduler, clean, noise_BCTHW.to(self.device), plan.steps, strength)

    def guidance(self, plan: Plan, span: Span, scheduler: Any) -> tuple[GuidanceStep, ...]:
        if self.parts.transformer_2 is not None:
            return experts.guidance(plan, (float(t) for t in scheduler.timesteps))
        found = classifier_free(len(scheduler.timesteps), plan.guidance, plan.guidance_interval)
        options = WanOptions.of(plan)
        sigmas = [scheduling.noise_level(scheduler, step) for step in range(len(found))]
        skip = options.skip.within(len(self.parts.transformer.blocks))
        return corrected(found, sigmas, self.sigma_model(plan), plan.guidance, options.cfg_zero, skip)

    def predict(self, cond: WanCond, span: Span) -> Predict:
        # Another request may have been encoded since this one; if nothing changed, this costs nothing.
        self._use_styles(cond.styles, cond.students)
        bound: dict[tuple[str, ...], forward.Bound] = {}
        known = cond.known_BCTHW if span.start == 0 else None
        num_known = 0 if known is None else known.shape[2]

        def bind(branches: tuple[str, ...], shape: tuple[int, ...]) -> forward.Bound:
            if branches not in bound:
                bound[branches] = forward.bind(
                    self.denoisers[experts.split(branches[0])[0]],
                    torch.cat([cond.text[COND if each == SKIPPED else experts.split(each)[1]] for each in branches]),
                    shape,
                    image_BLD=cond.image_BLD,
                    control_BCTHW=cond.control_BCTHW,
                    control_scale=cond.control_scale,
                    camera_BLD=cond.cameras_BLD.get(experts.split(branches[0])[0]),
                    reference_BCHW=cond.reference_BCHW,
                )
            return bound[branches]

        @torch.inference_mode()
        def run(x_BCTHW: torch.Tensor, t: torch.Tensor, branches: tuple[str, ...]) -> dict[str, torch.Tensor]:
            x = x_BCTHW.to(self.dtype) if known is None else ti2v.with_known(x_BCTHW, known).to(self.dtype)
            if cond.concat_BCTHW is not None:
                x = torch.cat([x, cond.concat_BCTHW], dim=1)
            tokens = x.shape[2] * x.shape[3] * x.shape[4] // self.patch**2
            plain = tuple(branch for branch in branches if branch != SKIPPED)
            groups = [plain] if tokens * len(plain) <= BATCH_TOKENS else [(branch,) for branch in plain]
            groups += [(SKIPPED,)] * (len(branches) - len(plain))
            outputs: dict[str, torch.Tensor] = {}
            model = self.denoisers[experts.split(branches[0])[0]]
            with self.residency.using(model), precision(self.device, cond.low_precision):
                for group in groups:
                    left_out = cond.skipped if SKIPPED in group else ()
                    found = forward.forward(model, x, t, bind(group, tuple(x.shape)), num_known, left_out)
                    if known is not None:
                        sigma = (cond.levels or {}).get(float(t), float(t) / 1000)
                        found = ti2v.towards(found, x_BCTHW.expand(len(group), -1, -1, -1, -1), known, sigma)
                    outputs.update({branch: found[index : index + 1] for index, branch in enumerate(group)})
            return outputs

        return run

    # -- after the loop --------------------------------------------------------------------------------------------

    def decode(self, latents_BCTHW: torch.Tensor, plan: Plan, span: Span) -> Iterator[Chunk]:
        frames = self.decode_pixels(self._without_references(latents_BCTHW, span), plan)
        yield from as_chunks(frames, span.start, plan.fps, partial(precision, self.device, plan.low_precision))

    def decode_pixels(self, latents_BCTHW: torch.Tensor, plan: Plan) -> Iterator[torch.Tensor]:
        tiny = WanOptions.of(plan).decoder == "tiny"
        if tiny and self.parts.tiny_decoder is None:
            raise ModelError(f"{self.card.id} has no tiny decoder.")
        with self.residency.using(self.parts.tiny_decoder if tiny else self.parts.vae) as decoder:
            slices = decode.decode_tiny(decoder, latents_BCTHW) if tiny else decode.decode(decoder, latents_BCTHW)
            yield from (pixels_BCFHW[0].movedim(0, 1) for pixels_BCFHW in slices)

    @torch.inference_mode()
    def preview(
        self, x_BCTHW: torch.Tensor, output_BCTHW: torch.Tensor, sigma: float, plan: Plan, span: Span
    ) -> np.ndarray:
        latents = self._without_references(flow.denoised(x_BCTHW, output_BCTHW, sigma), span)
        with precision(self.device, plan.low_precision):
            if self.parts.tiny_decoder is not None:
                with self.residency.using(self.parts.tiny_decoder) as decoder:
                    return _frames(torch.cat(list(decode.decode_tiny(decoder, latents)), dim=2))
            # Decoded alone, any latent frame yields one frame.
            middle = latents.shape[2] // 2
            with self.residency.using(self.parts.vae) as vae:
                return _frames(next(decode.decode(vae, latents[:, :, middle : middle + 1])))

    def _without_references(self, latents_BCTHW: torch.Tensor, span: Span) -> torch.Tensor:
        return latents_BCTHW[:, :, latents_BCTHW.shape[2] - decode.latent_frames(self.parts.vae, span.num_frames) :]


def _frames(pixels_BCFHW: torch.Tensor) -> np.ndarray:
    """Convert pixels in [-1, 1], (1, 3, F, H, W), to uint8 RGB (F, H, W, 3)."""
    return from_unit(pixels_BCFHW[0].movedim(0, 1))


def clean(prompt: str) -> str:
    """Clean a prompt as Wan's published pipelines do: fix encodings (ftfy), unescape HTML twice, fold white space."""
    import ftfy

    text = html.unescape(html.unescape(ftfy.fix_text(prompt))).strip()
    return re.sub(r"\s+", " ", text).strip()
