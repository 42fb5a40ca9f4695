"""Encoders that norm after each sublayer: BERT and its kin, all layers as `models.block` computes them.

Positions, token types and pooling are where they differ; lines are of transformers 5.23,
`models/<family>/modeling_<family>.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from attune import machine
from attune.models.backbone import Layered
from attune.models.block import Block
from attune.models.place import Place, there
from attune.models.plans import Laid, plan
from attune.models.stream import Stream

NO_DROPOUT = nn.Dropout(0.0)  # where a family has none


class Bert(Layered):
    """BERT, and what ELECTRA and RoBERTa share with it."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.layers = [self.block(layer) for layer in self.tower()]

    @property
    def halves(self) -> bool:
        """Where its layers are what the kernels compute: their activation is a GELU."""
        return all(layer.halves for layer in self.layers)

    @property
    def regional(self) -> bool:
        """All of them."""
        return True

    def move(self, place: Place) -> None:
        """Computes there from now on, the products of training in the place's precision."""
        super().move(place)
        half = place.half and place.device.type == "cpu"
        if half:
            machine.keep_few_products()
        self.layers = [replace(layer, half=half, regional=place.regional) for layer in self.layers]

    def answer_in(self, precision: str) -> bool:
        """Takes the products of answers in float32, bfloat16 or int8 from now on; whether that can be."""
        made = {id(layer): layer.answering_in(precision) for layer in self.layers}
        if None in made.values():
            return False
        machine.keep_few_products()
        self.layers = [made[id(layer)] for layer in self.layers]
        return True

    def train(self) -> None:
        """Turns dropout on; what answers were taken in is forgotten, for its matrices are about to be old."""
        super().train()
        if any(layer.answers != "float32" for layer in self.layers):
            self.answer_in("float32")

    @classmethod
    def first_position(cls, config: Any) -> int:
        """The row of the position table that a sequence's first token takes."""
        return 0

    @classmethod
    def positions_of(cls, config: Any) -> int:
        """The rows of the position table that are in use."""
        return int(config.max_position_embeddings) - cls.first_position(config)

    def begin(self, stream: Stream, vectors: Tensor | None) -> Tensor:
        """The embeddings of all tokens."""
        words = self.word_vectors(stream) if vectors is None else vectors
        return self.embed(words[None], stream)[0]

    def through(self, states: Tensor, stream: Stream, wanted: Tensor, span: range) -> Tensor:
        """Layer by layer; the last one at the wanted positions only."""
        if not span:
            return states
        last, laid, device = len(self.layers) - 1, stream.laid, states.device
        whole = plan(stream.lengths, device=device) if laid is None else laid.whole
        for number in span:
            if number != last:
                states = self.layers[number](states, whole)
            elif laid is None:
                asked = plan(stream.lengths, wanted.numpy(), device=device)
                states = self.layers[last].at(states, there(wanted, device), asked)
            else:
                states = self.layers[last].at(states, laid.wanted, laid.asked)
        return states

    def lay(self, stream: Stream, wanted: Tensor) -> Laid:
        """What `embed` and `through` tell of a stream on the host, for passes that are recorded."""
        device = stream.tokens.device
        whole = plan(stream.lengths, device=device)
        asked = plan(stream.lengths, wanted.numpy(), device=device)
        return Laid(self.places(stream), whole, asked, there(wanted, device))

    def embed(self, words: Tensor, stream: Stream) -> Tensor:
        """The first hidden states [1, T, H] from word vectors [1, T, E]."""
        config = self.base.config
        kinds = torch.zeros_like(stream.tokens)
        if stream.kinds is not None and config.type_vocab_size > 1:
            kinds = stream.kinds
        states: Tensor = self.base.embeddings(
            inputs_embeds=words,
            position_ids=(self.places(stream) if stream.laid is None else stream.laid.places)[None],
            token_type_ids=kinds[None],
        )
        return states

    def places(self, stream: Stream) -> Tensor:
        """The row of the position table of each token, [T]."""
        return stream.positions + self.first_position(self.base.config)

    def tower(self) -> list[Any]:
        """The layers in the order of their calls."""
        return list(self.base.encoder.layer)

    @staticmethod
    def block(layer: Any) -> Block:
        """The parts of a layer."""
        attention, out = layer.attention.self, layer.attention.output
        return Block(
            attention.query, attention.key, attention.value, out.dense, out.LayerNorm,
            layer.intermediate.dense, layer.intermediate.intermediate_act_fn, layer.output.dense,
            layer.output.LayerNorm, attention.attention_head_size,
            (attention.dropout, out.dropout, layer.output.dropout),
        )  # fmt: skip

    def score(self, read: Tensor) -> Tensor:
        """The pooler, which transforms a sequence's first state, and the classifier."""
        logits: Tensor = self.model.classifier(self.model.dropout(self.base.pooler(read[:, None])))
        return logits


class Electra(Bert):
    """ELECTRA: it may embed narrower than it computes, and its head takes the first position itself."""

    def embed(self, words: Tensor, stream: Stream) -> Tensor:
        """The embeddings, widened where the generator's are narrow."""
        states = super().embed(words, stream)
        widened: Tensor = (
            self.base.embeddings_project(states) if hasattr(self.base, "embeddings_project") else states
        )
        return widened

    def score(self, read: Tensor) -> Tensor:
        """The head's own dense layer and projection."""
        logits: Tensor = self.model.classifier(read[:, None])
        return logits


class Roberta(Bert):
    """RoBERTa, XLM-R, CamemBERT."""

    @classmethod
    def first_position(cls, config: Any) -> int:
        """Positions begin behind the padding index (modeling_roberta.py:142)."""
        return int(config.pad_token_id) + 1

    def places(self, stream: Stream) -> Tensor:
        """A padding token that a text spells out (`<pad>`) stands at the padding index and counts for none."""
        padding = int(self.base.config.pad_token_id)
        real = (stream.ids != padding).astype(np.int64)
        if real.all():
            return super().places(stream)
        counted = real.cumsum()
        before = np.repeat((counted - real)[stream.starts], stream.lengths)
        return there((counted - before) * real + padding, stream.tokens.device)

    score = Electra.score


class Albert(Bert):
    """ALBERT: layers are shared, and the embeddings are widened by the encoder."""

    def embed(self, words: Tensor, stream: Stream) -> Tensor:
        """The embeddings, widened."""
        states: Tensor = self.base.encoder.embedding_hidden_mapping_in(super().embed(words, stream))
        return states

    def tower(self) -> list[Any]:
        """Groups are shared, so modules repeat (modeling_albert.py:236)."""
        config, groups = self.base.config, self.base.encoder.albert_layer_groups
        share = config.num_hidden_layers / config.num_hidden_groups
        return [
            layer for i in range(config.num_hidden_layers) for layer in groups[int(i / share)].albert_layers
        ]

    @staticmethod
    def block(layer: Any) -> Block:
        """The parts of a layer; none after the feed-forward is dropped."""
        attention = layer.attention
        return Block(
            attention.query, attention.key, attention.value, attention.dense, attention.LayerNorm,
            layer.ffn, layer.activation, layer.ffn_output, layer.full_layer_layer_norm,
            attention.attention_head_size, (attention.attention_dropout, attention.output_dropout, NO_DROPOUT),
        )  # fmt: skip

    def score(self, read: Tensor) -> Tensor:
        """The pooler is a plain linear layer with an activation (modeling_albert.py:403)."""
        pooled = self.base.pooler_activation(self.base.pooler(read))
        logits: Tensor = self.model.classifier(self.model.dropout(pooled))
        return logits


class DistilBert(Bert):
    """DistilBERT: no token types, no pooler."""

    def embed(self, words: Tensor, stream: Stream) -> Tensor:
        """Words and positions."""
        states: Tensor = self.base.embeddings(
            input_ids=None, inputs_embeds=words, position_ids=stream.positions[None]
        )
        return states

    def tower(self) -> list[Any]:
        """The layers of the transformer."""
        return list(self.base.transformer.layer)

    @staticmethod
    def block(layer: Any) -> Block:
        """The parts of a layer; nothing is dropped after the attention."""
        attention, feed = layer.attention, layer.ffn
        return Block(
            attention.q_lin, attention.k_lin, attention.v_lin, attention.out_lin, layer.sa_layer_norm,
            feed.lin1, feed.activation, feed.lin2, layer.output_layer_norm,
            attention.attention_head_size, (attention.dropout, NO_DROPOUT, feed.dropout),
        )  # fmt: skip

    def score(self, read: Tensor) -> Tensor:
        """A layer before the classifier, with a rectifier."""
        logits: Tensor = self.model.classifier(self.model.dropout(self.model.pre_classifier(read).relu()))
        return logits
