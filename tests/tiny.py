"""Tiny random checkpoints and data for the tests; no download, a second to make."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from attune.models.stream import Stream

WORDS = """good bad so very not it is was the a kettle broke works and
but quick slow at all fine , . !""".split()  # noqa: SIM905
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [
    *SPECIAL,
    *WORDS,
    *"abcdefghijklmnopqrstuvwxyz",
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
]
END = SPECIAL.index("[SEP]")  # the token that ends a text
LIMIT = 24  # positions
SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
COMMON = {"vocab_size": len(PIECES), "pad_token_id": 0, "max_position_embeddings": LIMIT}
BART = {
    **COMMON, "d_model": 32, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 40, "eos_token_id": END,
    "decoder_start_token_id": 0, "scale_embedding": True,
}  # fmt: skip
T5 = {
    "vocab_size": len(PIECES), "pad_token_id": 0, "eos_token_id": END, "decoder_start_token_id": 0,
    "d_model": 32, "d_kv": 6, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 4,
    "relative_attention_num_buckets": 8, "relative_attention_max_distance": 12,
}  # fmt: skip
DEBERTA = {
    "relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False,
    "norm_rel_ebd": "layer_norm", "share_att_key": True,
}  # fmt: skip
ENDS = {"bos_token_id": END, "eos_token_id": END}
SETTINGS = {
    "bert": ("Bert", {**COMMON, **SIZES, "hidden_act": "gelu"}),
    "roberta": ("Roberta", {**COMMON, **SIZES, "max_position_embeddings": LIMIT + 1, "type_vocab_size": 1}),
    "albert": (
        "Albert",
        {**COMMON, **SIZES, "embedding_size": 16, "num_hidden_groups": 2, "inner_group_num": 1},
    ),
    "distilbert": (
        "DistilBert",
        {**COMMON, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48},
    ),
    "electra": ("Electra", {**COMMON, **SIZES, "embedding_size": 16}),
    "modernbert": (
        "ModernBert",
        {
            **COMMON,
            **SIZES,
            "local_attention": 6,
            "global_attn_every_n_layers": 2,
            "attention_bias": True,
            "cls_token_id": 2,
            "sep_token_id": END,
            **ENDS,
        },
    ),
    "gpt2": (
        "GPT2",
        {
            **COMMON,
            "pad_token_id": None,
            "n_positions": LIMIT,
            "n_embd": 32,
            "n_layer": 3,
            "n_head": 4,
            **ENDS,
        },
    ),
    "llama": ("Llama", {**COMMON, **SIZES, "num_key_value_heads": 2, **ENDS}),
    "qwen2": (
        "Qwen2",
        {
            **COMMON,
            **SIZES,
            "num_key_value_heads": 2,
            "use_sliding_window": True,
            "sliding_window": 4,
            "max_window_layers": 1,
            **ENDS,
        },
    ),
    "qwen3": ("Qwen3", {**COMMON, **SIZES, "num_key_value_heads": 2, "head_dim": 16, **ENDS}),
    "mistral": ("Mistral", {**COMMON, **SIZES, "num_key_value_heads": 1, "sliding_window": 3, **ENDS}),
    "bart": ("Bart", BART),
    "mbart": ("MBart", BART),
    "t5": ("T5", T5),
    "mt5": ("MT5", {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "deberta-v2": ("DebertaV2", {**COMMON, **SIZES, **DEBERTA}),
    "mpnet": ("MPNet", {**COMMON, **SIZES, "max_position_embeddings": LIMIT + 2, "pad_token_id": 1}),
    "umt5": ("UMT5", {**T5, "feed_forward_proj": "gated-gelu"}),
}
# Families that nobody taught attune: an encoder with RoBERTa's positions, and a causal model
UNTAUGHT = {
    "xlm-roberta-xl": ("XLMRobertaXL", {**COMMON, **SIZES, "max_position_embeddings": LIMIT + 1}),
    "gpt_neox": ("GPTNeoX", {**COMMON, **SIZES, **ENDS}),
}
FAMILIES = tuple(SETTINGS)
ENCODER_DECODERS = ("bart", "mbart", "t5", "mt5", "umt5")


KIN = ("bert", "modernbert", "gpt2", "llama", "bart", "t5", "mpnet")  # one of each kin


def case(family: str, *values: str, quick: bool = False) -> Any:
    """Parameters of a test; slow for families that only repeat their kin, unless it is quick."""
    return pytest.param((family, *values), marks=() if quick or family in KIN else pytest.mark.slow)


def each(families: Sequence[str]) -> list[Any]:
    """The families as parameters of a test, those that only repeat their kin as slow ones."""
    return [pytest.param(family, marks=() if family in KIN else pytest.mark.slow) for family in families]


def has(family: str, head: str) -> bool:
    """Whether transformers has a class of this family for this head of `models.load`."""
    from transformers.models.auto import modeling_auto

    from attune.models import load

    return getattr(transformers, f"{({**SETTINGS, **UNTAUGHT})[family][0]}Config").model_type in getattr(
        modeling_auto, load.HEADS[head][1]
    )


# Special tokens around one text and around two, as the families' own tokenizers set them; BERT's for all others.
FRAMES = {
    "gpt2": None,
    **dict.fromkeys(("llama", "qwen2", "qwen3", "mistral"), ("[CLS] $A", "[CLS] $A $B")),
    **dict.fromkeys(("t5", "mt5", "umt5"), ("$A [SEP]", "$A [SEP] $B [SEP]")),
}
USUAL_FRAME = ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1")


def tokenizer(family: str = "bert") -> transformers.PreTrainedTokenizerFast:
    """Word pieces over two dozen words and the letters, framed as the family's own tokenizer does."""
    inner = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    frame = FRAMES.get(family, USUAL_FRAME)
    names = dict(
        zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True)
    )
    if frame is None:  # GPT-2 frames nothing and names neither a padding token nor an unknown one
        names = {}
    else:
        inner.post_processor = processors.TemplateProcessing(
            single=frame[0],
            pair=frame[1],
            special_tokens=[(token, PIECES.index(token)) for token in ("[CLS]", "[SEP]")],
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, model_max_length=LIMIT, eos_token="[SEP]", **names
    )


def without_dropout(model: Any) -> Any:
    """The model with every dropout at zero, whether it is a module or a number."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return model


class Checkpoints:
    """Checkpoints by family, each made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, family: str) -> str:
        """The folder of the family's checkpoint."""
        path = self.folder / family
        if not path.exists():
            prefix, settings = {**SETTINGS, **UNTAUGHT}[family]
            torch.manual_seed(7)
            config = getattr(transformers, f"{prefix}Config")(**settings)
            model = getattr(transformers, f"{prefix}Model")(config)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.05)  # biases and norms must matter too
            model.save_pretrained(path)
            tokenizer(family).save_pretrained(path)
        return str(path)


def rows(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Texts of two labels, with varied lengths."""
    random_ = random.Random(seed)
    fill = [word for word in WORDS if word not in ("good", "bad")]
    made = []
    for index in range(count):
        label = ("good", "bad")[index % 2]
        words = [label, *random_.choices(fill, k=random_.randint(1, 12)), f"{index:x}"]
        random_.shuffle(words)
        made.append((" ".join(words), label))
    return made


def reviews(path: Path, count: int = 80) -> Path:
    """A CSV file of such texts."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "review", "sentiment"])
        writer.writerows([f"r{i}", text, label] for i, (text, label) in enumerate(rows(count)))
    return path


def stream(sequences: Sequence[np.ndarray], kinds: Sequence[np.ndarray] | None = None) -> Stream:
    """The stream of these sequences of token ids, in this order."""
    lengths = np.asarray([len(sequence) for sequence in sequences], np.int64)
    return Stream.joined(np.concatenate(sequences), None if kinds is None else np.concatenate(kinds), lengths)


def exactly(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a @ b of int8 as int32: the product that oneDNN takes where the processor has VNNI."""
    return (a.double() @ b.double()).to(torch.int32)
