"""Build the tokenizers of the miniatures' text encoders from captions.

The T5 tokenizer has one token per word: lower case, T5's special ids (pad 0, eos 1, unk 2). The CLIP tokenizer has
byte-pair merges that make each word of the captions one token.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPTokenizer, PreTrainedTokenizerFast

SPECIAL = ("<pad>", "</s>", "<unk>")
START, END = "<|startoftext|>", "<|endoftext|>"
MOST = 4096


def build_tokenizer(captions: Iterable[str], max_words: int = 1024, max_length: int = 64) -> PreTrainedTokenizerFast:
    """Build a word-level tokenizer of the most frequent words (ties in alphabetical order).

    Unknown words become <unk>; every sequence ends with </s>. Punctuation marks are separate tokens.
    """
    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    counts: Counter[str] = Counter()
    for caption in captions:
        counts.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(caption)))
    words = sorted(counts, key=lambda word: (-counts[word], word))[: max_words - len(SPECIAL)]
    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=max_length,
        padding_side="right",
    )


def build_clip_tokenizer(captions: Iterable[str], max_length: int) -> CLIPTokenizer:
    """Build a CLIP tokenizer with merges learned from the captions. Other words are split into letters, so none is
    unknown. The end token has the highest id, since CLIPTextModel takes the largest id as the end."""
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
