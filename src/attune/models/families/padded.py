"""Families that transformers computes itself, on padded batches: their attention takes no stream.

Tasks never know: a stream goes in, and answers for its positions come out. The sequences are cut into batches of
near-equal length, so little of what is computed is padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attune.models.backbone import Backbone
from attune.models.place import there
from attune.models.plans import near_equal, rectangle
from attune.models.stream import Stream

NO_LIMIT = 1_000_000  # tokens, where a configuration names none


@dataclass(frozen=True)
class Part:
    """Some sequences of a stream as a padded batch."""

    members: np.ndarray  # [n] which sequences
    places: np.ndarray  # positions in the stream of all their tokens, in order
    real: Tensor  # [n, l] true where there is a token
    inputs: dict[str, Tensor]  # what transformers' forward takes


class Padded(Backbone):
    """DeBERTa, and whatever else has the usual forward of transformers."""

    def run(self, module: nn.Module, inputs: dict[str, Tensor]) -> Any:
        """What transformers' forward of the model, or of the model without its head, gives for a padded batch."""
        return module(**inputs)

    def tower(self) -> list[Any]:
        """The longest list of equal modules: every family keeps its layers in one; none where there is none."""
        stacks = [list(part) for part in self.base.modules() if isinstance(part, nn.ModuleList)]
        alike = [stack for stack in stacks if len({type(layer) for layer in stack}) == 1]
        return max(alike, key=len, default=[])

    def hidden(self, stream: Stream, wanted: Tensor, vectors: Tensor | None = None) -> Tensor:
        """The last hidden states [W, H]: all are computed, the wanted ones are kept."""
        states = self._tokens(stream, vectors, lambda inputs: self.run(self.base, inputs).last_hidden_state)
        return states.index_select(0, there(wanted, states.device))

    def classify(self, stream: Stream, vectors: Tensor | None = None) -> Tensor:
        """The model's own logits [B, C]."""
        parts = self._parts(stream, vectors)
        logits = torch.cat([self.run(self.model, part.inputs).logits for part in parts])
        return _in_order(logits, [part.members for part in parts])

    def tag(self, stream: Stream, wanted: Tensor) -> Tensor:
        """The model's own logits [W, C] at the wanted positions."""
        logits = self._tokens(stream, None, lambda inputs: self.run(self.model, inputs).logits)
        return logits.index_select(0, there(wanted, logits.device))

    def span(self, stream: Stream) -> Tensor:
        """The model's own start and end logits [T, 2]."""

        def both(inputs: dict[str, Tensor]) -> Tensor:
            answer = self.run(self.model, inputs)
            return torch.stack([answer.start_logits, answer.end_logits], dim=-1)

        return self._tokens(stream, None, both)

    def _tokens(
        self, stream: Stream, vectors: Tensor | None, ask: Callable[[dict[str, Tensor]], Tensor]
    ) -> Tensor:
        """What is asked [n, l, *] of each padded batch, as [T, *] in the order of the stream."""
        parts = self._parts(stream, vectors)
        answers = torch.cat([ask(part.inputs)[part.real] for part in parts])
        return _in_order(answers, [part.places for part in parts])

    def _parts(self, stream: Stream, vectors: Tensor | None) -> list[Part]:
        if vectors is None:
            cuts = near_equal(stream.lengths)
        else:  # heads that read the last token cannot tell padding among vectors, so there is none
            lengths = np.asarray(stream.lengths)
            cuts = [np.flatnonzero(lengths == length) for length in np.unique(lengths)]
        return [self._part(stream, vectors, members) for members in cuts]

    def _part(self, stream: Stream, vectors: Tensor | None, members: np.ndarray) -> Part:
        lengths = np.asarray(stream.lengths)[members]
        index, is_real = rectangle(stream.starts[members], lengths)
        places, real = (there(array, stream.tokens.device) for array in (index, is_real))
        inputs = {"attention_mask": real.long()}
        if vectors is None:
            inputs["input_ids"] = stream.tokens[places].masked_fill(~real, self.model.config.pad_token_id)
        else:
            inputs["inputs_embeds"] = vectors[places]
        if stream.kinds is not None and getattr(self.base.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = stream.kinds[places].masked_fill(~real, 0)
        return Part(members, index[is_real], real, inputs)


class MpNet(Padded):
    """MPNet: positions begin behind its padding index, which is 1 (modeling_mpnet.py:61)."""

    @classmethod
    def positions_of(cls, config: Any) -> int:
        """The rows of the position table that are in use."""
        return int(config.max_position_embeddings) - 2


class Untaught(Padded):
    """A family that nobody taught attune: right, and slower than need be."""

    @classmethod
    def note_of(cls, kind: str) -> str:
        """What the user should know of it."""
        return (
            f"attune has no token stream for models of type {kind!r}: transformers computes them on padded batches, "
            "which gives the same results and takes longer"
        )

    @classmethod
    def positions_of(cls, config: Any) -> int:
        """What the configuration says, less the rows that RoBERTa's kin leave unused before the first token."""
        named = getattr(config, "max_position_embeddings", None)
        return NO_LIMIT if named is None else int(named) - (config.pad_token_id or 0) - 1


def _in_order(answers: Tensor, places: list[np.ndarray]) -> Tensor:
    order = np.argsort(np.concatenate(places), kind="stable")
    return answers.index_select(0, there(order, answers.device))
