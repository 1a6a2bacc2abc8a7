"""Small sentence encoders: real files, answers that can be worked out on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.scorers.networks import constant, made

WORDS = ("[UNK]", "[CLS]", "[SEP]", "red", "blue", "shoes", "hat", "千", "尋", "the")
TABLE = np.random.default_rng(5).normal(size=(len(WORDS), 4)).astype(np.float32)


def tokenizer(path: Path, *, special: bool = True) -> None:
    """Words in lower case, perhaps between [CLS] and [SEP]; 6 tokens at most."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    made: Any = Tokenizer(models.WordLevel({word: code for code, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    made.enable_truncation(6)
    made.enable_padding(length=6)
    made.save(str(path))


STATES = """
    x = Gather(table, input_ids)
    number = Cast<to = 1>(attention_mask)
    there = Unsqueeze(number, last)
    kept = Mul(x, there)
    total = ReduceSum<keepdims = 1>(kept, middle)
    count = ReduceSum<keepdims = 1>(there, middle)
    about = Div(total, count)
"""
CONSTANTS = f"int64[1] last = {{2}}, int64[1] middle = {{1}}, {constant('table', TABLE)}"
TEXTS = "int64[batch, tokens] input_ids, int64[batch, tokens] attention_mask"


def of_tokens(size: str = "4") -> bytes:
    """A state of each token: its vector times the mean of all, so that neighbours and the mask matter."""
    body = STATES + "last_hidden_state = Mul(x, about)"
    return made(TEXTS, f"float[batch, tokens, {size}] last_hidden_state", CONSTANTS, body).tobytes()


def of_texts() -> bytes:
    """One vector a text, the sum of those of its tokens, beside states that do not matter; reads types too."""
    body = STATES + "flat = Squeeze(total, middle) sentence_embedding = Identity(flat) states = Identity(x)"
    outputs = "float[batch, tokens, 4] states, float[batch, 4] sentence_embedding"
    return made(f"{TEXTS}, int64[batch, tokens] token_type_ids", outputs, CONSTANTS, body).tobytes()


def folder(path: Path, model: bytes, **options: Any) -> Path:
    """A folder with both files."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "model.onnx").write_bytes(model)
    tokenizer(path / "tokenizer.json", **options)
    return path


def states(codes: list[int]) -> Any:
    """``[t, 4]`` what `of_tokens` gives for one text."""
    rows = TABLE[codes].astype(np.float64)
    return rows * rows.mean(axis=0)
