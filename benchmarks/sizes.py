"""Models of other sizes and families from random weights: their scores mean nothing, their speed does.

The sizes are those of the names' originals (`transformers`' own defaults where nothing is said); GPT-2 and T5 are
small ones. All read the starter's tokens, which a larger vocabulary holds too.
"""

from __future__ import annotations

from pathlib import Path

SIZES = ("bert-base", "xlm-roberta-base", "albert-base", "gpt2-small", "t5-small", "deberta-v3-small")


def written(name: str, folder: Path) -> str:
    """The folder of a model of that size, written into `folder` if it is not there."""
    import torch
    import transformers

    from attune.models import load

    path = folder / name
    if not (path / "config.json").exists():
        tokenizer = load.tokenizer("starter/bert")
        torch.manual_seed(0)
        kind, config = _config(name, tokenizer)
        getattr(transformers, kind)(config).save_pretrained(path)
        tokenizer.save_pretrained(path)
    return str(path)


def _config(name: str, tokenizer):
    """(the class of the model, its configuration)."""
    import transformers as t

    special = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.sep_token_id}
    words = len(tokenizer)
    if name == "bert-base":
        return "BertForSequenceClassification", t.BertConfig(vocab_size=words, **special)
    if name == "xlm-roberta-base":
        sizes = {"vocab_size": 250_002, "max_position_embeddings": 514, "type_vocab_size": 1}
        return "XLMRobertaForSequenceClassification", t.XLMRobertaConfig(**sizes, **special)
    if name == "albert-base":
        sizes = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
        dropped = {
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
        }  # as its first version had
        return "AlbertForSequenceClassification", t.AlbertConfig(
            vocab_size=words, **sizes, **dropped, **special
        )
    if name == "gpt2-small":
        config = t.GPT2Config(vocab_size=words, n_layer=6, n_embd=384, n_head=6, bos_token_id=1, **special)
        return "GPT2ForSequenceClassification", config
    if name == "deberta-v3-small":
        distances = {"relative_attention": True, "position_buckets": 256, "pos_att_type": ["p2c", "c2p"]}
        rest = {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False}
        sizes = {"vocab_size": 128_100, "num_hidden_layers": 6, "type_vocab_size": 0, "hidden_size": 768}
        sizes |= {"num_attention_heads": 12, "intermediate_size": 3072}
        return "DebertaV2ForSequenceClassification", t.DebertaV2Config(
            **sizes, **distances, **rest, **special
        )
    assert name == "t5-small", name
    return "T5ForSequenceClassification", t.T5Config(
        vocab_size=words, num_layers=6, decoder_start_token_id=tokenizer.pad_token_id, **special
    )
