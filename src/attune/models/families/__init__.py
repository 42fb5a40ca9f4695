"""What differs between model families: one entry each, named by transformers' `model_type`."""

from __future__ import annotations

from attune.models.backbone import Backbone
from attune.models.families.bart import Bart, MBart
from attune.models.families.deberta import DebertaV2
from attune.models.families.decoders import Gpt2, Llama, Mistral
from attune.models.families.encoders import Albert, Bert, DistilBert, Electra, Roberta
from attune.models.families.modernbert import ModernBert
from attune.models.families.padded import MpNet, Padded, Untaught
from attune.models.families.t5 import T5

FAMILIES: dict[str, type[Backbone]] = {
    "bert": Bert,
    "roberta": Roberta,
    "xlm-roberta": Roberta,
    "camembert": Roberta,
    "albert": Albert,
    "distilbert": DistilBert,
    "electra": Electra,
    "modernbert": ModernBert,
    "gpt2": Gpt2,
    "llama": Llama,
    "qwen2": Llama,
    "qwen3": Llama,
    "mistral": Mistral,
    "bart": Bart,
    "mbart": MBart,
    "t5": T5,  # and FLAN
    "mt5": T5,
    "umt5": T5,
    "deberta": Padded,
    "deberta-v2": DebertaV2,  # and v3
    "mpnet": MpNet,
}


def family(model_type: str) -> type[Backbone]:
    """How models of this type run: on the stream where they have an entry, else as transformers computes them."""
    return FAMILIES.get(model_type, Untaught)
