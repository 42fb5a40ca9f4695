"""Checkpoints as they come: tokenizers that lack tokens, real small models, folders that hold none."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny
import torch
from conftest import SHARED

from attune.errors import RecipeError
from attune.models import load
from attune.models.tokens import TextEncoder

OTHERS = [family for family in tiny.FAMILIES if family not in ("roberta", "mbart")]
TEXTS = ["a cat", "Once upon a time there was a dog", "", "x"]


def _stream(tokenizer):
    sequences = TextEncoder(tokenizer, max_tokens=tiny.LIMIT).encode(TEXTS)
    return [sequences[i] for i in range(len(sequences))]


def _agrees_after_storing(base, folder):
    """The flat logits, and those of transformers alone on the stored folder, padded by its own tokenizer."""
    import transformers

    tokenizer = load.tokenizer(base)
    model = load.backbone(base, "classification", ["no", "yes"], seed=1)
    model.model.eval()
    sequences = _stream(tokenizer)
    load.store(model, tokenizer, folder, max_tokens=tiny.LIMIT)
    stored = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rows = [{"input_ids": sequence.tolist()} for sequence in sequences]
    inputs = transformers.AutoTokenizer.from_pretrained(folder).pad(rows, return_tensors="pt")
    with torch.inference_mode():
        torch.testing.assert_close(
            model.classify(tiny.stream(sequences)), stored(**inputs).logits, atol=1e-5, rtol=1e-5
        )
    assert stored.config.id2label == {0: "no", 1: "yes"}
    assert model.model.dtype == torch.float32


@pytest.mark.parametrize("name", ["stories260K-llama", "bart-g2p-en-us"])
def test_real_small_models_classify_on_the_stream(name, tmp_path):
    folder = SHARED / "models" / name
    if not folder.is_dir():
        pytest.skip(f"the model {name} is not on this machine")
    _agrees_after_storing(str(folder), tmp_path / "stored")


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5", "mpnet"])
def test_a_stored_model_answers_the_same_through_transformers_alone(checkpoints, family, tmp_path):
    _agrees_after_storing(checkpoints(family), tmp_path / "stored")


def test_a_tokenizer_without_padding_takes_the_token_that_ends_a_text(checkpoints):
    tokenizer = load.tokenizer(checkpoints("gpt2"))
    assert tokenizer.pad_token == tokenizer.eos_token == "[SEP]"
    model = load.backbone(checkpoints("gpt2"), "classification", ["a", "b"], seed=1)
    assert model.model.config.pad_token_id == tiny.END


def test_an_empty_text_has_a_token_where_the_tokenizer_adds_none(checkpoints):
    sequences = TextEncoder(load.tokenizer(checkpoints("gpt2")), max_tokens=tiny.LIMIT).encode(["", "good"])
    assert sequences.lengths.tolist() == [1, 1]
    assert sequences.unknown == 0


def test_a_half_precision_checkpoint_is_loaded_in_float32(checkpoints, tmp_path):
    import transformers

    folder = tmp_path / "half"
    shutil.copytree(checkpoints("llama"), folder)
    transformers.AutoModel.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    assert load.backbone(str(folder), "classification", ["a", "b"], seed=1).model.dtype == torch.float32


def test_a_folder_with_the_vocabulary_alone_has_a_tokenizer(checkpoints, tmp_path):
    folder = tmp_path / "vocabulary"
    shutil.copytree(checkpoints("bert"), folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    (folder / "vocab.txt").write_text("\n".join(tiny.PIECES) + "\n", encoding="utf-8")
    tokenizer = load.tokenizer(str(folder))
    assert tokenizer("good")["input_ids"] == load.tokenizer(checkpoints("bert"))("good")["input_ids"]


def test_a_type_that_transformers_does_not_know_is_refused(checkpoints, tmp_path):
    folder = tmp_path / "strange"
    shutil.copytree(checkpoints("bert"), folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "strange"}), encoding="utf-8")
    with pytest.raises(RecipeError, match="strange"):
        load.model_type(str(folder))


def test_an_encoder_that_is_set_up_as_a_decoder_is_refused(checkpoints, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(checkpoints("bert"), folder)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "is_decoder": True}))
    with pytest.raises(RecipeError, match="is_decoder"):
        load.model_type(str(folder))


@pytest.mark.parametrize("family", ["roberta", "mbart", *tiny.each(OTHERS)])
def test_a_text_that_spells_out_the_padding_token_gets_the_logits_of_transformers(checkpoints, family):
    base = checkpoints(family)
    tokenizer, model = load.tokenizer(base), load.backbone(base, "classification", ["no", "yes"], seed=1)
    model.model.eval()
    texts = ["good kettle", f"good {tokenizer.pad_token} kettle {tokenizer.pad_token} works", "so it works"]
    rows = TextEncoder(tokenizer, max_tokens=tiny.LIMIT).encode(texts)
    assert tokenizer.pad_token_id in rows[1][1:-1]
    with torch.inference_mode():
        flat = model.classify(tiny.stream([rows[i] for i in range(3)]))
        for row, logits in enumerate(flat):
            alone = model.model(**tokenizer(texts[row], return_tensors="pt")).logits[0]
            torch.testing.assert_close(logits, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "bart", "modernbert"])
def test_a_head_of_other_labels_begins_anew_and_one_of_the_same_goes_on(checkpoints, family, tmp_path):
    names = ["bad", "good"]
    before = load.backbone(checkpoints(family), "classification", names, seed=1)
    load.store(before, load.tokenizer(checkpoints(family)), tmp_path / "run", max_tokens=tiny.LIMIT)
    base, held = str(tmp_path / "run"), before.model.state_dict()

    def changed(labels, **more):
        found = load.backbone(base, "classification", labels, seed=2, **more).model.state_dict()
        assert found.keys() == held.keys()
        return {name for name in held if not torch.equal(found[name], held[name])}

    assert changed(names) == changed(["a", "b"], stored=True) == set()
    others = changed(["good", "bad"])
    assert others
    assert others == changed(["x", "y"])
    assert all(2 in held[name].shape for name in others)  # the projection onto the labels alone
    assert changed(names, problem="regression")
    assert not changed(names, problem="regression", stored=True)
    own = [load.own_head(base, "classification", labels, problem="") for labels in (names, names[::-1])]
    assert own == [True, False]
    assert not load.own_head(checkpoints(family), "classification", names, problem="")


def test_a_pickle_beside_some_other_safetensors_is_not_read(checkpoints, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(checkpoints("bert"), folder)
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(RecipeError, match="cannot be read as safetensors"):
        load.backbone(str(folder), "classification", ["a", "b"], seed=1)
