"""Encoder-decoders of folders that transformers wrote: logits, tokens before and behind, and what is refused."""

import json

import pytest
import torch
from sides import KINDS, REPLY
from tokenizers import processors
from transformers import AutoConfig, AutoModelForSeq2SeqLM, PreTrainedTokenizerFast

from millis.errors import MillisError
from millis.models import byte_pairs
from millis.models.load import Pretrained

TEXTS = ["the cat sat on the mat", "a dog sat on the cat"] * 3
UNKNOWN = (REPLY._replace(width=0),)
AROUND = {"t5": "$A </s>", "marian": "$A </s>", "bart": "<s> $A </s>"}  # what transformers' tokenizers put
STARTS = {"t5": (3,), "marian": (3,), "bart": (3, 1)}


def save(folder, kind, **changes):
    """A model with wide-apart weights, a tokenizer, as transformers saves them; what computes its logits."""
    tokens = byte_pairs.train(TEXTS, 280)
    tokens.post_processor = processors.TemplateProcessing(
        single=AROUND[KINDS[kind]["model_type"]], special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    torch.manual_seed(0)
    values = {**KINDS[kind], "vocab_size": tokens.get_vocab_size(), **changes}
    model = AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(**values)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # Marian's positions are sines, and not saved
                parameter.normal_(std=0.3)
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.normal_()
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>").save_pretrained(folder)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_gives_the_logits_of_transformers(kind, tmp_path):
    theirs = save(tmp_path, kind)
    model, tokenizer = Pretrained(str(tmp_path))(UNKNOWN, TEXTS)
    starts = STARTS[model.spec.kind]
    assert model.spec.starts == starts and model.spec.ends == (2,) and model.spec.around[1] == (2, *starts)
    encoding = tokenizer.encode("the cat", "a dog")
    plain = [tokenizer.encode(text, add_special_tokens=False).ids for text in ("the cat", "a dog")]
    read = [*model.spec.around[0], *plain[0], 2]
    assert encoding.ids == [*read, *starts, *plain[1], 2] and tokenizer.encode("the cat").ids == [*read, *starts]
    assert encoding.type_ids == [0] * (len(read) + len(starts)) + [1] * (len(plain[1]) + 1)
    ids, mask, types = (torch.tensor([part]) for part in (encoding.ids, encoding.attention_mask, encoding.type_ids))
    with torch.no_grad():
        expected = theirs(input_ids=ids[:, : len(read)], decoder_input_ids=ids[:, len(read) :]).logits[0]
        found = model.eval()(ids, mask, types)[0, len(read) :]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    assert model.spec.biased == (kind in ("bart", "marian"))


def test_what_the_generation_config_forbids_is_not_written(tmp_path):
    save(tmp_path, "marian")
    said = json.loads((tmp_path / "generation_config.json").read_text())
    (tmp_path / "generation_config.json").write_text(json.dumps({**said, "bad_words_ids": [[0], [5, 6]]}))
    model, _ = Pretrained(str(tmp_path))(UNKNOWN, TEXTS)
    assert model.head["reply"].bias[0] == -100 and (model.head["reply"].bias[1:] > -10).all()


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (
            "marian",
            {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 300},
            "token vectors for each side",
        ),
        (
            "bart",
            {"decoder_start_token_id": None},
            "the model's config has no decoder_start_token_id, so that it could",
        ),
    ],
)
def test_what_is_refused(kind, changes, message, tmp_path):
    save(tmp_path, kind, **changes)
    with pytest.raises(MillisError, match=message):
        Pretrained(str(tmp_path))(UNKNOWN, TEXTS)


def test_an_architecture_that_is_not_known_is_refused_before_it_is_loaded(tmp_path):
    save(tmp_path, "bart")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "pegasus"}))
    with pytest.raises(
        MillisError, match="does not know the parts of a 'pegasus' encoder-decoder: expected one of t5,"
    ):
        Pretrained(str(tmp_path))(UNKNOWN, TEXTS)
