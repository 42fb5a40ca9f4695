"""A linear chain over tags: which one follows which (conditional random field, Lafferty et al. 2001).

The score of a path is the sum of its words' logits and of its steps. Log partition sums come from the forward
recursion; the probability of a tag at a word is the derivative of that sum by the word's logit. Words whose tag
nobody knows are summed over, so a sequence that is labelled in part still teaches.

B sequences, L words of the longest, C tags.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

# One optimizer step moves a weight by about the learning rate, which suits a pre-trained matrix; steps start at
# zero and must reach a few units within some hundred updates.
SCALE = 20.0
NEVER = -1e9


class Chain(nn.Module):
    """The learned steps [C + 1, C] from tag to tag; the last row is the beginning of a text."""

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.zeros(tags + 1, tags))

    def log_partition(self, logits: Tensor, sizes: Tensor, begins: Tensor) -> Tensor:
        """The log of the sum [B] over all paths of their exponentiated scores; 0 for no words.

        Args:
            logits: [B, L, C], anything after a sequence's last word.
            sizes: [B] words of each sequence.
            begins: [B] bool, whether the first word is the first of its text; a later window has no beginning.
        """
        steps = SCALE * self.steps.to(logits)
        reached = logits[:, 0] + torch.where(begins[:, None], steps[-1], 0.0)
        for place in range(1, logits.shape[1]):
            further = (reached[:, :, None] + steps[:-1]).logsumexp(1) + logits[:, place]
            reached = torch.where((place < sizes)[:, None], further, reached)
        return torch.where(sizes > 0, reached.logsumexp(1), 0.0)

    def losses(self, logits: Tensor, targets: Tensor, sizes: list[int], begins: Tensor) -> Tensor:
        """The negative log likelihood [B] of the known tags.

        Args:
            logits: [U, C] of all words, sequence by sequence.
            targets: [U] int64; -1 where the tag is not known.
            sizes: [B] words of each sequence.
            begins: as in `log_partition`.
        """
        tags = torch.arange(logits.shape[1], device=logits.device)
        other = (targets[:, None] >= 0) & (targets[:, None] != tags)
        lengths = torch.as_tensor(sizes, device=logits.device)
        given = _padded(logits.masked_fill(other, NEVER), sizes)
        every = self.log_partition(_padded(logits, sizes), lengths, begins)
        return every - self.log_partition(given, lengths, begins)

    def marginals(self, logits: Tensor, sizes: list[int], begins: Tensor) -> list[Tensor]:
        """The probabilities [n, C] of each sequence's tags, as float64; works inside inference mode, too."""
        with torch.inference_mode(False), torch.enable_grad():
            padded = _padded(logits.clone().double(), sizes).requires_grad_()
            lengths = torch.as_tensor(sizes, device=logits.device)
            total = self.log_partition(padded, lengths, begins.clone()).sum()
            (found,) = torch.autograd.grad(total, padded)
        return [found[row, :size] for row, size in enumerate(sizes)]


def _padded(logits: Tensor, sizes: list[int]) -> Tensor:
    """[B, L, C] with L at least 1."""
    padded = pad_sequence(list(logits.split(sizes)), batch_first=True)
    return padded if padded.shape[1] else logits.new_zeros(len(sizes), 1, logits.shape[1])
