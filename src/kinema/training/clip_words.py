"""A CLIP tokenizer for a small vocabulary: byte-pair merges that make one token of each word of the captions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, models, trainers
from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
MOST = 4096


def build_clip_tokenizer(captions: Iterable[str], max_length: int) -> CLIPTokenizer:
    """Merges are learnt on the captions with CLIP's own splitting. Other words fall apart into letters, so none is
    unknown. The end token has the highest id, since CLIPTextModel finds it as the largest."""
    published: Any = CLIPTokenizer()._tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    learner.normalizer, learner.pre_tokenizer = published.normalizer, published.pre_tokenizer
    letters = [chr(code) for code in range(33, 127)]
    trainer = trainers.BpeTrainer(
        vocab_size=MOST, initial_alphabet=letters, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(captions, trainer)
    state = json.loads(learner.to_str())["model"]
    tokens = sorted(state["vocab"], key=lambda token: state["vocab"][token])
    alphabet = [*letters, *(f"{letter}</w>" for letter in letters)]
    ordered = list(dict.fromkeys([*alphabet, *tokens]))
    vocabulary = {token: index for index, token in enumerate([*ordered, START, END])}
    merges: Any = [tuple(merge) if not isinstance(merge, str) else tuple(merge.split(" ")) for merge in state["merges"]]
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=max_length, padding_side="right")
