"""MusicGen (text, stereo and melody models) through transformers, from local weights.

A pass generates at most 30 s. Longer music takes several passes: each starts with the last 12 s of the previous one,
re-encoded as its prompt (Copet et al. 2023, arXiv 2306.05284).
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
from .crossfade import falling
from .loudness import normalise
from .track import Track

PASS_S, OVERLAP_S, SEAM_S = 30.0, 12.0, 0.05
_KINDS = {"musicgen": "MusicgenForConditionalGeneration", "musicgen_melody": "MusicgenMelodyForConditionalGeneration"}
GUIDANCE = 3.0
_CHROMA_WINDOW, _CHROMA_HOP = 16384, 4096


@dataclass(frozen=True)
class MusicModel:
    """A loaded model: the network with its encoders, the tokenizer, and the properties of its sound."""

    network: Any
    tokenizer: Any
    name: str
    reads_melody: bool
    rate_hz: int
    steps_a_second: float
    channels: int


def find(name: str) -> tuple[Path, str]:
    """The (folder, kind) of a model, specified as a folder or hub id. WeightsMissing if it is not on this machine,
    ModelError if it is not a MusicGen model. Uses no network connection."""
    from ..weights.configs import Config
    from ..weights.store import local_path

    place = local_path(name)
    if place is None:
        raise WeightsMissing(
            f"{name}: no such folder, and not pulled from the hub. `kinema models pull facebook/musicgen-small` "
            "fetches one (its weights are CC-BY-NC 4.0: no commercial use). Without --model, the built-in composer "
            "is used."
        )
    config = Config.maybe(place / "config.json")
    kind = config.text("model_type", "") if config is not None else ""
    if kind not in _KINDS:
        raise ModelError(f"{name}: not a MusicGen model. Its model_type must be musicgen or musicgen_melody.")
    if not any(place.glob("*.safetensors")):
        raise WeightsMissing(f"{name}: contains no .safetensors file; pickled weights are not opened.")
    return place, kind


def check(name: str, melody: object) -> None:
    """WeightsMissing if the model is not on this machine, RequestError if it does not support the melody."""
    _, kind = find(name)
    if melody is not None and kind != "musicgen_melody":
        raise RequestError(
            f"{name} does not support a melody.", field="melody", legal="only with a MusicGen melody model"
        )


@quietly
def load(name: str, device: str | None = None) -> MusicModel:
    """Load a model. ModelError if it cannot be loaded."""
    import torch
    import transformers

    from ..weights.device import place_and_dtype
    from ..weights.folder import load_part
    from ..weights.residency import Residency

    place, kind = find(name)
    try:
        network = load_part(getattr(transformers, _KINDS[kind]), place, use_safetensors=True)
        tokenizer = load_part(transformers.AutoTokenizer, place)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{name}: cannot be loaded: {str(error).splitlines()[0]}") from None
    Residency(place_and_dtype(device, None, torch.float32)[0], [network.eval()], staged=False)
    encoder = network.config.audio_encoder
    hop = int(np.prod(encoder.upsampling_ratios))
    return MusicModel(
        network, tokenizer, name, kind == "musicgen_melody", encoder.sampling_rate, encoder.sampling_rate / hop,
        network.config.decoder.audio_channels,
    )  # fmt: skip


@quietly
def generate(
    words: str,
    seconds: float,
    seed: int,
    model: str | MusicModel,
    *,
    melody: str | np.ndarray | None = None,
    target_lufs: float = -16.0,
    device: str | None = None,
    on_event: OnEvent = ignore,
    pass_s: float = PASS_S,
    overlap_s: float = OVERLAP_S,
) -> Track:
    """Generate exactly `seconds` of music, normalised and faded out over the last two seconds.

    melody: a sound file, or samples (S, C) at 48 kHz, that guides a melody model (RequestError for other models).
    on_event is called after each token (50 per second of music) and may raise to stop.
    """
    if not words.strip():
        raise RequestError("The theme is empty.", field="theme", value=words, legal="words")
    if not 0 < overlap_s < pass_s <= PASS_S:
        raise RequestError(
            f"The overlap {overlap_s:g} s of passes of {pass_s:g} s is out of range.", field="overlap_s",
            value=overlap_s, legal=f"above 0, below a pass, which is at most {PASS_S:g} s",
        )  # fmt: skip
    if isinstance(model, str):
        check(model, melody)
    melody_SC = _melody(melody) if melody is not None else None
    on_event(Event("load"))
    model = load(model, device) if isinstance(model, str) else model
    samples_SC = _play(model, words, seconds, seed, melody_SC, pass_s, overlap_s, on_event)
    samples_SC = _finish(samples_SC, model.rate_hz, seconds)
    samples_SC, level = normalise(samples_SC, target_lufs)
    details = {"model": model.name, "words": words, "seed": seed, "seconds": seconds, "melody": melody is not None}
    return Track(samples_SC, False, details, level=level)


def _play(
    model: MusicModel, words: str, seconds: float, seed: int, melody_SC: np.ndarray | None, pass_s: float,
    overlap_s: float, on_event: OnEvent,
) -> np.ndarray:  # fmt: skip
    """Run passes until the duration is reached: float32 (S, C) at the model's sample rate."""
    import torch

    rate, started = model.rate_hz, time.perf_counter()
    wanted = round(seconds * rate)
    total = round(seconds * model.steps_a_second)
    out_SC: np.ndarray | None = None
    fork = [model.network.device] if model.network.device.type == "cuda" else []
    with torch.random.fork_rng(devices=fork):
        torch.manual_seed(seed)
        while out_SC is None or len(out_SC) < wanted:
            have = 0 if out_SC is None else len(out_SC)
            prompt_SC = None if out_SC is None else out_SC[-round(overlap_s * rate) :]
            begins = max(0, have - round(overlap_s * rate))
            length_s = min(pass_s, (wanted - begins) / rate + 0.1)
            before = round(have / rate * model.steps_a_second)

            def report(steps: int, before: int = before) -> None:
                on_event(Progress("compose", min(total, before + steps), total, time.perf_counter() - started))

            features = _features(model, melody_SC, begins / rate, length_s)
            new_SC = _one_pass(model, words, length_s, prompt_SC, features, report)
            if out_SC is None or prompt_SC is None:
                out_SC = new_SC
            else:
                if len(new_SC) <= len(prompt_SC):
                    raise ModelError(f"{model.name}: a pass generated no new sound.")
                out_SC = _append(out_SC, new_SC, len(prompt_SC), round(SEAM_S * rate))
    return out_SC[:wanted]


def _one_pass(
    model: MusicModel, words: str, length_s: float, prompt_SC: np.ndarray | None, features: Any, report: Any
) -> np.ndarray:
    """Run the network once: the prompt (decoded again) and its continuation, `length_s` in total, float32 (S, C)."""
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    network = model.network
    text = model.tokenizer([words], return_tensors="pt", padding=True)
    inputs: dict[str, Any] = {
        "input_ids": text["input_ids"].to(network.device), "attention_mask": text["attention_mask"].to(network.device)
    }  # fmt: skip
    num_prompt = 0
    if prompt_SC is not None:
        codes_KL = _codes(model, prompt_SC)
        inputs["decoder_input_ids"], num_prompt = codes_KL, codes_KL.shape[-1]
    if features is not None:
        inputs["input_features"] = features.to(network.device)

    class Counting(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            report(input_ids.shape[-1] - num_prompt)
            return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

    steps = round(length_s * model.steps_a_second) - num_prompt
    books = network.config.decoder.num_codebooks // model.channels
    sound = network.generate(
        **inputs, do_sample=True, top_k=250, guidance_scale=GUIDANCE, max_new_tokens=steps + books,
        stopping_criteria=StoppingCriteriaList([Counting()]),
    )  # fmt: skip
    return sound[0].float().cpu().numpy().T


def _codes(model: MusicModel, prompt_SC: np.ndarray) -> Any:
    """The prompt's audio codes, (codebooks, steps); left and right alternate in stereo models."""
    import torch

    books = [
        model.network.audio_encoder.encode(
            torch.from_numpy(np.ascontiguousarray(channel_S))[None, None].to(model.network.device)
        ).audio_codes[0, 0]
        for channel_S in prompt_SC.T
    ]
    return books[0] if len(books) == 1 else torch.stack(books, 1).flatten(0, 1)


def _features(model: MusicModel, melody_SC: np.ndarray | None, from_s: float, length_s: float) -> Any:
    """The chroma features of a pass's part of the melody, which repeats if it is too short."""
    if melody_SC is None:
        return None
    if not model.reads_melody:
        raise RequestError(f"{model.name} does not support a melody.", field="melody", legal="only with a melody model")
    from ..media.audio import resample

    at = np.arange(round(length_s * AUDIO_RATE_HZ)) + round(from_s * AUDIO_RATE_HZ)
    mono_S1 = melody_SC.mean(axis=1, keepdims=True)[at % len(melody_SC)]
    return chroma(resample(mono_S1, AUDIO_RATE_HZ, model.rate_hz)[:, 0], model.rate_hz)


def chroma(mono_S: np.ndarray, rate_hz: int) -> Any:
    """One-hot features for melody models: the loudest of the twelve pitch classes, eight times per second; torch
    float32 (1, frames, 12), for sound at the model's sample rate (32 kHz). Uses the full mix; the published recipe
    separates voices and instruments first, which requires another model."""
    import torch
    from transformers.audio_utils import chroma_filter_bank

    sound_S = torch.from_numpy(np.ascontiguousarray(mono_S, dtype=np.float32))
    if len(sound_S) < _CHROMA_WINDOW:
        sound_S = torch.nn.functional.pad(sound_S, (0, _CHROMA_WINDOW - len(sound_S)))
    bins_FT = torch.stft(
        sound_S, _CHROMA_WINDOW, _CHROMA_HOP, window=torch.hann_window(_CHROMA_WINDOW), center=True,
        pad_mode="reflect", return_complex=True,
    )  # fmt: skip
    filters_CF = torch.from_numpy(
        chroma_filter_bank(num_frequency_bins=_CHROMA_WINDOW, num_chroma=12, sampling_rate=rate_hz, tuning=0)
    )
    loud_CT = filters_CF.float() @ bins_FT.abs().square()
    return torch.nn.functional.one_hot(loud_CT.argmax(0), 12).float()[None]


def _append(out_SC: np.ndarray, new_SC: np.ndarray, num_prompt: int, num_seam: int) -> np.ndarray:
    """Append `new`, which starts with the last `num_prompt` samples of `out`, slightly changed by the codec. A short
    linear crossfade within them hides the change."""
    num_seam = min(num_seam, num_prompt)
    up_N1 = ((np.arange(num_seam, dtype=np.float32) + 0.5) / num_seam)[:, None]
    seam_NC = out_SC[-num_seam:] * (1 - up_N1) + new_SC[num_prompt - num_seam : num_prompt] * up_N1
    return np.concatenate([out_SC[:-num_seam], seam_NC, new_SC[num_prompt:]])


def _finish(samples_SC: np.ndarray, rate_hz: int, seconds: float) -> np.ndarray:
    """Convert to 48 kHz stereo of exactly `seconds`, and fade out."""
    from ..media.audio import fit, resample, stereo

    if not np.isfinite(samples_SC).all():
        raise ModelError("The model's output is not finite.")
    out_SC = fit(resample(stereo(samples_SC), rate_hz), round(seconds * AUDIO_RATE_HZ))
    length = min(len(out_SC), round(min(2.0, seconds / 3) * AUDIO_RATE_HZ))
    out_SC[len(out_SC) - length :] *= falling(length)[:, None]
    return out_SC


def _melody(melody: str | np.ndarray) -> np.ndarray:
    if isinstance(melody, np.ndarray):
        found: np.ndarray | None = melody
    else:
        from ..media.read import read_audio

        found = read_audio(melody)
    if found is None or len(found) == 0:
        raise MediaError(f"{melody}: has no sound.")
    return found
