"""A tune as MusicGen's melody models read it: which of the twelve pitch classes is loudest, eight times a second."""

from __future__ import annotations

from typing import Any

import numpy as np

_WINDOW, _HOP = 16384, 4096


def chroma(mono_S: np.ndarray, rate_hz: int) -> Any:
    """One-hot features, torch float32 of shape (1, frames, 12), for sound at the model's rate (32 kHz). The whole mix
    is read: the published recipe takes voices and instruments apart first, which needs another model."""
    import torch
    from transformers.audio_utils import chroma_filter_bank

    sound_S = torch.from_numpy(np.ascontiguousarray(mono_S, dtype=np.float32))
    if len(sound_S) < _WINDOW:
        sound_S = torch.nn.functional.pad(sound_S, (0, _WINDOW - len(sound_S)))
    bins_FT = torch.stft(
        sound_S, _WINDOW, _HOP, window=torch.hann_window(_WINDOW), center=True, pad_mode="reflect", return_complex=True
    )
    filters_CF = torch.from_numpy(
        chroma_filter_bank(num_frequency_bins=_WINDOW, num_chroma=12, sampling_rate=rate_hz, tuning=0)
    )
    loud_CT = filters_CF.float() @ bins_FT.abs().square()
    return torch.nn.functional.one_hot(loud_CT.argmax(0), 12).float()[None]
