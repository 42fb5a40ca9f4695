"""The chain over tags against sums over every path, and a tagging that only a chain can learn."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file

import attune
from attune import rundir
from attune.data.table import Table
from attune.tasks.chains import SCALE, Chain
from attune.tasks.words import begins

TAGS, SIZES = 3, [4, 1, 0, 3]
BEGINS = torch.tensor([True, False, False, True])


@pytest.fixture
def chain():
    """Steps that are not zero."""
    made = Chain(TAGS)
    with torch.no_grad():
        made.steps.copy_(torch.randn(TAGS + 1, TAGS, generator=torch.Generator().manual_seed(1)) / SCALE)
    return made


@pytest.fixture
def logits():
    """Of all words, end to end."""
    return torch.randn(sum(SIZES), TAGS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def paths(chain, own, begins):
    """Every path of one sequence with its score."""
    steps = (SCALE * chain.steps).double().detach()
    for path in itertools.product(range(TAGS), repeat=len(own)):
        score = sum(own[place, tag] for place, tag in enumerate(path))
        score = score + sum(steps[a, b] for a, b in itertools.pairwise(path))
        yield path, float(score + (steps[-1, path[0]] if begins else 0.0))


def test_losses_are_those_of_all_paths_and_unknown_tags_are_summed_over(chain, logits):
    targets = torch.tensor([0, -1, 2, 1, 1, -1, -1, 0])
    found = chain.losses(logits, targets, SIZES, BEGINS).detach()
    for row, (own, asked) in enumerate(zip(logits.split(SIZES), targets.split(SIZES), strict=True)):
        if not len(own):
            assert float(found[row]) == 0
            continue
        every = list(paths(chain, own, bool(BEGINS[row])))
        fit = [s for p, s in every if all(int(t) in (-1, tag) for t, tag in zip(asked, p, strict=True))]
        expected = np.logaddexp.reduce([s for _, s in every]) - np.logaddexp.reduce(fit)
        assert float(found[row]) == pytest.approx(expected, abs=1e-5)


def test_marginals_are_sums_over_paths_even_inside_inference_mode(chain, logits):
    with torch.inference_mode():
        found = chain.marginals(logits * 1.0, SIZES, BEGINS)
    for row, own in enumerate(logits.split(SIZES)):
        expected = np.zeros((len(own), TAGS))
        if len(own):
            every = list(paths(chain, own, bool(BEGINS[row])))
            total = np.logaddexp.reduce([s for _, s in every])
            for path, score in every:
                expected[np.arange(len(own)), path] += np.exp(score - total)
        np.testing.assert_allclose(found[row].numpy(), expected, atol=1e-6)


def test_without_steps_the_chain_is_the_softmax_of_each_word(logits):
    found = torch.cat(Chain(TAGS).marginals(logits, SIZES, BEGINS))
    torch.testing.assert_close(found, logits.softmax(-1))


def test_the_gradient_of_steps_and_logits_is_that_of_the_loss(chain, logits):
    targets = torch.tensor([0, 1, 2, 1, 1, 2, -1, 0])
    logits.requires_grad_()
    chain.double()
    assert torch.autograd.gradcheck(
        lambda given, steps: torch.func.functional_call(
            Losses(chain), {"chain.steps": steps}, (given, targets)
        ),
        (logits, chain.steps),
    )


class Losses(torch.nn.Module):
    """The summed losses as a function of logits and steps."""

    def __init__(self, chain):
        super().__init__()
        self.chain = chain

    def forward(self, logits, targets):
        """A scalar."""
        return self.chain.losses(logits, targets, SIZES, BEGINS).sum()


def test_a_chain_is_trained_stored_and_asked_again(tmp_path, checkpoints):
    """The same word is tagged by what its neighbour was tagged, which the chain carries on."""
    path = tmp_path / "tags.conll"
    blocks = []
    for number in range(60):
        first = number % 2
        words = [("good", "bad")[first], *["kettle"] * (2 + number % 3), f"{number:x}"]
        tags = [("U", "V")[first]] * len(words)
        blocks.append("\n".join(f"{word}\t{tag}" for word, tag in zip(words, tags, strict=True)))
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    knobs = ("train.epochs=2", "train.batch=16", "train.lr=3e-3", "task.options.crf=true")
    run = attune.train(path, *knobs, model=checkpoints("bert"), out=tmp_path / "run")
    assert np.abs(rundir.RunDir(run.path).read("task.json")["steps"]).max() > 0
    assert rundir.RunDir(run.path).read("parity.json")["same"]
    stored = load_file(run.path / "model" / "model.safetensors")
    assert not any("chain" in name for name in stored)
    told = attune.load(str(run.path)).predict([["good", "kettle", "kettle", "kettle"]])
    assert len(told[0].tags) == 4


def test_a_word_weighs_in_the_chain_what_it_weighs_in_the_loss(checkpoints):
    from attune.models import load
    from attune.models.tokens import TextEncoder
    from attune.tasks.features import batch_of
    from attune.tasks.tagging import Options, Tagging

    task = Tagging(Options(crf=True))
    table = tiny_table(task)
    task.learn(table)
    encoder = TextEncoder(load.tokenizer(checkpoints("bert")), max_tokens=tiny.LIMIT, long_texts="windows")
    features = task.encode(table, encoder, task.gold(table))
    assert len(features) > len(table)  # some row is read by several windows
    batch = batch_of(features, np.arange(len(features)))
    logits = torch.randn(len(batch.units), len(task.labels), generator=torch.Generator().manual_seed(1))
    whole = task.loss(logits, batch)
    half = task.loss(logits, dataclasses.replace(batch, weights=batch.weights / 2))
    torch.testing.assert_close(half, whole / 2)
    alone = task.chain.losses(logits, batch.targets, batch.asked, begins(batch))
    assert float(whole.detach()) < float(alone.detach().sum()) - 0.1  # words that two windows read count once


def tiny_table(task):
    cells = task.examples()
    return Table("rows.csv", tuple(cells), cells, list(range(2, 2 + len(cells["text"]))), "")
