"""What differs between model families: one entry each, named by transformers' `model_type`.

An entry says how tokens become the first hidden states, which layers follow, how a layer falls into parts
(so that the last one can be computed at the wanted positions only) and what the classification head does.
Positions, token types and pooling are where the families differ; file and line are in transformers 5.23,
`models/<family>/modeling_<family>.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from attune.models.block import Block
from attune.models.stream import Stream

NO_DROPOUT = nn.Dropout(0.0)  # where a family has none


@dataclass(frozen=True)
class Family:
    """One model family on the flat path."""

    embed: Callable[
        [Any, Tensor, Tensor, Tensor | None], Tensor
    ]  # base, inputs_embeds, positions, kinds -> [1, T, H]
    layers: Callable[[Any], list[Any]]
    block: Callable[[Any], Block]
    classify: Callable[[Any, Tensor], Tensor]  # model with its head, hidden [W, H] -> logits [W, C]
    first_position: Callable[[Any], int] = lambda config: 0

    def start(self, base: Any, stream: Stream, vectors: Tensor | None = None) -> Tensor:
        """The first hidden states [1, T, H], from the tokens or from their word vectors [T, E]."""
        if vectors is None:
            vectors = base.get_input_embeddings()(stream.tokens)
        kinds = torch.zeros_like(stream.tokens) if stream.kinds is None else stream.kinds
        positions = stream.positions + self.first_position(base.config)
        return self.embed(base, vectors[None], positions[None], kinds[None])


def _bert_embed(base: Any, vectors: Tensor, positions: Tensor, kinds: Tensor | None) -> Tensor:
    states = base.embeddings(inputs_embeds=vectors, position_ids=positions, token_type_ids=kinds)
    # ELECTRA and ALBERT embed narrower than they compute
    project = getattr(base, "embeddings_project", None) or getattr(
        base.encoder, "embedding_hidden_mapping_in", None
    )
    projected: Tensor = project(states) if project is not None else states
    return projected


def _bert_block(layer: Any) -> Block:
    attention, out = layer.attention.self, layer.attention.output
    return Block(
        attention.query, attention.key, attention.value, out.dense, out.LayerNorm,
        layer.intermediate.dense, layer.intermediate.intermediate_act_fn, layer.output.dense, layer.output.LayerNorm,
        attention.attention_head_size, (attention.dropout, out.dropout, layer.output.dropout),
    )  # fmt: skip


def _albert_block(layer: Any) -> Block:
    attention = layer.attention
    return Block(
        attention.query, attention.key, attention.value, attention.dense, attention.LayerNorm,
        layer.ffn, layer.activation, layer.ffn_output, layer.full_layer_layer_norm,
        attention.attention_head_size, (attention.attention_dropout, attention.output_dropout, NO_DROPOUT),
    )  # fmt: skip


def _distilbert_block(layer: Any) -> Block:
    attention, feed = layer.attention, layer.ffn
    return Block(
        attention.q_lin, attention.k_lin, attention.v_lin, attention.out_lin, layer.sa_layer_norm,
        feed.lin1, feed.activation, feed.lin2, layer.output_layer_norm,
        attention.attention_head_size, (attention.dropout, NO_DROPOUT, feed.dropout),
    )  # fmt: skip


def _albert_layers(base: Any) -> list[Any]:
    """The layers in the order of their calls: groups are shared, so modules repeat (modeling_albert.py:236)."""
    config, groups = base.config, base.encoder.albert_layer_groups
    share = config.num_hidden_layers / config.num_hidden_groups
    return [layer for i in range(config.num_hidden_layers) for layer in groups[int(i / share)].albert_layers]


def _bert_classify(model: Any, hidden: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.dropout(model.bert.pooler(hidden[:, None])))
    return logits


def _albert_classify(model: Any, hidden: Tensor) -> Tensor:
    pooled = model.albert.pooler_activation(model.albert.pooler(hidden))
    logits: Tensor = model.classifier(model.dropout(pooled))
    return logits


def _distilbert_classify(model: Any, hidden: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.dropout(model.pre_classifier(hidden).relu()))
    return logits


def _head_classify(model: Any, hidden: Tensor) -> Tensor:
    """Heads that take the first position themselves (RoBERTa, ELECTRA)."""
    logits: Tensor = model.classifier(hidden[:, None])
    return logits


def _distilbert_embed(base: Any, vectors: Tensor, positions: Tensor, kinds: Tensor | None) -> Tensor:
    states: Tensor = base.embeddings(input_ids=None, inputs_embeds=vectors, position_ids=positions)
    return states


def _after_padding(config: Any) -> int:
    """RoBERTa's positions begin behind its padding index (modeling_roberta.py:142)."""
    return int(config.pad_token_id) + 1


def _bert_layers(base: Any) -> list[Any]:
    return list(base.encoder.layer)


_ROBERTA = Family(_bert_embed, _bert_layers, _bert_block, _head_classify, _after_padding)
FAMILIES = {
    "bert": Family(_bert_embed, _bert_layers, _bert_block, _bert_classify),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "albert": Family(_bert_embed, _albert_layers, _albert_block, _albert_classify),
    "distilbert": Family(
        _distilbert_embed, lambda base: list(base.transformer.layer), _distilbert_block, _distilbert_classify
    ),
    "electra": Family(_bert_embed, _bert_layers, _bert_block, _head_classify),
}
