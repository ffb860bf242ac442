"""MusicGen in miniature, with random weights: the published classes, 2 codebooks of 16 entries, 50 steps per second."""

from __future__ import annotations

from pathlib import Path

STEPS_A_SECOND, RATE_HZ = 50, 1600


def save_tiny(folder: Path, *, melody: bool = False, channels: int = 1) -> str:
    """A folder in the published layout. Its EnCodec runs at 1600 Hz, so that a step is 32 samples."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        MusicgenMelodyConfig,
        MusicgenMelodyDecoderConfig,
        MusicgenMelodyForConditionalGeneration,
        PreTrainedTokenizerFast,
        T5Config,
    )

    torch.manual_seed(0)
    text = T5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0)
    sound = EncodecConfig(
        target_bandwidths=[0.4], sampling_rate=RATE_HZ, audio_channels=1, normalize=False, codebook_size=16,
        codebook_dim=8, hidden_size=8, num_filters=4, upsampling_ratios=[8, 4], num_lstm_layers=1,
        num_residual_layers=1, chunk_length_s=None,
    )  # fmt: skip
    decoder = {
        "vocab_size": 16, "hidden_size": 16, "num_hidden_layers": 1, "ffn_dim": 16, "num_attention_heads": 2,
        "num_codebooks": 2 * channels, "audio_channels": channels, "pad_token_id": 16, "bos_token_id": 16,
        "max_position_embeddings": 2048,
    }  # fmt: skip
    if melody:
        config = MusicgenMelodyConfig(
            text_encoder=text, audio_encoder=sound, decoder=MusicgenMelodyDecoderConfig(**decoder), chroma_length=235
        )
        network = MusicgenMelodyForConditionalGeneration(config)
    else:
        config = MusicgenConfig(text_encoder=text, audio_encoder=sound, decoder=MusicgenDecoderConfig(**decoder))
        network = MusicgenForConditionalGeneration(config)
    for layer in network.audio_encoder.quantizer.layers:
        layer.codebook.embed.normal_()  # zeros, as made
    network.generation_config.decoder_start_token_id = 16
    network.generation_config.pad_token_id = 16
    network.generation_config.bos_token_id = 16
    network.save_pretrained(folder)
    words = {word: index for index, word in enumerate(["<pad>", "</s>", "<unk>", "calm", "music", "with", "bells"])}
    plain = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return str(folder)
