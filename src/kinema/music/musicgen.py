"""MusicGen (text, stereo and melody models) through transformers, from weights that are on this machine.

A pass makes at most 30 s; longer music goes on from the last 12 s of what there is, re-encoded as the beginning of
the next pass, so that each new stretch has heard what came before it (Copet et al. 2023, arXiv 2306.05284).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.chunk import AUDIO_RATE_HZ
from ..core.errors import MediaError, ModelError, RequestError, WeightsMissing
from ..core.events import Event, OnEvent, Progress, ignore
from ..core.quiet import quietly
from .chroma import chroma
from .crossfade import falling
from .loudness import normalise
from .track import Track

PASS_S, OVERLAP_S, SEAM_S = 30.0, 12.0, 0.05
_KINDS = {"musicgen": "MusicgenForConditionalGeneration", "musicgen_melody": "MusicgenMelodyForConditionalGeneration"}
GUIDANCE = 3.0


@dataclass(frozen=True)
class Musician:
    """A loaded model: the network with its encoders, the tokenizer, and what its configuration says of sound."""

    network: Any
    tokenizer: Any
    name: str
    reads_melody: bool
    rate_hz: int
    steps_a_second: float
    channels: int


def find(name: str) -> tuple[Path, str]:
    """(folder, kind) of a model by folder or hub id. WeightsMissing where nothing is here, ModelError where it is
    something else. Asks no network."""
    from ..weights.configs import Config
    from ..weights.store import local_path

    place = local_path(name)
    if place is None:
        raise WeightsMissing(
            f"{name}: no such folder, and not pulled from the hub. `kinema models pull facebook/musicgen-small` "
            "fetches one (its weights are CC-BY-NC 4.0: not for a channel that earns money). Without --model the "
            "composer plays."
        )
    config = Config.maybe(place / "config.json")
    kind = config.text("model_type", "") if config is not None else ""
    if kind not in _KINDS:
        raise ModelError(f"{name}: not a MusicGen model (a folder whose config.json says musicgen or musicgen_melody).")
    if not any(place.glob("*.safetensors")):
        raise WeightsMissing(f"{name}: has no .safetensors file; pickled weights are not opened.")
    return place, kind


def check(name: str, melody: object) -> None:
    """WeightsMissing where the model is not here, RequestError where it follows no melody and one is given."""
    _, kind = find(name)
    if melody is not None and kind != "musicgen_melody":
        raise RequestError(f"{name} follows no melody.", field="melody", legal="with a melody model of MusicGen's")


@quietly
def load(name: str, device: str | None = None) -> Musician:
    """The model, ready. ModelError where it cannot be loaded."""
    import torch
    import transformers

    from ..weights.device import place_and_dtype
    from ..weights.folder import opened
    from ..weights.residency import Residency

    place, kind = find(name)
    try:
        network = opened(getattr(transformers, _KINDS[kind]), place, use_safetensors=True)
        tokenizer = opened(transformers.AutoTokenizer, place)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{name}: cannot be loaded: {str(error).splitlines()[0]}") from None
    Residency(place_and_dtype(device, None, torch.float32)[0], [network.eval()], staged=False)
    encoder = network.config.audio_encoder
    hop = int(np.prod(encoder.upsampling_ratios))
    return Musician(
        network, tokenizer, name, kind == "musicgen_melody", encoder.sampling_rate, encoder.sampling_rate / hop,
        network.config.decoder.audio_channels,
    )  # fmt: skip


@quietly
def generate(
    words: str,
    seconds: float,
    seed: int,
    model: str | Musician,
    *,
    melody: str | np.ndarray | None = None,
    target_lufs: float = -16.0,
    device: str | None = None,
    on_event: OnEvent = ignore,
    pass_s: float = PASS_S,
    overlap_s: float = OVERLAP_S,
) -> Track:
    """Music of exactly `seconds` by a model, at its loudness, faded out over the last two seconds.

    melody: a sound file, or samples (S, C) at 48 kHz, whose tune is followed, by melody models only (RequestError).
    on_event is told after each token (50 a second of music) and may raise to stop.
    """
    if not words.strip():
        raise RequestError("The theme is empty.", field="theme", value=words, legal="words")
    if not 0 < overlap_s < pass_s <= PASS_S:
        raise RequestError(
            f"Passes of {pass_s:g} s with {overlap_s:g} s in common.", field="overlap_s", value=overlap_s,
            legal=f"above 0, below a pass, which is at most {PASS_S:g} s",
        )  # fmt: skip
    if isinstance(model, str):
        check(model, melody)
    tune_SC = _tune(melody) if melody is not None else None
    on_event(Event("load"))
    musician = load(model, device) if isinstance(model, str) else model
    samples_SC = _play(musician, words, seconds, seed, tune_SC, pass_s, overlap_s, on_event)
    samples_SC = _finish(samples_SC, musician.rate_hz, seconds)
    samples_SC, level = normalise(samples_SC, target_lufs)
    made = {"model": musician.name, "words": words, "seed": seed, "seconds": seconds, "melody": melody is not None}
    return Track(samples_SC, False, made, level=level)


def _play(
    musician: Musician, words: str, seconds: float, seed: int, tune_SC: np.ndarray | None, pass_s: float,
    overlap_s: float, on_event: OnEvent,
) -> np.ndarray:  # fmt: skip
    """Passes until there is enough: float32 (S, C) at the model's rate."""
    import torch

    rate, started = musician.rate_hz, time.perf_counter()
    wanted = round(seconds * rate)
    total = round(seconds * musician.steps_a_second)
    out_SC: np.ndarray | None = None
    fork = [musician.network.device] if musician.network.device.type == "cuda" else []
    with torch.random.fork_rng(devices=fork):
        torch.manual_seed(seed)
        while out_SC is None or len(out_SC) < wanted:
            have = 0 if out_SC is None else len(out_SC)
            prompt_SC = None if out_SC is None else out_SC[-round(overlap_s * rate) :]
            begins = max(0, have - round(overlap_s * rate))
            length_s = min(pass_s, (wanted - begins) / rate + 0.1)
            told = round(have / rate * musician.steps_a_second)

            def tell(steps: int, told: int = told) -> None:
                on_event(Progress("compose", min(total, told + steps), total, time.perf_counter() - started))

            features = _features(musician, tune_SC, begins / rate, length_s)
            new_SC = _one_pass(musician, words, length_s, prompt_SC, features, tell)
            if out_SC is None or prompt_SC is None:
                out_SC = new_SC
            else:
                if len(new_SC) <= len(prompt_SC):
                    raise ModelError(f"{musician.name}: a pass brought nothing new.")
                out_SC = _append(out_SC, new_SC, len(prompt_SC), round(SEAM_S * rate))
    return out_SC[:wanted]


def _one_pass(
    musician: Musician, words: str, length_s: float, prompt_SC: np.ndarray | None, features: Any, tell: Any
) -> np.ndarray:
    """One call of the network: the prompt (decoded anew) and what follows it, `length_s` in all, float32 (S, C)."""
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    network = musician.network
    text = musician.tokenizer([words], return_tensors="pt", padding=True)
    inputs: dict[str, Any] = {
        "input_ids": text["input_ids"].to(network.device), "attention_mask": text["attention_mask"].to(network.device)
    }  # fmt: skip
    num_prompt = 0
    if prompt_SC is not None:
        codes_KL = _codes(musician, prompt_SC)
        inputs["decoder_input_ids"], num_prompt = codes_KL, codes_KL.shape[-1]
    if features is not None:
        inputs["input_features"] = features.to(network.device)

    class Counting(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            tell(input_ids.shape[-1] - num_prompt)
            return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

    steps = round(length_s * musician.steps_a_second) - num_prompt
    books = network.config.decoder.num_codebooks // musician.channels
    sound = network.generate(
        **inputs, do_sample=True, top_k=250, guidance_scale=GUIDANCE, max_new_tokens=steps + books,
        stopping_criteria=StoppingCriteriaList([Counting()]),
    )  # fmt: skip
    return sound[0].float().cpu().numpy().T


def _codes(musician: Musician, prompt_SC: np.ndarray) -> Any:
    """The prompt as the decoder reads it: (codebooks, steps); left and right take turns in stereo models."""
    import torch

    books = [
        musician.network.audio_encoder.encode(
            torch.from_numpy(np.ascontiguousarray(channel_S))[None, None].to(musician.network.device)
        ).audio_codes[0, 0]
        for channel_S in prompt_SC.T
    ]
    return books[0] if len(books) == 1 else torch.stack(books, 1).flatten(0, 1)


def _features(musician: Musician, tune_SC: np.ndarray | None, from_s: float, length_s: float) -> Any:
    """The stretch of the tune that a pass covers, as chroma; the tune begins again where it is too short."""
    if tune_SC is None:
        return None
    if not musician.reads_melody:
        raise RequestError(f"{musician.name} follows no melody.", field="melody", legal="with a melody model")
    from ..media.audio import resample

    at = np.arange(round(length_s * AUDIO_RATE_HZ)) + round(from_s * AUDIO_RATE_HZ)
    mono_S1 = tune_SC.mean(axis=1, keepdims=True)[at % len(tune_SC)]
    return chroma(resample(mono_S1, AUDIO_RATE_HZ, musician.rate_hz)[:, 0], musician.rate_hz)


def _append(out_SC: np.ndarray, new_SC: np.ndarray, num_prompt: int, num_seam: int) -> np.ndarray:
    """`new` begins with the last `num_prompt` samples of `out`, a little changed by the codec: a short linear fade
    inside them (both are the same sound) hides the change."""
    num_seam = min(num_seam, num_prompt)
    up_N1 = ((np.arange(num_seam, dtype=np.float32) + 0.5) / num_seam)[:, None]
    seam_NC = out_SC[-num_seam:] * (1 - up_N1) + new_SC[num_prompt - num_seam : num_prompt] * up_N1
    return np.concatenate([out_SC[:-num_seam], seam_NC, new_SC[num_prompt:]])


def _finish(samples_SC: np.ndarray, rate_hz: int, seconds: float) -> np.ndarray:
    """48 kHz, stereo, exactly as long as asked for, faded out."""
    from ..media.audio import fit, resample, stereo

    if not np.isfinite(samples_SC).all():
        raise ModelError("The model made no sound (its output is not finite).")
    out_SC = fit(resample(stereo(samples_SC), rate_hz), round(seconds * AUDIO_RATE_HZ))
    length = min(len(out_SC), round(min(2.0, seconds / 3) * AUDIO_RATE_HZ))
    out_SC[len(out_SC) - length :] *= falling(length)[:, None]
    return out_SC


def _tune(melody: str | np.ndarray) -> np.ndarray:
    if isinstance(melody, np.ndarray):
        found: np.ndarray | None = melody
    else:
        from ..media.read import read_audio

        found = read_audio(melody)
    if found is None or len(found) == 0:
        raise MediaError(f"{melody}: has no sound.")
    return found
